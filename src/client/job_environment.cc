// SPDX-License-Identifier: Apache-2.0
#include <charconv>
#include <cstdlib>
#include <string_view>

#include "client/log_session.h"
#include "wire/client_messages.h"
#include "wire/control_messages.h"

namespace rk::client {

namespace {

std::string_view variable(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): before the program's own threads
  return value == nullptr ? std::string_view() : std::string_view(value);
}

template <class T>
bool parse(std::string_view text, T& value, int base = 10) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return error == std::errc() && end == text.data() + text.size();
}

tl::unexpected<Error> unreadable(const char* name, std::string_view value) {
  return fail(ErrorCode::kInvalidArgument, std::string(name) + " is '" + std::string(value) +
                                               "', which 'ringkeep run' does not set: start the program with it");
}

// Cuts the part before the next comma off.
std::string_view next_part(std::string_view& rest) {
  const std::size_t comma = rest.find(',');
  const std::string_view part = rest.substr(0, comma);
  rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
  return part;
}

Status read_options(JobEnvironment& environment) {
  std::string_view rest = environment.options;
  while (!rest.empty()) {
    const std::string_view part = next_part(rest);
    const std::size_t equals = part.find('=');
    if (equals == std::string_view::npos) return unreadable(wire::kEnvOptions, environment.options);
    const std::string_view name = part.substr(0, equals);
    const std::string_view value = part.substr(equals + 1);
    bool good = true;  // names that are not known here belong to another part
    if (name == "kill_at_message") good = parse(value, environment.kill_at_message);
    if (name == "spin") environment.spin = value != "0";
    if (name == "on_divergence") {
      environment.strict = value == "strict";
      good = environment.strict || value == "keep";
    }
    if (!good) return unreadable(wire::kEnvOptions, environment.options);
  }
  return {};
}

}  // namespace

Result<JobEnvironment> JobEnvironment::read() {
  JobEnvironment environment;
  const std::string_view job = variable(wire::kEnvJob);
  if (job.empty())
    return fail(ErrorCode::kUnavailable, "this process is not part of a job: start the program with 'ringkeep run'");
  if (!parse(job, environment.job.value, 16)) return unreadable(wire::kEnvJob, job);
  environment.socket = variable(wire::kEnvSocket);
  const std::string_view rank = variable(wire::kEnvRank);
  if (!parse(rank, environment.rank.value)) return unreadable(wire::kEnvRank, rank);
  const std::string_view incarnation = variable(wire::kEnvIncarnation);
  if (!parse(incarnation, environment.incarnation.value)) return unreadable(wire::kEnvIncarnation, incarnation);
  std::string_view communities = variable(wire::kEnvCommunities);
  while (!communities.empty()) {
    CommunityId community;
    if (!parse(next_part(communities), community.value) || environment.community_of.size() >= wire::kMaxRanks)
      return unreadable(wire::kEnvCommunities, variable(wire::kEnvCommunities));
    environment.community_of.push_back(community);
  }
  if (environment.rank.value >= environment.community_of.size()) return unreadable(wire::kEnvRank, rank);
  environment.options = variable(wire::kEnvOptions);
  RK_TRY_VOID(read_options(environment));
  return environment;
}

}  // namespace rk::client

// SPDX-License-Identifier: Apache-2.0
#include "cli/override.h"

#include <algorithm>

#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "cli/json.h"
#include "cli/terminal.h"

namespace rk::cli {
namespace {

constexpr std::uint32_t kAnswerMs = 30'000;  // it asks all servers, and has its answer on the disk

std::string servers(const std::vector<NodeId>& nodes) {
  std::string out = nodes.size() == 1 ? "server" : "servers";
  for (std::size_t i = 0; i < nodes.size(); ++i) out += (i == 0 ? " " : ", ") + std::to_string(nodes[i].value);
  return out;
}

}  // namespace

std::vector<std::pair<NodeId, NodeId>> lost_with_both(const wire::OverrideAnswer& answer) {
  const auto gone = [&](NodeId node) {
    return std::find(answer.missing.begin(), answer.missing.end(), node) != answer.missing.end();
  };
  std::vector<std::pair<NodeId, NodeId>> out;
  const std::size_t size = answer.ring.size();
  for (std::size_t i = 0; i < size && size > 1; ++i) {
    const NodeId home = answer.ring[(i + 1) % size];
    if (gone(home) && gone(answer.ring[i])) out.emplace_back(home, answer.ring[i]);
  }
  return out;
}

std::string override_mark(const wire::OverrideMark& mark) {
  if (mark.generation == 0) return {};
  return "generation " + std::to_string(mark.generation) + " since an override at server " +
         std::to_string(mark.by.value) + " at " + utc(mark.at_ms * 1000) + ", from view " +
         std::to_string(mark.from.value) + ": what was committed elsewhere may be stale or lost";
}

std::string override_text(const wire::OverrideAnswer& answer) {
  std::string out;
  if (answer.done) {
    out = servers(answer.members) + (answer.members.size() == 1 ? " goes" : " go") + " on in view " +
          std::to_string(answer.view.value) + ", generation " + std::to_string(answer.overridden.generation) + "\n";
  } else {
    out = servers(answer.members) + " would go on without a quorum of view " + std::to_string(answer.view.value) +
          ", in generation " + std::to_string(answer.overridden.generation + 1) +
          "; all are asked first who is there\n";
  }
  const char* will = answer.done ? "is" : "would be";
  if (!answer.missing.empty()) out += std::string("  given up: ") + servers(answer.missing) + "\n";
  for (const auto& [home, keeper] : lost_with_both(answer))
    out += std::string("  what clients of server ") + std::to_string(home.value) + " saved " + will +
           " lost: its second copies are at server " + std::to_string(keeper.value) + ", which is given up too\n";
  if (!answer.missing.empty())
    out += std::string("  what was saved at ") + servers(answer.missing) +
           " without a second copy, and jobs' logs there, " + (answer.done ? "are" : "would be") +
           " lost; what they have committed unheard " + will + " dropped\n";
  return out +
         "  servers that are given up and live end their generation as soon as they hear of the new one; until "
         "then two rings serve\n";
}

int override_quorum(const OverrideOptions& options) {
  const auto reached = reach(options.asked);
  if (!reached) return not_reached(reached.error());
  say_who_answered(reached->instead_of);
  client::CallOptions call;
  call.timeout_ms = kAnswerMs;
  const auto answer = reached->connection->call<wire::OverrideAnswer>(wire::OverrideRequest{options.confirmed}, call);
  if (!answer) return complain(answer.error());
  if (options.json) print(to_json(*answer));
  if (!answer->refusal.empty()) {
    std::fprintf(stderr, "ringkeep: no override at server %u: %s\n", reached->connection->server().node.value,
                 answer->refusal.c_str());
    return kRefused;
  }
  if (!options.json) print(override_text(*answer));
  if (answer->done) return kSuccess;
  std::fprintf(stderr,
               "ringkeep: nothing was changed: give --yes if those that are given up are gone for good, or you answer "
               "for what is lost\n");
  return kNotConfirmed;
}

}  // namespace rk::cli

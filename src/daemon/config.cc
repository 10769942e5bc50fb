// SPDX-License-Identifier: Apache-2.0
#include "daemon/config.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "wire/locations.h"

namespace rk::daemon {
namespace {

template <class Number>
bool parse_whole(std::string_view text, Number& value, int base = 10) {
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return !text.empty() && parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
}

// Racks and the witness are servers of the roster.
Status check_roles(const Config& config) {
  const auto listed = [&](NodeId node) {
    return std::any_of(config.roster.begin(), config.roster.end(),
                       [&](const io::RosterEntry& entry) { return entry.node == node; });
  };
  for (const auto& [node, rack] : config.racks)
    if (!listed(node))
      return fail(ErrorCode::kInvalidArgument, "server " + std::to_string(node.value) + " has the rack '" + rack +
                                                   "' and is not in the roster: add it, or correct the number");
  if (!config.witness) return {};
  if (!listed(config.witness))
    return fail(ErrorCode::kInvalidArgument, "the witness, server " + std::to_string(config.witness.value) +
                                                 ", is not in the roster: add it, or correct the number");
  if (config.roster.size() < 3)
    return fail(ErrorCode::kInvalidArgument,
                "a witness decides between two servers or more that hold data: add them to the roster");
  return {};
}

Status check_roster(const Config& config) {
  if (config.roster.size() > kMaxServers)
    return fail(ErrorCode::kInvalidArgument, "the roster has " + std::to_string(config.roster.size()) +
                                                 " servers: at most " + std::to_string(kMaxServers) + " are possible");
  for (std::size_t i = 1; i < config.roster.size(); ++i)
    if (config.roster[i - 1].node == config.roster[i].node)
      return fail(ErrorCode::kInvalidArgument, "the roster has server " + std::to_string(config.roster[i].node.value) +
                                                   " twice: give every server its own number");
  for (std::size_t i = 0; i < config.roster.size(); ++i)
    for (std::size_t j = i + 1; j < config.roster.size(); ++j)
      if (config.roster[i].address == config.roster[j].address)
        return fail(ErrorCode::kInvalidArgument, "the roster has the address " +
                                                     io::to_string(config.roster[i].address) +
                                                     " twice: give every server its own");
  const bool listed = std::any_of(config.roster.begin(), config.roster.end(),
                                  [&](const io::RosterEntry& entry) { return entry.node == config.node; });
  if (!listed)
    return fail(ErrorCode::kInvalidArgument, "the roster has no server " + std::to_string(config.node.value) +
                                                 ", which this is: add it, or correct 'node'");
  return check_roles(config);
}

}  // namespace

Result<std::uint64_t> parse_size(std::string_view text) {
  constexpr std::string_view kSuffixes = "KMGT";
  std::string_view digits = text;
  unsigned shift = 0;
  if (!digits.empty()) {
    const std::size_t at = kSuffixes.find(digits.back());
    if (at != std::string_view::npos) {
      shift = 10 * (static_cast<unsigned>(at) + 1);
      digits.remove_suffix(1);
    }
  }
  std::uint64_t value = 0;
  if (!parse_whole(digits, value) || value > (std::numeric_limits<std::uint64_t>::max() >> shift))
    return fail(ErrorCode::kInvalidArgument,
                "'" + std::string(text) + "' is not a size: write bytes, or a number with K, M, G or T, like 512M");
  return value << shift;
}

Result<ClusterId> parse_cluster(std::string_view text) {
  std::uint64_t value = 0;
  if (text.size() > 16 || !parse_whole(text, value, 16) || value == 0)
    return fail(ErrorCode::kInvalidArgument,
                "'" + std::string(text) + "' is not a cluster id: write 1 to 16 hex digits, not all zero");
  return ClusterId(value);
}

Result<io::RosterEntry> parse_server(std::string_view text) {
  const std::size_t equals = text.find('=');
  io::RosterEntry entry;
  if (equals == std::string_view::npos || !parse_whole(text.substr(0, equals), entry.node.value) || !entry.node)
    return fail(ErrorCode::kInvalidArgument,
                "'" + std::string(text) + "' is not a server: write NODE=HOST:PORT, like 1=127.0.0.1:7801");
  RK_TRY(entry.address, io::parse_host_port(text.substr(equals + 1)));
  return entry;
}

Result<std::pair<NodeId, std::string>> parse_rack(std::string_view text) {
  const std::size_t equals = text.find('=');
  std::pair<NodeId, std::string> rack;
  if (equals == std::string_view::npos || !parse_whole(text.substr(0, equals), rack.first.value) || !rack.first)
    return fail(ErrorCode::kInvalidArgument,
                "'" + std::string(text) + "' is not a server's rack: write NODE=LABEL, like 1=row-1");
  rack.second = text.substr(equals + 1);
  if (const auto status = check_rack(rack.second); !status)
    return fail(ErrorCode::kInvalidArgument, "'" + std::string(text) + "' has no label: " + status.error().message);
  return rack;
}

Status check_log_level(std::string_view text) {
  static constexpr std::array<std::string_view, 5> kLevels{"debug", "info", "warn", "error", "off"};
  if (std::find(kLevels.begin(), kLevels.end(), text) != kLevels.end()) return {};
  return fail(ErrorCode::kInvalidArgument,
              "'" + std::string(text) + "' is not a log level: write debug, info, warn, error or off");
}

Status check_rack(std::string_view text) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-_./").find(c) != std::string_view::npos;
  };
  if (!text.empty() && text.size() <= kMaxRackBytes && std::all_of(text.begin(), text.end(), fits)) return {};
  return fail(ErrorCode::kInvalidArgument, "it must be 1 to " + std::to_string(kMaxRackBytes) +
                                               " letters, digits, '-', '_', '.' or '/'; leave it out for no rack");
}

Result<Config> complete(Config config, std::uint32_t uid) {
  if (!config.node)
    return fail(ErrorCode::kInvalidArgument,
                "no 'node' is given: write this server's number, from 1, in the configuration or as --node");
  if (config.roster.empty()) config.roster.push_back({config.node, {"127.0.0.1", 0}});
  std::sort(config.roster.begin(), config.roster.end(),
            [](const io::RosterEntry& a, const io::RosterEntry& b) { return a.node < b.node; });
  RK_TRY_VOID(check_roster(config));
  const bool alone = config.roster.size() == 1;
  if (!config.cluster && !alone)
    return fail(ErrorCode::kInvalidArgument,
                "no 'cluster' is given: write the same 1 to 16 hex digits for every server of the roster");
  if (config.key_file.empty() && !alone)
    return fail(ErrorCode::kInvalidArgument,
                "no 'key_file' is given: make one with `ringkeep keygen FILE` and copy it to every server");
  if (!config.cluster) config.cluster = ClusterId(1);
  const std::string directory = wire::server_directory(wire::default_ring_directory(uid), config.node.value);
  if (config.socket.empty()) config.socket = directory + "/socket";
  if (config.state_directory.empty()) config.state_directory = directory + "/state";
  if (config.scrub_bytes_per_s != 0 &&
      (config.scrub_bytes_per_s < (std::uint64_t{1} << 20U) || config.scrub_bytes_per_s > (std::uint64_t{1} << 40U)))
    return fail(ErrorCode::kInvalidArgument, "'scrub' is " + std::to_string(config.scrub_bytes_per_s) +
                                                 " bytes a second: give it 1M to 1T, or 0 to sum no copy unasked");
  if (config.memory_bytes < (std::uint64_t{1} << 20U))
    return fail(ErrorCode::kInvalidArgument,
                "'memory' is " + std::to_string(config.memory_bytes) + " bytes: give the server at least 1M");
  return config;
}

std::vector<ring::RosterEntry> ring_roster(const Config& config) {
  std::vector<ring::RosterEntry> roster;
  for (const io::RosterEntry& entry : config.roster) {
    const auto rack = config.racks.find(entry.node);
    roster.push_back({entry.node, io::to_string(entry.address), rack == config.racks.end() ? "" : rack->second,
                      entry.node == config.witness});
  }
  return roster;
}

}  // namespace rk::daemon

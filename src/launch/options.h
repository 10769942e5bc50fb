// SPDX-License-Identifier: Apache-2.0
// What `ringkeep run` was asked for, and the texts of its options.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"

namespace rk::launch {

// Kill a process of the job, to see the recovery: "3@2.5s" after that time of the job, "3@msg:5000" when it has sent
// that many messages to other communities.
struct KillRequest {
  Rank rank;
  std::optional<std::uint64_t> at_ms;
  std::optional<std::uint64_t> at_message;
  std::string text;  // as it was written
};
Result<KillRequest> parse_kill(std::string_view text, std::uint32_t ranks);

// "64M", "2GiB", "1000": bytes; units of 1024.
Result<std::uint64_t> parse_size(std::string_view text);

// Community of each rank. `blocks`: equal runs of neighbouring ranks, the first ones one larger if it does not divide.
Result<std::vector<CommunityId>> blocks_partition(std::uint32_t ranks, std::uint32_t communities);
// A partition file has one line a rank, its community's number, from rank 0 on; '#' starts a comment.
Result<std::vector<CommunityId>> parse_partition(std::string_view text, std::uint32_t ranks, std::uint32_t communities);

struct RunOptions {
  std::uint32_t ranks = 1;
  std::uint32_t communities = 1;
  std::string partition = "blocks";  // or a file
  std::vector<KillRequest> kills;
  bool strict_output = false;
  bool strict_divergence = false;
  std::uint64_t log_limit_bytes = std::uint64_t{1} << 30U;  // of one process's segment
  std::uint32_t servers = 4;                                // of an embedded ring
  std::uint64_t memory_bytes = 0;                           // budget of each of them; 0: its default
  std::uint32_t max_restarts = 5;                           // of a community without progress
  std::string directory;                                    // of the ring; empty: as reach_server() (ring_servers.h)
  bool embedded = false;                                    // an embedded ring even if servers are running
  bool verbose_report = false;
  bool quiet = false;
  std::vector<std::string> program;  // with its arguments
};

inline constexpr std::uint32_t kMaxServers = 16;

}  // namespace rk::launch

// SPDX-License-Identifier: Apache-2.0
// What a server is told: a TOML file (config_file.cc), flags over it (flags.cc), and the checks on both together.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "io/peer_links.h"
#include "ring/config.h"

namespace rk::daemon {

inline constexpr std::uint64_t kMaxServers = 1024;
inline constexpr std::size_t kMaxRackBytes = 32;

struct Limits {
  std::uint64_t clients = 1024;                   // connections at a time
  std::uint64_t owner_clients = UINT64_MAX;       // of one user; at most `clients`
  std::uint64_t jobs = 64;                        // at a time
  std::uint64_t ranks = 4096;                     // of all jobs together: each has a segment
  std::uint64_t owner_memory_bytes = UINT64_MAX;  // one user's checkpoints, and again one user's logs
  std::uint64_t owner_names = 65536;              // of one user's checkpoints and groups
  std::uint64_t unproven_peers = 16;              // TCP connections that have not proved the cluster key yet
  std::uint64_t hello_ms = 10'000;                // for a client or server to say who it is
  std::uint64_t frame_ms = 60'000;                // for a client's request, from its first byte to its last
};

struct Config {
  NodeId node;
  ClusterId cluster;     // 0: not given
  std::string key_file;  // empty: not given
  bool encrypt = true;   // the links to other servers
  std::string socket;
  std::string state_directory;
  std::uint64_t memory_bytes = std::uint64_t{1} << 30U;
  std::uint64_t reserve_bytes = std::uint64_t{64} << 20U;
  std::string log_level = "info";
  std::uint64_t hold_s = 60;  // memory outlives a killed server by so long; 0: not at all
  std::uint64_t scrub_bytes_per_s = std::uint64_t{64} << 20U;  // of copies at rest, summed in the background; 0: none
  std::uint64_t scrub_every_s = 60;                            // from one pass over all of them to the next, at least
  std::uint64_t suspicion_ms = 500;     // silence that makes the ring suspect a server; the same on every server
  std::uint64_t awake_us = 200;         // after a small commit it looks for more for so long before it sleeps; 0: never
  std::vector<io::RosterEntry> roster;  // sorted by node; contains `node` once complete() has passed
  std::map<NodeId, std::string> racks;  // of servers of the roster that have a label
  NodeId witness;                       // server of the roster that votes and holds no data; 0: none
  Limits limits;
};

// What only flags say: it belongs to one start.
struct StartOptions {
  Config config;
  std::string config_file;
  bool check_only = false;
  std::optional<int> ready_fd;   // one line is written when clients can connect
  std::optional<int> parent_fd;  // the server ends when this pipe's other end closes
  std::optional<int> listen_fd;  // a listening TCP socket to use instead of the roster's own address
};

// Errors name the file, the line, the key and what to write instead.
Result<Config> parse_config(std::string_view text, const std::string& file, Config defaults);
Result<Config> read_config(const std::string& file, Config defaults);

// What main does when the flags ask for nothing but a text (--help, --version).
struct TextOnly {
  std::string text;
};
struct Flags {
  std::optional<TextOnly> text;
  StartOptions options;
};
// argv without the program's name. Reads the configuration file that --config names.
Result<Flags> parse_flags(const std::vector<std::string>& arguments);

// Fills in what follows from the rest (paths of the user's private ring), then checks that all of it fits together.
Result<Config> complete(Config config, std::uint32_t uid);

// The roster as the ring's core wants it.
std::vector<ring::RosterEntry> ring_roster(const Config& config);

// "64M" -> 67108864; suffixes K, M, G, T or none.
Result<std::uint64_t> parse_size(std::string_view text);
// 1 to 16 hex digits, not all zero.
Result<ClusterId> parse_cluster(std::string_view text);
// "3=127.0.0.1:7803".
Result<io::RosterEntry> parse_server(std::string_view text);
// "3=row-1": the label of a server.
Result<std::pair<NodeId, std::string>> parse_rack(std::string_view text);
Status check_log_level(std::string_view text);
// A rack's label: 1 to kMaxRackBytes letters, digits and "-_./".
Status check_rack(std::string_view text);

}  // namespace rk::daemon

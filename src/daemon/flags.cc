// SPDX-License-Identifier: Apache-2.0
// The command line of ringkeepd. Flags stand over the configuration file. The only user of CLI11.
#include <CLI/CLI.hpp>

#include "daemon/config.h"
#include "daemon/release.h"

namespace rk::daemon {
namespace {

struct RawFlags {
  std::uint32_t node = 0;
  std::string cluster;
  std::string memory;
  std::string reserve;
  std::string scrub;
  std::uint64_t scrub_every_s = 0;
  std::vector<std::string> servers;
  std::vector<std::string> racks;
  std::uint32_t witness = 0;
  int ready_fd = -1;
  int parent_fd = -1;
  int listen_fd = -1;
};

void describe(CLI::App& app, RawFlags& raw, StartOptions& options, Config& over) {
  app.add_option("--config", options.config_file, "TOML file (see docs/configuration.md)");
  app.add_option("--node", raw.node, "this server's number in the roster, from 1");
  app.add_option("--server", raw.servers, "NODE=HOST:PORT of a server of the roster; once for each");
  app.add_option("--rack", raw.racks, "NODE=LABEL: what fails together has one label; once for each server");
  app.add_option("--witness", raw.witness, "server of the roster that votes and holds no data");
  app.add_option("--cluster", raw.cluster, "cluster id, 1 to 16 hex digits");
  app.add_option("--key-file", over.key_file, "file with the cluster's keys, made by `ringkeep keygen`");
  app.add_option("--socket", over.socket, "path of the clients' socket, in a directory of mode 0700");
  app.add_option("--state-directory", over.state_directory, "where this server keeps its ring state");
  app.add_option("--memory", raw.memory, "memory budget, like 512M or 4G");
  app.add_option("--reserve", raw.reserve, "memory left to everybody else, like 64M");
  app.add_option("--scrub", raw.scrub, "bytes a second of copies at rest that are summed again, like 64M; 0: none");
  app.add_option("--scrub-every-s", raw.scrub_every_s, "seconds from one pass over all copies to the next, at least")
      ->check(CLI::Range(1, 86'400));
  app.add_option("--log-level", over.log_level, "debug, info, warn, error or off");
  app.add_option("--ready-fd", raw.ready_fd, "descriptor that gets one line when clients can connect");
  app.add_option("--parent-fd", raw.parent_fd, "the server ends when this pipe's other end closes");
  app.add_option("--listen-fd", raw.listen_fd, "listening TCP socket for the peer links");
  app.add_flag("--check", options.check_only, "check the configuration and end");
  app.set_version_flag("--version", std::string("ringkeepd ") + kRelease);
}

Status apply(const RawFlags& raw, const Config& over, StartOptions& options) {
  Config& config = options.config;
  if (!options.config_file.empty()) {
    RK_TRY(config, read_config(options.config_file, config));
  }
  if (raw.node != 0) config.node = NodeId(raw.node);
  if (!raw.cluster.empty()) {
    RK_TRY(config.cluster, parse_cluster(raw.cluster));
  }
  if (!raw.memory.empty()) {
    RK_TRY(config.memory_bytes, parse_size(raw.memory));
  }
  if (!raw.reserve.empty()) {
    RK_TRY(config.reserve_bytes, parse_size(raw.reserve));
  }
  if (!raw.scrub.empty()) {
    RK_TRY(config.scrub_bytes_per_s, parse_size(raw.scrub));
  }
  if (raw.scrub_every_s != 0) config.scrub_every_s = raw.scrub_every_s;
  if (!raw.servers.empty()) {
    config.roster.clear();
    config.racks.clear();
    config.witness = {};
  }
  for (const std::string& text : raw.servers) {
    RK_TRY(const io::RosterEntry entry, parse_server(text));
    config.roster.push_back(entry);
  }
  for (const std::string& text : raw.racks) {
    RK_TRY(const auto rack, parse_rack(text));
    config.racks[rack.first] = rack.second;
  }
  if (raw.witness != 0) config.witness = NodeId(raw.witness);
  if (!over.key_file.empty()) config.key_file = over.key_file;
  if (!over.socket.empty()) config.socket = over.socket;
  if (!over.state_directory.empty()) config.state_directory = over.state_directory;
  if (!over.log_level.empty()) {
    RK_TRY_VOID(check_log_level(over.log_level));
    config.log_level = over.log_level;
  }
  if (raw.ready_fd >= 0) options.ready_fd = raw.ready_fd;
  if (raw.parent_fd >= 0) options.parent_fd = raw.parent_fd;
  if (raw.listen_fd >= 0) options.listen_fd = raw.listen_fd;
  return {};
}

}  // namespace

Result<Flags> parse_flags(const std::vector<std::string>& arguments) {
  Flags flags;
  RawFlags raw;
  Config over;
  over.log_level.clear();
  CLI::App app("Checkpoint server of Ringkeep: one for each node.", "ringkeepd");
  describe(app, raw, flags.options, over);
  // CLI11 takes its arguments in reverse order.
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
  try {
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    flags.text = TextOnly{app.help()};
    return flags;
  } catch (const CLI::CallForVersion&) {
    flags.text = TextOnly{std::string("ringkeepd ") + kRelease + "\n"};
    return flags;
  } catch (const CLI::ParseError& error) {
    return fail(ErrorCode::kInvalidArgument, std::string(error.what()) + "; ringkeepd --help lists the flags");
  }
  RK_TRY_VOID(apply(raw, over, flags.options));
  return flags;
}

}  // namespace rk::daemon

// SPDX-License-Identifier: Apache-2.0
// ringkeepd: the checkpoint server of one node.
#include <malloc.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include "daemon/config.h"
#include "daemon/exit_codes.h"
#include "daemon/logger.h"
#include "daemon/node_guard.h"
#include "daemon/rebirth.h"
#include "daemon/server.h"
#include "io/event_loop.h"

namespace rk::daemon {
namespace {

ExitCode complain(const Error& error, ExitCode code) {
  std::fprintf(stderr, "ringkeepd: %s\n", error.message.c_str());
  return code;
}

// From the first message to the last; all that it had is gone then.
ExitCode live(const StartOptions& options, const Rebirth& rebirth, std::uint64_t& lived_ms) {
  std::optional<NodeGuard> guard;
  if (options.config.roster.size() > 1) {
    auto started =
        NodeGuard::start(options.config.log_level, "ringkeepd " + std::to_string(options.config.node.value) + " guard");
    if (!started) return complain(started.error(), ExitCode::kCannotStart);
    guard.emplace(*std::move(started));
  }
  io::EventLoop loop(options.config.awake_us);
  const std::uint64_t began_ms = loop.now_ms();
  const std::string why =
      rebirth.evictions() > 0 ? "the ring went on without its life before; it holds nothing of that" : "";
  auto server = Server::create(loop, options, why, guard ? &*guard : nullptr);
  if (!server) return complain(server.error().error, server.error().code);
  Rebirth::let_signals_in();
  const ExitCode code = (*server)->run();
  lived_ms = loop.now_ms() - began_ms;
  if (guard && code == ExitCode::kOk) guard->release();
  return code;
}

// Frames of copies come and go: memory that is given back to the system between two of them costs a page fault for
// each of its pages the next time, which is more than the copy itself.
void keep_freed_memory() {
  constexpr int kFromSystemBytes = 8 << 20;
  ::mallopt(M_MMAP_THRESHOLD, kFromSystemBytes);
  ::mallopt(M_TRIM_THRESHOLD, 2 * kFromSystemBytes);
}

ExitCode run(int count, char** arguments) {
  keep_freed_memory();
  auto flags = parse_flags(std::vector<std::string>(arguments + 1, arguments + count));
  if (!flags) return complain(flags.error(), ExitCode::kUsage);
  if (flags->text) {
    std::fputs(flags->text->text.c_str(), stdout);
    return ExitCode::kOk;
  }
  StartOptions& options = flags->options;
  auto config = complete(options.config, ::geteuid());
  if (!config) return complain(config.error(), ExitCode::kUsage);
  options.config = *config;
  if (options.check_only) {
    std::puts("the configuration is complete");
    return ExitCode::kOk;
  }
  logger::start(options.config.log_level, "ringkeepd " + std::to_string(options.config.node.value));
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGCHLD, SIG_IGN);  // a guard that ends leaves nothing
  auto rebirth = Rebirth::prepare(options);
  if (!rebirth) return complain(rebirth.error(), ExitCode::kCannotStart);
  std::uint64_t lived_ms = 0;
  if (const ExitCode code = live(options, *rebirth, lived_ms); code != ExitCode::kEvicted) return code;
  if (const Status ended = rebirth->begin_anew(arguments, lived_ms); !ended)
    return complain(ended.error(), ExitCode::kEvicted);
  return ExitCode::kOk;
}

}  // namespace
}  // namespace rk::daemon

int main(int argc, char** argv) {
  try {
    return static_cast<int>(rk::daemon::run(argc, argv));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "ringkeepd: internal error: %s\n", error.what());
    return static_cast<int>(rk::daemon::ExitCode::kInternal);
  }
}

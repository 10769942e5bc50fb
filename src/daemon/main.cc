// SPDX-License-Identifier: Apache-2.0
// ringkeepd: the checkpoint server of one node.
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "daemon/config.h"
#include "daemon/exit_codes.h"
#include "daemon/logger.h"
#include "daemon/server.h"
#include "io/event_loop.h"

namespace rk::daemon {
namespace {

ExitCode complain(const Error& error, ExitCode code) {
  std::fprintf(stderr, "ringkeepd: %s\n", error.message.c_str());
  return code;
}

ExitCode run(const std::vector<std::string>& arguments) {
  auto flags = parse_flags(arguments);
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
  io::EventLoop loop;
  auto server = Server::create(loop, options);
  if (!server) return complain(server.error().error, server.error().code);
  return (*server)->run();
}

}  // namespace
}  // namespace rk::daemon

int main(int argc, char** argv) {
  try {
    return static_cast<int>(rk::daemon::run(std::vector<std::string>(argv + 1, argv + argc)));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "ringkeepd: internal error: %s\n", error.what());
    return static_cast<int>(rk::daemon::ExitCode::kInternal);
  }
}

// SPDX-License-Identifier: Apache-2.0
// `ringkeep run --service`: docs/service.md
#include "launch/service_agent.h"

#include "cli/commands.h"

namespace rk::cli {

int run_service(const RunCommand& command) {
  ServerChoice server = command.server;
  server.directory = command.options.directory;
  launch::ServiceOptions options;
  options.name = command.service;
  options.socket = socket_of(server);
  options.max_restarts = command.options.max_restarts;
  options.quiet = command.options.quiet;
  options.program = command.options.program;
  const auto agent = launch::ServiceAgent::make(std::move(options));
  if (!agent) return complain(agent.error());
  const auto status = (*agent)->run();
  return status ? *status : complain(status.error());
}

}  // namespace rk::cli

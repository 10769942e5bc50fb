// SPDX-License-Identifier: Apache-2.0
#include "cli/server_choice.h"

#include <unistd.h>

#include "wire/locations.h"

namespace rk::cli {

Result<launch::ReachedServer> reach(const ServerChoice& choice) {
  std::string socket = choice.socket;
  if (socket.empty() && choice.server != 0) {
    const std::string ring = choice.directory.empty() ? wire::default_ring_directory(::geteuid()) : choice.directory;
    socket = wire::server_socket(ring, choice.server);
  }
  if (socket.empty()) return launch::reach_server(choice.directory);
  launch::ReachedServer reached;
  RK_TRY(reached.connection, launch::ask_server(socket));
  return reached;
}

}  // namespace rk::cli

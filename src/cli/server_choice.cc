// SPDX-License-Identifier: Apache-2.0
#include "cli/server_choice.h"

#include <unistd.h>

#include <algorithm>

#include "cli/commands.h"
#include "wire/locations.h"

namespace rk::cli {
namespace {

constexpr std::uint32_t kLongTimeoutMs = 60'000;

}  // namespace

std::string socket_of(const ServerChoice& choice) {
  if (!choice.socket.empty()) return choice.socket;
  if (choice.directory.empty() && choice.server == 0) return client::resolve_socket_path({});
  const std::string ring = choice.directory.empty() ? wire::default_ring_directory(::geteuid()) : choice.directory;
  return wire::server_socket(ring, std::max(choice.server, 1U));
}

Result<launch::ReachedServer> reach(const ServerChoice& choice) {
  if (choice.socket.empty() && choice.server == 0) return launch::reach_server(choice.directory);
  launch::ReachedServer reached;
  RK_TRY(reached.connection, launch::ask_server(socket_of(choice)));
  return reached;
}

Result<std::unique_ptr<client::Connection>> connect_for_long(const ServerChoice& choice, const char* program) {
  RK_TRY(const auto reached, reach(choice));
  say_who_answered(reached.instead_of);
  client::ConnectOptions options;
  options.socket_path = reached.connection->socket_path();
  options.program = program;
  options.timeout_ms = kLongTimeoutMs;
  return client::Connection::open(options);
}

}  // namespace rk::cli

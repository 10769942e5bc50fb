// SPDX-License-Identifier: Apache-2.0
#include "launch/ring_servers.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "wire/control_messages.h"
#include "wire/locations.h"
#include "wire/ring_messages.h"

namespace rk::launch {

Result<std::unique_ptr<client::Connection>> ask_server(const std::string& socket, const std::string& program) {
  client::ConnectOptions options;
  options.socket_path = socket;
  options.program = program;
  options.timeout_ms = kAskTimeoutMs;
  return client::Connection::open(options);
}

std::vector<std::string> server_sockets(const std::string& directory) {
  std::vector<std::string> out{wire::server_socket(directory, 1)};
  struct stat about {};
  for (std::uint32_t node = 2; node <= wire::kMaxServers; ++node) {
    if (::lstat(wire::server_directory(directory, node).c_str(), &about) != 0) break;
    out.push_back(wire::server_socket(directory, node));
  }
  return out;
}

Result<ReachedServer> reach_server(const std::string& directory, const std::string& program) {
  const char* named = std::getenv(wire::kEnvSocket);
  ReachedServer reached;
  if (directory.empty() && named != nullptr && *named != '\0') {
    RK_TRY(reached.connection, ask_server(named, program));
    return reached;
  }
  const std::string ring = directory.empty() ? wire::default_ring_directory(::geteuid()) : directory;
  const std::vector<std::string> sockets = server_sockets(ring);
  std::string silent;
  Error first{ErrorCode::kUnavailable, {}};
  for (std::size_t i = 0; i < sockets.size(); ++i) {
    auto connection = ask_server(sockets[i], program);
    if (connection) {
      reached.connection = *std::move(connection);
      if (i > 0)
        reached.instead_of = "server " + std::to_string(reached.connection->server().node.value) + " answers; " +
                             silent + (i == 1 ? " does not" : " do not");
      return reached;
    }
    // A server that is there and refuses is an answer.
    if (connection.error().code != ErrorCode::kUnavailable && connection.error().code != ErrorCode::kPeerGone)
      return tl::unexpected(connection.error());
    if (i == 0) first = connection.error();
    silent += (i == 0 ? "server " : ", server ") + std::to_string(i + 1);
  }
  if (sockets.size() == 1) return tl::unexpected(first);
  return fail(ErrorCode::kUnavailable, "none of the " + std::to_string(sockets.size()) + " servers of the ring in " +
                                           ring +
                                           " answers: end it with `ringkeep down` and start it again with "
                                           "`ringkeep up`");
}

}  // namespace rk::launch

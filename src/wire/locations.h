// SPDX-License-Identifier: Apache-2.0
// Where a user's private ring lives, so that `ringkeep up`, the client library and the server agree without asking:
//
//   /tmp/ringkeep-UID/          0700, owned by the user; anything else there is refused
//     made-by-ringkeep-up       a mark: only a directory that has it is taken apart again
//     cluster-key               of this ring
//     1/ 2/ ... N/              one directory a server: socket, log, state
//
// $RINGKEEP_SOCKET overrides it. XDG_RUNTIME_DIR is not used: it is missing in batch jobs and wiped at logout.
#pragma once

#include <cstdint>
#include <string>

namespace rk::wire {

inline std::string default_ring_directory(std::uint32_t uid) { return "/tmp/ringkeep-" + std::to_string(uid); }
inline std::string server_directory(const std::string& ring_directory, std::uint32_t node) {
  return ring_directory + "/" + std::to_string(node);
}
inline std::string server_socket(const std::string& ring_directory, std::uint32_t node) {
  return server_directory(ring_directory, node) + "/socket";
}
// The server that a client of this user talks to when nothing else is said: the first one of the private ring.
inline std::string default_socket(std::uint32_t uid) { return server_socket(default_ring_directory(uid), 1); }

}  // namespace rk::wire

// SPDX-License-Identifier: Apache-2.0
// Reaching a server of a ring on this machine, whichever of them lives.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "client/connection.h"

namespace rk::launch {

inline constexpr std::uint32_t kAskTimeoutMs = 3000;  // for a server to answer before the next one is tried

struct ReachedServer {
  std::unique_ptr<client::Connection> connection;
  // For people, if it is not the one that was asked first: "server 2 answers; server 1 does not (...)". Else empty.
  std::string instead_of;
};

// The sockets of the servers that `ringkeep up` made a place for below `directory`; at least that of the first.
std::vector<std::string> server_sockets(const std::string& directory);

// The server at that socket. kUnavailable if it does not answer in kAskTimeoutMs.
Result<std::unique_ptr<client::Connection>> ask_server(const std::string& socket,
                                                       const std::string& program = "ringkeep");

// The first server that answers of the ring in `directory`; with an empty one, the server at $RINGKEEP_SOCKET if that
// is set, else of the user's own ring. kUnavailable if none does.
Result<ReachedServer> reach_server(const std::string& directory, const std::string& program = "ringkeep");

}  // namespace rk::launch

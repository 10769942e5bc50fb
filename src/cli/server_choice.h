// SPDX-License-Identifier: Apache-2.0
// Which server a command asks.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "client/connection.h"
#include "launch/ring_servers.h"

namespace rk::cli {

struct ServerChoice {
  std::string directory;     // of the ring; empty: $RINGKEEP_SOCKET, then the user's own ring
  std::string socket;        // of the server that is asked; empty: the first of the ring that answers
  std::uint32_t server = 0;  // likewise, of a ring that `up` started; 0: not said
};

// The socket of the one server that is meant, whether or not it answers: with a ring's directory and no number, the
// first one's.
std::string socket_of(const ServerChoice& choice);
// kUnavailable if it does not answer.
Result<launch::ReachedServer> reach(const ServerChoice& choice);

// A connection for large checkpoints, which take their time. `program` is what the server shows of it.
Result<std::unique_ptr<client::Connection>> connect_for_long(const ServerChoice& choice, const char* program);

}  // namespace rk::cli

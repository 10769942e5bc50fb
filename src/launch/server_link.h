// SPDX-License-Identifier: Apache-2.0
// The launcher's conversation with the node's server: asks one thing at a time and waits for the answer with a bound;
// notices that arrive meanwhile are kept for take_notices().
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "launch/frame_channel.h"
#include "wire/client_messages.h"

namespace rk::launch {

inline constexpr int kServerTimeoutMs = 10000;

class ServerLink {
 public:
  // kUnavailable if nobody listens at `socket`; kWrongCluster, kVersionMismatch, kCorrupt if the wrong one does.
  static Result<ServerLink> connect(const std::string& socket, const std::string& program, ClusterId cluster = {});

  int fd() const { return channel_.fd(); }
  const std::string& socket() const { return socket_; }
  const wire::ServerHello& server() const { return server_; }
  // Pid of the process that listens at the other end.
  Result<pid_t> pid() const;

  template <class Answer, class Request>
  Result<Answer> ask(const Request& request, Incarnation sender = {}) {
    RK_TRY(const wire::Frame answer, exchange(wire::to_frame(request, ++request_, sender)));
    return wire::from_frame<Answer>(answer);
  }
  // Reads what the server said unasked, without waiting. kPeerGone when it has closed the connection.
  Result<std::vector<wire::ServerNotice>> take_notices();

 private:
  ServerLink(FrameChannel channel, std::string socket) : channel_(std::move(channel)), socket_(std::move(socket)) {}
  Result<wire::Frame> exchange(const wire::Frame& request);
  // True when something can be read within the bound.
  Result<bool> readable(int timeout_ms) const;
  Status keep_notice(const wire::Frame& frame);
  tl::unexpected<Error> gone() const;

  FrameChannel channel_;
  std::string socket_;
  wire::ServerHello server_;
  std::uint64_t request_ = 0;
  std::vector<wire::ServerNotice> notices_;
};

// $RINGKEEP_SOCKET, or the user's own ring.
std::string configured_socket();

}  // namespace rk::launch

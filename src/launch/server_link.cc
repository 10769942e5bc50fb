// SPDX-License-Identifier: Apache-2.0
#include "launch/server_link.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

#include "wire/locations.h"

namespace rk::launch {

Result<ServerLink> ServerLink::connect(const std::string& socket, const std::string& program, ClusterId cluster) {
  auto channel = FrameChannel::connect(socket);
  if (!channel)
    return fail(ErrorCode::kUnavailable,
                "no checkpoint server answers (" + channel.error().message + "): start one with `ringkeep up`");
  ServerLink link(std::move(*channel), socket);
  wire::ClientHello hello;
  hello.cluster = cluster;
  hello.program = program;
  RK_TRY(link.server_, link.ask<wire::ServerHello>(hello));
  return link;
}

Result<pid_t> ServerLink::pid() const {
  RK_TRY(const PeerCredentials peer, channel_.peer());
  return peer.pid;
}

Result<bool> ServerLink::readable(int timeout_ms) const {
  for (;;) {
    pollfd wait{channel_.fd(), POLLIN, 0};
    const int ready = ::poll(&wait, 1, timeout_ms);
    if (ready >= 0) return ready > 0;
    if (errno != EINTR) return fail_errno("wait for the server", errno);
  }
}

tl::unexpected<Error> ServerLink::gone() const {
  return fail(ErrorCode::kPeerGone,
              "the checkpoint server at " + socket_ +
                  " closed the connection: it has ended or restarted, see its log and `ringkeep status`");
}

Status ServerLink::keep_notice(const wire::Frame& frame) {
  RK_TRY(wire::ServerNotice notice, wire::from_frame<wire::ServerNotice>(frame));
  notices_.push_back(std::move(notice));
  return {};
}

Result<wire::Frame> ServerLink::exchange(const wire::Frame& request) {
  if (const Status sent = channel_.send(request); !sent) return gone();
  for (;;) {
    RK_TRY(std::optional<wire::Frame> frame, channel_.next());
    if (frame && frame->type == wire::MessageType::kServerNotice) {
      RK_TRY_VOID(keep_notice(*frame));
      continue;
    }
    if (frame && frame->type == wire::MessageType::kRefusal) {
      RK_TRY(const wire::Refusal refusal, wire::from_frame<wire::Refusal>(*frame));
      return fail(static_cast<ErrorCode>(refusal.code), refusal.message);
    }
    if (frame && frame->request == request.request) return std::move(*frame);
    if (frame) return fail(ErrorCode::kCorrupt, "the server at " + socket_ + " answers something that was not asked");
    RK_TRY(const bool ready, readable(kServerTimeoutMs));
    if (!ready)
      return fail(ErrorCode::kTimeout, "the checkpoint server at " + socket_ + " does not answer within " +
                                           std::to_string(kServerTimeoutMs / 1000) + " s: see its log");
    RK_TRY(const bool more, channel_.receive());
    if (!more) return gone();
  }
}

Result<std::vector<wire::ServerNotice>> ServerLink::take_notices() {
  for (;;) {
    RK_TRY(const bool ready, readable(0));
    if (!ready) return std::exchange(notices_, {});
    RK_TRY(const bool more, channel_.receive());
    if (!more) return gone();
    for (;;) {
      RK_TRY(const std::optional<wire::Frame> frame, channel_.next());
      if (!frame) break;
      if (frame->type != wire::MessageType::kServerNotice)
        return fail(ErrorCode::kCorrupt, "the server at " + socket_ + " answers something that was not asked");
      RK_TRY_VOID(keep_notice(*frame));
    }
  }
}

std::string configured_socket() {
  const char* socket = std::getenv("RINGKEEP_SOCKET");
  if (socket != nullptr && *socket != '\0') return socket;
  return wire::default_socket(::geteuid());
}

}  // namespace rk::launch

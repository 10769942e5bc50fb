// SPDX-License-Identifier: Apache-2.0
// Frames and descriptors over one local stream socket, for the launcher's end of the control conversation and for
// exec-rank's.
#pragma once

#include <sys/types.h>

#include <deque>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "shm/descriptor.h"
#include "wire/codec.h"

namespace rk::launch {

struct PeerCredentials {
  pid_t pid = 0;
  uid_t uid = 0;
};

class FrameChannel {
 public:
  FrameChannel() = default;
  explicit FrameChannel(shm::Descriptor socket) : socket_(std::move(socket)) {}
  static Result<FrameChannel> connect(const std::string& path);

  int fd() const { return socket_.get(); }
  explicit operator bool() const { return static_cast<bool>(socket_); }
  Result<PeerCredentials> peer() const;

  // The whole frame, with the descriptors, which stay the caller's. Waits at most kSendLimitMs for a peer that does
  // not read; an error is final.
  Status send(const wire::Frame& frame, std::span<const int> descriptors = {});
  template <class Message>
  Status send(const Message& message, std::span<const int> descriptors = {}) {
    wire::Frame frame = wire::to_frame(message);
    frame.descriptors = static_cast<std::uint32_t>(descriptors.size());
    return send(frame, descriptors);
  }
  // Reads once: what is there, or, on a blocking socket, until something is. False at the end of the conversation.
  Result<bool> receive();
  // The next whole frame that was received.
  Result<std::optional<wire::Frame>> next() { return cutter_.next(); }
  // Descriptors that arrived, oldest first.
  std::vector<shm::Descriptor> take_descriptors(std::size_t count);
  // Gives the socket away: the conversation goes on elsewhere. Nothing may be left unread.
  shm::Descriptor release() { return std::move(socket_); }

 private:
  shm::Descriptor socket_;
  wire::FrameCutter cutter_;
  std::deque<shm::Descriptor> descriptors_;
};

// A listening local socket at `path`.
Result<shm::Descriptor> listen_at(const std::string& path);

}  // namespace rk::launch

// SPDX-License-Identifier: Apache-2.0
// A server that answers as a test wants it: one connection, on a thread of its own.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "shm/descriptor.h"
#include "wire/client_messages.h"
#include "wire/codec.h"

namespace rk::client {

// The server's end of the connection.
class FakeSession {
 public:
  explicit FakeSession(int fd) : fd_(fd) {}
  // The next request; kNone when the client has gone.
  wire::Frame next();
  template <class Message>
  void answer(const wire::Frame& request, const Message& message, const std::vector<int>& descriptors = {}) {
    wire::Frame frame = wire::to_frame(message, request.request);
    frame.descriptors = static_cast<std::uint32_t>(descriptors.size());
    send(wire::encode_frame(frame), descriptors);
  }
  void send(ByteView bytes, const std::vector<int>& descriptors = {});
  // Reads ClientHello and answers it as a good server does.
  void greet();

 private:
  int fd_;
  wire::FrameCutter cutter_;
};

class FakeServer {
 public:
  // `user`: who runs it, for a test that is root; absent: we do.
  explicit FakeServer(std::function<void(FakeSession&)> script, std::optional<uid_t> user = std::nullopt);
  ~FakeServer();
  FakeServer(const FakeServer&) = delete;
  FakeServer& operator=(const FakeServer&) = delete;
  const std::string& socket_path() const { return path_; }

 private:
  std::string directory_;
  std::string path_;
  shm::Descriptor listening_;
  std::thread thread_;
};

}  // namespace rk::client

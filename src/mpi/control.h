// SPDX-License-Identifier: Apache-2.0
// Our end of the conversation with the launcher (wire/control_messages.h). Blocking: the launcher reads at once. When
// the launcher is gone its guard ends this process, so a send that fails is not an error of ours.
#pragma once

#include "base/result.h"
#include "wire/codec.h"

namespace rk::mpi {

class Control {
 public:
  Control() = default;
  // Takes the descriptor over. -1: there is no launcher, and every send is dropped.
  void open(int fd);
  bool is_open() const { return fd_ >= 0; }

  template <class Message>
  void send(const Message& message) {
    send_frame(wire::to_frame(message));
  }
  template <class Answer, class Message>
  Result<Answer> ask(const Message& message) {
    send_frame(wire::to_frame(message, ++request_));
    RK_TRY(const wire::Frame frame, answer(Answer::kType));
    return wire::from_frame<Answer>(frame);
  }
  // Until the launcher closes or `timeout_ms` have passed.
  void wait_for_end(int timeout_ms) const;

 private:
  void send_frame(const wire::Frame& frame);
  // One question at a time: the next frame of that type is its answer.
  Result<wire::Frame> answer(wire::MessageType type);

  int fd_ = -1;
  std::uint64_t request_ = 0;
  wire::FrameCutter cutter_;
};

}  // namespace rk::mpi

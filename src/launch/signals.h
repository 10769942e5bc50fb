// SPDX-License-Identifier: Apache-2.0
// The launcher's signals as events of its loop: what the user sends, and the deaths of children (of adopted ones too:
// the launcher is the subreaper of everything it starts).
#pragma once

#include <sys/types.h>

#include <functional>

#include "base/result.h"
#include "launch/loop.h"
#include "shm/descriptor.h"

namespace rk::launch {

// The signals stay blocked afterwards, so that the cleaning up that follows is not cut short.
class Signals {
 public:
  // `status` as waitpid gives it.
  using ChildHandler = std::function<void(pid_t pid, int status)>;
  using SignalHandler = std::function<void(int number)>;

  static Result<Signals> start(Loop& loop, ChildHandler on_child, SignalHandler on_signal);
  Signals(Signals&& other) noexcept = default;
  Signals& operator=(Signals&&) = delete;
  ~Signals();

 private:
  Signals(Loop& loop, shm::Descriptor fd) : loop_(&loop), fd_(std::move(fd)) {}
  Loop* loop_;
  shm::Descriptor fd_;
};

}  // namespace rk::launch

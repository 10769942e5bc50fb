// SPDX-License-Identifier: Apache-2.0
// The launcher's signals as events of its loop: what the user sends, and the deaths of children (of adopted ones too:
// the launcher is the subreaper of everything it starts).
#pragma once

#include <sys/types.h>
#include <csignal>

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

  int fd() const { return fd_.get(); }
  // Takes what has arrived, for a wait outside the loop; the first signal that asks us to end, or 0.
  int take_termination() const;

 private:
  Signals(Loop& loop, shm::Descriptor fd) : loop_(&loop), fd_(std::move(fd)) {}
  Loop* loop_;
  shm::Descriptor fd_;
};

// The user's wish to end, for a part of a program that waits without a loop: SIGINT, SIGTERM, SIGHUP and SIGQUIT are
// held back until it ends, when those that came and were not taken have their usual effect.
class Interrupt {
 public:
  static Result<Interrupt> hold();
  Interrupt(Interrupt&& other) noexcept = default;
  Interrupt& operator=(Interrupt&&) = delete;
  ~Interrupt();

  int fd() const { return fd_.get(); }  // readable once one has come
  bool pending() const;

 private:
  Interrupt(shm::Descriptor fd, const sigset_t& before) : fd_(std::move(fd)), before_(before) {}
  shm::Descriptor fd_;
  sigset_t before_;
};

}  // namespace rk::launch

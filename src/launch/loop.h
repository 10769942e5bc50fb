// SPDX-License-Identifier: Apache-2.0
// The launcher's one event loop: descriptors by poll(), timers, one thread. A handler may watch and unwatch anything,
// itself included.
#pragma once

#include <cstdint>
#include <functional>
#include <map>

#include "shm/descriptor.h"

namespace rk::launch {

class Loop {
 public:
  using Handler = std::function<void(short revents)>;
  using TimerId = std::uint64_t;

  Loop();
  // Calls `handler` whenever one of `events` (POLLIN, POLLOUT), an error or a hang-up is there. Replaces an earlier
  // handler of the descriptor, which stays the caller's.
  void watch(int fd, short events, Handler handler);
  void set_events(int fd, short events);
  void unwatch(int fd);
  TimerId after(std::uint64_t delay_ms, std::function<void()> handler);
  void cancel(TimerId timer);
  // Waits for one round of events and handles them.
  void turn();
  // Milliseconds since the loop was made, by the monotonic clock.
  std::uint64_t now_ms() const;

 private:
  struct Watch {
    short events = 0;
    std::uint64_t serial = 0;
    Handler handler;
  };
  struct Timer {
    std::uint64_t due_ms = 0;
    std::function<void()> handler;
  };
  int wait_ms() const;
  void fire_timers();

  std::uint64_t origin_ms_ = 0;
  std::uint64_t serial_ = 0;
  std::map<int, Watch> watches_;
  std::map<TimerId, Timer> timers_;
};

}  // namespace rk::launch

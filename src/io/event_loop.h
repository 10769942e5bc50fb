// SPDX-License-Identifier: Apache-2.0
// The one thread of a server: readiness of descriptors, timers and signals, each delivered as a callback by run().
// asio is the reactor underneath and is seen by event_loop.cc only. A Watch or Timer that is destroyed never calls
// back, not even from inside its own callback; both must end before the loop does.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace rk::io {

class EventLoop {
 public:
  // `awake_us`: what expect_more() stands for; 0: nothing.
  explicit EventLoop(std::uint64_t awake_us = 0);
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Returns after stop(), or when nothing is left to wait for.
  void run();
  void stop();
  // What comes next comes soon: the loop looks for it for `awake_us` before it sleeps, unless others need the processor
  // (wakefulness.h).
  void expect_more();
  // Calls `work` from run(), after the callback that posts it.
  void post(std::function<void()> work);
  // Calls `work` when the callback that runs now has returned, before the loop looks for readiness again: what a turn
  // gathers goes out together. Outside of a callback: as post().
  void at_turn_end(std::function<void()> work);
  // From now on these signals call back instead of acting on the process. Once a loop.
  void on_signals(const std::vector<int>& numbers, std::function<void(int)> callback);
  // Of a clock that never goes back and counts the time in which the machine slept (CLOCK_BOOTTIME), so that what holds
  // until a time does not outlive it.
  std::uint64_t now_ms() const;

 private:
  friend class Timer;
  friend class Watch;
  struct State;
  std::unique_ptr<State> state_;
};

// Calls back once for each start().
class Timer {
 public:
  explicit Timer(EventLoop& loop);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  // Replaces an earlier start that has not fired.
  void start(std::uint64_t delay_ms, std::function<void()> callback);
  void cancel();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// Calls back for as long as a descriptor is ready in a wanted direction (level-triggered). The descriptor stays the
// caller's and must outlive the watch.
class Watch {
 public:
  Watch(EventLoop& loop, int fd, std::function<void()> on_readable, std::function<void()> on_writable);
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  void want_read(bool wanted);
  void want_write(bool wanted);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace rk::io

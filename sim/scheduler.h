// SPDX-License-Identifier: Apache-2.0
// Virtual time: a queue of actions in the order of (time, insertion). Nothing in a simulation happens outside it, so
// the same seed gives the same run.
#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <vector>

namespace rk::sim {

class Scheduler {
 public:
  using Action = std::function<void()>;

  std::uint64_t now_us() const { return now_us_; }
  std::uint64_t now_ms() const { return now_us_ / 1000; }
  void after(std::uint64_t delay_us, Action action);
  // Runs the next action; false if there is none.
  bool step();
  // Runs every action due up to and including that time, then sets the clock to it.
  void run_until(std::uint64_t time_us);
  std::uint64_t actions_run() const { return actions_run_; }

 private:
  struct Entry {
    std::uint64_t time_us = 0;
    std::uint64_t order = 0;
    Action action;
  };
  struct Later {
    bool operator()(const Entry& a, const Entry& b) const {
      return a.time_us != b.time_us ? a.time_us > b.time_us : a.order > b.order;
    }
  };
  std::priority_queue<Entry, std::vector<Entry>, Later> queue_;
  std::uint64_t now_us_ = 0;
  std::uint64_t next_order_ = 0;
  std::uint64_t actions_run_ = 0;
};

}  // namespace rk::sim

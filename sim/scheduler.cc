// SPDX-License-Identifier: Apache-2.0
#include "sim/scheduler.h"

#include <utility>

namespace rk::sim {

void Scheduler::after(std::uint64_t delay_us, Action action) {
  queue_.push(Entry{now_us_ + delay_us, next_order_++, std::move(action)});
}

bool Scheduler::step() {
  if (queue_.empty()) return false;
  // The entry is popped before it runs, so top()'s constness protects nothing that anybody still looks at.
  Entry entry = std::move(const_cast<Entry&>(queue_.top()));
  queue_.pop();
  now_us_ = entry.time_us;
  ++actions_run_;
  entry.action();
  return true;
}

void Scheduler::run_until(std::uint64_t time_us) {
  while (!queue_.empty() && queue_.top().time_us <= time_us) step();
  if (now_us_ < time_us) now_us_ = time_us;
}

}  // namespace rk::sim

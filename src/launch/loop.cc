// SPDX-License-Identifier: Apache-2.0
#include "launch/loop.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <limits>
#include <vector>

#include "base/check.h"

namespace rk::launch {
namespace {

std::uint64_t monotonic_ms() {
  timespec now{};
  RK_CHECK(::clock_gettime(CLOCK_MONOTONIC, &now) == 0);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000 + static_cast<std::uint64_t>(now.tv_nsec) / 1000000;
}

}  // namespace

Loop::Loop() : origin_ms_(monotonic_ms()) {}

std::uint64_t Loop::now_ms() const { return monotonic_ms() - origin_ms_; }

void Loop::watch(int fd, short events, Handler handler) {
  RK_CHECK(fd >= 0);
  watches_[fd] = Watch{events, ++serial_, std::move(handler)};
}

void Loop::set_events(int fd, short events) {
  const auto found = watches_.find(fd);
  RK_CHECK(found != watches_.end());
  found->second.events = events;
}

void Loop::unwatch(int fd) { watches_.erase(fd); }

Loop::TimerId Loop::after(std::uint64_t delay_ms, std::function<void()> handler) {
  const TimerId id = ++serial_;
  timers_.emplace(id, Timer{now_ms() + delay_ms, std::move(handler)});
  return id;
}

void Loop::cancel(TimerId timer) { timers_.erase(timer); }

int Loop::wait_ms() const {
  if (timers_.empty()) return -1;
  std::uint64_t due = std::numeric_limits<std::uint64_t>::max();
  for (const auto& [id, timer] : timers_) due = std::min(due, timer.due_ms);
  const std::uint64_t now = now_ms();
  if (due <= now) return 0;
  return static_cast<int>(std::min<std::uint64_t>(due - now, 60000));
}

void Loop::fire_timers() {
  const std::uint64_t now = now_ms();
  std::vector<TimerId> due;
  for (const auto& [id, timer] : timers_)
    if (timer.due_ms <= now) due.push_back(id);
  for (const TimerId id : due) {
    const auto found = timers_.find(id);
    if (found == timers_.end()) continue;
    const std::function<void()> handler = std::move(found->second.handler);
    timers_.erase(found);
    handler();
  }
}

void Loop::turn() {
  std::vector<pollfd> polled;
  std::vector<std::uint64_t> serials;
  for (const auto& [fd, watch] : watches_) {
    // A descriptor without wanted events still reports hang-up, which would spin: it is left out.
    if (watch.events == 0) continue;
    polled.push_back(pollfd{fd, watch.events, 0});
    serials.push_back(watch.serial);
  }
  const int ready = ::poll(polled.data(), polled.size(), wait_ms());
  RK_CHECK(ready >= 0 || errno == EINTR);
  if (ready > 0) {
    for (std::size_t i = 0; i < polled.size(); ++i) {
      if (polled[i].revents == 0) continue;
      const auto found = watches_.find(polled[i].fd);
      if (found == watches_.end() || found->second.serial != serials[i]) continue;
      const Handler handler = found->second.handler;  // the handler may replace itself
      handler(polled[i].revents);
    }
  }
  fire_timers();
}

}  // namespace rk::launch

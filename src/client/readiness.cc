// SPDX-License-Identifier: Apache-2.0
#include "client/readiness.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>

#include <cerrno>

#include "base/check.h"
#include "client/lease.h"
#include "client/marked_stores.h"

namespace rk::client {
namespace {

constexpr std::uint64_t kLongAgoMs = 1;

}  // namespace

Result<Readiness> Readiness::of(int socket) {
  shm::Descriptor epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return fail_errno("create a descriptor to poll", errno);
  shm::Descriptor timer(::timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer) return fail_errno("create a timer", errno);
  for (const int each : {socket, timer.get()}) {
    epoll_event event{};
    event.events = EPOLLIN;
    if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, each, &event) != 0) return fail_errno("watch a descriptor", errno);
  }
  RK_MARK(poll_descriptor_made);
  return Readiness(std::move(epoll), std::move(timer));
}

void Readiness::raise() {
  if (!raised_) set(kLongAgoMs);
  raised_ = true;
}

void Readiness::wake_at(std::uint64_t boot_ms) {
  if (!raised_ && (set_ == 0 || boot_ms < set_)) set(boot_ms);
}

void Readiness::rest_until(std::optional<std::uint64_t> boot_ms) {
  const bool waits = !raised_ && set_ > boot_time_ms();
  raised_ = false;
  if (!boot_ms && set_ != 0) set(0);
  if (boot_ms && !(waits && set_ <= *boot_ms)) set(*boot_ms);
}

void Readiness::set(std::uint64_t boot_ms) {
  itimerspec at{};
  at.it_value.tv_sec = static_cast<time_t>(boot_ms / 1000);
  at.it_value.tv_nsec = static_cast<long>(boot_ms % 1000 * 1'000'000);
  RK_CHECK(::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &at, nullptr) == 0);
  set_ = boot_ms;
  RK_MARK(poll_timer_set);
}

}  // namespace rk::client

// SPDX-License-Identifier: Apache-2.0
#include "client/readiness.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>

#include <cerrno>

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

Status Readiness::raise() {
  if (!raised_) RK_TRY_VOID(set(kLongAgoMs));
  raised_ = true;
  return {};
}

Status Readiness::wake_at(std::uint64_t boot_ms) {
  if (raised_ || (set_ != 0 && boot_ms >= set_)) return {};
  return set(boot_ms);
}

Status Readiness::rest_until(std::optional<std::uint64_t> boot_ms) {
  const bool waits = !raised_ && set_ > boot_time_ms();
  raised_ = false;
  if (!boot_ms && set_ != 0) return set(0);
  if (boot_ms && !(waits && set_ <= *boot_ms)) return set(*boot_ms);
  return {};
}

Status Readiness::set(std::uint64_t boot_ms) {
  itimerspec at{};
  at.it_value.tv_sec = static_cast<time_t>(boot_ms / 1000);
  at.it_value.tv_nsec = static_cast<long>(boot_ms % 1000 * 1'000'000);
  if (::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &at, nullptr) != 0)
    return fail_errno("set ringkeep's timer (does the program close descriptors that it did not open?)", errno);
  set_ = boot_ms;
  RK_MARK(poll_timer_set);
  return {};
}

}  // namespace rk::client

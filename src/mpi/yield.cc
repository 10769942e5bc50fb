// SPDX-License-Identifier: Apache-2.0
#include "mpi/yield.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <ctime>

#include "mpi/clock.h"

namespace rk::mpi {
namespace {

constexpr std::uint64_t kRowNs = 200'000;   // of yields in vain before the first sleep
constexpr std::uint64_t kNextNs = 20'000;   // and between two sleeps
constexpr std::uint64_t kGivenNs = 20'000;  // a yield that took longer has given the core to somebody
constexpr std::uint64_t kWorkNs = 20'000;   // a caller that was away longer has found something to do
constexpr long kSleepNs = 20'000;           // and the system's timer slack

bool softened = false;

struct Row {
  std::uint64_t since_ns = 0;
  std::uint64_t returned_ns = 0;  // from the last yield
};
thread_local Row t_row;

int yield_now() { return static_cast<int>(::syscall(SYS_sched_yield)); }

void sleep_briefly() {
  const int saved = errno;
  const timespec length{0, kSleepNs};
  // A signal ends it early, which is as good.
  ::nanosleep(&length, nullptr);
  errno = saved;
}

int yield_or_sleep() {
  const std::uint64_t now = monotonic_ns();
  if (now - t_row.returned_ns > kWorkNs) t_row.since_ns = now;
  if (now - t_row.since_ns >= kRowNs) {
    sleep_briefly();
    t_row.returned_ns = monotonic_ns();
    t_row.since_ns = t_row.returned_ns - (kRowNs - kNextNs);
    return 0;
  }
  const int code = yield_now();
  t_row.returned_ns = monotonic_ns();
  if (t_row.returned_ns - now > kGivenNs) t_row.since_ns = t_row.returned_ns;
  return code;
}

}  // namespace

void soften_yields() { softened = true; }

}  // namespace rk::mpi

extern "C" __attribute__((visibility("default"))) int sched_yield() noexcept {
  return rk::mpi::softened ? rk::mpi::yield_or_sleep() : rk::mpi::yield_now();
}

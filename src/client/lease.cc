// SPDX-License-Identifier: Apache-2.0
#include "client/lease.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <ctime>

namespace rk::client {

std::uint64_t boot_time_ms() {
  timespec now{};
  ::syscall(SYS_clock_gettime, CLOCK_BOOTTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000 + static_cast<std::uint64_t>(now.tv_nsec) / 1'000'000;
}

bool lease_over(std::uint64_t lease_until_ms) { return lease_until_ms != 0 && boot_time_ms() >= lease_until_ms; }

}  // namespace rk::client

// SPDX-License-Identifier: Apache-2.0
#include "sim/clocks.h"

namespace rk::sim {

Clocks::Clocks(const Scheduler& time, std::size_t count, Prng prng) : time_(time), clocks_(count) {
  for (Clock& clock : clocks_) {
    clock.offset_ms = prng.between(1, 1000000);
    clock.rate_permille = prng.between(900, 1100);
  }
}

std::uint64_t Clocks::now_ms(HostId host) const {
  const Clock& clock = clocks_.at(host);
  return clock.offset_ms + time_.now_us() * clock.rate_permille / 1000000;
}

}  // namespace rk::sim

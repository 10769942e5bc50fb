// SPDX-License-Identifier: Apache-2.0
// The hosts' own clocks: each starts anywhere, runs up to a tenth fast or slow, and can jump forward, as a clock does
// that counts the time in which its machine slept.
#pragma once

#include <cstdint>
#include <vector>

#include "base/prng.h"
#include "sim/hosts.h"

namespace rk::sim {

class Clocks {
 public:
  Clocks(const Scheduler& time, std::size_t count, Prng prng);

  std::uint64_t now_ms(HostId host) const;
  void jump(HostId host, std::uint64_t by_ms) { clocks_.at(host).offset_ms += by_ms; }

 private:
  struct Clock {
    std::uint64_t offset_ms = 0;
    std::uint64_t rate_permille = 1000;
  };
  const Scheduler& time_;
  std::vector<Clock> clocks_;
};

}  // namespace rk::sim

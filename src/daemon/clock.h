// SPDX-License-Identifier: Apache-2.0
// The clocks that a server's shell reads, as numbers.
#pragma once

#include <chrono>
#include <cstdint>

namespace rk::daemon {

// std::chrono::system_clock for what people and other machines read, steady_clock for what is measured here.
template <class Unit, class Clock>
std::uint64_t since_epoch() {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<Unit>(Clock::now().time_since_epoch()).count());
}

inline std::uint64_t wall_clock_ms() { return since_epoch<std::chrono::milliseconds, std::chrono::system_clock>(); }

}  // namespace rk::daemon

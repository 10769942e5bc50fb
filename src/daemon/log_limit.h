// SPDX-License-Identifier: Apache-2.0
// Lines of one kind of which others can cause thousands: the first few of a period are written, the rest is counted,
// and the count is told when the period is over. Knows no clock and no log.
#pragma once

#include <cstdint>

namespace rk::daemon {

class LogLimit {
 public:
  static constexpr std::uint64_t kLines = 10;
  static constexpr std::uint64_t kPeriodMs = 10'000;

  // May one more line be written now?
  bool admits(std::uint64_t now_ms) {
    if (!running_) {
      running_ = true;
      began_ms_ = now_ms;
    }
    if (written_ < kLines) {
      ++written_;
      return true;
    }
    ++held_back_;
    return false;
  }

  // To be called now and then: how many lines were held back in a period that is over; 0: none, or it goes on.
  std::uint64_t take_held_back(std::uint64_t now_ms) {
    if (!running_ || now_ms < began_ms_ + kPeriodMs) return 0;
    const std::uint64_t count = held_back_;
    *this = LogLimit();
    return count;
  }

 private:
  bool running_ = false;
  std::uint64_t began_ms_ = 0;
  std::uint64_t written_ = 0;
  std::uint64_t held_back_ = 0;
};

}  // namespace rk::daemon

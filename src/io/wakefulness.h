// SPDX-License-Identifier: Apache-2.0
// Whether a loop that has nothing to do looks again rather than sleeps. A processor that sleeps takes 30 to 100 us to
// wake in many machines, which is most of the time of a small commit; one that looks again takes none. So whoever was
// asked something, and expects more soon, stays awake for a short while.
//
// Time in which the thread could not look, although it had nothing else to do, went to others: then they need the
// processor, and the thread sleeps as always for a while, twice as long each time that this is found again.
//
// No clock: its caller tells the time. One thread owns it.
#pragma once

#include <algorithm>
#include <cstdint>

namespace rk::io {

class Wakefulness {
 public:
  // `limit_us`: how long it stays awake with nothing to do after expect(); 0: not at all.
  explicit Wakefulness(std::uint64_t limit_us) : limit_us_(limit_us) {}

  // Something may come soon.
  void expect(std::uint64_t now_us) {
    if (limit_us_ == 0 || now_us < asleep_until_us_) return;
    awake_ = true;
    until_us_ = 0;
  }

  // Whether to look rather than to sleep.
  bool awake() const { return awake_; }
  // There was something to do.
  void worked() { looked_us_ = 0; }
  // There was nothing.
  void looked(std::uint64_t now_us) {
    if (until_us_ == 0) until_us_ = now_us + limit_us_;
    const bool lost = looked_us_ != 0 && now_us - looked_us_ > kLostUs;
    if (!lost && now_us < until_us_) {
      looked_us_ = now_us;
      return;
    }
    awake_ = false;
    until_us_ = looked_us_ = 0;
    if (!lost) return;
    const bool again = now_us - asleep_until_us_ < kAgain * pause_us_;
    pause_us_ = again ? std::min(2 * pause_us_, kMostPauseUs) : kLeastPauseUs;
    asleep_until_us_ = now_us + pause_us_;
  }

 private:
  // Between two looks. Interrupts, and clients that are woken, take less; who computes takes a scheduler's slice.
  static constexpr std::uint64_t kLostUs = 500;
  static constexpr std::uint64_t kLeastPauseUs = 5'000;
  static constexpr std::uint64_t kMostPauseUs = 160'000;
  static constexpr std::uint64_t kAgain = 10;  // pauses: who is found so soon after the last one is not gone

  std::uint64_t limit_us_;
  bool awake_ = false;
  std::uint64_t until_us_ = 0;   // 0: nothing was looked for since it was expected
  std::uint64_t looked_us_ = 0;  // and found nothing; 0: it worked since
  std::uint64_t asleep_until_us_ = 0;
  std::uint64_t pause_us_ = 0;  // the last one
};

}  // namespace rk::io

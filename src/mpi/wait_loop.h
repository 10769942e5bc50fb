// SPDX-License-Identifier: Apache-2.0
// Waiting for something that the layer matches. While a process waits it must keep the native library moving too: an
// inside message that it sends or receives in pieces advances only inside native calls.
//
// Order of a wait: look; spin a little (only with a core of its own); then give the core away; after kSpinNs without
// progress, sleep on the own bell, which the sender of a message from another community rings. The sleep is bounded,
// because inside messages ring no bell: kOutsideUs if only messages from other communities are awaited, else kMixedUs.
#pragma once

#include <cstdint>

namespace rk::mpi {

class WaitLoop {
 public:
  explicit WaitLoop(bool inside_too) : inside_too_(inside_too) {}
  // After a look that found nothing.
  void idle();
  // After a look that found something.
  void moved() {
    looks_ = 0;
    since_ns_ = 0;
  }

 private:
  static constexpr std::uint32_t kSpins = 2000;
  static constexpr std::uint32_t kEager = 64;  // looks without a pause: an answer may be on its way
  static constexpr std::uint32_t kNativeEvery = 50;
  static constexpr std::uint64_t kSpinNs = 200'000;
  static constexpr std::uint64_t kOutsideUs = 1000;
  static constexpr std::uint64_t kMixedUs = 100;

  bool inside_too_;
  std::uint32_t looks_ = 0;
  std::uint64_t since_ns_ = 0;
};

// Lets the native library move what is under way.
void native_progress();

// Until done(): looks for matches, and waits.
template <class Done>
void wait_until(bool inside_too, Done done);

}  // namespace rk::mpi

#include "mpi/receive.h"

namespace rk::mpi {

template <class Done>
void wait_until(bool inside_too, Done done) {
  WaitLoop loop(inside_too);
  while (!done()) {
    if (progress_receives())
      loop.moved();
    else
      loop.idle();
  }
}

}  // namespace rk::mpi

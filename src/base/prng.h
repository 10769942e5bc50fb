// SPDX-License-Identifier: Apache-2.0
// Seeded pseudo-random numbers for simulations, jitter and partition seeds; the same sequence on every platform
// (std::uniform_int_distribution is not). Never for secrets. Generator: splitmix64 (Steele, Lea, Flood, OOPSLA 2014).
#pragma once

#include <cstdint>

#include "base/check.h"

namespace rk {

class Prng {
 public:
  explicit Prng(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15ULL;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31U);
  }
  // Uniform in [0, bound); the bias of the multiply-shift is below 2^-32 for bounds below 2^32.
  std::uint64_t below(std::uint64_t bound) {
    RK_CHECK(bound > 0);
    return static_cast<std::uint64_t>((static_cast<Wide>(next()) * bound) >> 64U);
  }
  // Uniform in [low, high].
  std::uint64_t between(std::uint64_t low, std::uint64_t high) { return low + below(high - low + 1); }
  // True with probability `numerator` / `denominator`.
  bool chance(std::uint64_t numerator, std::uint64_t denominator) { return below(denominator) < numerator; }
  // An independent generator for a part of the simulation, so that adding draws in one part leaves others unchanged.
  Prng fork() { return Prng(next()); }

 private:
  __extension__ typedef unsigned __int128 Wide;  // NOLINT(modernize-use-using): an alias takes no __extension__
  std::uint64_t state_;
};

}  // namespace rk

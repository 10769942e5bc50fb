// SPDX-License-Identifier: Apache-2.0
#include "log/bells.h"

#include <gtest/gtest.h>

#include <vector>

namespace rk::log {
namespace {

TEST(Bells, RingOnlyForWhoWaits) {
  std::vector<std::uint64_t> memory(2 * sizeof(Bell) / 8);
  const Bells bells(std::as_writable_bytes(std::span(memory)), 2);
  EXPECT_FALSE(bells.ring(1));
  const std::uint32_t seen = bells.prepare(1);
  EXPECT_EQ(*bells.word(1), seen);
  EXPECT_FALSE(bells.ring(0));
  EXPECT_TRUE(bells.ring(1));
  EXPECT_NE(*bells.word(1), seen) << "a sleep that starts now must not start";
  bells.done(1);
  EXPECT_FALSE(bells.ring(1));
}

TEST(Bells, MemoryThatIsTooSmallHasNoBells) {
  std::vector<std::uint64_t> memory(2 * sizeof(Bell) / 8);
  const Bells bells(std::as_writable_bytes(std::span(memory)), 3);
  EXPECT_EQ(bells.ranks(), 0U);
  EXPECT_FALSE(bells.ring(1));
}

}  // namespace
}  // namespace rk::log

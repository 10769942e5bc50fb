// SPDX-License-Identifier: Apache-2.0
#include "io/wakefulness.h"

#include <gtest/gtest.h>

namespace rk::io {
namespace {

// Looks each 10 us from `from_us` on and tells when it stopped.
std::uint64_t looks_until(Wakefulness& loop, std::uint64_t from_us) {
  std::uint64_t now_us = from_us;
  while (loop.awake() && now_us < from_us + 1'000'000) loop.looked(now_us += 10);
  return now_us;
}

TEST(Wakefulness, LastsForItsTimeWithNothingToDoAfterTheLastExpectation) {
  Wakefulness loop(200);
  EXPECT_FALSE(loop.awake());
  loop.expect(1000);
  EXPECT_EQ(looks_until(loop, 1000), 1210U);  // from the first look on
  loop.expect(2000);
  loop.looked(2050);
  loop.worked();
  loop.expect(2100);
  EXPECT_EQ(looks_until(loop, 9000), 9210U);
  loop.expect(10'000);
  loop.looked(10'010);
  loop.worked();
  EXPECT_EQ(looks_until(loop, 10'100), 10'210U);
}

TEST(Wakefulness, IsNothingWithoutATime) {
  Wakefulness loop(0);
  loop.expect(1000);
  EXPECT_FALSE(loop.awake());
}

// An interrupt, or a client that is woken.
TEST(Wakefulness, AShortGapIsNoSignOfOthers) {
  Wakefulness loop(1000);
  loop.expect(1000);
  loop.looked(1010);
  loop.looked(1400);
  EXPECT_TRUE(loop.awake());
}

TEST(Wakefulness, LongWorkIsNoSignOfOthers) {
  Wakefulness loop(200);
  loop.expect(1000);
  loop.looked(1010);
  loop.worked();
  loop.expect(5000);
  loop.looked(5010);
  EXPECT_TRUE(loop.awake());
}

// It could not look for 600 us.
void lose(Wakefulness& loop, std::uint64_t& now_us) {
  loop.expect(now_us);
  loop.looked(now_us + 10);
  loop.looked(now_us += 610);
  EXPECT_FALSE(loop.awake());
}

// When it stays awake again.
std::uint64_t pause_after(Wakefulness& loop, std::uint64_t now_us) {
  for (std::uint64_t pause_us = 0; pause_us < 1'000'000; pause_us += 1000) {
    loop.expect(now_us + pause_us);
    if (loop.awake()) return pause_us;
  }
  return 0;
}

TEST(Wakefulness, GivesWayToOthersForLongerEachTime) {
  Wakefulness loop(200);
  std::uint64_t now_us = 1'000'000;
  for (const std::uint64_t pause_us : {5'000U, 10'000U, 20'000U, 40'000U, 80'000U, 160'000U, 160'000U}) {
    lose(loop, now_us);
    EXPECT_EQ(pause_after(loop, now_us), pause_us);
    now_us += pause_us;
  }
}

TEST(Wakefulness, OthersThatCameLongAgoAreGone) {
  Wakefulness loop(200);
  std::uint64_t now_us = 1'000'000;
  lose(loop, now_us);
  now_us += pause_after(loop, now_us);
  lose(loop, now_us);
  EXPECT_EQ(pause_after(loop, now_us), 10'000U);
  now_us += 10'000 + 10 * 10'000;
  lose(loop, now_us);
  EXPECT_EQ(pause_after(loop, now_us), 5'000U);
}

}  // namespace
}  // namespace rk::io

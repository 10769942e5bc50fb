// SPDX-License-Identifier: Apache-2.0
#include "daemon/rebirth.h"

#include <gtest/gtest.h>

#include <vector>

namespace rk::daemon {
namespace {

TEST(Rebirth, TheWaitDoublesWhileEvictionsFollowEachOther) {
  std::vector<std::uint64_t> waits;
  std::uint32_t evictions = 0;
  for (int i = 0; i < 9; ++i) {
    evictions = evictions_in_a_row(evictions, 1000);
    waits.push_back(back_off_ms(evictions));
  }
  EXPECT_EQ(waits, (std::vector<std::uint64_t>{100, 200, 400, 800, 1600, 3200, 6400, 10'000, 10'000}));
  EXPECT_EQ(back_off_ms(evictions_in_a_row(evictions, kQuietMs)), 100U);
  EXPECT_EQ(back_off_ms(UINT32_MAX), kMaxBackOffMs);
}

TEST(Rebirth, TheSocketToListenOnOutlivesTheLife) {
  StartOptions options;
  options.listen_fd = 12'345;  // nothing is open there
  EXPECT_FALSE(Rebirth::prepare(options));
}

TEST(Rebirth, ALaterLifeHasNobodyToTellThatItIsReady) {
  ::setenv("RINGKEEP_EVICTIONS", "3", 1);  // NOLINT(concurrency-mt-unsafe)
  StartOptions options;
  options.ready_fd = 7;
  const auto later = Rebirth::prepare(options);
  ASSERT_TRUE(later);
  EXPECT_EQ(later->evictions(), 3U);
  EXPECT_FALSE(options.ready_fd);
  options.ready_fd = 7;
  const auto first = Rebirth::prepare(options);  // it does not reach what this process starts
  EXPECT_EQ(first->evictions(), 0U);
  EXPECT_TRUE(options.ready_fd);
}

}  // namespace
}  // namespace rk::daemon

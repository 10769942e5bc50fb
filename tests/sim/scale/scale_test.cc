// SPDX-License-Identifier: Apache-2.0
// What a change costs does not depend on luck: one round, and the exact number of messages, at every size.
#include <gtest/gtest.h>

#include "tests/sim/scale/scale_cycle.h"

namespace rk::scale {
namespace {

class Scale : public testing::TestWithParam<std::size_t> {};

TEST_P(Scale, EachChangeTakesOneRoundAndItsExactMessages) {
  ScaleRing ring(GetParam(), 1);
  for (const Change& change : run_cycle(ring, 1)) {
    SCOPED_TRACE(change.name);
    EXPECT_TRUE(change.complete);
    EXPECT_EQ(change.traffic.rounds(), change.expected);
    EXPECT_EQ(change.proposals, change.views) << "a number was proposed by two ballots";
    EXPECT_LE(change.views, change.name.ends_with("at once") ? 3U : 1U);
    const std::uint64_t n = change.servers;
    // The one that leaves takes part.
    const std::uint64_t by_formula = change.name == "leader killed" ? 5 * (n - 1)
                                     : change.name == "leave"       ? 3 * n
                                                                    : 3 * (n - 1);
    // Who joins asks a few, however many there are; each asks at its start, as links come up and every 100 ms.
    if (change.name == "join again") {
      EXPECT_LE(change.traffic.asking + change.traffic.healing, 3 * 2 * 17U);
    }
    if (change.views == 1) {
      EXPECT_EQ(change.traffic.rounds(), by_formula);
    }
  }
  // The leader asks, the member answers, and each member but one tells its predecessor.
  const std::uint64_t n = ring.view().members.size();
  const Traffic idle = ring.idle(1'000'000);
  EXPECT_EQ(idle.heartbeats, 10 * 3 * (n - 1));
  EXPECT_EQ(idle.rounds() + idle.healing + idle.detection + idle.asking, 0U);
  EXPECT_EQ(ring.violation(), "");
}

INSTANTIATE_TEST_SUITE_P(Servers, Scale, testing::Values(3, 8, 32, 100, 300));

}  // namespace
}  // namespace rk::scale

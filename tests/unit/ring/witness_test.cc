// SPDX-License-Identifier: Apache-2.0
// A witness votes and holds no data: one of two servers may be lost, and the other goes on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/ring/bench.h"

namespace rk::ring {
namespace {

using testing::HasSubstr;

Bench two_and(std::uint32_t witness) {
  Bench bench(3);
  bench.witness = witness;
  bench.start_all();
  return bench;
}

bool acts(Bench& bench, std::uint32_t node) { return bench.core(node).lease_until_ms() > bench.now_ms; }

TEST(Witness, IsAMemberOutsideTheRingAndTheLastToLead) {
  Bench bench = two_and(1);
  ASSERT_TRUE(bench.agree({2, 3, 1}));
  const View& view = bench.core(1).view();
  EXPECT_EQ(view.witness, NodeId(1));
  EXPECT_EQ(view.ring, (std::vector<NodeId>{NodeId(2), NodeId(3)}));
  EXPECT_EQ(backup_of(view, NodeId(2))->node, NodeId(3));
  EXPECT_FALSE(backup_of(view, NodeId(1)));
  EXPECT_FALSE(kept_by(view, NodeId(1)));
  EXPECT_EQ(to_text(view), "view 1: 2.1 3.1 1.1, witness 1");
}

TEST(Witness, EitherServerMayBeLost) {
  for (const std::uint32_t lost : {1U, 2U}) {
    Bench bench = two_and(3);
    const std::uint32_t other = 3 - lost;
    bench.crash(lost);
    ASSERT_TRUE(bench.until([&] { return bench.agree({other, 3}); }, 2000)) << lost;
    EXPECT_TRUE(bench.until([&] { return acts(bench, other); }, 1000));
    EXPECT_FALSE(backup_of(bench.core(other).view(), NodeId(other)))
        << "copies are single, and no place for second ones";
    bench.start(lost, 2);
    EXPECT_TRUE(bench.until([&] { return bench.agree({other, lost, 3}); }, 2000)) << "before the witness";
  }
}

TEST(Witness, ASilentServerIsEvictedToo) {
  Bench bench = two_and(3);
  bench.crash(1, false);
  EXPECT_TRUE(bench.until([&] { return bench.agree({2, 3}); }, 3000));
}

TEST(Witness, ItsLossStopsNobody) {
  Bench bench = two_and(3);
  bench.crash(3);
  ASSERT_TRUE(bench.until([&] { return bench.agree({1, 2}); }, 2000));
  EXPECT_FALSE(bench.core(1).view().witness);
  bench.start(3, 2);
  EXPECT_TRUE(bench.until([&] { return bench.agree({1, 2, 3}); }, 2000));
}

TEST(Witness, TheLastServerGoesOnWithoutIt) {
  Bench bench = two_and(3);
  bench.crash(2);
  ASSERT_TRUE(bench.until([&] { return bench.agree({1, 3}); }, 2000));
  bench.crash(3);
  bench.advance(5000);
  EXPECT_TRUE(acts(bench, 1));
  EXPECT_EQ(bench.core(1).state(), State::kServing);
  bench.start(2, 2);
  EXPECT_TRUE(bench.until([&] { return bench.agree({1, 2}); }, 5000));
}

TEST(Witness, AloneItIsNoQuorumAndNamesTheServerThatIsMissing) {
  Bench bench = two_and(3);
  bench.crash(2);
  ASSERT_TRUE(bench.until([&] { return bench.agree({1, 3}); }, 2000));
  bench.crash(1);
  ASSERT_TRUE(bench.until([&] { return bench.core(3).state() == State::kWedged; }, 2000));
  bench.advance(5000);
  EXPECT_EQ(bench.core(3).missing(), NodeId(1));
  EXPECT_FALSE(acts(bench, 3));
  EXPECT_THAT(bench.core(3).reason(), HasSubstr("server 1 (host1:7001)"));
}

TEST(Witness, ATwoServerRingNeedsIt) {
  Bench bench(2);
  bench.start_all();
  bench.crash(2);
  bench.advance(5000);
  EXPECT_EQ(bench.core(1).state(), State::kWedged);
}

TEST(Witness, ARosterNamesOneAtMostAndOthersThatHoldData) {
  Bench bench(3);
  bench.witness = 3;
  Config config = bench.config(1, 1);
  config.roster.edit()[1].witness = true;
  EXPECT_EQ(Core::create(config).error().code, ErrorCode::kInvalidArgument);
  Config alone = bench.config(3, 1);
  alone.roster = {alone.roster[2]};
  EXPECT_EQ(Core::create(alone).error().code, ErrorCode::kInvalidArgument);
}

TEST(Witness, ServersMustAgreeWhoItIs) {
  Bench bench(3);
  bench.witness = 3;
  bench.start(1);
  bench.witness = 2;
  bench.start(3);
  bench.advance(5000);
  EXPECT_EQ(bench.core(3).state(), State::kWedged);
  EXPECT_THAT(bench.core(3).reason(), HasSubstr("another roster"));
}

}  // namespace
}  // namespace rk::ring

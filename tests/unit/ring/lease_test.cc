// SPDX-License-Identifier: Apache-2.0
// Leases: who may act until when, and who waits for whom.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/ring/bench.h"

namespace rk::ring {
namespace {

using testing::HasSubstr;

constexpr Timings kTimings;

bool acts(Bench& bench, std::uint32_t node) { return bench.now_ms < bench.core(node).lease_until_ms(); }

TEST(Lease, TheRoundThatMakesAViewGrantsThem) {
  Bench bench(4);
  bench.start_all();
  for (const std::uint32_t node : {1, 2, 3, 4}) {
    EXPECT_TRUE(acts(bench, node)) << node;
    EXPECT_LE(bench.core(node).lease_until_ms(), bench.now_ms + kTimings.lease_ms) << node;
  }
}

TEST(Lease, GoesOnWhileAQuorumHolds) {
  Bench bench(5);
  bench.start_all();
  bench.crash(4, false);
  bench.crash(5, false);
  for (int i = 0; i < 200; ++i) {
    bench.advance(kTimings.tick_ms);
    for (const std::uint32_t node : {1, 2, 3}) ASSERT_TRUE(acts(bench, node)) << node;
  }
}

TEST(Lease, EndsForTheLeaderThatNobodyAnswers) {
  Bench bench(5);
  bench.start_all();
  bench.advance(1000);
  for (std::uint32_t node = 2; node <= 5; ++node) bench.cut.insert({node, 1});
  bench.advance(kTimings.lease_ms);
  EXPECT_FALSE(acts(bench, 1));
  for (std::uint32_t node = 2; node <= 5; ++node) EXPECT_FALSE(acts(bench, node)) << node;  // no grant outlives it
}

TEST(Lease, EndsForAMemberThatHearsNobody) {
  Bench bench(5);
  bench.start_all();
  bench.advance(1000);
  for (std::uint32_t node = 1; node <= 4; ++node) bench.cut.insert({node, 5});
  bench.advance(kTimings.lease_ms);
  EXPECT_FALSE(acts(bench, 5));
  EXPECT_TRUE(acts(bench, 1));
}

TEST(Lease, OneOfTwoActsAloneOnlyIfItLeads) {
  Bench bench(2);
  bench.start_all();
  bench.cut = {{1, 2}, {2, 1}};
  bench.advance(kTimings.lease_ms);
  EXPECT_TRUE(acts(bench, 1));
  EXPECT_FALSE(acts(bench, 2));
}

TEST(Lease, ATakeoverIsAtOnceAndFencedByTheHolds) {
  Bench bench(4);
  bench.start_all();
  bench.advance(1000);
  const std::uint64_t lease_until_ms = bench.core(1).lease_until_ms();
  ASSERT_GT(lease_until_ms, bench.now_ms);
  bench.crash(1);
  bench.settle();
  ASSERT_TRUE(bench.agree({2, 3, 4}));
  for (const std::uint32_t node : {2, 3, 4})
    EXPECT_GE(bench.now_ms + bench.core(node).fence_left_ms(), lease_until_ms) << node;
  EXPECT_TRUE(acts(bench, 2));
}

TEST(Lease, ATakeoverFromALeaderThatWasSilentIsNotFenced) {
  Bench bench(4);
  bench.start_all();
  bench.advance(1000);
  bench.crash(1, false);
  ASSERT_TRUE(bench.until([&] { return bench.agree({2, 3, 4}); }));
  EXPECT_LE(bench.core(2).fence_left_ms(), 2 * kTimings.tick_ms);
}

TEST(Lease, AViewThatRemovesALivingMemberIsFenced) {
  Bench bench(4);
  bench.start_all();
  bench.advance(1000);
  const std::uint64_t lease_until_ms = bench.core(4).lease_until_ms();
  ASSERT_GT(lease_until_ms, bench.now_ms);
  // Both its neighbours find its door closed; it lives on.
  for (std::uint32_t node = 1; node <= 3; ++node) {
    bench.cut.insert({node, 4});
    bench.cut.insert({4, node});
  }
  for (std::uint32_t node = 1; node <= 3; ++node) bench.feed(node, Event{bench.now_ms, Refused{NodeId(4)}});
  bench.settle();
  ASSERT_TRUE(bench.agree({1, 2, 3}));
  for (const std::uint32_t node : {1, 2, 3})
    EXPECT_GE(bench.now_ms + bench.core(node).fence_left_ms(), lease_until_ms) << node;
  bench.advance(kTimings.lease_ms);
  EXPECT_FALSE(acts(bench, 4));
}

TEST(Lease, NobodyWaitsForADeadSilentOrLeavingMember) {
  Bench bench(5);
  bench.start_all();
  bench.advance(1000);
  bench.crash(5, false);
  bench.start(5, 2);
  bench.settle();
  ASSERT_TRUE(bench.agree({1, 2, 3, 4, 5}));
  EXPECT_EQ(bench.core(2).fence_left_ms(), 0U);  // a newer life proves its end
  bench.leave(5);
  ASSERT_TRUE(bench.until([&] { return bench.agree({1, 2, 3, 4}); }));
  EXPECT_EQ(bench.core(2).fence_left_ms(), 0U);
  bench.crash(4, false);
  ASSERT_TRUE(bench.until([&] { return bench.agree({1, 2, 3}); }));
  EXPECT_EQ(bench.core(2).fence_left_ms(), 0U);  // it was silent for longer than a lease
}

TEST(Lease, NobodyActsInTheViewBefore) {
  Bench bench(4);
  bench.start_all();
  bench[3].hold_writes = true;
  bench.leave(4);
  bench.settle();
  EXPECT_TRUE(acts(bench, 1));
  EXPECT_FALSE(acts(bench, 3));  // committed, and not durable here yet
  EXPECT_FALSE(acts(bench, 4));  // leaves
}

TEST(Lease, ALeaderWinsBackMembersThatPromisedAnother) {
  Bench bench(4);
  bench.start_all();
  // 1 is silent for 2, 3 and 4 until they have promised 2, which is then never heard again.
  for (const std::uint32_t node : {2, 3, 4}) bench.cut.insert({1, node});
  bench.lose = [](auto, auto, const wire::RingMessage& message) {
    return std::holds_alternative<wire::RingPropose>(message);
  };
  ASSERT_TRUE(bench.until([&] { return bench.sent["PROMISE"] >= 2; }));
  bench.crash(2, false);
  bench.cut.clear();
  bench.lose = nullptr;
  ASSERT_TRUE(bench.until([&] { return acts(bench, 1) && acts(bench, 3) && acts(bench, 4); }));
  EXPECT_TRUE(bench.until([&] { return bench.agree({1, 3, 4}); }));
}

TEST(Lease, AJumpOfTheClockEndsNoFence) {
  Bench bench(4);
  bench.start_all();
  bench.advance(1000);
  bench.crash(1);
  bench.settle();
  const std::uint64_t left_ms = bench.core(2).fence_left_ms();
  ASSERT_GT(left_ms, kTimings.lease_ms / 2);
  bench.now_ms += 10 * kTimings.hold_ms;
  bench.advance(kTimings.tick_ms);
  EXPECT_GE(bench.core(2).fence_left_ms(), left_ms - 3 * kTimings.tick_ms);
}

TEST(Lease, ARestartedMemberKeepsTheHoldOfTheLifeBefore) {
  Bench bench(3);
  bench.start_all();
  bench.advance(1000);
  Config config = bench.config(3, 1);
  config.durable = bench[3].durable;
  bench.crash(3, false);
  bench.start(config);
  bench.feed(3, Event{bench.now_ms, LinkUp{{NodeId(1), Incarnation(1)}}});
  bench.crash(1);
  bench.settle();
  ASSERT_TRUE(bench.agree({2, 3}));
  EXPECT_GE(bench.core(2).fence_left_ms(), kTimings.lease_ms);
}

TEST(Lease, OtherTimingsAreRefused) {
  Bench bench(2);
  Config other = bench.config(2, 1);
  other.timings = Timings::with_suspicion(2000);
  bench.start(1);
  bench.start(other);
  bench.settle();
  bench.advance(5000);
  EXPECT_THAT(bench.core(1).reason(), HasSubstr("server 2 (host2:7002) has other timings of the ring"));
}

TEST(Lease, TimingsFollowFromTheSuspicion) {
  for (const std::uint64_t suspicion_ms : {250, 500, 3000, 60000}) {
    Bench bench(1);
    Config config = bench.config(1, 1);
    config.timings = Timings::with_suspicion(suspicion_ms);
    EXPECT_TRUE(Core::create(config).has_value()) << suspicion_ms;
    // A hold outlasts the lease on it, one clock a tenth slow and the other a tenth fast.
    EXPECT_GT(9 * 9 * config.timings.hold_ms, 10 * 10 * config.timings.lease_ms + 100 * config.timings.tick_ms);
  }
}

}  // namespace
}  // namespace rk::ring

// SPDX-License-Identifier: Apache-2.0
// Who becomes and stays a member: start, restart with and without memory, leaving, detection, and refusals by name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/ring/bench.h"

namespace rk::ring {
namespace {

using testing::HasSubstr;

// --- the first view -------------------------------------------------------------------------------------------------

TEST(FirstView, WaitsForTheWholeRosterAWhileThenTakesAMajority) {
  Bench bench(4);
  for (const std::uint32_t node : {1, 2, 4}) bench.start(node);
  bench.advance(Timings{}.formation_ms - 100);
  EXPECT_EQ(bench.core(1).state(), State::kForming);
  EXPECT_TRUE(bench.until([&] { return bench.agree({1, 2, 4}); }, 1000));
  bench.start(3);
  bench.settle();
  EXPECT_TRUE(bench.agree({1, 2, 4, 3}));
}

TEST(FirstView, HalfTheRosterIsNotEnough) {
  Bench bench(4);
  bench.start(1);
  bench.start(2);
  bench.advance(10000);
  for (const std::uint32_t node : {1, 2}) EXPECT_EQ(bench.core(node).state(), State::kWedged);
  EXPECT_EQ(bench.core(1).missing(), NodeId(3));
  EXPECT_THAT(bench.core(1).reason(), HasSubstr("server 3 (host3:7003), server 4 (host4:7004)"));
  EXPECT_TRUE(bench[1].installed.empty());
}

TEST(FirstView, AMajorityFormsWithoutTheLowestServer) {
  Bench bench(3);
  bench.start(2);
  bench.start(3);
  EXPECT_TRUE(bench.until([&] { return bench.agree({2, 3}); }, 10000));
  bench.start(1);
  EXPECT_TRUE(bench.until([&] { return bench.agree({2, 3, 1}); }, 1000));
}

TEST(FirstView, OneServerIsARing) {
  Bench bench(1);
  bench.start(1);
  EXPECT_TRUE(bench.agree({1}));
  EXPECT_FALSE(predecessor(bench.core(1).view(), NodeId(1)));
  bench.leave(1);
  EXPECT_TRUE(bench[1].left);
}

TEST(FirstView, RostersMustBeEqual) {
  Bench bench(3);
  bench.start(1);
  Config other = bench.config(3, 1);
  other.roster.push_back({NodeId(4), "host4:7004"});
  bench.start(other);
  bench.advance(10000);
  EXPECT_EQ(bench.core(3).state(), State::kWedged);
  EXPECT_EQ(bench.core(3).missing(), NodeId(1));
  EXPECT_THAT(bench.core(3).reason(), HasSubstr("another roster"));
  EXPECT_EQ(bench.core(1).state(), State::kWedged);
  EXPECT_EQ(bench.core(1).missing(), NodeId(3));
}

// --- death ----------------------------------------------------------------------------------------------------------

TEST(Detection, ABrokenLinkIsProbedAndTheDeadServerEvicted) {
  Bench bench(4);
  bench.start_all();
  bench.crash(2);  // rank 1: its predecessor is the leader, so a third server confirms
  EXPECT_TRUE(bench.until([&] { return bench.agree({1, 3, 4}); }, Timings{}.probe_ms + 1000));
}

TEST(Detection, SilenceAloneIsEnoughInTheEnd) {
  Bench bench(4);
  bench.start_all();
  bench.crash(4, false);
  EXPECT_TRUE(bench.until([&] { return bench.agree({1, 2, 3}); }, Timings{}.suspicion_ms + 1000));
}

TEST(Detection, ABrokenLinkOfALiveServerEvictsNobody) {
  Bench bench(4);
  bench.start_all();
  for (const std::uint32_t node : {1, 2, 4}) bench.feed(node, Event{bench.now_ms, LinkDown{NodeId(3)}});
  bench.advance(5000);
  EXPECT_EQ(bench.core(1).view().number, ViewNumber(1));
  EXPECT_TRUE(bench.agree({1, 2, 3, 4}));
}

TEST(Detection, AnAccuserAloneEvictsNobody) {
  Bench bench(4);
  bench.start_all();
  bench.clear();
  bench.cut = {{3, 2}, {2, 3}};  // 2 watches 3 and hears nothing; the leader hears it
  bench.advance(10000);
  EXPECT_GT(bench.sent["ACCUSE"], 0);
  EXPECT_TRUE(bench.agree({1, 2, 3, 4}));
}

TEST(Detection, TheLeadersSilenceAloneEvictsNobody) {
  Bench bench(4);
  bench.start_all();
  bench.clear();
  bench.cut = {{2, 1}};  // the leader hears nothing of 2; 3 and 4, asked to probe, do
  bench.advance(10000);
  EXPECT_GT(bench.sent["PROBE"], 0);
  EXPECT_EQ(bench.core(1).view().number, ViewNumber(1));
  EXPECT_FALSE(bench[2].evicted);
}

TEST(Detection, HeartbeatsAreLinearInTheNumberOfServers) {
  for (const std::uint32_t servers : {4U, 8U, 16U}) {
    Bench bench(servers);
    bench.start_all();
    bench.advance(1000);
    bench.clear();
    bench.advance(Timings{}.heartbeat_ms * 4);
    // A period: the leader to each other and back, and each other to its predecessor.
    EXPECT_EQ(bench.sent["HEARTBEAT"], static_cast<int>(4 * 3 * (servers - 1)));
    EXPECT_EQ(bench.sent.size(), 1U);
  }
}

TEST(Detection, AServerThatRanLateTrustsNoneOfItsSilences) {
  Bench bench(3);
  bench.start_all();
  bench.clear();
  bench.now_ms += 60000;  // the whole machine stood still
  bench.advance(2000);
  EXPECT_EQ(bench.sent["ACCUSE"], 0);
  EXPECT_TRUE(bench.agree({1, 2, 3}));
  EXPECT_TRUE(bench[1].wedged.empty());
}

TEST(Detection, TwoDeadAtOnce) {
  Bench bench(6);
  bench.start_all();
  bench.crash(3);
  bench.crash(4);  // its watcher is dead too
  EXPECT_TRUE(bench.until([&] { return bench.agree({1, 2, 5, 6}); }, 5000));
}

// --- what cannot be decided -----------------------------------------------------------------------------------------

TEST(Wedge, ALeaderWithoutQuorumNamesTheMissing) {
  Bench bench(5);
  bench.start_all();
  for (const std::uint32_t node : {3, 4, 5}) bench.crash(node);
  bench.advance(3000);
  EXPECT_EQ(bench.core(1).state(), State::kWedged);
  EXPECT_EQ(bench.core(1).missing(), NodeId(3));
  EXPECT_THAT(bench.core(1).reason(), HasSubstr("server 5 (host5:7005)"));
  EXPECT_EQ(bench.core(1).view().number, ViewNumber(1));
}

TEST(Wedge, AMinorityNeverBindsTheNextView) {
  Bench bench(5);
  bench.start_all();
  for (const std::uint32_t a : {1, 2})
    for (const std::uint32_t b : {3, 4, 5}) bench.cut.insert({{a, b}, {b, a}});
  bench.advance(10000);
  for (const std::uint32_t node : {1, 2}) EXPECT_EQ(bench.core(node).state(), State::kWedged) << node;
  EXPECT_TRUE(bench.agree({3, 4, 5}));
  bench.cut.clear();
  EXPECT_TRUE(bench.until([&] { return bench[1].evicted && bench[2].evicted; }, 1000));
  EXPECT_EQ(bench.core(3).view().number, ViewNumber(2));
}

TEST(Wedge, OfTwoServersNeitherCanTellThatTheOtherIsDead) {
  Bench bench(2);
  bench.start_all();
  bench.crash(2);
  bench.advance(10000);
  EXPECT_EQ(bench.core(1).state(), State::kWedged);
  EXPECT_EQ(bench.core(1).missing(), NodeId(2));
  EXPECT_THAT(bench.core(1).reason(), HasSubstr("no third server"));
  bench.start(2, 2);  // a newer life proves it
  EXPECT_TRUE(bench.until([&] { return bench.agree({1, 2}); }, 1000));
  EXPECT_EQ(bench.core(1).view().members[1].incarnation, Incarnation(2));
}

// --- restart --------------------------------------------------------------------------------------------------------

TEST(Restart, ANewLifeTakesTheOldOnesPlaceInOneChange) {
  Bench bench(4);
  bench.start_all();
  bench.crash(3, false);
  bench.start(3, 2);
  bench.settle();
  EXPECT_TRUE(bench.agree({1, 2, 3, 4}));
  EXPECT_EQ(bench.core(1).view().number, ViewNumber(2));
  EXPECT_EQ(bench[4].lost, (std::vector<Member>{{NodeId(3), Incarnation(1)}}));
}

TEST(Restart, ALifeThatForgotItsOwnPastIsNoVoter) {
  Bench bench(3);
  bench.start_all();
  for (const std::uint32_t node : {2, 3}) {
    bench.crash(node);
    Config config = bench.config(node, 2);
    config.memory_lost = false;  // its whole directory is gone, so that it takes itself for new
    bench.start(config);
  }
  bench.advance(10000);
  EXPECT_EQ(bench.core(1).committed().number, ViewNumber(1));
  EXPECT_EQ(bench.core(1).state(), State::kWedged);
}

TEST(Restart, TheLeaderWithItsMemoryLeadsOn) {
  Bench bench(4);
  bench.start_all();
  bench.crash(1);
  Config config = bench.config(1, 2);
  config.durable = bench[1].durable;
  bench.start(config);
  EXPECT_TRUE(bench.until([&] { return bench.agree({1, 2, 3, 4}); }, 2000));
  EXPECT_EQ(bench.core(2).view().number, ViewNumber(2));
  EXPECT_EQ(bench.core(2).view().members[0].incarnation, Incarnation(2));
}

TEST(Restart, TheLeaderFinishesWhatItHadProposed) {
  Bench bench(4);
  bench.start_all();
  bench.lose = [](auto, auto, const wire::RingMessage& message) {
    return std::holds_alternative<wire::RingPropose>(message);
  };
  bench.leave(4);
  bench.settle();
  bench.crash(1);
  bench.lose = nullptr;
  Config config = bench.config(1, 2);
  config.durable = bench[1].durable;
  bench.start(config);
  EXPECT_TRUE(bench.until([&] { return bench.agree({1, 2, 3}); }, 3000));
  // View 2 is the value proposed before (without 4, with the leader's old life), view 3 has its new one.
  EXPECT_EQ(bench.core(2).view().number, ViewNumber(3));
  ASSERT_GE(bench[2].installed.size(), 2U);
  EXPECT_EQ(bench[2].installed[1].members[0], (Member{NodeId(1), Incarnation(1)}));
  EXPECT_TRUE(bench[4].left);
}

TEST(Restart, AServerWithoutMemoryIsNoVoterOfTheFirstView) {
  Bench bench(3);
  bench.start(1);
  Config config = bench.config(2, 2);
  config.memory_lost = true;
  bench.start(config);
  bench.advance(10000);
  EXPECT_EQ(bench.core(1).state(), State::kWedged);
  EXPECT_TRUE(bench[1].installed.empty());
  bench.start(3);
  EXPECT_TRUE(bench.until([&] { return bench.agree({1, 2, 3}); }, 2000));
}

TEST(Restart, AllServersWithTheirMemoryComeBackByThemselves) {
  Bench bench(4);
  bench.start_all();
  bench.leave(2);
  bench.settle();
  for (const std::uint32_t node : {1, 3, 4}) bench.crash(node, false);
  for (const std::uint32_t node : {1, 3, 4}) {
    Config config = bench.config(node, 2);
    config.durable = bench[node].durable;
    bench.start(config);
  }
  EXPECT_TRUE(bench.until([&] { return bench.agree({1, 3, 4}); }, 5000));
}

TEST(Restart, TheSameLifeWithItsMemoryActsOn) {
  Bench bench(3);
  bench.start_all();
  Config config = bench.config(2, 1);
  config.durable = bench[2].durable;
  bench.crash(2);
  bench.start(config);
  bench.advance(3000);
  EXPECT_TRUE(bench.agree({1, 2, 3}));
  EXPECT_EQ(bench.core(1).view().number, ViewNumber(1));
}

TEST(Restart, AnEvictedLifeIsTold) {
  Bench bench(4);
  bench.start_all();
  bench.cut = {{3, 1}, {3, 2}, {3, 4}};  // mute for a while
  ASSERT_TRUE(bench.until([&] { return bench.core(1).view().number == ViewNumber(2); }, 5000));
  bench.cut.clear();
  EXPECT_TRUE(bench.until([&] { return bench[3].evicted; }, 1000));
  EXPECT_EQ(bench.core(3).state(), State::kEvicted);
  bench.advance(3000);
  EXPECT_TRUE(bench.agree({1, 2, 4}));  // that life never returns
  Config config = bench.config(3, 2);
  config.durable = bench[3].durable;
  bench.start(config);
  bench.settle();
  EXPECT_TRUE(bench.agree({1, 2, 4, 3}));
}

TEST(Restart, AnOlderIncarnationThanRememberedIsRefused) {
  Bench bench(3);
  for (const std::uint32_t node : {1, 3}) bench.start(node);
  bench.start(2, 5);
  bench.settle();
  ASSERT_TRUE(bench.agree({1, 2, 3}));
  Config config = bench.config(2, 4);
  config.durable = bench[2].durable;
  const auto core = Core::create(config);
  ASSERT_FALSE(core);
  EXPECT_EQ(core.error().code, ErrorCode::kFenced);
}

// --- leaving --------------------------------------------------------------------------------------------------------

TEST(Leave, TheLeaderHandsOver) {
  Bench bench(4);
  bench.start_all();
  bench.leave(1);
  bench.settle();
  EXPECT_TRUE(bench[1].left);
  EXPECT_TRUE(bench.agree({2, 3, 4}));
  bench.crash(1);
  bench.crash(4);
  EXPECT_TRUE(bench.until([&] { return bench.agree({2, 3}); }, 5000));  // the new leader leads
}

TEST(Leave, TheLeaderStaysUntilTheNextOneKnows) {
  Bench bench(3);
  bench.start_all();
  bench.lose = [](auto, std::uint32_t to, const wire::RingMessage& message) {
    return to == 2 && std::holds_alternative<wire::RingCommit>(message);
  };
  bench.leave(1);
  bench.advance(1000);
  EXPECT_FALSE(bench[1].left);
  bench.lose = nullptr;
  EXPECT_TRUE(bench.until([&] { return bench[1].left && bench.agree({2, 3}); }, 1000));
}

TEST(Leave, AllAtOnce) {
  Bench bench(4);
  bench.start_all();
  for (std::uint32_t node = 1; node <= 4; ++node) bench.leave(node);
  EXPECT_TRUE(bench.until([&] { return bench[1].left && bench[2].left && bench[3].left && bench[4].left; }, 5000));
}

}  // namespace
}  // namespace rk::ring

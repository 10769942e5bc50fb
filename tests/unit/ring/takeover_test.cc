// SPDX-License-Identifier: Apache-2.0
// The leader is gone: who takes over, with which messages, and what it must adopt.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/ring/bench.h"

namespace rk::ring {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

template <class Message>
bool is(const wire::RingMessage& message) {
  return std::holds_alternative<Message>(message);
}

TEST(Takeover, ALeadersCrashTakesFiveTimesNMinusTwoMessages) {
  Bench bench(5);
  bench.start_all();
  bench.clear();
  bench.crash(1);
  ASSERT_TRUE(bench.until([&] { return bench.agree({2, 3, 4, 5}); }));
  EXPECT_THAT(bench.agreement,
              ElementsAre("2>3 PREPARE 2", "2>4 PREPARE 2", "2>5 PREPARE 2", "3>2 PROMISE 2", "4>2 PROMISE 2",
                          "5>2 PROMISE 2", "2>3 PROPOSE 2", "2>4 PROPOSE 2", "2>5 PROPOSE 2", "3>2 ACK 2", "4>2 ACK 2",
                          "5>2 ACK 2", "2>3 COMMIT 2", "2>4 COMMIT 2", "2>5 COMMIT 2"));
  EXPECT_EQ(bench[4].lost, (std::vector<Member>{{NodeId(1), Incarnation(1)}}));
}

TEST(Takeover, SilenceAloneIsEnough) {
  Bench bench(4);
  bench.start_all();
  bench.crash(1, false);
  EXPECT_TRUE(bench.until([&] { return bench.agree({2, 3, 4}); }, Timings{}.suspicion_ms + 2000));
}

TEST(Takeover, AdoptsWhatAQuorumHasThenRemovesTheLeader) {
  Bench bench(5);
  bench.start_all();
  bench.lose = [](auto, auto, const wire::RingMessage& message) { return is<wire::RingCommit>(message); };
  bench.leave(5);
  bench.settle();
  EXPECT_EQ(bench.core(1).view().number, ViewNumber(2));  // decided, and told nobody
  bench.crash(1);
  bench.lose = nullptr;
  ASSERT_TRUE(bench.until([&] { return bench.agree({2, 3, 4}); }));
  ASSERT_EQ(bench[2].installed.size(), 3U);
  EXPECT_EQ(bench[2].installed[1], bench[1].installed[1]);
  EXPECT_TRUE(bench[5].left);
}

TEST(Takeover, AdoptsWhatOneOfThePromisesTells) {
  Bench bench(5);
  bench.start_all();
  bench.lose = [](auto, std::uint32_t to, const wire::RingMessage& message) {
    return is<wire::RingPropose>(message) && to != 4;
  };
  bench.leave(5);
  bench.settle();
  bench.crash(1);
  bench.lose = nullptr;
  ASSERT_TRUE(bench.until([&] { return bench.agree({2, 3, 4}); }));
  ASSERT_EQ(bench[2].installed.size(), 3U);
  EXPECT_EQ(bench[2].installed[1].members.size(), 4U);  // the leader's value, not the taker's
  EXPECT_EQ(bench[2].installed[1].members[0], (Member{NodeId(1), Incarnation(1)}));
}

TEST(Takeover, TheNextInLineMayBeGoneToo) {
  Bench bench(7);
  bench.start_all();
  bench.crash(1);
  bench.crash(2);
  EXPECT_TRUE(bench.until([&] { return bench.agree({3, 4, 5, 6, 7}); }));
  EXPECT_EQ(bench.core(3).view().number, ViewNumber(2));  // both in one change
}

TEST(Takeover, TheTakerMayBeLostAtEachPointOfItsRound) {
  for (const std::size_t lost : {std::size_t{8}, std::size_t{9}, std::size_t{3}, std::size_t{4}, std::size_t{5}}) {
    Bench bench(6);
    bench.start_all();
    bool stopped = false;
    bench.lose = [&](std::uint32_t from, std::uint32_t to, const wire::RingMessage& message) {
      // Everything from the first such message on, but for the one to server 4.
      stopped = stopped || (message.index() == lost && (from == 2 || to == 2) && from != 4 && to != 4);
      return stopped && (from == 2 || to == 2);
    };
    bench.crash(1);
    ASSERT_TRUE(bench.until([&] { return stopped; })) << lost;
    bench.crash(2);
    EXPECT_TRUE(bench.until([&] { return bench.agree({3, 4, 5, 6}); })) << lost;
  }
}

TEST(Takeover, ALeaderThatWasOvertakenGoesOnWithABallotOfItsOwn) {
  Bench bench(5);
  bench.start_all();
  for (std::uint32_t node = 2; node <= 5; ++node) bench.cut.insert({{1, node}, {node, 1}});
  bench.lose = [](auto, auto, const wire::RingMessage& message) { return is<wire::RingPropose>(message); };
  bench.clear();
  ASSERT_TRUE(bench.until([&] { return bench.sent["PROPOSE"] > 0; }));
  bench.crash(2);  // its ballot is promised, its value is nowhere
  bench.cut.clear();
  bench.lose = nullptr;
  bench.clear();
  EXPECT_TRUE(bench.until([&] { return bench.agree({1, 3, 4, 5}); }));
  EXPECT_GT(bench.sent["PREPARE"], 0);
  EXPECT_EQ(bench.core(1).view().number, ViewNumber(2));
}

TEST(Takeover, ABrokenLinkToTheLeaderDeposesNobody) {
  Bench bench(4);
  bench.start_all();
  bench.cut = {{1, 2}, {2, 1}};
  bench.advance(10000);
  EXPECT_GT(bench.sent["PREPARE"], 0);
  EXPECT_EQ(bench.sent["PROMISE"], 0);
  for (const std::uint32_t node : {1, 3, 4}) EXPECT_EQ(bench.core(node).state(), State::kServing) << node;
  EXPECT_EQ(bench.core(2).state(), State::kWedged);
  EXPECT_THAT(bench.core(2).reason(), HasSubstr("server 1 (host1:7001), which leads view 1, is silent"));
  bench.cut.clear();
  EXPECT_TRUE(bench.until([&] { return bench.agree({1, 2, 3, 4}); }));
  EXPECT_EQ(bench.core(1).view().number, ViewNumber(1));
}

TEST(Takeover, ADeafLeaderIsReplaced) {
  Bench bench(5);
  bench.start_all();
  for (std::uint32_t node = 2; node <= 5; ++node) bench.cut.insert({node, 1});
  EXPECT_TRUE(bench.until([&] { return bench.agree({2, 3, 4, 5}); }));
  bench.cut.clear();
  EXPECT_TRUE(bench.until([&] { return bench[1].evicted; }));
}

TEST(Takeover, ALeaderWithoutItsMemoryComesBackAsANewMember) {
  Bench bench(3);
  bench.start_all();
  bench.crash(1);
  Config config = bench.config(1, 2);
  config.memory_lost = true;
  bench.start(config);
  EXPECT_TRUE(bench.until([&] { return bench.agree({1, 2, 3}); }));
  EXPECT_EQ(bench.core(3).view().number, ViewNumber(2));
  EXPECT_EQ(bench.core(3).view().members[0].incarnation, Incarnation(2));
}

TEST(Takeover, PromisesOnlyWhatIsDurable) {
  Bench bench(4);
  bench.start_all();
  bench[3].hold_writes = bench[4].hold_writes = true;
  bench.crash(1);
  bench.advance(Timings{}.probe_ms + 500);
  EXPECT_GT(bench.sent["PREPARE"], 0);
  EXPECT_EQ(bench.sent["PROMISE"], 0);
  for (const std::uint32_t node : {3, 4}) bench.complete_writes(node);
  EXPECT_TRUE(bench.until([&] { return bench.agree({2, 3, 4}); }));
}

TEST(Takeover, AMinorityDecidesNothing) {
  Bench bench(5);
  bench.start_all();
  for (const std::uint32_t node : {1, 4, 5}) bench.crash(node);
  bench.advance(10000);
  for (const std::uint32_t node : {2, 3}) EXPECT_EQ(bench.core(node).state(), State::kWedged);
  EXPECT_THAT(bench.core(2).reason(), HasSubstr("no quorum of view 1 answers"));
  EXPECT_THAT(bench.core(3).reason(), HasSubstr("server 2 (host2:7002) is to take over"));
  Config config = bench.config(5, 2);
  config.durable = bench[5].durable;
  bench.start(config);
  EXPECT_TRUE(bench.until([&] { return bench.agree({2, 3, 5}); }));
}

TEST(Takeover, NobodyUsesABallotOfAnother) {
  Bench bench(3);
  bench.start_all();
  const View one = bench.core(3).committed();
  const Member second{NodeId(2), Incarnation(1)};
  const auto refused = bench.core(3).refused_messages();
  bench.clear();
  bench.feed(3, Event{bench.now_ms, Received{second, wire::RingPrepare{{}, {1, NodeId(1)}, one}}});
  bench.feed(3, Event{bench.now_ms, Received{second, wire::RingPrepare{{}, {0, NodeId()}, one}}});
  bench.feed(3, Event{bench.now_ms, Received{second, wire::RingPrepare{{}, {kMaxRound + 1, NodeId(2)}, one}}});
  // One that has lost its memory may have promised another ballot before.
  bench.feed(3, Event{bench.now_ms, Received{second, wire::RingPrepare{Incarnation(2), {1, NodeId(2)}, one}}});
  EXPECT_TRUE(bench.agreement.empty());
  EXPECT_EQ(bench.core(3).refused_messages(), refused + 4);
}

TEST(Takeover, AValueOfAnotherNumberIsNotAdopted) {
  Bench bench(4);
  bench.start_all();
  View other = bench.core(2).committed();
  other.number = ViewNumber(7);
  bench.lose = [](auto, auto, const wire::RingMessage& message) { return is<wire::RingPromise>(message); };
  bench.crash(1);
  bench.clear();
  ASSERT_TRUE(bench.until([&] { return bench.sent["PREPARE"] > 0; }));
  const auto refused = bench.core(2).refused_messages();
  const wire::RingPromise promise{ViewNumber(2), {1, NodeId(2)}, {}, {}, other};
  bench.feed(2, Event{bench.now_ms, Received{{NodeId(3), Incarnation(1)}, promise}});
  EXPECT_EQ(bench.core(2).refused_messages(), refused + 1);
  bench.lose = nullptr;
  EXPECT_TRUE(bench.until([&] { return bench.agree({2, 3, 4}); }));
}

TEST(Takeover, ALowerBallotIsToldOfTheHigherOne) {
  Bench bench(4);
  bench.start_all();
  View two = bench.core(4).committed();
  const View one = two;
  two.number = ViewNumber(2);
  two.members.edit().erase(two.members.edit().begin());
  const Member third{NodeId(3), Incarnation(1)};
  bench.feed(4, Event{bench.now_ms, Received{third, wire::RingPropose{{}, {7, NodeId(3)}, one, two, kNoLease}}});
  bench.clear();
  const Member second{NodeId(2), Incarnation(1)};
  bench.feed(4, Event{bench.now_ms, Received{second, wire::RingPrepare{{}, {6, NodeId(2)}, one}}});
  EXPECT_THAT(bench.agreement, ElementsAre("4>2 PROMISE 2"));
  bench.settle();
  bench.crash(1);
  EXPECT_TRUE(bench.until([&] { return bench.agree({2, 3, 4}); }));
}

}  // namespace
}  // namespace rk::ring

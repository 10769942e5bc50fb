// SPDX-License-Identifier: Apache-2.0
// The round that agrees on a view: its exact messages, its durability, its quorum.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/ring/bench.h"

namespace rk::ring {
namespace {

using Lines = std::vector<std::string>;
using testing::HasSubstr;

TEST(Agreement, FirstViewTakesOneRound) {
  Bench bench(4);
  bench.start_all();
  EXPECT_TRUE(bench.agree({1, 2, 3, 4}));
  EXPECT_EQ(bench.agreement, (Lines{"1>2 PROPOSE 1", "1>3 PROPOSE 1", "1>4 PROPOSE 1", "2>1 ACK 1", "3>1 ACK 1",
                                    "4>1 ACK 1", "1>2 COMMIT 1", "1>3 COMMIT 1", "1>4 COMMIT 1"}));
}

TEST(Agreement, JoinTakesThreeTimesNMinusOneMessages) {
  Bench bench(5);
  for (std::uint32_t node = 1; node <= 4; ++node) bench.start(node);
  ASSERT_TRUE(bench.until([&] { return bench.agree({1, 2, 3, 4}); }));
  bench.advance(1000);
  bench.clear();
  bench.start(5);
  bench.settle();
  EXPECT_TRUE(bench.agree({1, 2, 3, 4, 5}));
  EXPECT_EQ(bench.agreement,
            (Lines{"1>5 COMMIT 1", "1>2 PROPOSE 2", "1>3 PROPOSE 2", "1>4 PROPOSE 2", "1>5 PROPOSE 2", "2>5 COMMIT 1",
                   "3>5 COMMIT 1", "4>5 COMMIT 1", "2>1 ACK 2", "3>1 ACK 2", "4>1 ACK 2", "5>1 ACK 2", "1>2 COMMIT 2",
                   "1>3 COMMIT 2", "1>4 COMMIT 2", "1>5 COMMIT 2"}));
  // The joiner's JOIN is answered with the committed view (4 messages); the change itself took 3 (5 - 1).
  EXPECT_EQ(bench.agreement.size() - 4, 3U * (5 - 1));
}

TEST(Agreement, CrashTakesThreeTimesNMinusOneMessagesAmongTheSurvivors) {
  Bench bench(5);
  bench.start_all();
  bench.clear();
  bench.crash(3);
  ASSERT_TRUE(bench.until([&] { return bench.agree({1, 2, 4, 5}); }));
  EXPECT_EQ(bench.agreement, (Lines{"1>2 PROPOSE 2", "1>4 PROPOSE 2", "1>5 PROPOSE 2", "2>1 ACK 2", "4>1 ACK 2",
                                    "5>1 ACK 2", "1>2 COMMIT 2", "1>4 COMMIT 2", "1>5 COMMIT 2"}));
  EXPECT_EQ(bench[4].lost, (std::vector<Member>{{NodeId(3), Incarnation(1)}}));
}

TEST(Agreement, LeaveTakesOneRound) {
  Bench bench(4);
  bench.start_all();
  bench.clear();
  bench.leave(3);
  bench.settle();
  EXPECT_TRUE(bench.agree({1, 2, 4}));
  EXPECT_TRUE(bench[3].left);
  EXPECT_EQ(bench.agreement.size(), 3U * (4 - 1));
}

TEST(Agreement, SeveralChangesGoIntoOneProposal) {
  Bench bench(7);
  for (std::uint32_t node = 1; node <= 5; ++node) bench.start(node);
  ASSERT_TRUE(bench.until([&] { return bench.agree({1, 2, 3, 4, 5}); }));
  // While one round is under way (a join of 6), a leave and a join arrive.
  bench[1].hold_writes = true;
  bench.start(6);
  bench.settle();
  bench.start(7);
  bench.leave(2);
  bench.settle();
  bench.complete_writes(1);
  bench.settle();
  EXPECT_TRUE(bench.agree({1, 3, 4, 5, 6, 7}));
  EXPECT_EQ(bench.core(1).view().number, ViewNumber(3));
  EXPECT_TRUE(bench[2].left);
}

TEST(Agreement, AcknowledgesOnlyWhatIsDurable) {
  Bench bench(3);
  bench.start_all();
  bench.clear();
  bench[2].hold_writes = true;
  bench.leave(3);
  bench.settle();
  EXPECT_EQ(std::count(bench.agreement.begin(), bench.agreement.end(), "2>1 ACK 2"), 0);
  bench.complete_writes(2);
  EXPECT_EQ(std::count(bench.agreement.begin(), bench.agreement.end(), "2>1 ACK 2"), 1);
}

TEST(Agreement, TheLeaderProposesOnlyWhatIsDurable) {
  Bench bench(3);
  bench.start_all();
  bench.clear();
  bench[1].hold_writes = true;
  bench.leave(3);
  bench.settle();
  EXPECT_TRUE(bench.agreement.empty());
  bench.complete_writes(1);
  bench.settle();
  EXPECT_TRUE(bench.agree({1, 2}));
}

TEST(Agreement, NobodyActsBeforeTheCommit) {
  Bench bench(4);
  bench.start_all();
  bench.lose = [](auto, auto, const wire::RingMessage& message) {
    return std::holds_alternative<wire::RingCommit>(message);
  };
  bench.leave(4);
  bench.advance(300);
  EXPECT_EQ(bench.core(1).view().number, ViewNumber(2));  // decided
  EXPECT_EQ(bench.core(2).view().number, ViewNumber(1));
  EXPECT_FALSE(bench[4].left);
  bench.lose = nullptr;
  EXPECT_TRUE(bench.until([&] { return bench.agree({1, 2, 3}) && bench[4].left; }, 600));  // heartbeats heal it
}

TEST(Agreement, LostProposalsAndAcksAreRepeated) {
  Bench bench(4);
  bench.start_all();
  int left_to_lose = 7;
  bench.lose = [&](auto, auto, const wire::RingMessage& message) {
    const bool of_round =
        std::holds_alternative<wire::RingPropose>(message) || std::holds_alternative<wire::RingAck>(message);
    return of_round && left_to_lose-- > 0;
  };
  bench.leave(4);
  EXPECT_TRUE(bench.until([&] { return bench.agree({1, 2, 3}) && bench[4].left; }, 2000));
}

TEST(Agreement, ExactlyHalfIsAQuorumWithRankZero) {
  const View view{ViewNumber(1), {{NodeId(1), {}}, {NodeId(2), {}}, {NodeId(3), {}}, {NodeId(4), {}}}, {}, {}, {}};
  const auto of = [](std::set<std::uint32_t> nodes) {
    return [nodes](const Member& member) { return nodes.contains(member.node.value); };
  };
  EXPECT_TRUE(is_quorum(view, of({1, 4})));
  EXPECT_FALSE(is_quorum(view, of({2, 3})));
  EXPECT_TRUE(is_quorum(view, of({2, 3, 4})));
  EXPECT_FALSE(is_quorum(view, of({1})));
  View roster = view;
  roster.number = ViewNumber();
  EXPECT_FALSE(is_quorum(roster, of({1, 4})));  // the first view takes more than half
}

TEST(Agreement, RefusesASecondValueForTheSameNumber) {
  Bench bench(3);
  bench.start_all();
  const View one = bench.core(2).committed();
  View a = one;
  a.number = ViewNumber(2);
  a.members.edit().pop_back();
  View b = one;
  b.number = ViewNumber(2);
  b.members.edit().erase(b.members.edit().begin() + 1);
  const Member leader{NodeId(1), Incarnation(1)};
  bench.clear();
  bench.feed(2, Event{bench.now_ms, Received{leader, wire::RingPropose{{}, {}, one, a, kNoLease}}});
  bench.feed(2, Event{bench.now_ms, Received{leader, wire::RingPropose{{}, {}, one, b, kNoLease}}});
  bench.feed(2, Event{bench.now_ms, Received{leader, wire::RingPropose{{}, {}, one, a, kNoLease}}});
  EXPECT_EQ(bench.agreement, (Lines{"2>1 ACK 2"}));  // and takes part in nothing any more
  EXPECT_EQ(bench.core(2).state(), State::kWedged);
  EXPECT_THAT(bench.core(2).reason(), HasSubstr("two different views"));
}

TEST(Agreement, OnlyRankZeroMayPropose) {
  Bench bench(3);
  bench.start_all();
  const View one = bench.core(3).committed();
  View two = one;
  two.number = ViewNumber(2);
  two.members.edit().erase(two.members.edit().begin());
  bench.clear();
  const auto refused = bench.core(3).refused_messages();
  bench.feed(3,
             Event{bench.now_ms, Received{{NodeId(2), Incarnation(1)}, wire::RingPropose{{}, {}, one, two, kNoLease}}});
  EXPECT_TRUE(bench.agreement.empty());
  EXPECT_EQ(bench.core(3).refused_messages(), refused + 1);
}

TEST(Agreement, RefusesServersOutsideTheRoster) {
  Bench bench(3);
  bench.start_all();
  const auto refused = bench.core(1).refused_messages();
  bench.feed(1, Event{bench.now_ms, Received{{NodeId(9), Incarnation(1)}, wire::RingJoin{}}});
  EXPECT_EQ(bench.core(1).refused_messages(), refused + 1);
}

}  // namespace
}  // namespace rk::ring

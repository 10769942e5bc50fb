// SPDX-License-Identifier: Apache-2.0
// An operator goes on without a quorum, in a new generation.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/ring/bench.h"

namespace rk::ring {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::uint64_t kAsking_ms = Timings{}.suspicion_ms;
constexpr std::uint64_t kAt_ms = 1'700'000'000'000;

bool may_override(Bench& bench, std::uint32_t node) { return bench.core(node).override_refusal().empty(); }

bool acts(Bench& bench, std::uint32_t node) { return bench.core(node).lease_until_ms() > bench.now_ms; }

void ask(Bench& bench, std::uint32_t node) {
  bench.feed(node, Event{bench.now_ms, OverrideRequest{kAt_ms}});
  bench.settle();
}

// Waits until it is not refused, asks, and waits for the answer.
void override_at(Bench& bench, std::uint32_t node) {
  ASSERT_TRUE(bench.until([&] { return may_override(bench, node); }));
  ask(bench, node);
  bench.advance(kAsking_ms);
  EXPECT_THAT(bench[node].override_refused, IsEmpty());
  EXPECT_EQ(bench.core(node).view().overridden.by, NodeId(node));
}

void cut_off(Bench& bench, const std::vector<std::uint32_t>& some, const std::vector<std::uint32_t>& others) {
  for (const std::uint32_t a : some)
    for (const std::uint32_t b : others) bench.cut.insert({{a, b}, {b, a}});
}

TEST(Override, FirstNumbersOfAGenerationDiffer) {
  EXPECT_EQ(generation(ViewNumber(1)), 0U);
  EXPECT_EQ(override_number(ViewNumber(7), 0, 3), ViewNumber(1U << 24U));
  EXPECT_EQ(override_number(ViewNumber(7), 0, 1), override_number(ViewNumber((1U << 24U) - 1), 0, 1));
  for (const std::size_t servers : {2UL, 3UL, 1024UL, wire::kMaxServers}) {
    ViewNumber before;
    for (std::size_t place = 0; place < servers; ++place) {
      const ViewNumber number = override_number(ViewNumber(99), place, servers);
      ASSERT_GE(number.value, before.value + (place == 0 ? 0 : 512));
      ASSERT_EQ(generation(number), 1U);
      ASSERT_EQ(generation(ViewNumber(number.value + (1U << 23U))), 1U) << "as many views have numbers in it";
      before = number;
    }
  }
  const ViewNumber last = override_number(override_number(ViewNumber(254U << 24U), 0, 1), 0, 1);
  EXPECT_EQ(override_number(ViewNumber(254U << 24U), wire::kMaxServers - 1, wire::kMaxServers).value >> 32U, 0U);
  EXPECT_EQ(generation(last), kMaxGeneration + 1);
}

TEST(Override, IsRefusedWhereItWouldOnlyLoseData) {
  Bench bench(3);
  bench.start(1);
  EXPECT_THAT(bench.core(1).override_refusal(), HasSubstr("no view yet"));
  bench.start(2);
  bench.start(3);
  ASSERT_TRUE(bench.until([&] { return bench.agree({1, 2, 3}); }));
  EXPECT_THAT(bench.core(2).override_refusal(), HasSubstr("the ring serves view 1"));
  ask(bench, 2);
  bench.advance(1000);
  EXPECT_THAT(bench[2].override_refused, ElementsAre(HasSubstr("the ring serves view 1")));
  EXPECT_EQ(bench.core(2).view().number, ViewNumber(1));
}

TEST(Override, IsRefusedWhenAQuorumAnswersAfterAll) {
  Bench bench(3);
  bench.start_all();
  cut_off(bench, {3}, {1, 2});
  ASSERT_TRUE(bench.until([&] { return may_override(bench, 3); }));
  // Their network comes back in the moment in which the operator asks, and they have not yet gone on without it.
  cut_off(bench, {1}, {2});
  for (const std::uint32_t other : {1U, 2U}) bench.cut.erase({3, other}), bench.cut.erase({other, 3});
  bench.lose = [](std::uint32_t, std::uint32_t, const wire::RingMessage& message) {
    return !std::holds_alternative<wire::RingHeartbeat>(message);
  };
  ask(bench, 3);
  bench.advance(kAsking_ms + 100);
  ASSERT_EQ(bench[3].override_refused.size(), 1U);
  EXPECT_EQ(generation(bench.core(3).committed().number), 0U);
}

TEST(Override, IsRefusedAtTheWitness) {
  Bench bench(3);
  bench.witness = 3;
  bench.start_all();
  ASSERT_TRUE(bench.until([&] { return bench.core(3).state() == State::kServing; }));
  bench.crash(1);
  bench.crash(2);
  ASSERT_TRUE(bench.until([&] { return bench.core(3).state() == State::kWedged; }));
  EXPECT_THAT(bench.core(3).override_refusal(), HasSubstr("the witness"));
}

TEST(Override, TheServersThatAnswerGoOnInANewGeneration) {
  // Also those that the one that is asked does not listen to: of a member that is its leader and its successor.
  for (const std::uint32_t asked : {4U, 5U}) {
    Bench bench(5);
    bench.start_all();
    for (const std::uint32_t node : {1U, 2U, 3U}) bench.crash(node);
    bench.advance(2000);
    override_at(bench, asked);
    ASSERT_TRUE(bench.until([&] { return bench.agree({asked, 9 - asked}); }, 100)) << asked;
    const View view = bench.core(9 - asked).view();
    EXPECT_EQ(generation(view.number), 1U);
    EXPECT_EQ(view.overridden, (wire::RingOverride{NodeId(asked), ViewNumber(1), kAt_ms}));
    EXPECT_EQ(view.retired.size(), 3U);
    EXPECT_EQ(bench[4].lost.size(), 3U);
    EXPECT_GT(bench.core(asked).fence_left_ms(), 0U) << "the others may have leases still";
    EXPECT_TRUE(bench.until([&] { return acts(bench, 4) && acts(bench, 5); }, 1000));
    // Those that come back are new lives; the views that follow name the override.
    for (const std::uint32_t node : {1U, 2U, 3U}) bench.start(bench.config(node, 2));
    EXPECT_TRUE(bench.until([&] { return bench.core(1).view().members.size() == 5; }, 5000));
    EXPECT_EQ(generation(bench.core(1).view().number), 1U);
    EXPECT_EQ(bench.core(1).view().overridden, view.overridden);
  }
}

TEST(Override, NobodyActsInItBeforeItIsDurable) {
  Bench bench(3);
  bench.start_all();
  bench.crash(1);
  bench.crash(2);
  ASSERT_TRUE(bench.until([&] { return may_override(bench, 3); }));
  bench.clear();
  bench[3].hold_writes = true;
  ask(bench, 3);
  bench.advance(kAsking_ms + 500);
  EXPECT_EQ(bench[3].installed.size(), 1U);
  EXPECT_EQ(bench.core(3).state(), State::kWedged);
  EXPECT_EQ(bench.sent["COMMIT"], 0);
  bench.complete_writes(3);
  EXPECT_EQ(bench[3].installed.size(), 2U);
  EXPECT_TRUE(bench.until([&] { return acts(bench, 3); }, 100));
}

TEST(Override, AMajorityThatWasCutOffEndsWhenItHearsOfIt) {
  Bench bench(5);
  bench.start_all();
  cut_off(bench, {1, 2, 3}, {4, 5});
  ASSERT_TRUE(bench.until([&] { return bench.agree({1, 2, 3}); }));
  override_at(bench, 5);
  ASSERT_TRUE(bench.until([&] { return bench.agree({5, 4}); }, 1000));
  EXPECT_TRUE(bench.agree({1, 2, 3})) << "two rings: the operator's word was wrong";
  bench.cut.clear();
  ASSERT_TRUE(bench.until([&] { return bench[1].evicted && bench[2].evicted && bench[3].evicted; }, 1000));
  EXPECT_TRUE(bench.agree({5, 4}));
}

TEST(Override, WhoHasHeardOfANewerGenerationActsNoMore) {
  Bench bench(5);
  bench.start_all();
  cut_off(bench, {1, 2, 3}, {4, 5});
  ASSERT_TRUE(bench.until([&] { return bench.agree({1, 2, 3}); }));
  override_at(bench, 5);
  // It hears that there is a newer view, and never gets it.
  bench.lose = [](std::uint32_t, std::uint32_t, const wire::RingMessage& message) {
    return std::holds_alternative<wire::RingCommit>(message);
  };
  ASSERT_TRUE(acts(bench, 1));
  bench.cut.erase({5, 1});
  ASSERT_TRUE(bench.until([&] { return !acts(bench, 1); }, Timings{}.heartbeat_ms + 100));
  EXPECT_EQ(bench.core(1).state(), State::kWedged);
  EXPECT_THAT(bench.core(1).reason(), HasSubstr("newer generation"));
  // The others learn nothing but that their leader grants nothing.
  EXPECT_TRUE(bench.until([&] { return !acts(bench, 2) && !acts(bench, 3); }, 1000));
  EXPECT_FALSE(bench[1].evicted);
}

TEST(Override, OneThatIsGoneForGoodIsOverriddenItself) {
  Bench bench(3);
  bench.start_all();
  cut_off(bench, {1, 2}, {3});
  ASSERT_TRUE(bench.until([&] { return bench.agree({1, 2}); }));
  override_at(bench, 3);
  bench.lose = [](std::uint32_t, std::uint32_t, const wire::RingMessage& message) {
    return std::holds_alternative<wire::RingCommit>(message);
  };
  bench.cut.clear();
  ASSERT_TRUE(bench.until([&] { return bench.core(1).state() == State::kWedged; }, 1000));
  bench.crash(3);
  bench.lose = nullptr;
  override_at(bench, 1);
  EXPECT_TRUE(bench.until([&] { return bench.agree({1, 2}) && acts(bench, 2); }, 1000));
  EXPECT_EQ(generation(bench.core(1).view().number), 2U);
}

TEST(Override, ALifeThatTheOneThatIsAskedHasNeverHeardEndsToo) {
  Bench bench(3);
  bench.start_all();
  cut_off(bench, {1, 2}, {3});
  ASSERT_TRUE(bench.until([&] { return bench.agree({1, 2}); }));
  bench.crash(2, false);
  bench.start(bench.config(2, 7));
  ASSERT_TRUE(bench.until([&] { return bench.agree({1, 2}); }));
  override_at(bench, 3);
  bench.cut.clear();
  EXPECT_TRUE(bench.until([&] { return bench[1].evicted && bench[2].evicted; }, 1000));
  EXPECT_TRUE(bench.agree({3}));
}

TEST(Override, OfTwoAtOnceOneWins) {
  Bench bench(5);
  bench.start_all();
  cut_off(bench, {4}, {5, 1, 2, 3});
  cut_off(bench, {5}, {1, 2, 3});
  override_at(bench, 4);
  override_at(bench, 5);
  EXPECT_LT(bench.core(4).committed().number, bench.core(5).committed().number);
  EXPECT_EQ(generation(bench.core(4).committed().number), generation(bench.core(5).committed().number));
  bench.cut.clear();
  EXPECT_TRUE(bench.until([&] { return bench[4].evicted; }, 1000));
  EXPECT_TRUE(bench.agree({5}));
}

TEST(Override, OfTwoServersEitherMayBeToldThatTheOtherIsGone) {
  for (const std::uint32_t left : {1U, 2U}) {
    Bench bench(2);
    bench.start_all();
    bench.crash(3 - left);
    override_at(bench, left);
    EXPECT_TRUE(bench.until([&] { return bench.agree({left}) && acts(bench, left); }, 1000));
  }
}

TEST(Override, IsRememberedOverARestart) {
  Bench bench(3);
  bench.start_all();
  bench.crash(1);
  bench.crash(2);
  override_at(bench, 3);
  const View view = bench.core(3).view();
  bench.crash(3);
  Config again = bench.config(3, 2);
  again.durable = bench[3].durable;
  bench.start(again);
  ASSERT_TRUE(bench.until([&] { return bench.core(3).state() == State::kServing; }));
  EXPECT_EQ(bench.core(3).view().number.value, view.number.value + 1);
  EXPECT_EQ(bench.core(3).view().overridden, view.overridden);
}

}  // namespace
}  // namespace rk::ring

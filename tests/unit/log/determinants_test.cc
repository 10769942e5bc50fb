// SPDX-License-Identifier: Apache-2.0
#include "log/determinants.h"

#include "log_fixture.h"

namespace rk::log {
namespace {

TEST(Outcomes, AreRepeatedInOrderAndThenRecordedBehind) {
  TestJob job({0, 1});
  OutcomeLog& first = job.start(0).outcomes();
  EXPECT_FALSE(first.replaying());
  ASSERT_OK(first.record(OutcomeKind::kTest, 0));
  ASSERT_OK(first.record(OutcomeKind::kTest, 0));
  ASSERT_OK(first.record(OutcomeKind::kTest, 1));
  ASSERT_OK(first.record(OutcomeKind::kClock, 12345));
  ASSERT_OK(first.record(OutcomeKind::kName, 0, 0, view_of("node-7")));

  OutcomeLog& second = job.start(0).outcomes();
  for (const std::uint64_t flag : {0, 0, 1}) {
    ASSERT_TRUE(second.replaying());
    auto seen = second.replay(OutcomeKind::kTest);
    ASSERT_OK(seen);
    EXPECT_EQ(seen->value, flag);
  }
  auto clock = second.replay(OutcomeKind::kClock);
  ASSERT_OK(clock);
  EXPECT_EQ(clock->value, 12345U);
  auto name = second.replay(OutcomeKind::kName);
  ASSERT_OK(name);
  EXPECT_EQ(text_of(name->blob), "node-7");
  EXPECT_FALSE(second.replaying());
  ASSERT_OK(second.record(OutcomeKind::kClock, 2));

  OutcomeLog& third = job.start(0).outcomes();
  int repeated = 0;
  while (third.replaying()) {
    const OutcomeKind kind = repeated < 3    ? OutcomeKind::kTest
                             : repeated == 4 ? OutcomeKind::kName
                                             : OutcomeKind::kClock;
    ASSERT_OK(third.replay(kind));
    ++repeated;
  }
  EXPECT_EQ(repeated, 6);
}

TEST(Outcomes, AMillionEqualFlagsCostOneEntry) {
  TestJob job({0, 1});
  OutcomeLog& first = job.start(0).outcomes();
  for (int i = 0; i < 1000000; ++i) ASSERT_OK(first.record(OutcomeKind::kTest, 0));
  EXPECT_EQ(job[0].segment().stream(job[0].segment().outcomes_stream()).published, 1U);
  OutcomeLog& second = job.start(0).outcomes();
  int repeated = 0;
  for (; second.replaying(); ++repeated) ASSERT_OK(second.replay(OutcomeKind::kTest));
  EXPECT_EQ(repeated, 1000000);
  // Counting goes on in the same entry.
  ASSERT_OK(second.record(OutcomeKind::kTest, 0));
  EXPECT_EQ(job[0].segment().stream(job[0].segment().outcomes_stream()).published, 1U);
}

TEST(Outcomes, AnotherKindIsADivergenceThatNamesBoth) {
  TestJob job({0, 1});
  ASSERT_OK(job.start(0).outcomes().record(OutcomeKind::kWaitAny, 3));
  auto seen = job.start(0).outcomes().replay(OutcomeKind::kClock);
  ASSERT_FALSE(seen);
  EXPECT_EQ(seen.error().code, ErrorCode::kDivergence);
  EXPECT_NE(seen.error().message.find("waitany"), std::string::npos);
  EXPECT_NE(seen.error().message.find("clock"), std::string::npos);
}

TEST(Outcomes, RecordingWhileSomethingIsToBeRepeatedIsRefused) {
  TestJob job({0, 1});
  ASSERT_OK(job.start(0).outcomes().record(OutcomeKind::kTest, 1));
  auto recorded = job.start(0).outcomes().record(OutcomeKind::kTest, 1);
  ASSERT_FALSE(recorded);
  EXPECT_EQ(recorded.error().code, ErrorCode::kInvalidArgument);
}

// The checkpoint's position may lie inside of a run that later outcomes made longer.
TEST(Outcomes, AJumpIntoARunRepeatsItsRest) {
  TestJob job({0, 1});
  OutcomeLog& first = job.start(0).outcomes();
  ASSERT_OK(first.record(OutcomeKind::kClock, 1));
  for (int i = 0; i < 3; ++i) ASSERT_OK(first.record(OutcomeKind::kTest, 0));
  const OutcomePosition at = first.position();
  for (int i = 0; i < 4; ++i) ASSERT_OK(first.record(OutcomeKind::kTest, 0));
  ASSERT_OK(first.record(OutcomeKind::kTest, 1));

  OutcomeLog& second = job.start(0).outcomes();
  ASSERT_OK(second.replay(OutcomeKind::kClock));
  second.suspend();
  EXPECT_FALSE(second.replaying());
  ASSERT_OK(second.record(OutcomeKind::kOther, 99));  // leaves nothing
  ASSERT_OK(second.jump(at));
  int falses = 0;
  while (second.replaying()) {
    auto seen = second.replay(OutcomeKind::kTest);
    ASSERT_OK(seen);
    if (seen->value == 0) ++falses;
  }
  EXPECT_EQ(falses, 4);
  EXPECT_EQ(second.position(), (OutcomePosition{2, 1}));
}

TEST(Outcomes, AJumpToTheEndLeavesNothingToRepeat) {
  TestJob job({0, 1});
  OutcomeLog& first = job.start(0).outcomes();
  ASSERT_OK(first.record(OutcomeKind::kTest, 0));
  ASSERT_OK(first.record(OutcomeKind::kTest, 0));
  const OutcomePosition end = first.position();
  OutcomeLog& second = job.start(0).outcomes();
  ASSERT_OK(second.jump(end));
  EXPECT_FALSE(second.replaying());
  EXPECT_EQ(second.position(), end);
}

TEST(Matches, AreFoundByPostingNumber) {
  TestJob job({0, 1});
  MatchLog& first = job.start(0).matches();
  ASSERT_OK(first.record({7, MatchKind::kOutside, 1, 4, 11, 2}));
  ASSERT_OK(first.record({3, MatchKind::kInside, 0, 5, 0, 0}));
  EXPECT_EQ(first.find(7), nullptr);  // this life made it
  MatchLog& second = job.start(0).matches();
  ASSERT_NE(second.find(3), nullptr);
  EXPECT_EQ(second.find(3)->kind, MatchKind::kInside);
  ASSERT_NE(second.find(7), nullptr);
  EXPECT_EQ(second.find(7)->ssn, 11U);
  EXPECT_EQ(second.find(5), nullptr);
  EXPECT_EQ(second.highest_rsn(), 2U);
  // A checkpoint between the two receives; 7 was matched first, so that nothing may be skipped.
  EXPECT_EQ(second.position(3), 0U);
  EXPECT_EQ(second.position(7), 2U);
  ASSERT_OK(second.jump(second.position(3), 3));
  EXPECT_NE(second.find(7), nullptr);
  EXPECT_EQ(second.find(3), nullptr);
}

}  // namespace
}  // namespace rk::log

// SPDX-License-Identifier: Apache-2.0
#include "log/outbox.h"

#include "log_fixture.h"

namespace rk::log {
namespace {

class OutboxTest : public testing::Test {
 protected:
  void first_life() {
    job.start_all();
    ASSERT_OK(job.send(0, 2, 5, "alpha"));
    ASSERT_OK(job.send(0, 3, 5, "beta"));
    ASSERT_OK(job.send(0, 2, 6, "gamma"));
  }
  TestJob job{{0, 0, 1, 1}};
};

TEST_F(OutboxTest, AResentMessageIsComparedAndDropped) {
  first_life();
  ProcessLog& log = job.start(0);
  EXPECT_TRUE(log.replaying());
  auto first = job.send(0, 2, 5, "alpha");
  ASSERT_OK(first);
  EXPECT_FALSE(first->fresh);
  EXPECT_EQ(first->ssn, 1U);
  ASSERT_OK(job.send(0, 3, 5, "beta"));
  ASSERT_OK(job.send(0, 2, 6, "gamma"));
  EXPECT_FALSE(log.replaying());
  auto fresh = job.send(0, 2, 6, "delta");
  ASSERT_OK(fresh);
  EXPECT_TRUE(fresh->fresh);
  EXPECT_EQ(fresh->ssn, 3U);
  EXPECT_EQ(log.outbox().counts().resent, 3U);
  EXPECT_EQ(log.outbox().counts().resent_verified, 3U);
  EXPECT_EQ(log.outbox().counts().messages, 1U);
}

TEST_F(OutboxTest, AnotherPayloadKeepsTheOriginalAndIsCounted) {
  first_life();
  ProcessLog& log = job.start(0);
  auto sent = job.send(0, 2, 5, "ALPHA");
  ASSERT_OK(sent);
  EXPECT_FALSE(sent->fresh);
  EXPECT_EQ(log.outbox().counts().resent_differing, 1U);
  auto posted = job[2].matcher().post({1, 0, 5, Reach::kOutside});
  ASSERT_OK(posted);
  EXPECT_EQ(text_of(posted->match.payload), "alpha");
}

TEST_F(OutboxTest, AnotherPayloadIsAnErrorUnderStrict) {
  first_life();
  job.strict = true;
  job.start(0);
  auto sent = job.send(0, 2, 5, "ALPHA");
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code, ErrorCode::kDivergence);
}

TEST_F(OutboxTest, AnotherTagLengthContextDestinationOrOrderIsADivergence) {
  const auto diverges = [&](const auto& resend) {
    first_life();
    ProcessLog& log = job.start(0);
    auto result = resend(log);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::kDivergence) << result.error().message;
  };
  diverges([&](ProcessLog&) { return job.send(0, 2, 4, "alpha"); });
  diverges([&](ProcessLog&) { return job.send(0, 2, 5, "alpha!"); });
  diverges([&](ProcessLog& log) { return log.outbox().send(2, {9, 5, 5}, view_of("alpha")); });
  diverges([&](ProcessLog&) { return job.send(0, 3, 5, "beta"); });  // order: the first went to 2
  // A destination that the original never sent to.
  TestJob other({0, 1, 1});
  other.start_all();
  ASSERT_OK(other.send(0, 1, 5, "alpha"));
  other.start(0);
  auto elsewhere = other.send(0, 2, 5, "alpha");
  ASSERT_FALSE(elsewhere);
  EXPECT_EQ(elsewhere.error().code, ErrorCode::kDivergence);
}

TEST_F(OutboxTest, PackedMessagesUseTheSameRule) {
  job.start_all();
  auto slot = job[0].outbox().reserve(2, {1, 3, 4});
  ASSERT_OK(slot);
  EXPECT_TRUE(slot->fresh);
  std::memcpy(slot->space.data(), "pack", 4);
  ASSERT_OK(job[0].outbox().commit(*slot));
  job.start(0);
  auto again = job[0].outbox().reserve(2, {1, 3, 4});
  ASSERT_OK(again);
  EXPECT_FALSE(again->fresh);
  std::memcpy(again->space.data(), "pack", 4);
  ASSERT_OK(job[0].outbox().commit(*again));
  EXPECT_EQ(job[0].outbox().counts().resent_verified, 1U);
  EXPECT_EQ(job[0].outbox().sent(2), 1U);
}

TEST_F(OutboxTest, ItselfAndNobodyAreRefused) {
  job.start_all();
  for (const std::uint32_t dest : {0U, 4U}) {
    auto sent = job.send(0, dest, 1, "x");
    ASSERT_FALSE(sent);
    EXPECT_EQ(sent.error().code, ErrorCode::kInvalidArgument);
  }
}

// Both take checkpoints again and again: the log stays small and its memory is used again.
TEST_F(OutboxTest, CheckpointsKeepTheLogSmall) {
  TestJob small({0, 1}, Segment::smallest_bytes(2) + 40 * kUnitBytes);
  small.start_all();
  const std::string text(30000, 'q');
  ASSERT_OK(small.send(0, 1, 0, "prologue"));
  ASSERT_OK(small[1].matcher().post({1, 0, 0, Reach::kOutside}));
  small[0].mark_prologue();
  small[1].mark_prologue();
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < 10; ++i) {
      ASSERT_OK(small.send(0, 1, 0, text));
      auto posted = small[1].matcher().post({1, 0, 0, Reach::kOutside});
      ASSERT_OK(posted);
      ASSERT_EQ(posted->state, PostState::kMatched);
      ASSERT_EQ(posted->match.length, text.size());
      ASSERT_OK(small[1].outcomes().record(OutcomeKind::kClock, static_cast<std::uint64_t>(round * 10 + i)));
    }
    ASSERT_OK(small[1].trim(small[1].snapshot()));
    ASSERT_OK(small[0].trim(small[0].snapshot()));
  }
  EXPECT_GT(small[0].outbox().logged_bytes(), 4 * (Segment::smallest_bytes(2) + 40 * kUnitBytes));
  EXPECT_LE(small.arena(0).usable(), Segment::smallest_bytes(2) + 40 * kUnitBytes);

  // A restart of the receiver still finds its prologue, and then what follows its checkpoint.
  const LogState checkpoint = small[1].snapshot();
  ASSERT_OK(small.send(0, 1, 3, "after"));
  ProcessLog& again = small.start(1);
  auto prologue = again.matcher().post({1, 0, 0, Reach::kOutside});
  ASSERT_OK(prologue);
  ASSERT_EQ(prologue->state, PostState::kMatched);
  EXPECT_EQ(text_of(prologue->match.payload), "prologue");
  again.outcomes().suspend();
  ASSERT_OK(again.jump(checkpoint));
  auto after = again.matcher().post({1, 0, 3, Reach::kOutside});
  ASSERT_OK(after);
  ASSERT_EQ(after->state, PostState::kMatched);
  EXPECT_EQ(text_of(after->match.payload), "after");
  EXPECT_EQ(after->match.ssn, 1002U);

  // A restart of the sender compares its prologue and drops what is gone.
  ProcessLog& sender = small.start(0);
  ASSERT_OK(small.send(0, 1, 0, "prologue"));
  EXPECT_EQ(sender.outbox().counts().resent_verified, 1U);
}

}  // namespace
}  // namespace rk::log

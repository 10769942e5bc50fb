// SPDX-License-Identifier: Apache-2.0
#include "log/stream.h"

#include "log/sequence_set.h"
#include "log_fixture.h"

namespace rk::log {
namespace {

TEST(SequenceSet, WatermarkFollowsTheDensePart) {
  SequenceSet set;
  EXPECT_TRUE(set.insert(1));
  EXPECT_TRUE(set.insert(3));
  EXPECT_TRUE(set.insert(5));
  EXPECT_EQ(set.watermark(), 1U);
  EXPECT_FALSE(set.insert(3));
  EXPECT_FALSE(set.insert(1));
  EXPECT_TRUE(set.insert(2));
  EXPECT_EQ(set.watermark(), 3U);
  EXPECT_TRUE(set.contains(5));
  EXPECT_FALSE(set.contains(4));
  EXPECT_EQ(set.next_missing(0), 4U);
  EXPECT_EQ(set.next_missing(4), 6U);
  EXPECT_TRUE(set.insert(4));
  EXPECT_EQ(set.watermark(), 5U);
  EXPECT_TRUE(set.above().empty());
}

TEST(LogState, RoundTripsAndRefusesNonsense) {
  LogState state;
  state.order = 9;
  state.sent = {1, 2};
  state.consumed.resize(2);
  for (const std::uint64_t n : {1, 2, 4, 7}) state.consumed[1].insert(n);
  state.rsn = 3;
  state.postings = 12;
  state.matches = 5;
  state.outcomes = {4, 2};
  const Bytes bytes = encode(state);
  auto back = decode_log_state(bytes);
  ASSERT_OK(back);
  EXPECT_EQ(*back, state);
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) EXPECT_FALSE(decode_log_state(ByteView(bytes).first(cut)));
  Bytes wrong = bytes;
  wrong.back() = std::byte{0xff};  // a last number below the one before it, or far above: both change the state
  auto changed = decode_log_state(wrong);
  EXPECT_TRUE(!changed || !(*changed == state));
}

// An outbox stream carries messages of every size in order, over chunk ends, and its next life goes on behind them.
TEST(Stream, MessagesOfAllSizesComeInOrderOverSeveralLives) {
  TestJob job({0, 1});
  job.start_all();
  std::vector<std::string> sent;
  std::uint64_t size = 0;
  for (int i = 0; i < 300; ++i) {
    if (i % 100 == 50) {
      job.start(0);
      for (const std::string& text : sent) ASSERT_OK(job.send(0, 1, 0, text));
    }
    size = (size * 7 + 13) % 20011;
    sent.emplace_back(i % 40 == 7 ? size * 10 : size, static_cast<char>('a' + i % 26));
    ASSERT_OK(job.send(0, 1, 0, sent.back()));
  }
  for (const std::string& text : sent) {
    auto posted = job[1].matcher().post({1, 0, 0, Reach::kOutside});
    ASSERT_OK(posted);
    ASSERT_EQ(posted->state, PostState::kMatched);
    EXPECT_EQ(text_of(posted->match.payload), text);
  }
}

TEST(Stream, AFullLogIsAnErrorWithACureAndBreaksNothing) {
  TestJob job({0, 1}, Segment::smallest_bytes(2) + 8 * kUnitBytes);
  job.start_all();
  std::string error;
  int sent = 0;
  for (;; ++sent) {
    auto outcome = job.send(0, 1, 0, std::string(10000, 'y'));
    if (!outcome) {
      EXPECT_EQ(outcome.error().code, ErrorCode::kNoMemory);
      error = outcome.error().message;
      break;
    }
  }
  EXPECT_NE(error.find("checkpoint"), std::string::npos) << error;
  EXPECT_GT(sent, 60);
  auto posted = job[1].matcher().post({1, 0, 0, Reach::kOutside});
  ASSERT_OK(posted);
  EXPECT_EQ(posted->match.length, 10000U);
}

TEST(Stream, SpaceIsAskedForBeforeItIsNeeded) {
  TestJob job({0, 1}, std::uint64_t{32} << 20U);
  job.start_all();
  int grows = 0;
  for (int i = 0; i < 2000; ++i) {
    const int before = job.arena(0).grows;
    const std::uint64_t ahead = job.arena(0).ahead;
    ASSERT_OK(job.send(0, 1, 0, std::string(8000, 'z')));
    if (job.arena(0).grows > before) {
      ++grows;
      EXPECT_GT(ahead, 0U);
    }
  }
  EXPECT_GT(grows, 1);
}

TEST(Stream, SpaceThatIsOnItsWayIsNotAskedForAgain) {
  TestJob job({0, 1}, std::uint64_t{32} << 20U);
  job.start_all();
  job.arena(0).on_its_way = true;
  for (int i = 0; i < 500; ++i) ASSERT_OK(job.send(0, 1, 0, std::string(8000, 'z')));
  EXPECT_EQ(job.arena(0).asked, 0);
  job.arena(0).on_its_way = false;
  for (int i = 0; i < 500; ++i) ASSERT_OK(job.send(0, 1, 0, std::string(8000, 'z')));
  EXPECT_GT(job.arena(0).asked, 0);
}

// What a killed writer had reserved but not published is overwritten; nobody sees it.
TEST(Stream, AnUnpublishedTailIsInvisibleAndOverwritten) {
  TestJob job({0, 1});
  job.start_all();
  ASSERT_OK(job.send(0, 1, 1, "first"));
  auto slot = job[0].outbox().reserve(1, {1, 1, 200000});  // in a chunk of its own, already linked
  ASSERT_OK(slot);
  std::memset(slot->space.data(), 0x5a, slot->space.size());
  ProcessLog& again = job.start(0);
  EXPECT_EQ(again.outbox().published(1), 1U);
  ASSERT_OK(job.send(0, 1, 1, "first"));
  ASSERT_OK(job.send(0, 1, 1, "second"));
  for (const char* expected : {"first", "second"}) {
    auto posted = job[1].matcher().post({1, 0, 1, Reach::kOutside});
    ASSERT_OK(posted);
    ASSERT_EQ(posted->state, PostState::kMatched);
    EXPECT_EQ(text_of(posted->match.payload), expected);
  }
}

// The receiver takes a message that has its number; the sender is killed before it counts it. Its next life counts it,
// or the receiver would hold a message that the log lacks.
TEST(Stream, AVisibleMessageIsCountedByTheNextLife) {
  TestJob job({0, 1});
  job.start_all();
  ASSERT_OK(job.send(0, 1, 1, "first"));
  auto slot = job[0].outbox().reserve(1, {1, 1, 6});
  ASSERT_OK(slot);
  std::memcpy(slot->space.data(), "second", 6);
  auto posted = job[1].matcher().post({1, 0, 1, Reach::kOutside});
  ASSERT_OK(posted);
  EXPECT_EQ(text_of(posted->match.payload), "first");
  for (int look = 1; look < 100; ++look) {
    posted = job[1].matcher().post({1, 0, 1, Reach::kOutside});
    ASSERT_OK(posted);
    ASSERT_EQ(posted->state, PostState::kPending);
    ASSERT_OK(job[1].matcher().cancel(posted->psn));
  }
  store_release(slot->header->ssn, slot->ssn);
  posted = job[1].matcher().post({1, 0, 1, Reach::kOutside});
  ASSERT_OK(posted);
  ASSERT_EQ(posted->state, PostState::kMatched);
  EXPECT_EQ(text_of(posted->match.payload), "second");

  ProcessLog& again = job.start(0);
  EXPECT_EQ(again.outbox().published(1), 2U);
  ASSERT_OK(job.send(0, 1, 1, "first"));
  ASSERT_OK(job.send(0, 1, 1, "second"));
  EXPECT_EQ(again.outbox().counts().resent_verified, 2U);
  EXPECT_EQ(again.outbox().counts().messages, 0U);
  ASSERT_OK(job.send(0, 1, 1, "third"));
  posted = job[1].matcher().post({1, 0, 1, Reach::kOutside});
  ASSERT_OK(posted);
  ASSERT_EQ(posted->state, PostState::kMatched);
  EXPECT_EQ(text_of(posted->match.payload), "third");
}

// Used memory may hold the next number by chance: that is neither a message nor damage, also for the next life.
TEST(Stream, UsedMemoryThatLooksLikeTheNextNumberIsNoMessage) {
  TestJob job({0, 1});
  job.start_all();
  ASSERT_OK(job.send(0, 1, 1, "first"));
  auto slot = job[0].outbox().reserve(1, {1, 1, 6});
  ASSERT_OK(slot);
  slot->header->order ^= 1U;  // the sum is no longer right
  store_release(slot->header->ssn, slot->ssn);
  auto posted = job[1].matcher().post({1, 0, 1, Reach::kOutside});
  ASSERT_OK(posted);
  posted = job[1].matcher().post({1, 0, 1, Reach::kOutside});
  ASSERT_OK(posted);
  EXPECT_EQ(posted->state, PostState::kPending);
  EXPECT_EQ(job.start(0).outbox().published(1), 1U);
  ASSERT_OK(job.send(0, 1, 1, "first"));
  ASSERT_OK(job.send(0, 1, 1, "second"));
  std::vector<Match> matches;
  ASSERT_OK(job[1].matcher().progress(matches));
  ASSERT_EQ(matches.size(), 1U);
  EXPECT_EQ(text_of(matches[0].payload), "second");
}

}  // namespace
}  // namespace rk::log

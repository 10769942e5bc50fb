// SPDX-License-Identifier: Apache-2.0
#include "log/segment.h"

#include "base/prng.h"
#include "log_fixture.h"

namespace rk::log {
namespace {

// Golden: these bytes are a promise to every process of a job, whatever release it was built from.
TEST(Segment, HeaderHasTheDocumentedBytes) {
  std::vector<std::uint64_t> words(Segment::smallest_bytes(3) / 8);
  const auto memory = std::as_writable_bytes(std::span(words));
  ASSERT_OK(Segment::format(memory, {JobId(0x1122334455667788), Rank(2), 3}, memory.size()));
  EXPECT_EQ(to_hex(ByteView(memory.data(), 64)),
            "524b4c47010000000000000000000100887766554433221102000000030000000010040000000000"
            "8000000000000000c0010000000000000010000000000000");
  EXPECT_EQ(words[8], memory.size());  // usable
}

TEST(Segment, RecordHeaderHasTheDocumentedBytes) {
  TestJob job({0, 1});
  job.start_all();
  ASSERT_OK(job.send(0, 1, 7, "hello"));
  auto view = job.open(0);
  ASSERT_OK(view);
  const ByteView record(view->unit(0) + 64, 69);
  EXPECT_EQ(to_hex(record.first(56)),
            "524b6d67"          // magic
            "0000000001000000"  // source, dest
            "07000000"          // tag
            "0100000000000000"  // ssn
            "0100000000000000"  // order
            "0100000000000000"  // context
            "0500000000000000"  // length
            "0100000000000000"  // incarnation
  );
  EXPECT_EQ(text_of(record.subspan(64)), "hello");
}

TEST(Segment, BlankMemoryIsNotThereYet) {
  TestJob job({0, 1});
  EXPECT_TRUE(Segment::is_blank(job.memory(0)));
  auto view = job.open(0);
  ASSERT_FALSE(view);
  EXPECT_EQ(view.error().code, ErrorCode::kUnavailable);
}

TEST(Segment, AnotherSegmentIsRefused) {
  TestJob job({0, 1, 0});
  job.start_all();
  auto other_rank = SegmentView::open(job.memory(0), job.identity(1));
  ASSERT_FALSE(other_rank);
  EXPECT_EQ(other_rank.error().code, ErrorCode::kCorrupt);
  auto other_job = SegmentView::open(job.memory(0), {JobId(78), Rank(0), 3});
  ASSERT_FALSE(other_job);
  EXPECT_EQ(other_job.error().code, ErrorCode::kCorrupt);
  auto cut = SegmentView::open(ByteView(job.memory(0)).first(100), job.identity(0));
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().code, ErrorCode::kCorrupt);
  job.memory(0)[4] = std::byte{9};
  auto format = job.open(0);
  ASSERT_FALSE(format);
  EXPECT_EQ(format.error().code, ErrorCode::kVersionMismatch);
}

TEST(Segment, AnUnknownRequiredFeatureIsRefusedAndAnOptionalOneIsNot) {
  TestJob job({0, 1});
  job.start_all();
  job.memory(0)[8] = std::byte{4};
  auto required = job.open(0);
  ASSERT_FALSE(required);
  EXPECT_EQ(required.error().code, ErrorCode::kVersionMismatch);
  job.memory(0)[8] = std::byte{0};
  job.memory(0)[10] = std::byte{4};
  ASSERT_OK(job.open(0));
}

// The owner was built from the next release: others read it, and its next life, of this release, goes on in it.
TEST(Segment, AHigherMinorVersionOpens) {
  TestJob job({0, 1});
  job.start_all();
  ASSERT_OK(job.send(0, 1, 7, "before"));
  job.memory(0)[6] = static_cast<std::byte>(kLogFormatMinor + 1);
  job.memory(0)[10] = std::byte{4};
  ASSERT_OK(job.open(0));
  EXPECT_EQ(job.open(0)->counts().messages_sent, 1U);
  job.start(0);
  ASSERT_OK(job.send(0, 1, 7, "before"));
  ASSERT_OK(job.send(0, 1, 7, "after"));
  EXPECT_EQ(job.open(0)->counts().messages_sent, 2U);
}

// A killed life reports nothing; its counts are in the segment.
TEST(Segment, CountsAreOfAllLives) {
  TestJob job({0, 0, 1});
  job.start_all();
  ASSERT_OK(job.send(0, 2, 7, "one"));
  ASSERT_OK(job.send(0, 2, 7, "two"));
  ASSERT_OK(job.send(2, 0, 8, "back"));
  const RecvSpec from_other{1, 2, 8, Reach::kOutside};
  ASSERT_OK(job[0].matcher().post(from_other));
  ASSERT_OK(job[0].outcomes().record(OutcomeKind::kTest, 0));
  ASSERT_OK(job[0].outcomes().record(OutcomeKind::kTest, 0));
  job.start(0);
  ASSERT_OK(job.send(0, 2, 7, "one"));
  ASSERT_OK(job.send(0, 2, 7, "TWO"));
  ASSERT_OK(job.send(0, 2, 7, "three"));
  ASSERT_OK(job[0].matcher().post(from_other));
  ASSERT_OK(job[0].outcomes().replay(OutcomeKind::kTest));
  ASSERT_OK(job.open(0));
  const SegmentCounts counts = job.open(0)->counts();
  EXPECT_EQ(counts.messages_sent, 3U);
  EXPECT_EQ(counts.bytes_sent, 11U);
  EXPECT_EQ(counts.resent, 2U);
  EXPECT_EQ(counts.resent_verified, 1U);
  EXPECT_EQ(counts.resent_differing, 1U);
  EXPECT_EQ(counts.received, 2U);
  EXPECT_EQ(counts.replayed, 1U);
  EXPECT_EQ(counts.determinants, 3U);
  EXPECT_EQ(counts.determinants_replayed, 2U);
}

TEST(Segment, AnOlderIncarnationIsFenced) {
  TestJob job({0, 1});
  job.start(0);
  job.start(0);
  ProcessLog::Config config;
  config.identity = job.identity(0);
  config.incarnation = Incarnation(1);
  config.community_of = {CommunityId(0), CommunityId(1)};
  auto old = ProcessLog::open(job.memory(0), job.arena(0).usable(), config, job.arena(0), job, nullptr);
  ASSERT_FALSE(old);
  EXPECT_EQ(old.error().code, ErrorCode::kFenced);
}

TEST(Segment, UsableOutsideOfTheMappingIsRefused) {
  TestJob job({0, 1});
  job.start(0);
  auto beyond = Segment::open(job.memory(0), job.identity(0), TestJob::kBytes + 1);
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().code, ErrorCode::kCorrupt);
}

// Whatever another process writes into its segment, reading it gives messages or an error, never a crash (run under
// ASan) and never an endless loop.
TEST(Segment, DamageByItsOwnerIsAnErrorOfTheReader) {
  Prng prng(20261121);
  int refused = 0;
  for (int round = 0; round < 400; ++round) {
    TestJob job({0, 1}, Segment::smallest_bytes(2) + 4 * kUnitBytes);
    job.start_all();
    for (int i = 0; i < 60; ++i) {
      auto sent = job.send(0, 1, i % 3, std::string(prng.below(6000), 'x'));
      if (!sent) break;
    }
    auto memory = job.memory(0);
    const std::uint64_t damages = prng.between(1, 4);
    for (std::uint64_t i = 0; i < damages; ++i) {
      // Tables, chunk headers and records, half of the time at a place that is certainly in use.
      std::uint64_t at = prng.below(8192 + 2 * kUnitBytes);
      if (prng.chance(1, 2)) at = 4096 + prng.below(2) * kUnitBytes + prng.below(128);
      const std::uint64_t value = prng.chance(1, 2) ? prng.next() : prng.below(70);
      std::memcpy(memory.data() + std::min(at, memory.size() - 8), &value, 8);
    }
    ProcessLog& receiver = job.start(1);
    std::vector<Match> matches;
    for (int i = 0; i < 200; ++i) {
      auto posted = receiver.matcher().post({1, 0, kAnyTag, Reach::kOutside});
      if (!posted) {
        ++refused;
        EXPECT_EQ(posted.error().code, ErrorCode::kCorrupt) << posted.error().message;
        break;
      }
      if (posted->state != PostState::kMatched) break;
      std::uint64_t sum = 0;
      for (const std::byte b : posted->match.payload) sum += std::to_integer<std::uint64_t>(b);
      EXPECT_LE(posted->match.payload.size(), 70000U + sum);
    }
    // The owner's own next life survives its own damage too.
    try {
      job.start(0);
    } catch (const std::runtime_error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 50);
}

}  // namespace
}  // namespace rk::log

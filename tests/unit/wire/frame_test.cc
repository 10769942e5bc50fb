// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <span>
#include <vector>

#include "base/checksum.h"
#include "base/prng.h"
#include "wire/client_messages.h"
#include "wire/codec.h"
#include "wire/frame.h"

namespace rk::wire {
namespace {

Frame sample() { return to_frame(CheckpointBegin{"jobs", {{"queue", 10}, {"index", 0}}}, 7, Incarnation(3)); }

TEST(FrameCutter, CutsFramesFedByteByByte) {
  const Bytes bytes = encode_frame(sample());
  FrameCutter cutter;
  for (std::size_t i = 0; i + 1 < bytes.size(); ++i) {
    cutter.feed(ByteView(bytes).subspan(i, 1));
    const auto frame = cutter.next();
    ASSERT_TRUE(frame);
    EXPECT_FALSE(*frame);
  }
  cutter.feed(ByteView(bytes).last(1));
  const auto frame = cutter.next();
  ASSERT_TRUE(frame && *frame);
  EXPECT_EQ((*frame)->request, 7U);
  EXPECT_EQ((*frame)->sender, Incarnation(3));
  const auto message = from_frame<CheckpointBegin>(**frame);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->name, "jobs");
  EXPECT_EQ(message->sections.at(0), (SectionSpec{"queue", 10}));
}

Frame large(std::size_t size) {
  Frame frame{MessageType::kDone, 9, Incarnation(4), 0, Bytes(size)};
  for (std::size_t i = 0; i < size; ++i) frame.payload[i] = static_cast<std::byte>(i * 31);
  return frame;
}

// Through place() where it is offered, as a socket does, or all through feed(), as a channel does.
TEST(FrameCutter, LargeFramesAreReadToTheirPlace) {
  const Frame first = large(100'000);
  Bytes stream = encode_frame(first);
  const Bytes second = encode_frame(sample());
  stream.insert(stream.end(), second.begin(), second.end());
  for (const bool placed : {true, false}) {
    for (const std::size_t piece : {std::size_t{1000}, std::size_t{4096}, std::size_t{70'000}}) {
      FrameCutter cutter;
      std::vector<Frame> frames;
      std::size_t in_place = 0;
      for (std::size_t at = 0; at < stream.size();) {
        const std::span<std::byte> place = placed ? cutter.place() : std::span<std::byte>();
        const std::size_t size = std::min({piece, stream.size() - at, place.empty() ? piece : place.size()});
        const ByteView bytes = ByteView(stream).subspan(at, size);
        if (place.empty()) {
          cutter.feed(bytes);
        } else {
          std::copy(bytes.begin(), bytes.end(), place.begin());
          cutter.placed(size);
          in_place += size;
        }
        at += size;
        for (auto frame = cutter.next();; frame = cutter.next()) {
          ASSERT_TRUE(frame);
          if (!*frame) break;
          frames.push_back(**frame);
        }
      }
      ASSERT_EQ(frames.size(), 2U);
      EXPECT_EQ(frames[0].payload, first.payload);
      EXPECT_EQ(frames[0].sender, Incarnation(4));
      EXPECT_EQ(frames[1].request, 7U);
      EXPECT_EQ(cutter.buffered(), 0U);
      EXPECT_EQ(in_place > 0, placed);
    }
  }
}

TEST(FrameCutter, ADamagedLargeFrameIsRefused) {
  Bytes stream = encode_frame(large(100'000));
  stream[50'000] ^= std::byte{1};
  FrameCutter cutter;
  cutter.feed(ByteView(stream).first(60'000));
  EXPECT_FALSE(*cutter.next());
  cutter.feed(ByteView(stream).subspan(60'000));
  EXPECT_FALSE(cutter.next());
}

TEST(FrameCutter, NoMemoryIsTakenForAFrameAboveTheLimit) {
  const Bytes stream = encode_frame(large(100'000));
  FrameCutter cutter;
  cutter.limit(5000);
  cutter.feed(ByteView(stream).first(1000));
  EXPECT_FALSE(*cutter.next());
  EXPECT_TRUE(cutter.place().empty());
  EXPECT_EQ(cutter.buffered(), 1000U);
  cutter.limit(kHeaderSize + kMaxPayload);
  EXPECT_FALSE(*cutter.next());
  EXPECT_FALSE(cutter.place().empty());
}

TEST(Packet, IsTheSameFrameAsOneInTwoSteps) {
  const Bytes bytes(5000, std::byte{3});
  const CheckpointPut put{"jobs", {{"data", bytes}}, CommitLevel::kReplicated, 5};
  EXPECT_EQ(to_packet(put, 7, Incarnation(3)).bytes, encode_frame(to_frame(put, 7, Incarnation(3))));
  EXPECT_EQ(to_packet(put, 7).request, 7U);
}

TEST(FrameCutter, EveryFlippedBitIsRefusedOrLeavesTheFrameUnfinished) {
  const Bytes good = encode_frame(sample());
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    Bytes bad = good;
    bad[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    FrameCutter cutter;
    cutter.feed(bad);
    const auto frame = cutter.next();
    // A larger length leaves the frame waiting for bytes; anything else must be an error. Never a frame.
    EXPECT_FALSE(frame && *frame) << "bit " << bit;
  }
}

TEST(FrameCutter, GarbageIsAnError) {
  Prng prng(11);
  for (int round = 0; round < 1000; ++round) {
    Bytes bytes(kHeaderSize + prng.below(64));
    for (auto& b : bytes) b = static_cast<std::byte>(prng.below(256));
    FrameCutter cutter;
    cutter.feed(bytes);
    EXPECT_FALSE(cutter.next());
  }
}

TEST(FrameCutter, AnotherMajorVersionIsNamed) {
  Bytes bytes = encode_frame(sample());
  bytes[4] = std::byte{9};
  FrameCutter cutter;
  cutter.feed(bytes);
  const auto frame = cutter.next();
  ASSERT_FALSE(frame);
  EXPECT_EQ(frame.error().code, ErrorCode::kVersionMismatch);
}

TEST(Codec, ACountThatCannotBeIsRefusedBeforeItAllocates) {
  Bytes payload = encode(CheckpointBegin{"a", {}});
  payload.resize(payload.size() - 4);
  ByteWriter(payload).integer(std::uint32_t{60'000});
  EXPECT_FALSE(decode<CheckpointBegin>(payload, "begin"));
}

TEST(Codec, EveryTruncationIsRefused) {
  const Bytes payload = encode(CheckpointBegin{"jobs", {{"queue", 10}}});
  for (std::size_t size = 0; size < payload.size(); ++size)
    EXPECT_FALSE(decode<CheckpointBegin>(ByteView(payload).first(size), "begin")) << size;
}

TEST(Versions, TheHighestCommonOneIsAgreed) {
  EXPECT_EQ(*agree({1, 4}, {2, 7}), 4);
  EXPECT_EQ(agree({1, 2}, {3, 4}).error().code, ErrorCode::kVersionMismatch);
}

// --- neighbouring minor versions ---

// A message as this release knows it, and as a release of minor version 1 that appended a field declares it.
struct Now {
  static constexpr MessageType kType = MessageType::kStatusQuery;
  std::string text;
  RK_FIELDS(text)
};
struct Next {
  static constexpr MessageType kType = MessageType::kStatusQuery;
  std::string text;
  std::uint32_t color = 7;
  RK_FIELDS(text, kSince<1>, color)
};

Frame of_minor(Frame frame, std::uint16_t minor) {
  frame.minor = minor;
  return frame;
}

// Through the wire's bytes, with these feature bits in the header.
Result<Frame> carried(const Frame& frame, std::uint32_t features = kFeatures) {
  Bytes bytes = encode_frame(frame);
  Bytes field;
  ByteWriter(field).integer(features);
  std::copy(field.begin(), field.end(), bytes.begin() + 8);
  StreamingChecksum sum;
  sum.update(ByteView(bytes).first(40));
  sum.update(ByteView(bytes).subspan(kHeaderSize));
  field.clear();
  ByteWriter(field).integer(sum.digest());
  std::copy(field.begin(), field.end(), bytes.begin() + 40);
  FrameCutter cutter;
  cutter.feed(bytes);
  RK_TRY(auto cut, cutter.next());
  if (!cut) return fail(ErrorCode::kCorrupt, "no whole frame");
  return *std::move(cut);
}

TEST(Minor, AnAppendedFieldOfAHigherMinorIsIgnored) {
  const auto frame = carried(of_minor(to_frame(Next{"a", 9}), kFormatMinor + 1));
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->minor, kFormatMinor + 1);
  const auto message = from_frame<Now>(*frame);
  ASSERT_TRUE(message) << message.error().message;
  EXPECT_EQ(message->text, "a");
}

TEST(Minor, TheSameBytesOfOurMinorAreRefused) {
  const auto frame = carried(to_frame(Next{"a", 9}));
  ASSERT_TRUE(frame);
  EXPECT_EQ(from_frame<Now>(*frame).error().code, ErrorCode::kCorrupt);
}

TEST(Minor, AFieldThatIsMissingIsRefusedOfAHigherMinorToo) {
  Frame frame = of_minor(to_frame(Now{"abc"}), kFormatMinor + 1);
  for (frame.payload.pop_back(); !frame.payload.empty(); frame.payload.pop_back()) EXPECT_FALSE(from_frame<Now>(frame));
}

// As a release of minor version 1 reads what this release and its own send.
TEST(Minor, AFieldThatALowerMinorDoesNotHaveKeepsItsDefault) {
  const auto old = decode<Next>(encode(Now{"a"}), "message", 0, 1);
  ASSERT_TRUE(old) << old.error().message;
  EXPECT_EQ(old->text, "a");
  EXPECT_EQ(old->color, 7U);
  EXPECT_EQ(decode<Next>(encode(Next{"a", 9}), "message", 1, 1)->color, 9U);
  EXPECT_FALSE(decode<Next>(encode(Now{"a"}), "message", 1, 1)) << "missing, though its sender has it";
  EXPECT_FALSE(decode<Next>(encode(Next{"a", 9}), "message", 0, 1)) << "left over of a lower minor";
}

TEST(Minor, OptionalFeatureBitsAreIgnoredAndRequiredOnesRefused) {
  for (unsigned bit = 0; bit < 32; ++bit) {
    const auto frame = carried(sample(), 1U << bit);
    ASSERT_EQ(frame.has_value(), bit >= 16) << "bit " << bit;
    if (frame) {
      EXPECT_TRUE(from_frame<CheckpointBegin>(*frame));
    } else {
      EXPECT_EQ(frame.error().code, ErrorCode::kVersionMismatch);
    }
  }
}

TEST(Minor, AHelloOffersTheNeighbourBelow) {
  EXPECT_LE(kFormatMinor - kLowestMinor, 1);
  EXPECT_EQ(*agree(VersionRange{}, {kFormatMinor, kFormatMinor + 1}), kFormatMinor) << "the next release";
  EXPECT_EQ(*agree(VersionRange{}, {kLowestMinor, kLowestMinor}), kLowestMinor) << "the one before";
}

}  // namespace
}  // namespace rk::wire

// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace rk::wire

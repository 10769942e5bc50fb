// SPDX-License-Identifier: Apache-2.0
// The exact bytes of each release stay here for ever: a change of any of them breaks clusters of mixed releases.
#include <gtest/gtest.h>

#include "wire/keep_messages.h"
#include "wire/version_sum.h"

namespace rk::wire {
namespace {

TEST(Golden, Release_0_1_KeepMessageNumbers) {
  EXPECT_EQ(static_cast<int>(CopyOffer::kType), 0x240);
  EXPECT_EQ(static_cast<int>(CopyChunk::kType), 0x241);
  EXPECT_EQ(static_cast<int>(CopyAnswer::kType), 0x242);
  EXPECT_EQ(static_cast<int>(CopyFetch::kType), 0x243);
  EXPECT_EQ(static_cast<int>(CopyRetain::kType), 0x244);
  EXPECT_EQ(static_cast<int>(KeepLookup::kType), 0x245);
  EXPECT_EQ(static_cast<int>(KeepLookupAnswer::kType), 0x246);
  EXPECT_EQ(static_cast<int>(KeepRemove::kType), 0x247);
  EXPECT_EQ(static_cast<int>(KeepRemoved::kType), 0x248);
  EXPECT_EQ(static_cast<int>(KeepOutdate::kType), 0x249);
  EXPECT_EQ(static_cast<int>(KeepOutdated::kType), 0x24a);
  EXPECT_EQ(static_cast<int>(KeepNames::kType), 0x24b);
  EXPECT_EQ(static_cast<int>(KeepNamesHeard::kType), 0x24c);
  EXPECT_EQ(static_cast<int>(KeepList::kType), 0x24d);
  EXPECT_EQ(static_cast<int>(KeepListed::kType), 0x24e);
  EXPECT_EQ(static_cast<int>(KeepDamaged::kType), 0x24f);
  EXPECT_EQ(static_cast<int>(KeepDamagedHeard::kType), 0x250);
  EXPECT_EQ(static_cast<int>(KeepSuspect::kType), 0x251);
  EXPECT_EQ(static_cast<int>(KeepVerify::kType), 0x252);
  EXPECT_EQ(static_cast<int>(KeepVerified::kType), 0x253);
  EXPECT_EQ(static_cast<int>(CheckpointRelease::kType), 0x11e);
  EXPECT_EQ(static_cast<int>(CheckpointInspect::kType), 0x11f);
  EXPECT_EQ(static_cast<int>(CheckpointInspected::kType), 0x120);
  EXPECT_EQ(static_cast<int>(CheckpointPut::kType), 0x121);
  EXPECT_EQ(static_cast<int>(CheckpointDamaged::kType), 0x122);
  EXPECT_EQ(static_cast<int>(CheckpointVerify::kType), 0x123);
  EXPECT_EQ(static_cast<int>(CheckpointVerified::kType), 0x124);
}

TEST(Golden, Release_0_1_CopyChunk) {
  const Bytes bytes{std::byte{0xaa}, std::byte{0xbb}};
  const CopyChunk chunk{0x0102, 0x10, bytes};
  EXPECT_EQ(to_hex(encode(chunk)),
            "0201000000000000"
            "1000000000000000"
            "02000000"
            "aabb");
}

TEST(Golden, Release_0_1_CopyAnswer) {
  const CopyAnswer answer{ViewNumber(3), 4, CopyResult::kRefused, "no"};
  EXPECT_EQ(to_hex(encode(answer)),
            "0300000000000000"
            "0400000000000000"
            "02"
            "02000000"
            "6e6f");
}

// The counts of bytes on the links rest on it.
TEST(Golden, Release_0_1_CopyChunkHead) {
  EXPECT_EQ(encode(CopyChunk{1, 2, {}}).size(), kCopyChunkHeadBytes);
  EXPECT_EQ(static_cast<int>(CopyResult::kNeedsWhole), 6);
}

TEST(Golden, Release_0_1_KeepLookup) {
  const KeepLookup lookup{ViewNumber(1), 2, true, {OwnerId(1000), KeepKind::kGroup, "g"}, false};
  EXPECT_EQ(to_hex(encode(lookup)),
            "0100000000000000"
            "0200000000000000"
            "01"
            "e8030000"
            "01"
            "01000000"
            "67"
            "00");
}

// The identity of a version's content may never be computed in another way.
TEST(Golden, Release_0_1_VersionSum) {
  EXPECT_EQ(version_sum(std::vector<SectionPlace>{}), 0x2d06800538d394c2ULL);
  Bytes table;
  ByteWriter writer(table);
  writer.text("data");
  writer.integer(std::uint64_t{5});
  writer.integer(std::uint64_t{9});
  EXPECT_EQ(version_sum(std::vector<SectionPlace>{{"data", 4096, 5, 9}}), checksum(table));
}

}  // namespace
}  // namespace rk::wire

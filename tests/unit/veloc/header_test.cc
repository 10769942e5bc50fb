// SPDX-License-Identifier: Apache-2.0
#include "veloc/header.h"

#include <gtest/gtest.h>

namespace rk::veloc {
namespace {

Header example() {
  Header header;
  header.version = 40;
  header.rank = 2;
  header.ranks = 3;
  header.attempt = {7, 0x1122334455667788};
  header.name = "heat";
  header.pieces = {{.id = -4, .size = 100}, {.is_file = true, .file = "out/a", .size = 1}, {.id = 9, .size = 0}};
  EXPECT_TRUE(place_pieces(header));
  return header;
}

TEST(VelocHeader, WhatIsWrittenIsRead) {
  const Header header = example();
  EXPECT_EQ(header.data_bytes, 192U);
  const auto read = decode(encode(header), header.data_bytes);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_FALSE(read->marker);
  EXPECT_EQ(read->version, 40);
  EXPECT_EQ(read->rank, 2U);
  EXPECT_EQ(read->ranks, 3U);
  EXPECT_EQ(read->attempt, header.attempt);
  EXPECT_EQ(read->name, "heat");
  ASSERT_NE(read->region(-4), nullptr);
  EXPECT_EQ(read->region(-4)->size, 100U);
  ASSERT_NE(read->file("out/a"), nullptr);
  EXPECT_EQ(read->file("out/a")->offset, 128U);
  EXPECT_EQ(read->region(0), nullptr) << "the id of a file is none";
  EXPECT_EQ(read->file("a"), nullptr);
}

// Versions of this release are read by the next ones.
TEST(VelocHeader, GoldenBytes) {
  Header header;
  header.version = 1;
  header.ranks = 1;
  header.attempt = {2, 3};
  header.name = "n";
  header.pieces = {{.id = 5, .size = 6}};
  ASSERT_TRUE(place_pieces(header));
  EXPECT_EQ(to_hex(encode(header)),
            "524b5643"
            "0100"
            "0100"
            "01000000"
            "00000000"
            "01000000"
            "0200000000000000"
            "0300000000000000"
            "0000000000000000"
            "4000000000000000"
            "010000006e"
            "01000000"
            "01"
            "05000000"
            "00000000"
            "0000000000000000"
            "0600000000000000");
}

TEST(VelocHeader, EveryShorterOneIsRefused) {
  const Bytes whole = encode(example());
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_FALSE(decode(ByteView(whole).first(size), 192)) << size;
  Bytes longer = whole;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(decode(longer, 192));
}

TEST(VelocHeader, PiecesLieWithinTheData) {
  const Header header = example();
  EXPECT_FALSE(decode(encode(header), 191)) << "data of another size";
  for (const std::uint64_t offset : {std::uint64_t{193}, UINT64_MAX, UINT64_MAX - 50}) {
    Header wrong = header;
    wrong.pieces[0].offset = offset;
    EXPECT_FALSE(decode(encode(wrong), 192)) << offset;
  }
  for (const std::uint64_t size : {std::uint64_t{193}, UINT64_MAX}) {
    Header wrong = header;
    wrong.pieces[0].size = size;
    EXPECT_FALSE(decode(encode(wrong), 192)) << size;
  }
}

// Whatever a byte becomes, what is read stays within its bounds.
TEST(VelocHeader, FlippedBytesNeverReachOutside) {
  const Bytes whole = encode(example());
  int refused = 0;
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      Bytes flipped = whole;
      flipped[at] ^= static_cast<std::byte>(1U << bit);
      const auto read = decode(flipped, 192);
      if (!read) {
        ++refused;
        continue;
      }
      for (const Piece& piece : read->pieces) {
        EXPECT_LE(piece.offset, 192U);
        EXPECT_LE(piece.size, 192U - piece.offset);
      }
    }
  }
  EXPECT_GT(refused, 100);
}

TEST(VelocHeader, SizesThatCannotBeAddedAreRefused) {
  Header header;
  header.pieces = {{.id = 1, .size = UINT64_MAX / 2}, {.id = 2, .size = UINT64_MAX / 2}};
  EXPECT_FALSE(place_pieces(header));
}

}  // namespace
}  // namespace rk::veloc

// SPDX-License-Identifier: Apache-2.0
#include "keep/changed_pages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "base/prng.h"

namespace rk::keep {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using wire::PageRange;

constexpr std::uint64_t kPage = wire::kChangedPageBytes;

Bytes filled(std::uint64_t size, std::uint64_t seed) {
  Prng prng(seed);
  Bytes out(size);
  for (std::byte& byte : out) byte = static_cast<std::byte>(prng.below(256));
  return out;
}

std::optional<PageRanges> compared(const Bytes& version, const Bytes& base) {
  ChangedPages pages(version.size());
  pages.compare(0, version, base);
  return pages.ranges();
}

// What a receiver makes of the base and the stream.
Bytes put_together(const Bytes& base, const Bytes& version, const PageRanges& ranges, std::uint64_t chunk) {
  PageStream sent(ranges, version.size());
  Bytes stream;
  while (sent.left() > 0) {
    const auto piece = sent.next(chunk);
    EXPECT_LE(piece.size, chunk);
    stream.insert(stream.end(), version.begin() + static_cast<std::ptrdiff_t>(piece.offset),
                  version.begin() + static_cast<std::ptrdiff_t>(piece.offset + piece.size));
  }
  EXPECT_EQ(stream.size(), bytes_in(ranges, version.size()));
  Bytes out(version.size());
  PageStream taken(ranges, version.size());
  for (std::size_t at = 0; taken.left() > 0;) {
    const auto piece = taken.next(777);
    std::copy_n(stream.begin() + static_cast<std::ptrdiff_t>(at), piece.size,
                out.begin() + static_cast<std::ptrdiff_t>(piece.offset));
    at += piece.size;
  }
  // In pieces that end anywhere.
  for (std::uint64_t at = 0; at < out.size(); at += 5000)
    copy_unchanged(ranges, base, out, at, std::min<std::uint64_t>(5000, out.size() - at));
  return out;
}

TEST(ChangedPages, AreFoundWhereverTheyLie) {
  const Bytes base = filled(6 * kPage + 100, 1);
  Bytes version = base;
  EXPECT_THAT(*compared(version, base), IsEmpty());
  version[0] ^= std::byte{1};
  version[3 * kPage - 1] ^= std::byte{1};
  version[3 * kPage] ^= std::byte{1};
  version.back() ^= std::byte{1};
  EXPECT_THAT(*compared(version, base), ElementsAre(PageRange{0, 1}, PageRange{2, 2}, PageRange{6, 1}));
  EXPECT_EQ(bytes_in(*compared(version, base), version.size()), 3 * kPage + 100);
  EXPECT_EQ(put_together(base, version, *compared(version, base), 1000), version);
}

// A shell compares section by section, and each in pieces.
TEST(ChangedPages, AreTheSameWhenComparedInPieces) {
  const Bytes base = filled(40 * kPage, 2);
  Bytes version = base;
  for (const std::size_t at : {100UL, 9000UL, 9001UL, 30000UL, 90000UL, 163000UL}) version[at] ^= std::byte{1};
  ChangedPages pages(version.size());
  for (std::uint64_t at = 0; at < version.size(); at += 3000) {
    const std::uint64_t size = std::min<std::uint64_t>(3000, version.size() - at);
    pages.compare(at, ByteView(version).subspan(at, size), ByteView(base).subspan(at, size));
  }
  EXPECT_EQ(pages.ranges(), compared(version, base));
  EXPECT_EQ(put_together(base, version, *pages.ranges(), 256 << 10), version);
}

TEST(ChangedPages, GivesUpWhenMostIsChanged) {
  const Bytes base = filled(80 * kPage, 3);
  Bytes version = base;
  for (std::uint64_t page = 0; page < 70; ++page) version[page * kPage] ^= std::byte{1};
  ASSERT_TRUE(compared(version, base));
  EXPECT_EQ(put_together(base, version, *compared(version, base), 4096), version);
  version[75 * kPage] ^= std::byte{1};
  EXPECT_FALSE(compared(version, base)) << "more than 7 of 8";
  const Bytes one(kPage, std::byte{1});
  EXPECT_FALSE(compared(one, Bytes(kPage, std::byte{2})));
}

TEST(ChangedPages, AreHardlyComparedWhenNoneOfAFewIsTheSame) {
  const Bytes base = filled(1000 * kPage, 4);
  Bytes version = filled(1000 * kPage, 5);
  EXPECT_FALSE(ChangedPages::worth_comparing(version, base));
  std::copy(base.begin(), base.begin() + 500 * kPage, version.begin());
  EXPECT_TRUE(ChangedPages::worth_comparing(version, base));
  EXPECT_TRUE(ChangedPages::worth_comparing(Bytes(10, std::byte{1}), Bytes(10, std::byte{1})));
  EXPECT_FALSE(ChangedPages::worth_comparing(Bytes(10, std::byte{1}), Bytes(10, std::byte{2})));
}

TEST(ChangedPages, AreBoundedInNumberAndMissNone) {
  constexpr std::uint64_t kRanges = wire::kMaxChangedRanges + 1000;
  const Bytes base(kRanges * 4 * kPage);
  Bytes version = base;
  // One page of two, and later one of six.
  for (std::uint64_t range = 0; range < kRanges; ++range)
    version[(range < kRanges / 2 ? range * 2 : kRanges + (range - kRanges / 2) * 6) * kPage] = std::byte{1};
  const auto ranges = compared(version, base);
  ASSERT_TRUE(ranges);
  EXPECT_LE(ranges->size(), wire::kMaxChangedRanges);
  EXPECT_TRUE(possible(*ranges, version.size()));
  EXPECT_LT(bytes_in(*ranges, version.size()), 2 * kRanges * kPage) << "no more is bridged than it takes";
  EXPECT_EQ(put_together(base, version, *ranges, 256 << 10), version);
}

TEST(ChangedPages, WhatTenPercentOfThemTakeIsHardlyMoreThanTheirBytes) {
  const std::uint64_t total = 256 << 20;
  const Bytes base(total);
  Bytes version(total);
  Prng prng(6);
  std::uint64_t changed = 0;
  for (std::uint64_t page = 0; page < total / kPage; ++page)
    if (prng.chance(1, 10)) version[page * kPage] = std::byte{1}, ++changed;
  const auto ranges = compared(version, base);
  ASSERT_TRUE(ranges);
  EXPECT_EQ(bytes_in(*ranges, total), changed * kPage);
  EXPECT_LE(ranges->size() * sizeof(PageRange), changed * kPage / 100);
}

TEST(ChangedPages, AreRefusedWhereNoneCanBe) {
  const std::uint64_t total = 10 * kPage + 1;
  EXPECT_TRUE(possible(PageRanges{}, total));
  EXPECT_TRUE(possible(PageRanges{{0, 2}, {3, 8}}, total));
  EXPECT_FALSE(possible(PageRanges{{3, 9}}, total)) << "outside";
  EXPECT_FALSE(possible(PageRanges{{0, 0}}, total)) << "empty";
  EXPECT_FALSE(possible(PageRanges{{4, 1}, {2, 1}}, total)) << "backwards";
  EXPECT_FALSE(possible(PageRanges{{2, 2}, {3, 1}}, total)) << "twice";
  EXPECT_FALSE(possible(PageRanges{{2, 1}, {3, 1}}, total)) << "one range in two";
  EXPECT_FALSE(possible(PageRanges{{UINT32_MAX, UINT32_MAX}}, total));
  EXPECT_FALSE(possible(PageRanges{{0, 1}}, 0));
  PageRanges many;
  for (std::uint32_t i = 0; i <= wire::kMaxChangedRanges; ++i) many.push_back({2 * i, 1});
  EXPECT_FALSE(possible(many, std::uint64_t{1} << 40U)) << "too many";
  many.pop_back();
  EXPECT_TRUE(possible(many, std::uint64_t{1} << 40U));
}

}  // namespace
}  // namespace rk::keep

// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/checksum_kernels.h"
#include "base/prng.h"
#include "base/result.h"

namespace rk {
namespace {

TEST(Bytes, IntegersAreLittleEndian) {
  Bytes out;
  ByteWriter writer(out);
  writer.integer(std::uint32_t{0x01020304});
  writer.integer(std::int16_t{-2});
  EXPECT_EQ(to_hex(out), "04030201feff");
  ByteReader reader(out);
  EXPECT_EQ(reader.integer<std::uint32_t>(), 0x01020304U);
  EXPECT_EQ(reader.integer<std::int16_t>(), -2);
  EXPECT_TRUE(reader.finish("record"));
}

TEST(Bytes, ReadingPastTheEndSticks) {
  const Bytes three(3);
  ByteReader reader(three);
  EXPECT_EQ(reader.integer<std::uint64_t>(), 0U);
  EXPECT_EQ(reader.integer<std::uint8_t>(), 0U);
  const Status status = reader.finish("record");
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kCorrupt);
}

TEST(Bytes, BlobAboveItsLimitIsRefused) {
  Bytes out;
  ByteWriter(out).text("hello");
  ByteReader reader(out);
  EXPECT_EQ(reader.text(4), "");
  EXPECT_TRUE(reader.failed());
}

TEST(Bytes, LeftOverBytesAreRefused) {
  const Bytes two(2);
  ByteReader reader(two);
  reader.integer<std::uint8_t>();
  EXPECT_FALSE(reader.finish("record"));
}

TEST(Checksum, StreamingEqualsWhole) {
  const Bytes data(100'000, std::byte{0x5a});
  StreamingChecksum streaming;
  streaming.update(ByteView(data).first(12'345));
  streaming.update(ByteView(data).subspan(12'345));
  EXPECT_EQ(streaming.digest(), checksum(data));
}

TEST(Checksum, WhatIsCopiedIsSummed) {
  Prng prng(7);
  Bytes from((std::size_t{9} << 20U) + 200);
  for (auto& b : from) b = static_cast<std::byte>(prng.below(256));
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{63}, std::size_t{64}, std::size_t{8192},
                                 std::size_t{20'000}, (std::size_t{8} << 20U) - 1, std::size_t{9} << 20U}) {
    for (const std::size_t offset : {0U, 1U, 33U, 64U, 100U}) {
      const ByteView bytes = ByteView(from).subspan(offset, size);
      Bytes to(size + 128, std::byte{0x77});
      StreamingChecksum sum;
      sum.copy(to.data() + 64 - offset % 64, bytes);
      EXPECT_EQ(sum.digest(), checksum(bytes)) << size << " bytes from " << offset;
      Bytes expected(size + 128, std::byte{0x77});
      std::copy(bytes.begin(), bytes.end(), expected.begin() + static_cast<std::ptrdiff_t>(64 - offset % 64));
      EXPECT_TRUE(to == expected) << size << " bytes from " << offset;
    }
  }
}

// The value is that of the published XXH3-64 test vector for the empty input: the algorithm may never change silently.
TEST(Checksum, EveryProcessorsCodeGivesTheSame) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") == 0) GTEST_SKIP() << "this processor has no AVX2";
  Prng prng(5);
  for (const std::size_t size : {0U, 1U, 16U, 100U, 240U, 241U, 1023U, 1025U, 100'000U}) {
    Bytes bytes(size);
    for (auto& b : bytes) b = static_cast<std::byte>(prng.below(256));
    std::vector<std::uint64_t> sums;
    for (const auto* kernel : {&checksum_kernels::kPortable, &checksum_kernels::kAvx2}) {
      sums.push_back(kernel->whole(bytes.data(), size));
      XXH3_state_t state;
      XXH3_64bits_reset(&state);
      kernel->update(&state, bytes.data(), size / 3);
      kernel->update(&state, bytes.data() + size / 3, size - size / 3);
      sums.push_back(kernel->digest(&state));
    }
    EXPECT_EQ(std::set<std::uint64_t>(sums.begin(), sums.end()).size(), 1U) << size << " bytes";
  }
#else
  GTEST_SKIP() << "there is one code only";
#endif
}

TEST(Checksum, IsXxh3) { EXPECT_EQ(checksum({}), 0x2d06800538d394c2ULL); }

TEST(Prng, IsTheSameOnEveryPlatform) {
  Prng prng(1);
  EXPECT_EQ(prng.next(), 0x910a2dec89025cc1ULL);
  for (int i = 0; i < 1000; ++i) EXPECT_LT(prng.below(7), 7U);
}

Result<int> half(int x) {
  if (x % 2 != 0) return fail(ErrorCode::kInvalidArgument, "odd");
  return x / 2;
}

Result<int> quarter(int x) {
  RK_TRY(const int h, half(x));
  return half(h);
}

TEST(Result, TryReturnsTheError) {
  EXPECT_EQ(*quarter(8), 2);
  EXPECT_EQ(quarter(6).error().message, "odd");
}

}  // namespace
}  // namespace rk

// SPDX-License-Identifier: Apache-2.0
#include "daemon/state_files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "base/checksum.h"

namespace rk::daemon {
namespace {

class StateDirectory : public ::testing::Test {
 protected:
  StateDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "ringkeep-state-XXXXXX").string();
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  ~StateDirectory() override { std::filesystem::remove_all(directory_); }
  std::string directory_;
};

TEST(StateFormat, Release_0_1_Golden) {
  const Bytes file = encode_state(StateKind::kIncarnation, Bytes(2, std::byte{5}));
  EXPECT_EQ(to_hex(file),
            "524b7374"
            "0100"
            "0000"
            "00000000"
            "01000000"
            "02000000"
            "de5e5834ba3d369d"
            "0505");
  EXPECT_EQ(decode_state(StateKind::kIncarnation, file)->payload, Bytes(2, std::byte{5}));
}

// The same state as another release writes it.
Bytes of_release(Bytes file, std::uint16_t minor, std::uint32_t features) {
  Bytes head;
  ByteWriter writer(head);
  writer.integer(minor);
  writer.integer(features);
  std::copy(head.begin(), head.end(), file.begin() + 6);
  StreamingChecksum sum;
  sum.update(ByteView(file).first(20));
  sum.update(ByteView(file).subspan(28));
  head.clear();
  ByteWriter(head).integer(sum.digest());
  std::copy(head.begin(), head.end(), file.begin() + 20);
  return file;
}

TEST(StateFormat, AHigherMinorVersionAndOptionalFeaturesAreRead) {
  const Bytes file = encode_state(StateKind::kRing, Bytes(2, std::byte{5}));
  const auto same = decode_state(StateKind::kRing, of_release(file, 0, 0));
  ASSERT_TRUE(same);
  EXPECT_FALSE(same->newer);
  const auto next = decode_state(StateKind::kRing, of_release(file, 1, 0x80010000));
  ASSERT_TRUE(next) << next.error().message;
  EXPECT_TRUE(next->newer);
  EXPECT_EQ(next->payload, Bytes(2, std::byte{5}));
  EXPECT_EQ(decode_state(StateKind::kRing, of_release(file, 1, 0x8000)).error().code, ErrorCode::kVersionMismatch);
}

TEST(StateFormat, EveryDamageIsFound) {
  const Bytes good = encode_state(StateKind::kRing, Bytes(20, std::byte{5}));
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    Bytes bad = good;
    bad[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    EXPECT_FALSE(decode_state(StateKind::kRing, bad)) << bit;
  }
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(decode_state(StateKind::kRing, ByteView(good).first(size))) << size;
  EXPECT_FALSE(decode_state(StateKind::kIncarnation, good)) << "of another kind";
}

TEST_F(StateDirectory, IncarnationsRiseEvenWhenTheClockGoesBack) {
  Incarnation last;
  for (const std::uint64_t clock_ms : {1000ULL, 1000ULL, 500ULL, 7000ULL}) {
    auto files = StateFiles::open(directory_);
    ASSERT_TRUE(files) << files.error().message;
    const auto next = files->next_incarnation(clock_ms);
    ASSERT_TRUE(next);
    EXPECT_GT(*next, last);
    last = *next;
  }
  EXPECT_EQ(last, Incarnation(7000));
}

// A server goes back from the next release to this one: its next life is still a newer one.
TEST_F(StateDirectory, TheIncarnationOfAHigherMinorVersionCounts) {
  { ASSERT_TRUE(StateFiles::open(directory_).value().next_incarnation(1)); }
  Bytes payload;
  ByteWriter(payload).integer(std::uint64_t{9000});
  ByteWriter(payload).text("appended");
  const auto replace = [&](std::uint16_t minor) {
    const Bytes file = of_release(encode_state(StateKind::kIncarnation, payload), minor, 0);
    std::ofstream(directory_ + "/incarnation", std::ios::binary)
        .write(reinterpret_cast<const char*>(file.data()), static_cast<std::streamsize>(file.size()));
  };
  replace(0);
  EXPECT_EQ(StateFiles::open(directory_).value().next_incarnation(1).error().code, ErrorCode::kCorrupt);
  replace(1);
  auto files = StateFiles::open(directory_);
  ASSERT_TRUE(files) << files.error().message;
  EXPECT_EQ(files->next_incarnation(1).value(), Incarnation(9001));
}

TEST_F(StateDirectory, WhatWasWrittenIsReadInTheNextLife) {
  {
    auto files = StateFiles::open(directory_).value();
    EXPECT_EQ(files.read(StateKind::kRing).value(), Bytes()) << "empty before the first write";
    ASSERT_TRUE(files.next_incarnation(1));
    ASSERT_TRUE(files.write(StateKind::kRing, as_bytes("views")));
    ASSERT_TRUE(files.write(StateKind::kRing, as_bytes("newer")));
  }
  std::ofstream(directory_ + "/ring.new") << "half a write";  // what a crash leaves
  auto files = StateFiles::open(directory_).value();
  const ByteView newer = as_bytes("newer");
  EXPECT_EQ(files.read(StateKind::kRing).value(), Bytes(newer.begin(), newer.end()));
}

TEST_F(StateDirectory, ALostRingMemoryIsNotTakenForAFirstLife) {
  { ASSERT_TRUE(StateFiles::open(directory_).value().next_incarnation(1)); }
  std::filesystem::remove(directory_ + "/ring");
  EXPECT_EQ(StateFiles::open(directory_).value().read(StateKind::kRing).value(), std::nullopt);
}

TEST_F(StateDirectory, OneServerAtATime) {
  {
    const auto first = StateFiles::open(directory_);
    ASSERT_TRUE(first);
    const auto second = StateFiles::open(directory_);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, ErrorCode::kExists);
  }
  EXPECT_TRUE(StateFiles::open(directory_));
}

TEST_F(StateDirectory, ADirectoryOpenToOthersIsRefused) {
  ASSERT_EQ(::chmod(directory_.c_str(), 0710), 0);
  EXPECT_EQ(StateFiles::open(directory_).error().code, ErrorCode::kPermission);
}

}  // namespace
}  // namespace rk::daemon

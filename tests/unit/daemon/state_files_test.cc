// SPDX-License-Identifier: Apache-2.0
#include "daemon/state_files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

namespace rk::daemon {
namespace {

class State : public ::testing::Test {
 protected:
  State() {
    std::string pattern = (std::filesystem::temp_directory_path() / "ringkeep-state-XXXXXX").string();
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  ~State() override { std::filesystem::remove_all(directory_); }
  std::string directory_;
};

TEST(StateFormat, Release_0_1_Golden) {
  const Bytes file = encode_state(StateKind::kIncarnation, Bytes(2, std::byte{5}));
  EXPECT_EQ(to_hex(file).substr(0, 40),
            "524b7374"
            "0100"
            "0000"
            "00000000"
            "01000000"
            "02000000");
  EXPECT_EQ(file.size(), 30U);
  EXPECT_EQ(decode_state(StateKind::kIncarnation, file), Bytes(2, std::byte{5}));
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

TEST_F(State, IncarnationsRiseEvenWhenTheClockGoesBack) {
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

TEST_F(State, WhatWasWrittenIsReadInTheNextLife) {
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

TEST_F(State, ALostRingMemoryIsNotTakenForAFirstLife) {
  { ASSERT_TRUE(StateFiles::open(directory_).value().next_incarnation(1)); }
  std::filesystem::remove(directory_ + "/ring");
  EXPECT_EQ(StateFiles::open(directory_).value().read(StateKind::kRing).value(), std::nullopt);
}

TEST_F(State, OneServerAtATime) {
  {
    const auto first = StateFiles::open(directory_);
    ASSERT_TRUE(first);
    const auto second = StateFiles::open(directory_);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, ErrorCode::kExists);
  }
  EXPECT_TRUE(StateFiles::open(directory_));
}

TEST_F(State, ADirectoryOpenToOthersIsRefused) {
  ASSERT_EQ(::chmod(directory_.c_str(), 0710), 0);
  EXPECT_EQ(StateFiles::open(directory_).error().code, ErrorCode::kPermission);
}

}  // namespace
}  // namespace rk::daemon

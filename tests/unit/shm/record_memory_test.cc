// SPDX-License-Identifier: Apache-2.0
#include "shm/record_memory.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <string>

namespace rk::shm {
namespace {

Bytes bytes_of(const std::string& text) {
  Bytes out;
  for (const char c : text) out.push_back(static_cast<std::byte>(c));
  return out;
}

RecordMemory make(const RecordMemory::Records& records = {}, std::uint64_t spare = 4096) {
  auto memory = RecordMemory::create({std::byte{7}}, records, spare);
  EXPECT_TRUE(memory) << memory.error().message;
  return *std::move(memory);
}

TEST(RecordMemory, TheNewestValueOfEachKeyCounts) {
  RecordMemory memory = make({{bytes_of("a"), bytes_of("1")}});
  EXPECT_TRUE(memory.append(bytes_of("b"), bytes_of("2")));
  EXPECT_TRUE(memory.append(bytes_of("a"), bytes_of("3")));
  EXPECT_TRUE(memory.append(bytes_of("c"), bytes_of("4")));
  EXPECT_TRUE(memory.append(bytes_of("b"), {}));
  const auto contents = memory.contents();
  ASSERT_TRUE(contents) << contents.error().message;
  EXPECT_EQ(contents->label[0], std::byte{7});
  EXPECT_EQ(contents->records, (RecordMemory::Records{{bytes_of("a"), bytes_of("3")}, {bytes_of("c"), bytes_of("4")}}));
}

TEST(RecordMemory, WhatDoesNotFitChangesNothing) {
  RecordMemory memory = make({}, 0);
  std::size_t fitted = 0;
  while (memory.append(bytes_of("key" + std::to_string(fitted)), Bytes(100))) ++fitted;
  EXPECT_GT(fitted, 10U);
  EXPECT_EQ(memory.contents()->records.size(), fitted);
  EXPECT_FALSE(memory.append({}, Bytes(UINT16_MAX)));
  EXPECT_EQ(memory.contents()->records.size(), fitted);
}

TEST(RecordMemory, WhatIsRevokedDoesNotCount) {
  RecordMemory memory = make({{bytes_of("a"), bytes_of("1")}});
  memory.revoke();
  EXPECT_EQ(memory.contents().error().code, ErrorCode::kNotFound);
}

TEST(RecordMemory, AnyChangedByteIsFound) {
  RecordMemory memory = make({{bytes_of("key"), bytes_of("value")}}, 0);
  ASSERT_TRUE(memory.append(bytes_of("other"), bytes_of("more")));
  const auto mapping = Mapping::map(memory.file(), Access::kReadOnly);
  ASSERT_TRUE(mapping);
  const Bytes whole(mapping->bytes().begin(), mapping->bytes().end());
  // The first record has 24 bytes (sums, sizes, "key", "value"), the second 25 and what fills it up to 32.
  const std::size_t end = 64 + 24 + 32;
  const auto means_nothing = [](std::size_t i) {
    const bool optional_feature = i == 10 || i == 11;
    const bool minor_version = i == 6 || i == 7;
    const bool counts = i >= 12 && i < 16;  // any value but 0
    const bool label = i >= 24 && i < 64;
    return optional_feature || minor_version || counts || label || i >= 64 + 24 + 25;
  };
  for (std::size_t i = 0; i < end; ++i) {
    Bytes damaged = whole;
    damaged[i] ^= std::byte{0x10};
    EXPECT_EQ(static_cast<bool>(RecordMemory::read(damaged)), means_nothing(i)) << i;
  }
  for (std::size_t size = 0; size < end; ++size) EXPECT_FALSE(RecordMemory::read(ByteView(whole).first(size))) << size;
}

// A process is killed at any moment of its appends: what had been appended before is there.
TEST(RecordMemory, SurvivesTheDeathOfItsWriter) {
  for (int round = 0; round < 20; ++round) {
    RecordMemory memory = make({}, 4 << 20);
    int pipe_ends[2];
    ASSERT_EQ(::pipe(pipe_ends), 0);
    const pid_t pid = ::fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
      for (std::uint32_t i = 1;; ++i) {
        Bytes value(i % 700 + 4);
        std::memcpy(value.data(), &i, 4);
        if (!memory.append(bytes_of("counter"), value)) ::pause();
        if (::write(pipe_ends[1], &i, sizeof i) != sizeof i) ::_exit(1);
      }
    }
    ::close(pipe_ends[1]);
    std::uint32_t seen = 0;
    std::uint32_t next = 0;
    for (int i = 0; i < 50 + round * 37; ++i)
      if (::read(pipe_ends[0], &next, sizeof next) == sizeof next) seen = next;
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    while (::read(pipe_ends[0], &next, sizeof next) == sizeof next) seen = next;
    ::close(pipe_ends[0]);
    const auto contents = memory.contents();
    ASSERT_TRUE(contents) << contents.error().message;
    std::uint32_t found = 0;
    std::memcpy(&found, contents->records.at(bytes_of("counter")).data(), 4);
    EXPECT_TRUE(found == seen || found == seen + 1) << found << " after " << seen;
  }
}

}  // namespace
}  // namespace rk::shm

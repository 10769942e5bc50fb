// SPDX-License-Identifier: Apache-2.0
#include "shm/memory_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "shm/mapping.h"

namespace rk::shm {
namespace {

constexpr std::uint64_t kSize = 3 * kPageBytes;

TEST(MemoryFile, CannotBeShrunkGrownOrUnsealed) {
  auto file = MemoryFile::create("test", kSize);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_NE(ftruncate(file->descriptor(), 0), 0);
  EXPECT_NE(ftruncate(file->descriptor(), 2 * kSize), 0);
  EXPECT_NE(fcntl(file->descriptor(), F_ADD_SEALS, F_SEAL_WRITE), 0);
  EXPECT_NE(fcntl(file->descriptor(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST(MemoryFile, TakesMemoryWhenTouchedAndGivesItBack) {
  auto file = MemoryFile::create("test", kSize);
  ASSERT_TRUE(file);
  struct stat info {};
  fstat(file->descriptor(), &info);
  EXPECT_EQ(info.st_blocks, 0);
  ASSERT_TRUE(file->touch(kPageBytes, kPageBytes));
  fstat(file->descriptor(), &info);
  EXPECT_EQ(info.st_blocks * 512, static_cast<long>(kPageBytes));
  ASSERT_TRUE(file->discard(0, kSize));
  fstat(file->descriptor(), &info);
  EXPECT_EQ(info.st_blocks, 0);
}

TEST(MemoryFile, RangesOutsideAreRefused) {
  auto file = MemoryFile::create("test", kSize);
  ASSERT_TRUE(file);
  EXPECT_EQ(file->touch(kSize, 1).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(file->touch(1, UINT64_MAX).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(file->discard(0, kSize + 1).error().code, ErrorCode::kInvalidArgument);
}

TEST(MemoryFile, SizeZeroIsRefused) { EXPECT_FALSE(MemoryFile::create("test", 0)); }

TEST(MemoryFile, ReaderSeesWritesAndCannotWrite) {
  auto file = MemoryFile::create("test", kSize);
  ASSERT_TRUE(file);
  auto writable = Mapping::map(*file, Access::kReadWrite);
  ASSERT_TRUE(writable);
  auto reader_fd = file->open_read_only();
  ASSERT_TRUE(reader_fd) << reader_fd.error().message;
  EXPECT_EQ(Mapping::map(reader_fd->get(), kSize, Access::kReadWrite).error().code, ErrorCode::kIo);
  auto reader = Mapping::map(reader_fd->get(), kSize, Access::kReadOnly);
  ASSERT_TRUE(reader);
  std::memcpy(writable->writable().data() + 5000, "hello", 5);
  EXPECT_EQ(std::memcmp(reader->data() + 5000, "hello", 5), 0);
}

TEST(MemoryFile, AdoptRefusesWhatCouldShrink) {
  const int plain = memfd_create("plain", MFD_CLOEXEC);
  ASSERT_GE(plain, 0);
  ASSERT_EQ(ftruncate(plain, kSize), 0);
  EXPECT_EQ(MemoryFile::adopt(Descriptor(plain), kSize).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(MemoryFile::adopt(Descriptor(open("/dev/null", O_RDONLY)), kSize).error().code, ErrorCode::kCorrupt);
}

TEST(MemoryFile, AdoptRefusesLessThanAnnounced) {
  auto file = MemoryFile::create("test", kSize);
  ASSERT_TRUE(file);
  EXPECT_EQ(MemoryFile::adopt(Descriptor(dup(file->descriptor())), kSize + 1).error().code, ErrorCode::kCorrupt);
  EXPECT_TRUE(MemoryFile::adopt(Descriptor(dup(file->descriptor())), kSize));
}

TEST(Mapping, OutlivesItsFileAndMoves) {
  Mapping kept;
  {
    auto file = MemoryFile::create("test", kSize);
    ASSERT_TRUE(file);
    auto mapping = Mapping::map(*file, Access::kReadWrite);
    ASSERT_TRUE(mapping);
    mapping->writable()[0] = std::byte{7};
    kept = std::move(*mapping);
    EXPECT_FALSE(*mapping);
  }
  EXPECT_EQ(kept.bytes()[0], std::byte{7});
  EXPECT_EQ(kept.size(), kSize);
}

TEST(Mapping, PopulateTakesTheMemory) {
  auto file = MemoryFile::create("test", kSize);
  ASSERT_TRUE(file);
  auto mapping = Mapping::map(*file, Access::kReadWrite);
  ASSERT_TRUE(mapping);
  ASSERT_TRUE(mapping->populate(0, kSize));
  struct stat info {};
  fstat(file->descriptor(), &info);
  EXPECT_EQ(info.st_blocks * 512, static_cast<long>(kSize));
  EXPECT_FALSE(mapping->populate(kPageBytes, kSize));
}

TEST(Descriptor, ClosesOnce) {
  const int fd = open("/dev/null", O_RDONLY);
  {
    Descriptor first(fd);
    const Descriptor second = std::move(first);
    EXPECT_EQ(first.get(), -1);
    EXPECT_EQ(second.get(), fd);
  }
  EXPECT_EQ(fcntl(fd, F_GETFD), -1);
}

TEST(MemoryFile, IsWholeUntilSomebodyGivesAPageBack) {
  auto file = MemoryFile::create("test", 4 * kPageBytes);
  ASSERT_TRUE(file);
  EXPECT_FALSE(file->whole());
  ASSERT_TRUE(file->touch(0, 3 * kPageBytes));
  EXPECT_FALSE(file->whole());
  ASSERT_TRUE(file->touch(0, 4 * kPageBytes));
  EXPECT_TRUE(file->whole());
  ASSERT_TRUE(file->discard(kPageBytes, kPageBytes));
  EXPECT_FALSE(file->whole());
}

}  // namespace
}  // namespace rk::shm

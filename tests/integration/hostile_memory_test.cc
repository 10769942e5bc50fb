// SPDX-License-Identifier: Apache-2.0
// What a client can do to the shared memory that a server hands to it. Truncation, growth and sealing are refused by
// the system; what it may write harms its own checkpoint only, and a checksum finds it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <thread>

#include "shm/mapping.h"
#include "tests/integration/api_client.h"
#include "tests/integration/hostile_fixture.h"

namespace rk::testing {
namespace {

constexpr std::uint64_t kBytes = std::uint64_t{1} << 20U;
constexpr std::uint64_t kPage = 4096;

class HostileMemory : public ::testing::Test, protected HostileRing {};

off_t size_of(int fd) {
  struct stat info {};
  EXPECT_EQ(::fstat(fd, &info), 0);
  return info.st_size;
}

// Everything that changes a file's size, or what others may do with it.
void expect_fixed(int fd, const std::string& what) {
  SCOPED_TRACE(what);
  const off_t size = size_of(fd);
  for (const off_t other : {off_t{0}, off_t{1}, size - 1, size + 1, size * 2}) EXPECT_NE(::ftruncate(fd, other), 0);
  EXPECT_NE(::fallocate(fd, 0, size, kPage), 0);
  EXPECT_NE(::fallocate(fd, FALLOC_FL_KEEP_SIZE, size, kPage), 0) << "memory that nobody is charged for";
  EXPECT_NE(::fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, kPage), 0);
  for (const int seal : {F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE, F_SEAL_SEAL, F_SEAL_FUTURE_WRITE})
    EXPECT_NE(::fcntl(fd, F_ADD_SEALS, seal), 0) << seal;
  EXPECT_EQ(size_of(fd), size);
}

std::string own_path(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

TEST_F(HostileMemory, NoDescriptorOfAServerCanBeTruncatedGrownOrSealed) {
  std::uint64_t number = 0;
  attack([&] {
    TestClient client = this->client();
    auto slot = begin(client, "hostile/fixed", kBytes);
    ASSERT_TRUE(slot) << slot.error().message;
    expect_fixed(slot->memory.get(), "a slot for writing");
    ASSERT_EQ(commit(client, *slot)->result, wire::CommitResult::kOk);
    expect_fixed(slot->memory.get(), "the same after its commit");
    std::vector<shm::Descriptor> read;
    ASSERT_TRUE(client.ask<wire::CheckpointContent>(wire::CheckpointOpen{"hostile/fixed", {}}, &read));
    expect_fixed(read.at(0).get(), "a version for reading");
    // A descriptor for writing may be had again by the user that the memory belongs to; its size is as fixed.
    const shm::Descriptor again(::open(own_path(read[0].get()).c_str(), O_RDWR | O_CLOEXEC));
    if (again) expect_fixed(again.get(), "a version for reading, opened for writing");

    const wire::JobCreate job{JobId(0x40577 + ++number), {CommunityId(0), CommunityId(1)}, std::uint64_t{4} << 20U};
    ASSERT_TRUE(client.ask<wire::Done>(job));
    std::vector<shm::Descriptor> own;
    ASSERT_TRUE(client.ask<wire::JobAttached>(wire::JobAttach{job.job, Rank(0)}, &own));
    expect_fixed(own.at(0).get(), "the bells of a job");
    expect_fixed(own.at(1).get(), "an own log segment");
    std::vector<shm::Descriptor> other;
    ASSERT_TRUE(client.ask<wire::SegmentOpened>(wire::SegmentOpen{job.job, Rank(1)}, &other));
    expect_fixed(other.at(0).get(), "another's log segment");
  });
}

TEST_F(HostileMemory, WhatIsReadCannotBeMappedForWriting) {
  attack([&] {
    TestClient client = this->client();
    ASSERT_EQ(put(client, "hostile/read", std::string(5000, 'r'))->result, wire::CommitResult::kOk);
    std::vector<shm::Descriptor> read;
    ASSERT_TRUE(client.ask<wire::CheckpointContent>(wire::CheckpointOpen{"hostile/read", {}}, &read));
    const auto length = static_cast<std::size_t>(size_of(read.at(0).get()));
    EXPECT_EQ(::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, read[0].get(), 0), MAP_FAILED);
    void* const at = ::mmap(nullptr, length, PROT_READ, MAP_SHARED, read[0].get(), 0);
    ASSERT_NE(at, MAP_FAILED);
    EXPECT_NE(::mprotect(at, length, PROT_READ | PROT_WRITE), 0);
    EXPECT_EQ(errno, EACCES);
    EXPECT_NE(::pwrite(read[0].get(), "x", 1, 0), 1);
    EXPECT_NE(::fallocate(read[0].get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, kPage), 0);
    ::munmap(at, length);
  });
}

TEST_F(HostileMemory, WhatAnotherUserReadsCannotBeOpenedForWriting) {
  TestClient owner = client();
  ASSERT_EQ(put(owner, "hostile/mine", std::string(5000, 'm'))->result, wire::CommitResult::kOk);
  std::vector<shm::Descriptor> read;
  ASSERT_TRUE(owner.ask<wire::CheckpointContent>(wire::CheckpointOpen{"hostile/mine", {}}, &read));
  if (::geteuid() != 0) GTEST_SKIP() << "only root can try as another user";
  ASSERT_EQ(::seteuid(65534), 0);
  EXPECT_LT(::open(own_path(read.at(0).get()).c_str(), O_RDWR | O_CLOEXEC), 0);
  EXPECT_NE(::fchmod(read[0].get(), 0666), 0);
  ASSERT_EQ(::seteuid(0), 0);
}

// Holes are pages that the server believes to be there. They are read as zeros: by the checksum at commit and by the
// copy for the predecessor alike.
TEST_F(HostileMemory, HolesInASlotAreZerosAndHarmNobody) {
  attack([&] {
    TestClient client = this->client();
    auto slot = begin(client, "hostile/holes", kBytes);
    ASSERT_TRUE(slot) << slot.error().message;
    ASSERT_EQ(::pwrite(slot->memory.get(), "begins", 6, 0), 6);
    ASSERT_EQ(::fallocate(slot->memory.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, kBytes), 0);
    const auto answer = commit(client, *slot);
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->result, wire::CommitResult::kOk) << answer->reason;
    const Client reader(ring().socket(2));
    EXPECT_EQ(read_all(reader.handle, "hostile/holes"), std::string(kBytes, '\0'));
  });
}

// A slot that is used again must have its memory: a page that its next writer is the first to touch is one that the
// system may not have any more.
TEST_F(HostileMemory, MemoryWithHolesIsNotUsedAgain) {
  TestClient client = this->client();
  auto first = begin(client, "hostile/first", kBytes);
  ASSERT_TRUE(first) << first.error().message;
  ASSERT_TRUE(client.ask<wire::Done>(wire::CheckpointAbandon{first->slot.slot}));
  struct stat info {};
  auto warm = begin(client, "hostile/second", kBytes);
  ASSERT_TRUE(warm);
  ASSERT_EQ(::fstat(first->memory.get(), &info), 0);
  const ino_t inode = info.st_ino;
  ASSERT_EQ(::fstat(warm->memory.get(), &info), 0);
  ASSERT_EQ(info.st_ino, inode) << "the memory is used again while nothing is wrong with it";
  ASSERT_EQ(::fallocate(warm->memory.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, kPage, 8 * kPage), 0);
  ASSERT_TRUE(client.ask<wire::Done>(wire::CheckpointAbandon{warm->slot.slot}));
  auto next = begin(client, "hostile/third", kBytes);
  ASSERT_TRUE(next);
  ASSERT_EQ(::fstat(next->memory.get(), &info), 0);
  EXPECT_EQ(static_cast<std::uint64_t>(info.st_blocks) * 512, kBytes) << "its writer gets memory that is not there";
}

TEST_F(HostileMemory, WritingAfterTheCommitIsFoundByTheChecksumAndTheTwinIsRead) {
  const auto damaged = [this] { return ring().status(1)->integrity.damaged; };
  for (const bool through_mapping : {true, false}) {
    const auto before = damaged();
    attack([&] {
      TestClient client = this->client();
      auto slot = begin(client, "hostile/after", kBytes);
      ASSERT_TRUE(slot) << slot.error().message;
      const auto mapping = shm::Mapping::map(slot->memory.get(), kBytes, shm::Access::kReadWrite);
      ASSERT_TRUE(mapping);
      std::memset(mapping->data(), 'g', kBytes);
      ASSERT_EQ(commit(client, *slot)->result, wire::CommitResult::kOk);
      const Client reader(ring().socket(1));
      ASSERT_EQ(read_all(reader.handle, "hostile/after"), std::string(kBytes, 'g'));
      if (through_mapping)
        mapping->writable()[kBytes / 2] = std::byte{'b'};
      else
        ASSERT_EQ(::pwrite(slot->memory.get(), "b", 1, kBytes - 1), 1);
      EXPECT_EQ(read_all(reader.handle, "hostile/after"), std::string(kBytes, 'g'))
          << "the twin has what was committed";
      ASSERT_EQ(rk_delete(reader.handle, "hostile/after"), RK_OK) << rk_last_error();
    });
    EXPECT_GT(damaged(), before) << "the damage is counted";
  }
}

// Writes without pause for as long as it lives.
class Scribbler {
 public:
  explicit Scribbler(std::span<std::byte> memory)
      : thread_([this, memory] {
          for (unsigned char value = 1; !ended_; ++value)
            for (std::size_t at = 0; at < memory.size() && !ended_; at += kPage) memory[at] = std::byte{value};
        }) {}
  ~Scribbler() {
    ended_ = true;
    thread_.join();
  }
  Scribbler(const Scribbler&) = delete;
  Scribbler& operator=(const Scribbler&) = delete;

 private:
  std::atomic<bool> ended_ = false;
  std::thread thread_;
};

// The predecessor does not get the bytes whose checksums were made, however often they are sent: the commit has an
// outcome all the same. Where the writer has no processor for as long as it takes, the commit is OK.
TEST_F(HostileMemory, WritingDuringTheCommitEndsItWithAnOutcome) {
  constexpr std::uint64_t kLarge = std::uint64_t{1} << 20U;
  int failed = 0;
  const auto once = [&] {
    TestClient client = this->client();
    auto slot = begin(client, "hostile/during", kLarge);
    ASSERT_TRUE(slot) << slot.error().message;
    const auto mapping = shm::Mapping::map(slot->memory.get(), kLarge, shm::Access::kReadWrite);
    ASSERT_TRUE(mapping);
    const Scribbler scribbler(mapping->writable());
    const auto answer = commit(client, *slot);
    ASSERT_TRUE(answer) << answer.error().message;
    if (answer->result == wire::CommitResult::kOk) return;
    ++failed;
    EXPECT_EQ(answer->result, wire::CommitResult::kFailed);
    EXPECT_NE(answer->reason.find("were changed after they had been handed over"), std::string::npos) << answer->reason;
  };
  for (int round = 0; round < 20 && failed == 0; ++round) attack(once, 12, 4);
  EXPECT_GT(failed, 0);
}

// Copies that are scribbled over at their home can be made nowhere else. Those of others are made all the same.
TEST(HostileHealing, ScribbledCheckpointsDoNotKeepOthersFromTheirSecondCopy) {
  RingFixture ring(3);
  TestClient client = ring.client(3).value();
  std::vector<shm::Descriptor> kept;
  for (int i = 0; i < 8; ++i) {
    auto slot = begin(client, "a-hostile/" + std::to_string(i), 4 * kPage);
    ASSERT_TRUE(slot) << slot.error().message;
    ASSERT_EQ(commit(client, *slot)->result, wire::CommitResult::kOk);
    ASSERT_EQ(::pwrite(slot->memory.get(), "scribble", 8, 100), 8);
    kept.push_back(std::move(slot->memory));
  }
  ASSERT_EQ(put(client, "b-honest", "bytes of somebody else")->result, wire::CommitResult::kOk);
  const auto holders = [&] {
    const auto answer = client.ask<wire::CheckpointInspected>(wire::CheckpointInspect{"b-honest"});
    return answer && !answer->versions.empty() ? answer->versions.back().holders : std::vector<NodeId>{};
  };
  ASSERT_EQ(holders().size(), 2U);
  ring.server(2).kill(SIGKILL);  // the predecessor of server 3
  ring.server(2).wait();
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
  while (holders() != std::vector{NodeId(3), NodeId(1)} && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(holders(), (std::vector{NodeId(3), NodeId(1)})) << "it has no second copy again";
}

}  // namespace
}  // namespace rk::testing

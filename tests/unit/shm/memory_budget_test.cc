// SPDX-License-Identifier: Apache-2.0
#include "shm/memory_budget.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "shm/memory_room.h"

namespace rk::shm {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;

// A fake root with the files that the room is computed from.
class FakeMachine : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "ringkeep-room-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    meminfo(1000, 600);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void write(const std::string& path, const std::string& text) const {
    const std::filesystem::path whole = root_ + path;
    std::filesystem::create_directories(whole.parent_path());
    std::ofstream(whole) << text;
  }
  void meminfo(std::uint64_t total_mib, std::uint64_t available_mib) const {
    write("/proc/meminfo", "MemTotal:       " + std::to_string(total_mib * 1024) +
                               " kB\nMemFree: 1 kB\nMemAvailable:   " + std::to_string(available_mib * 1024) + " kB\n");
  }
  void version2(const std::string& path) const {
    write("/proc/self/cgroup", "0::" + path + "\n");
    write("/proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n");
  }
  void group2(const std::string& path, const std::string& max, std::uint64_t current_mib,
              std::uint64_t cache_mib = 0) const {
    write("/sys/fs/cgroup" + path + "/memory.max", max + "\n");
    write("/sys/fs/cgroup" + path + "/memory.current", std::to_string(current_mib * kMiB) + "\n");
    write("/sys/fs/cgroup" + path + "/memory.stat",
          "anon 5\nfile 9\ninactive_file " + std::to_string(cache_mib * kMiB) + "\n");
  }
  static std::string mib(std::uint64_t count) { return std::to_string(count * kMiB); }

  Result<MemoryBudget> budget(std::uint64_t bytes, std::uint64_t reserve = 0) const {
    return MemoryBudget::create({bytes, reserve, root_});
  }
  std::string root_;
};

TEST_F(FakeMachine, WithoutGroupsTheMachineDecides) {
  const auto room = memory_room(root_);
  ASSERT_TRUE(room);
  EXPECT_EQ(room->capacity_bytes, 1000 * kMiB);
  EXPECT_EQ(room->available_bytes, 600 * kMiB);
  EXPECT_EQ(room->available_limit, "the machine");
}

TEST_F(FakeMachine, WithoutMeminfoThereIsAnError) {
  std::filesystem::remove(root_ + "/proc/meminfo");
  EXPECT_EQ(memory_room(root_).error().code, ErrorCode::kIo);
}

TEST_F(FakeMachine, EveryEnclosingVersion2GroupCounts) {
  version2("/user/job");
  group2("/user/job", "max", 10);
  group2("/user", mib(300), 250);
  const auto room = memory_room(root_);
  ASSERT_TRUE(room);
  EXPECT_EQ(room->capacity_bytes, 300 * kMiB);
  EXPECT_EQ(room->available_bytes, 50 * kMiB);
  EXPECT_EQ(room->available_limit, "control group /sys/fs/cgroup/user");
}

TEST_F(FakeMachine, DroppableCacheIsNotUsage) {
  version2("/job");
  group2("/job", mib(300), 290, 200);
  EXPECT_EQ(memory_room(root_)->available_bytes, 210 * kMiB);
}

TEST_F(FakeMachine, UsageAboveTheLimitLeavesNothing) {
  version2("/job");
  group2("/job", mib(300), 310);
  EXPECT_EQ(memory_room(root_)->available_bytes, 0U);
}

TEST_F(FakeMachine, Version1GroupsCount) {
  write("/proc/self/cgroup", "5:cpu:/a\n4:cpuset,memory:/a/b\n0::/\n");
  write("/proc/self/mountinfo",
        "40 35 0:34 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "41 35 0:35 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n");
  write("/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "9223372036854771712\n");
  write("/sys/fs/cgroup/memory/a/b/memory.usage_in_bytes", "4096\n");
  write("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", mib(200) + "\n");
  write("/sys/fs/cgroup/memory/a/memory.usage_in_bytes", mib(120) + "\n");
  write("/sys/fs/cgroup/memory/a/memory.stat", "inactive_file 0\ntotal_inactive_file " + mib(20) + "\n");
  const auto room = memory_room(root_);
  ASSERT_TRUE(room);
  EXPECT_EQ(room->capacity_bytes, 200 * kMiB);
  EXPECT_EQ(room->available_bytes, 100 * kMiB);
}

// Both versions are mounted, as systemd's hybrid mode does: the memory controller is in one of them, and that counts.
TEST_F(FakeMachine, HybridMountsCountWhereTheControllerIs) {
  write("/proc/self/cgroup", "4:memory:/service\n0::/unified/service\n");
  write("/proc/self/mountinfo",
        "30 23 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n"
        "40 35 0:34 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "41 35 0:35 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n");
  write("/sys/fs/cgroup/unified/unified/service/cgroup.procs", "1\n");
  write("/sys/fs/cgroup/memory/service/memory.limit_in_bytes", mib(70) + "\n");
  write("/sys/fs/cgroup/memory/service/memory.usage_in_bytes", mib(10) + "\n");
  auto room = memory_room(root_);
  ASSERT_TRUE(room);
  EXPECT_EQ(room->capacity_bytes, 70 * kMiB);
  EXPECT_EQ(room->available_bytes, 60 * kMiB);
  EXPECT_EQ(room->capacity_limit, "control group /sys/fs/cgroup/memory/service");
  // Where it is in both, the lower limit.
  write("/sys/fs/cgroup/unified/unified/memory.max", mib(50) + "\n");
  write("/sys/fs/cgroup/unified/unified/memory.current", mib(1) + "\n");
  room = memory_room(root_);
  ASSERT_TRUE(room);
  EXPECT_EQ(room->capacity_bytes, 50 * kMiB);
  EXPECT_EQ(room->capacity_limit, "control group /sys/fs/cgroup/unified/unified");
}

TEST_F(FakeMachine, TheLowestOfNestedLimitsIsTold) {
  version2("/a/b/c/d");
  group2("/a", mib(500), 0);
  group2("/a/b", mib(90), 30);
  group2("/a/b/c", "max", 0);
  group2("/a/b/c/d", mib(400), 20);
  const auto refused = budget(85 * kMiB, 10 * kMiB);
  ASSERT_FALSE(refused);
  for (const std::string& word : {mib(85), mib(10), mib(90), std::string("/sys/fs/cgroup/a/b:")})
    EXPECT_NE(refused.error().message.find(word), std::string::npos) << word << ": " << refused.error().message;
  auto memory = budget(80 * kMiB, 10 * kMiB);
  ASSERT_TRUE(memory);
  EXPECT_TRUE(memory->take(50 * kMiB));
  const auto full = memory->take(20 * kMiB);
  EXPECT_TRUE(full) << "nothing was touched in between: " << full.error().message;
  group2("/a/b", mib(90), 85);
  const auto used = memory->take(kMiB);
  ASSERT_FALSE(used);
  EXPECT_NE(used.error().message.find("control group /sys/fs/cgroup/a/b has 5242880 bytes"), std::string::npos)
      << used.error().message;
}

// A container sees its own group at the mount point, while /proc/self/cgroup has the host's path.
TEST_F(FakeMachine, ContainerMountShowsItsGroupAtTheTop) {
  write("/proc/self/cgroup", "4:memory:/docker/abc/inner\n");
  write("/proc/self/mountinfo", "40 35 0:34 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n");
  write("/sys/fs/cgroup/memory/memory.limit_in_bytes", mib(128) + "\n");
  write("/sys/fs/cgroup/memory/memory.usage_in_bytes", "0\n");
  EXPECT_EQ(memory_room(root_)->capacity_bytes, 128 * kMiB);
}

TEST_F(FakeMachine, BudgetAboveTheMachineIsRefusedWithBothNumbers) {
  const auto refused = budget(2000 * kMiB);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kNoMemory);
  EXPECT_NE(refused.error().message.find(mib(2000)), std::string::npos);
  EXPECT_NE(refused.error().message.find(mib(1000)), std::string::npos);
}

TEST_F(FakeMachine, BudgetAboveTheGroupIsRefusedWithItsName) {
  version2("/job");
  group2("/job", mib(100), 0);
  const auto refused = budget(90 * kMiB, 20 * kMiB);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find(mib(100)), std::string::npos);
  EXPECT_NE(refused.error().message.find("/job"), std::string::npos);
  EXPECT_TRUE(budget(80 * kMiB, 20 * kMiB));
}

TEST_F(FakeMachine, TakesUpToTheBudgetAndGivesBack) {
  auto memory = budget(10 * kMiB);
  ASSERT_TRUE(memory);
  EXPECT_TRUE(memory->take(8 * kMiB));
  EXPECT_EQ(memory->take(3 * kMiB).error().code, ErrorCode::kNoMemory);
  EXPECT_EQ(memory->used_bytes(), 8 * kMiB);
  memory->give(8 * kMiB);
  EXPECT_TRUE(memory->take(10 * kMiB));
  EXPECT_EQ(memory->take(UINT64_MAX).error().code, ErrorCode::kNoMemory);
}

TEST_F(FakeMachine, TakeLeavesTheReserve) {
  auto memory = budget(500 * kMiB, 100 * kMiB);
  ASSERT_TRUE(memory);
  meminfo(1000, 150);
  EXPECT_TRUE(memory->take(50 * kMiB));
  EXPECT_EQ(memory->take(51 * kMiB).error().code, ErrorCode::kNoMemory);
  meminfo(1000, 50);
  EXPECT_EQ(memory->take(1).error().code, ErrorCode::kNoMemory);
  EXPECT_EQ(memory->used_bytes(), 50 * kMiB);
}

TEST_F(FakeMachine, BudgetOfZeroIsRefused) { EXPECT_EQ(budget(0).error().code, ErrorCode::kInvalidArgument); }

TEST(Machine, ThisOneCanBeRead) {
  const auto room = memory_room("");
  ASSERT_TRUE(room) << room.error().message;
  EXPECT_GT(room->available_bytes, 0U);
  EXPECT_LE(room->available_bytes, room->capacity_bytes);
}

}  // namespace
}  // namespace rk::shm

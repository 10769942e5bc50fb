// SPDX-License-Identifier: Apache-2.0
// Log segments of a job, from a real server: made, attached, read by others, grown, fenced, freed.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cstring>

#include "tests/integration/ring_fixture.h"

namespace rk::testing {
namespace {

constexpr std::uint64_t kLimit = std::uint64_t{8} << 20U;

wire::JobCreate two_communities(std::uint64_t id) {
  return {JobId(id), {CommunityId(0), CommunityId(0), CommunityId(1), CommunityId(1)}, kLimit};
}

class DaemonJob : public ::testing::Test {
 protected:
  RingFixture ring_{1};
};

TEST_F(DaemonJob, AProcessWritesItsSegmentAndOthersReadIt) {
  auto launcher = ring_.client(1);
  ASSERT_TRUE(launcher);
  ASSERT_TRUE(launcher->ask<wire::Done>(two_communities(7)));
  auto process = ring_.client(1);
  std::vector<shm::Descriptor> own;
  const auto attached = process->ask<wire::JobAttached>(wire::JobAttach{JobId(7), Rank(2)}, &own, Incarnation(1));
  ASSERT_TRUE(attached) << attached.error().message;
  ASSERT_EQ(own.size(), 2U);
  EXPECT_EQ(attached->community_of.size(), 4U);
  EXPECT_EQ(attached->segment_bytes, kLimit);
  EXPECT_GT(attached->usable_bytes, 0U);
  struct stat info {};
  ASSERT_EQ(::fstat(own[1].get(), &info), 0);
  EXPECT_EQ(static_cast<std::uint64_t>(info.st_size), kLimit);
  EXPECT_NE(::ftruncate(own[1].get(), 4096), 0) << "a segment that can shrink makes others fault";
  auto* memory = static_cast<char*>(::mmap(nullptr, kLimit, PROT_READ | PROT_WRITE, MAP_SHARED, own[1].get(), 0));
  ASSERT_NE(memory, MAP_FAILED);
  std::strcpy(memory + attached->usable_bytes - 16, "written");

  auto other = ring_.client(1);
  std::vector<shm::Descriptor> theirs;
  ASSERT_TRUE(other->ask<wire::SegmentOpened>(wire::SegmentOpen{JobId(7), Rank(2)}, &theirs));
  ASSERT_EQ(theirs.size(), 1U);
  EXPECT_EQ(::mmap(nullptr, kLimit, PROT_READ | PROT_WRITE, MAP_SHARED, theirs[0].get(), 0), MAP_FAILED);
  auto* seen = static_cast<char*>(::mmap(nullptr, kLimit, PROT_READ, MAP_SHARED, theirs[0].get(), 0));
  ASSERT_NE(seen, MAP_FAILED);
  EXPECT_STREQ(seen + attached->usable_bytes - 16, "written");
  ::munmap(memory, kLimit);
  ::munmap(seen, kLimit);
}

TEST_F(DaemonJob, ASegmentGrowsToItsLimitAndNoFurther) {
  auto launcher = ring_.client(1);
  ASSERT_TRUE(launcher->ask<wire::Done>(two_communities(7)));
  const std::uint64_t before = ring_.status(1)->used_bytes;
  auto process = ring_.client(1);
  const auto attached = process->ask<wire::JobAttached>(wire::JobAttach{JobId(7), Rank(0)}, nullptr, Incarnation(1));
  ASSERT_TRUE(attached);
  const auto grown = process->ask<wire::LogGrown>(wire::LogGrow{JobId(7), Rank(0), 1U << 20U}, nullptr, Incarnation(1));
  ASSERT_TRUE(grown) << grown.error().message;
  EXPECT_EQ(grown->usable_bytes, attached->usable_bytes + (1U << 20U));
  EXPECT_EQ(ring_.status(1)->used_bytes, before + (1U << 20U));
  const auto whole = process->ask<wire::LogGrown>(wire::LogGrow{JobId(7), Rank(0), kLimit}, nullptr, Incarnation(1));
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->usable_bytes, kLimit);
  const auto beyond = process->ask<wire::LogGrown>(wire::LogGrow{JobId(7), Rank(0), 1}, nullptr, Incarnation(1));
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().code, ErrorCode::kNoMemory);
}

TEST_F(DaemonJob, OlderIncarnationsAreRefusedOnceFenced) {
  auto launcher = ring_.client(1);
  ASSERT_TRUE(launcher->ask<wire::Done>(two_communities(7)));
  auto old = ring_.client(1);
  ASSERT_TRUE(old->ask<wire::JobAttached>(wire::JobAttach{JobId(7), Rank(3)}, nullptr, Incarnation(1)));
  ASSERT_TRUE(launcher->ask<wire::Done>(wire::JobFence{JobId(7), CommunityId(1)}, nullptr, Incarnation(2)));
  const auto grow = old->ask<wire::LogGrown>(wire::LogGrow{JobId(7), Rank(3), 4096}, nullptr, Incarnation(1));
  ASSERT_FALSE(grow);
  EXPECT_EQ(grow.error().code, ErrorCode::kFenced);
  auto late = ring_.client(1);
  const auto attach = late->ask<wire::JobAttached>(wire::JobAttach{JobId(7), Rank(2)}, nullptr, Incarnation(1));
  ASSERT_FALSE(attach);
  EXPECT_EQ(attach.error().code, ErrorCode::kFenced);
  EXPECT_TRUE(late->ask<wire::JobAttached>(wire::JobAttach{JobId(7), Rank(3)}, nullptr, Incarnation(2)));
  auto spared = ring_.client(1);
  EXPECT_TRUE(spared->ask<wire::JobAttached>(wire::JobAttach{JobId(7), Rank(0)}, nullptr, Incarnation(1)));
}

TEST_F(DaemonJob, AJobGoesWithItsCreatorAndItsMemoryIsGivenBack) {
  const std::uint64_t before = ring_.status(1)->used_bytes;
  {
    auto launcher = ring_.client(1);
    ASSERT_TRUE(launcher->ask<wire::Done>(two_communities(7)));
    EXPECT_EQ(ring_.status(1)->jobs.size(), 1U);
    EXPECT_GT(ring_.status(1)->used_bytes, before);
  }
  EXPECT_TRUE(ring_.await_status(
      1, [&](const wire::StatusAnswer& status) { return status.jobs.empty() && status.used_bytes == before; }));
}

TEST_F(DaemonJob, AJobLargerThanTheBudgetIsRefusedAndNothingIsTaken) {
  const std::uint64_t before = ring_.status(1)->used_bytes;
  auto launcher = ring_.client(1);
  wire::JobCreate large{JobId(9), std::vector<CommunityId>(256), kLimit};
  const auto refused = launcher->ask<wire::Done>(large);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kNoMemory);
  EXPECT_EQ(ring_.status(1)->used_bytes, before);
}

}  // namespace
}  // namespace rk::testing

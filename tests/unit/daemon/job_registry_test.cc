// SPDX-License-Identifier: Apache-2.0
#include "daemon/job_registry.h"

#include <gtest/gtest.h>

#include "log/segment.h"
#include "shm/mapping.h"

namespace rk::daemon {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20U;
const ClientIdentity kLauncher{1, OwnerId(500), 100};
const ClientIdentity kStranger{2, OwnerId(501), 101};

ClientIdentity process(std::uint64_t session, std::uint32_t pid) { return {session, OwnerId(500), pid}; }

wire::JobCreate four_ranks(std::uint64_t id = 9, std::uint64_t limit = 8 * kMiB) {
  return {JobId(id), {CommunityId(0), CommunityId(0), CommunityId(1), CommunityId(1)}, limit};
}

class Registry : public ::testing::Test {
 protected:
  shm::MemoryBudget budget_ = shm::MemoryBudget::create({64 * kMiB, kMiB, ""}).value();
  JobRegistry jobs_{budget_, {.jobs = 3, .ranks = 10, .log_bytes = 64 * kMiB, .slice_bytes = kMiB}};

  ErrorCode create(const wire::JobCreate& request) {
    const auto status = jobs_.create(kLauncher, request);
    return status ? ErrorCode::kOk : status.error().code;
  }
  ErrorCode attach(const ClientIdentity& client, std::uint32_t rank, std::uint64_t incarnation = 1) {
    const auto attached = jobs_.attach(client, Incarnation(incarnation), {JobId(9), Rank(rank)});
    return attached ? ErrorCode::kOk : attached.error().code;
  }
  std::optional<JobRegistry::Grown> finish_grow(int* slices = nullptr) {
    for (int i = 1; i <= 1000; ++i) {
      auto grown = jobs_.run_grows();
      if (slices != nullptr) *slices = i;
      if (grown) return grown;
    }
    return std::nullopt;
  }
};

TEST_F(Registry, SegmentsAreFormattedAndChargedByTheirFirstArenaOnly) {
  ASSERT_EQ(create(four_ranks()), ErrorCode::kOk);
  const auto attached = jobs_.attach(process(5, 200), Incarnation(1), {JobId(9), Rank(3)});
  ASSERT_TRUE(attached);
  EXPECT_EQ(attached->message.segment_bytes, 8 * kMiB);
  EXPECT_LT(attached->message.usable_bytes, 2 * kMiB);
  EXPECT_EQ(budget_.used_bytes(), 4 * attached->message.usable_bytes + attached->message.bells_bytes);
  const auto mapping = shm::Mapping::map(attached->segment, attached->message.segment_bytes, shm::Access::kReadOnly);
  ASSERT_TRUE(mapping);
  const auto view = log::SegmentView::open(mapping->bytes(), {JobId(9), Rank(3), 4});
  ASSERT_TRUE(view) << view.error().message;
  EXPECT_EQ(view->usable_bytes(), attached->message.usable_bytes);
}

TEST_F(Registry, RequestsThatCannotBeAreRefusedAndTakeNothing) {
  EXPECT_EQ(create(four_ranks(0)), ErrorCode::kInvalidArgument);
  EXPECT_EQ(create({JobId(9), {}, 8 * kMiB}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(create({JobId(9), std::vector<CommunityId>(wire::kMaxRanks + 1), 8 * kMiB}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(create({JobId(9), std::vector<CommunityId>(11), 8 * kMiB}), ErrorCode::kNoMemory);
  EXPECT_EQ(create(four_ranks(9, 4096)), ErrorCode::kInvalidArgument);
  EXPECT_EQ(create(four_ranks(9, ~0ULL)), ErrorCode::kInvalidArgument);
  EXPECT_EQ(budget_.used_bytes(), 0U);
  EXPECT_EQ(create(four_ranks()), ErrorCode::kOk);
  EXPECT_EQ(create(four_ranks()), ErrorCode::kExists);
}

TEST_F(Registry, TheQuotasOfJobsAndOfTheBudgetHold) {
  const auto one_rank = [](std::uint64_t id) { return wire::JobCreate{JobId(id), {CommunityId(0)}, kMiB}; };
  for (std::uint64_t id = 1; id <= 3; ++id) EXPECT_EQ(create(one_rank(id)), ErrorCode::kOk);
  EXPECT_EQ(create(one_rank(4)), ErrorCode::kNoMemory);
  auto small = shm::MemoryBudget::create({2 * kMiB, kMiB, ""}).value();
  JobRegistry tight(small, {});
  EXPECT_EQ(tight.create(kLauncher, four_ranks()).error().code, ErrorCode::kNoMemory);
  EXPECT_EQ(small.used_bytes(), 0U) << "a job that does not fit leaves nothing behind";
}

TEST_F(Registry, AnOwnerHasAQuotaOfHisOwn) {
  JobRegistry shared(budget_, {.owner_bytes = 3 * kMiB});
  const auto one_rank = [](std::uint64_t id) { return wire::JobCreate{JobId(id), {CommunityId(0)}, 4 * kMiB}; };
  ASSERT_TRUE(shared.create(kLauncher, one_rank(1)));
  ASSERT_TRUE(shared.create(kLauncher, one_rank(2)));
  const auto refused = shared.create(kLauncher, one_rank(3));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("user 500"), std::string::npos) << refused.error().message;
  EXPECT_TRUE(shared.create(kStranger, one_rank(3)));
}

TEST_F(Registry, OnlyTheOwnersProcessesGetIn) {
  ASSERT_EQ(create(four_ranks()), ErrorCode::kOk);
  EXPECT_EQ(attach(kStranger, 0), ErrorCode::kPermission);
  EXPECT_EQ(jobs_.open_segment(kStranger, {JobId(9), Rank(0)}).error().code, ErrorCode::kPermission);
  EXPECT_EQ(jobs_.fence(kStranger, Incarnation(2), {JobId(9), CommunityId(0)}).error().code, ErrorCode::kPermission);
  EXPECT_EQ(jobs_.remove(kStranger, {JobId(9)}, 0).error().code, ErrorCode::kPermission);
  EXPECT_EQ(attach(process(5, 200), 4), ErrorCode::kInvalidArgument);
  EXPECT_EQ(jobs_.attach(process(5, 200), Incarnation(1), {JobId(8), Rank(0)}).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(attach(process(5, 200), 0), ErrorCode::kOk);
}

TEST_F(Registry, ARankHasOneProcessAtATime) {
  ASSERT_EQ(create(four_ranks()), ErrorCode::kOk);
  EXPECT_EQ(attach(process(5, 200), 0), ErrorCode::kOk);
  EXPECT_EQ(attach(process(6, 201), 0), ErrorCode::kExists);
  EXPECT_EQ(attach(process(7, 200), 0), ErrorCode::kOk) << "two connections of the same process";
  jobs_.on_session_closed(5, 0);
  jobs_.on_session_closed(7, 0);
  EXPECT_EQ(attach(process(6, 201), 0), ErrorCode::kOk);
}

TEST_F(Registry, AFenceStopsOlderIncarnationsOfItsCommunityOnly) {
  ASSERT_EQ(create(four_ranks()), ErrorCode::kOk);
  ASSERT_EQ(attach(process(5, 200), 2), ErrorCode::kOk);
  ASSERT_EQ(attach(process(6, 201), 0), ErrorCode::kOk);
  ASSERT_TRUE(jobs_.fence(kLauncher, Incarnation(2), {JobId(9), CommunityId(1)}));
  EXPECT_EQ(jobs_.check_not_fenced(5).error().code, ErrorCode::kFenced);
  EXPECT_EQ(jobs_.grow(process(5, 200), 1, {JobId(9), Rank(2), 1}).error().code, ErrorCode::kFenced);
  EXPECT_TRUE(jobs_.check_not_fenced(6));
  EXPECT_EQ(attach(process(7, 202), 3, 1), ErrorCode::kFenced);
  EXPECT_EQ(attach(process(7, 202), 2, 2), ErrorCode::kOk) << "the new life does not wait for the old one's connection";
  EXPECT_EQ(jobs_.fence(kLauncher, Incarnation(1), {JobId(9), CommunityId(1)}).error().code, ErrorCode::kFenced);
  EXPECT_EQ(jobs_.fence(kLauncher, Incarnation(2), {JobId(9), CommunityId(5)}).error().code, ErrorCode::kNotFound);
}

TEST_F(Registry, GrowingGoesInSlicesAndEndsAtTheLimit) {
  ASSERT_EQ(create(four_ranks()), ErrorCode::kOk);
  ASSERT_EQ(attach(process(5, 200), 1), ErrorCode::kOk);
  const std::uint64_t before = budget_.used_bytes();
  EXPECT_EQ(jobs_.grow(process(5, 200), 7, {JobId(9), Rank(0), kMiB}).error().code, ErrorCode::kPermission);
  ASSERT_TRUE(jobs_.grow(process(5, 200), 7, {JobId(9), Rank(1), 3 * kMiB}));
  EXPECT_EQ(jobs_.grow(process(5, 200), 8, {JobId(9), Rank(1), kMiB}).error().code, ErrorCode::kUnavailable);
  int slices = 0;
  const auto grown = finish_grow(&slices);
  ASSERT_TRUE(grown);
  EXPECT_EQ(slices, 3);
  EXPECT_EQ(grown->session, 5U);
  EXPECT_EQ(grown->request, 7U);
  EXPECT_EQ(budget_.used_bytes(), before + 3 * kMiB);
  ASSERT_TRUE(jobs_.grow(process(5, 200), 9, {JobId(9), Rank(1), ~0ULL}));
  EXPECT_EQ(finish_grow()->usable_bytes, 8 * kMiB);
  EXPECT_EQ(jobs_.grow(process(5, 200), 10, {JobId(9), Rank(1), 1}).error().code, ErrorCode::kNoMemory);
}

TEST_F(Registry, AGrowBeyondTheBudgetGivesWhatThereIsThenAnError) {
  ASSERT_EQ(create(four_ranks(9, 64 * kMiB)), ErrorCode::kOk);
  ASSERT_EQ(attach(process(5, 200), 0), ErrorCode::kOk);
  ASSERT_EQ(attach(process(6, 201), 1), ErrorCode::kOk);
  ASSERT_TRUE(jobs_.grow(process(5, 200), 1, {JobId(9), Rank(0), 64 * kMiB}));
  ASSERT_TRUE(finish_grow()->usable_bytes);
  ASSERT_TRUE(jobs_.grow(process(6, 201), 2, {JobId(9), Rank(1), 64 * kMiB}));
  const auto refused = finish_grow();
  EXPECT_EQ(refused->usable_bytes.error().code, ErrorCode::kNoMemory);
  EXPECT_LE(budget_.used_bytes(), budget_.budget_bytes());
  ASSERT_TRUE(jobs_.grow(process(6, 201), 3, {JobId(9), Rank(1), 4096})) << "a refused grow may be tried again";
}

TEST_F(Registry, AnEndedJobKeepsItsMemoryUntilItsProcessesAreGoneOrTheTimeIsUp) {
  ASSERT_EQ(create(four_ranks()), ErrorCode::kOk);
  ASSERT_EQ(attach(process(5, 200), 0), ErrorCode::kOk);
  jobs_.on_session_closed(kLauncher.session, 1000);
  EXPECT_EQ(attach(process(6, 201), 1), ErrorCode::kNotFound) << "nobody gets in any more";
  EXPECT_GT(budget_.used_bytes(), 0U);
  const auto ended = jobs_.take_ended();
  ASSERT_EQ(ended.size(), 1U);
  EXPECT_EQ(ended[0].job, JobId(9));
  EXPECT_TRUE(jobs_.take_ended().empty());
  jobs_.on_tick(1000 + JobRegistry::kDrainMs - 1);
  EXPECT_GT(budget_.used_bytes(), 0U);
  jobs_.on_tick(1000 + JobRegistry::kDrainMs);
  EXPECT_EQ(budget_.used_bytes(), 0U);
  EXPECT_TRUE(jobs_.status().empty());

  ASSERT_EQ(create(four_ranks()), ErrorCode::kOk);
  ASSERT_EQ(attach(process(5, 200), 0), ErrorCode::kOk);
  ASSERT_TRUE(jobs_.remove(kLauncher, {JobId(9)}, 9000));
  EXPECT_GT(budget_.used_bytes(), 0U);
  jobs_.on_session_closed(5, 9001);
  EXPECT_EQ(budget_.used_bytes(), 0U) << "the last process is gone";
}

TEST_F(Registry, AGrowOfAJobThatEndsIsRefused) {
  ASSERT_EQ(create(four_ranks()), ErrorCode::kOk);
  ASSERT_EQ(attach(process(5, 200), 0), ErrorCode::kOk);
  ASSERT_TRUE(jobs_.grow(process(5, 200), 1, {JobId(9), Rank(0), 4 * kMiB}));
  jobs_.on_session_closed(5, 0);
  ASSERT_TRUE(jobs_.remove(kLauncher, {JobId(9)}, 0));
  EXPECT_EQ(finish_grow()->usable_bytes.error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(jobs_.has_grows());
}

TEST_F(Registry, AGrowThatAKilledLifeAskedForIsAnsweredToTheNext) {
  ASSERT_EQ(create(four_ranks()), ErrorCode::kOk);
  ASSERT_EQ(attach(process(5, 200), 0), ErrorCode::kOk);
  ASSERT_TRUE(jobs_.grow(process(5, 200), 1, {JobId(9), Rank(0), 4 * kMiB}));
  EXPECT_FALSE(jobs_.run_grows()) << "a slice of it";
  jobs_.on_session_closed(5, 0);
  ASSERT_EQ(attach(process(6, 201), 0, 2), ErrorCode::kOk);
  ASSERT_TRUE(jobs_.grow(process(6, 201), 7, {JobId(9), Rank(0), kMiB}));
  const auto grown = finish_grow();
  ASSERT_TRUE(grown);
  EXPECT_EQ(grown->session, 6U);
  EXPECT_EQ(grown->request, 7U);
  EXPECT_TRUE(grown->usable_bytes);
  EXPECT_FALSE(jobs_.has_grows());
}

TEST_F(Registry, CreatorsAndStatusTellWhoIsThere) {
  ASSERT_EQ(create(four_ranks()), ErrorCode::kOk);
  ASSERT_EQ(attach(process(5, 200), 0), ErrorCode::kOk);
  ASSERT_EQ(attach(process(6, 200), 0), ErrorCode::kOk);
  EXPECT_EQ(jobs_.creators(), std::set<std::uint64_t>{kLauncher.session});
  const auto status = jobs_.status();
  ASSERT_EQ(status.size(), 1U);
  EXPECT_EQ(status[0].ranks, 4U);
  EXPECT_EQ(status[0].attached, 1U);
  EXPECT_EQ(status[0].log_bytes, budget_.used_bytes());
}

}  // namespace
}  // namespace rk::daemon

// SPDX-License-Identifier: Apache-2.0
#include "launch/options.h"

#include <gtest/gtest.h>

#include "launch/binding.h"
#include "launch/mpirun.h"

namespace rk::launch {
namespace {

std::vector<std::uint32_t> numbers(const std::vector<CommunityId>& communities) {
  std::vector<std::uint32_t> out;
  for (const CommunityId community : communities) out.push_back(community.value);
  return out;
}

TEST(Kill, AtATimeOrAtAMessage) {
  const auto seconds = parse_kill("3@2.5s", 8);
  ASSERT_TRUE(seconds);
  EXPECT_EQ(seconds->rank, Rank(3));
  EXPECT_EQ(seconds->at_ms, 2500U);
  EXPECT_FALSE(seconds->at_message);
  EXPECT_EQ(parse_kill("0@300ms", 8)->at_ms, 300U);
  EXPECT_EQ(parse_kill("0@2", 8)->at_ms, 2000U);
  EXPECT_EQ(parse_kill("7@msg:5000", 8)->at_message, 5000U);
  EXPECT_EQ(parse_kill("7@msg:5000", 8)->text, "7@msg:5000");
}

TEST(Kill, AnythingElseIsAnErrorThatNamesIt) {
  for (const char* text :
       {"", "3", "3@", "@1s", "x@1s", "8@1s", "3@msg:", "3@msg:0", "3@1m", "3@-1s", "3@nans", "3@1s "}) {
    const auto request = parse_kill(text, 8);
    ASSERT_FALSE(request) << text;
    EXPECT_EQ(request.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(request.error().message.find("--kill " + std::string(text)), std::string::npos);
  }
}

TEST(Size, UnitsOf1024) {
  EXPECT_EQ(*parse_size("1000"), 1000U);
  EXPECT_EQ(*parse_size("64M"), std::uint64_t{64} << 20U);
  EXPECT_EQ(*parse_size("2GiB"), std::uint64_t{2} << 30U);
  for (const char* text : {"", "M", "-1", "1.5G", "1 G", "99999999999999999999", "20000000T"})
    EXPECT_FALSE(parse_size(text)) << text;
}

TEST(Partition, BlocksDifferByOneAtMost) {
  EXPECT_EQ(numbers(*blocks_partition(8, 2)), (std::vector<std::uint32_t>{0, 0, 0, 0, 1, 1, 1, 1}));
  EXPECT_EQ(numbers(*blocks_partition(5, 2)), (std::vector<std::uint32_t>{0, 0, 0, 1, 1}));
  EXPECT_EQ(numbers(*blocks_partition(3, 3)), (std::vector<std::uint32_t>{0, 1, 2}));
  const auto many = blocks_partition(2, 3);
  ASSERT_FALSE(many);
  EXPECT_NE(many.error().message.find("3 communities"), std::string::npos);
  EXPECT_FALSE(blocks_partition(0, 1));
  EXPECT_FALSE(blocks_partition(2, 0));
  EXPECT_FALSE(blocks_partition(1U << 20U, 1));
}

TEST(Partition, AFileHasOneLineARank) {
  EXPECT_EQ(numbers(*parse_partition("# ring\n1\n 0 # first\n\n1\r\n", 3, 2)), (std::vector<std::uint32_t>{1, 0, 1}));
  for (const char* text : {"0\n0\n0\n", "0\n1\n", "0\n1\n1\n1\n", "0\n1\n2\n", "0\n1\nx\n", ""})
    EXPECT_FALSE(parse_partition(text, 3, 2)) << text;
}

TEST(Binding, EachRankHasItsCoreOrNobodyIsBound) {
  const std::vector<std::vector<std::uint32_t>> cores = {{0, 2}, {1, 3}};
  const BindingPlan plan = plan_binding(2, cores, true);
  EXPECT_FALSE(plan.oversubscribed);
  EXPECT_EQ(plan.cpus_of[1], (std::vector<std::uint32_t>{1, 3}));
  const BindingPlan crowded = plan_binding(3, cores, true);
  EXPECT_TRUE(crowded.oversubscribed);
  for (const auto& cpus : crowded.cpus_of) EXPECT_TRUE(cpus.empty());
  EXPECT_TRUE(plan_binding(2, cores, false).cpus_of[0].empty());
  EXPECT_FALSE(allowed_cores().empty());
}

TEST(MpirunArguments, RootAndOversubscriptionNeedNoFlagFromTheUser) {
  MpirunRequest request;
  request.mpirun = "/usr/bin/mpirun";
  request.self = "/usr/bin/ringkeep";
  request.program = {"lmp", "-in", "in.melt"};
  request.processes = 4;
  request.oversubscribed = true;
  request.session_directory = "/tmp/job/c0-1";
  request.memory_directory = "/dev/shm/job/c0-1";
  const auto has = [](const std::vector<std::string>& all, const std::string& one) {
    return std::find(all.begin(), all.end(), one) != all.end();
  };
  const std::vector<std::string> root = mpirun_arguments(request, true);
  EXPECT_TRUE(has(root, "--allow-run-as-root"));
  EXPECT_TRUE(has(root, "--oversubscribe"));
  EXPECT_TRUE(has(root, "mpi_yield_when_idle"));
  EXPECT_TRUE(has(root, "/dev/shm/job/c0-1"));
  const std::vector<std::string> tail(root.end() - 6, root.end());
  EXPECT_EQ(tail, (std::vector<std::string>{"/usr/bin/ringkeep", "exec-rank", "--", "lmp", "-in", "in.melt"}));
  request.oversubscribed = false;
  const std::vector<std::string> user = mpirun_arguments(request, false);
  EXPECT_FALSE(has(user, "--allow-run-as-root"));
  EXPECT_FALSE(has(user, "mpi_yield_when_idle"));
}

TEST(ExitStatus, SignalsBecome128AndTheirNumber) {
  EXPECT_EQ(exit_status_of(3 << 8), 3);
  EXPECT_EQ(exit_status_of(9), 137);
  EXPECT_EQ(exit_status_of(0), 0);
}

}  // namespace
}  // namespace rk::launch

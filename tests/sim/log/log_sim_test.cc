// SPDX-License-Identifier: Apache-2.0
// The log under simulated kills and networks: many seeds without a violation, and planted bugs that must be found.
#include <gtest/gtest.h>

#include <cstdlib>

#include "sim/campaign.h"
#include "tests/sim/log/log_cluster.h"

namespace rk::log {
namespace {

constexpr std::uint64_t kSeeds = 1500;

std::string run_seed(std::uint64_t seed, sim::Trace& trace, PlantedBug bug, LogCounts* counts) {
  LogCluster cluster(seed, trace, bug);
  std::string violation = cluster.run();
  if (counts != nullptr) cluster.add_to(*counts);
  return violation;
}

sim::RunSeed with(PlantedBug bug) {
  return [bug](std::uint64_t seed, sim::Trace& trace) { return run_seed(seed, trace, bug, nullptr); };
}

TEST(LogSim, RepeatsHistoryUnderKills) {
  LogCounts counts;
  const auto result = sim::run_campaign(
      "LogSim.RepeatsHistoryUnderKills", {1, kSeeds},
      [&](std::uint64_t seed, sim::Trace& trace) { return run_seed(seed, trace, PlantedBug::kNone, &counts); });
  EXPECT_FALSE(result.failing_seed) << result.report;
  // RINGKEEP_SIM_SEED and RINGKEEP_SIM_SEEDS may ask for fewer.
  if (result.failing_seed || result.seeds_run < kSeeds) return;
  // Everything that can go wrong did, often.
  EXPECT_GE(counts.kills, 1000U);
  EXPECT_GE(counts.restores, 300U);
  EXPECT_GE(counts.restores_of_older, 50U);
  EXPECT_GE(counts.checkpoints, 1000U);
  EXPECT_GE(counts.resent_verified, 1000U);
  EXPECT_GE(counts.determinants_replayed, 1000U);
  EXPECT_GE(counts.duplicates, 1000U);
  EXPECT_GE(counts.streams_trimmed, 50U);
  EXPECT_GE(counts.frames_lost, 1000U);
  EXPECT_GE(counts.frames_duplicated, 1000U);
  EXPECT_GE(counts.pauses, 1000U);
}

TEST(LogSim, ASeedGivesTheSameRunAgain) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed)
    EXPECT_TRUE(sim::replays_exactly(seed, with(PlantedBug::kNone))) << seed;
}

// Bugs put into the log one at a time (log/planted_bug.h): a campaign that misses one proves nothing.
class LogBug : public testing::TestWithParam<PlantedBug> {};

TEST_P(LogBug, IsFound) {
  if (std::getenv("RINGKEEP_SIM_SEED") != nullptr) GTEST_SKIP() << "one seed need not find every bug";
  const auto result = sim::find_bug("Planted/LogBug.IsFound/*", kSeeds, with(GetParam()));
  ASSERT_TRUE(result.failing_seed) << "no seed found the planted bug";
  EXPECT_TRUE(result.replays) << result.report;
  std::printf("found by seed %llu: %s\n", static_cast<unsigned long long>(*result.failing_seed),
              result.violation.c_str());
}

INSTANTIATE_TEST_SUITE_P(Planted, LogBug,
                         testing::Values(PlantedBug::kNoDuplicateCheck, PlantedBug::kNoInsideSources,
                                         PlantedBug::kDeterminantAtCompletion),
                         [](const testing::TestParamInfo<PlantedBug>& planted) -> std::string {
                           switch (planted.param) {
                             case PlantedBug::kNoDuplicateCheck:
                               return "NoDuplicateCheck";
                             case PlantedBug::kNoInsideSources:
                               return "NoInsideSources";
                             case PlantedBug::kDeterminantAtCompletion:
                               return "DeterminantAtCompletion";
                             default:
                               return "None";
                           }
                         });

}  // namespace
}  // namespace rk::log

// SPDX-License-Identifier: Apache-2.0
// The ring under simulated faults: many seeds without a violation, and planted bugs that each must be found.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "sim/campaign.h"
#include "tests/sim/ring/ring_cluster.h"

namespace rk::ring {
namespace {

constexpr std::uint64_t kSeeds = 1200;
static_assert(kSeeds >= 1000);

std::string run_seed(std::uint64_t seed, sim::Trace& trace, PlantedBug bug, RingCounts* counts) {
  RingCluster cluster(seed, trace, bug);
  std::string violation = cluster.run();
  if (counts != nullptr) cluster.add_to(*counts);
  return violation;
}

sim::RunSeed with(PlantedBug bug) {
  return [bug](std::uint64_t seed, sim::Trace& trace) { return run_seed(seed, trace, bug, nullptr); };
}

bool one_seed_only() { return std::getenv("RINGKEEP_SIM_SEED") != nullptr; }

TEST(RingSim, KeepsItsPromisesUnderFaults) {
  RingCounts counts;
  const auto result = sim::run_campaign(
      "RingSim.KeepsItsPromisesUnderFaults", kSeeds,
      [&](std::uint64_t seed, sim::Trace& trace) { return run_seed(seed, trace, PlantedBug::kNone, &counts); });
  EXPECT_FALSE(result.failing_seed) << result.report;
  // RINGKEEP_SIM_SEED and RINGKEEP_SIM_SEEDS may ask for fewer.
  if (result.failing_seed || result.seeds_run < kSeeds) return;
  // Every kind of fault happened, often.
  for (const std::uint64_t count :
       {counts.crashes, counts.pauses, counts.cuts, counts.partitions, counts.lost, counts.duplicated, counts.slowed,
        counts.evictions, counts.leaves, counts.wipes, counts.same_lives, counts.wedges, counts.member_deaths,
        counts.leader_deaths, counts.beyond_recovery})
    EXPECT_GE(count, 50U);
  RecordProperty("views", static_cast<int>(counts.views));
  RecordProperty("crashes", static_cast<int>(counts.crashes));
  RecordProperty("beyond_recovery", static_cast<int>(counts.beyond_recovery));
}

TEST(RingSim, ASeedGivesTheSameRunAgain) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed)
    EXPECT_TRUE(sim::replays_exactly(seed, with(PlantedBug::kNone))) << seed;
}

struct Planted {
  const char* name;
  PlantedBug bug;
  const char* violation;  // what must be found
};

class RingBug : public testing::TestWithParam<Planted> {};

TEST_P(RingBug, IsFound) {
  const Planted& planted = GetParam();
  const auto result = sim::find_bug(std::string("*RingBug.IsFound/") + planted.name, kSeeds, with(planted.bug));
  if (one_seed_only()) return;
  ASSERT_TRUE(result.failing_seed) << "no seed finds it";
  EXPECT_TRUE(result.replays);
  EXPECT_THAT(result.violation, testing::ContainsRegex(planted.violation));
  EXPECT_THAT(result.report, testing::HasSubstr("RINGKEEP_SIM_SEED=" + std::to_string(*result.failing_seed)));
  RecordProperty("seeds", static_cast<int>(result.seeds_run));
}

INSTANTIATE_TEST_SUITE_P(
    Planted, RingBug,
    testing::Values(Planted{"InstallOnPropose", PlantedBug::kInstallOnPropose, "without a quorum|before it was told"},
                    Planted{"NoMajority", PlantedBug::kNoMajority, "without a quorum"},
                    Planted{"ForgetAccepted", PlantedBug::kForgetAccepted, "without a quorum|two values"},
                    Planted{"AckBeforeDurable", PlantedBug::kAckBeforeDurable, "without a quorum|two values"},
                    Planted{"ActOutside", PlantedBug::kActOutside, "does not contain it"},
                    Planted{"VoteWithoutMemory", PlantedBug::kVoteWithoutMemory, "without a quorum|two values"}),
    [](const testing::TestParamInfo<Planted>& planted) { return planted.param.name; });

}  // namespace
}  // namespace rk::ring

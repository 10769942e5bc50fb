// SPDX-License-Identifier: Apache-2.0
// The ring under simulated faults: many seeds without a violation, and planted bugs that each must be found.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "sim/campaign.h"
#include "tests/sim/ring/ring_cluster.h"

namespace rk::ring {
namespace {

constexpr std::uint64_t kSeeds = 5000;
constexpr std::uint64_t kBugSeeds = 1000;  // within which a planted bug must be found
constexpr std::uint64_t kReached = 100;    // each situation, at least

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
      "RingSim.KeepsItsPromisesUnderFaults", {1, kSeeds},
      [&](std::uint64_t seed, sim::Trace& trace) { return run_seed(seed, trace, PlantedBug::kNone, &counts); });
  EXPECT_FALSE(result.failing_seed) << result.report;
  // RINGKEEP_SIM_SEED and RINGKEEP_SIM_SEEDS may ask for fewer.
  if (result.failing_seed || result.seeds_run < kSeeds) return;
  // Every kind of fault and situation happened, often.
  const std::pair<const char*, std::uint64_t> reached[] = {
      {"crashes", counts.crashes},
      {"pauses", counts.pauses},
      {"cuts", counts.cuts},
      {"partitions", counts.partitions},
      {"messages lost", counts.lost},
      {"messages duplicated", counts.duplicated},
      {"messages slowed", counts.slowed},
      {"evictions", counts.evictions},
      {"leaves", counts.leaves},
      {"memories lost", counts.wipes},
      {"restarts in place", counts.same_lives},
      {"wedges", counts.wedges},
      {"last fault a member's death", counts.member_deaths},
      {"last fault a leader's death", counts.leader_deaths},
      {"last fault the death of one of two", counts.half_deaths},
      {"beyond recovery", counts.beyond_recovery},
      {"takeovers", counts.takeovers},
      {"accepted values adopted", counts.adopted},
      {"quorums of half with rank 0", counts.ties},
      {"views that the witness's vote decided", counts.witness_votes},
      {"views of one server and the witness", counts.single},
      {"last fault the death of a witness", counts.witness_deaths},
      {"overrides", counts.overrides},
      {"two rings after an override, until the network heals", counts.two_rings},
      {"rings in another order than the ranks", counts.apart},
      {"copies moved for racks or newcomers", counts.moved},
      {"clocks that jump", counts.jumps},
      {"quick restarts", counts.quick_restarts},
      {"restarts of a majority", counts.majority_restarts},
      {"cold starts after views have shrunk", counts.shrunken_cold_starts},
      {"leader dies after PROPOSE", counts.leader_dies_proposing},
      {"refused connections", counts.refused},
      {"views with a fence", counts.fenced},
      {"leases that a fence waits for", counts.waits}};
  for (const auto& [what, count] : reached) {
    EXPECT_GE(count, kReached) << what;
    std::printf("%8llu %s\n", static_cast<unsigned long long>(count), what);
  }
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
  const auto result = sim::find_bug(std::string("*RingBug.IsFound/") + planted.name, kBugSeeds, with(planted.bug));
  if (one_seed_only()) return;
  ASSERT_TRUE(result.failing_seed) << "no seed finds it";
  EXPECT_TRUE(result.replays);
  EXPECT_THAT(result.violation, testing::ContainsRegex(planted.violation));
  EXPECT_THAT(result.report, testing::HasSubstr("RINGKEEP_SIM_SEED=" + std::to_string(*result.failing_seed)));
  RecordProperty("seeds", static_cast<int>(result.seeds_run));
}

INSTANTIATE_TEST_SUITE_P(
    Planted, RingBug,
    testing::Values(Planted{"InstallOnPropose", PlantedBug::kInstallOnPropose,
                            "nobody told it|before it was told|without a quorum"},
                    Planted{"NoMajority", PlantedBug::kNoMajority, "without a quorum"},
                    Planted{"ForgetAccepted", PlantedBug::kForgetAccepted, "what it has not accepted|without a quorum"},
                    Planted{"ForgetPromise", PlantedBug::kForgetPromise, "promises before|prepares a ballot"},
                    Planted{"NoAdoption", PlantedBug::kNoAdoption, "without a quorum|two values"},
                    Planted{"ColdStartByRoster", PlantedBug::kColdStartByRoster, "without a quorum|two values"},
                    Planted{"AckBeforeDurable", PlantedBug::kAckBeforeDurable, "acknowledges before|without a quorum"},
                    Planted{"ActOutside", PlantedBug::kActOutside, "does not contain it"},
                    Planted{"VoteWithoutMemory", PlantedBug::kVoteWithoutMemory, "is no voter|without a quorum"},
                    Planted{"NoLeaderLease", PlantedBug::kNoLeaderLease, "may act although"},
                    Planted{"NoHold", PlantedBug::kNoHold, "may act although"},
                    Planted{"NoFence", PlantedBug::kNoFence, "may act although"},
                    Planted{"SurviveOverride", PlantedBug::kSurviveOverride,
                            "brings back an older life|of the generation before|not one ring"},
                    Planted{"IgnoreWitness", PlantedBug::kIgnoreWitness, "has not the witness"},
                    Planted{"IgnoreRacks", PlantedBug::kIgnoreRacks, "neighbours of one rack"}),
    [](const testing::TestParamInfo<Planted>& planted) { return planted.param.name; });

}  // namespace
}  // namespace rk::ring

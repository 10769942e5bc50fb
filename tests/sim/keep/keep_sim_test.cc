// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "sim/campaign.h"
#include "tests/sim/keep/keep_clients.h"
#include "tests/sim/keep/keep_cluster.h"

namespace rk::keep_sim {
namespace {

constexpr std::uint64_t kSeeds = 5000;
constexpr std::uint64_t kParts = 4;
constexpr std::uint64_t kReached = 100;    // each situation, at least, in each part
constexpr std::uint64_t kBugSeeds = 1000;  // within which a planted bug must be found

sim::RunSeed run_with(const Options& options, ClusterCounts* counts = nullptr) {
  return [options, counts](std::uint64_t seed, sim::Trace& trace) {
    Cluster cluster(seed, options, trace);
    std::string violation = cluster.run();
    if (counts != nullptr) cluster.add_to(*counts);
    return violation;
  };
}

// In parts, which run side by side.
class KeepSim : public testing::TestWithParam<std::uint64_t> {};

TEST_P(KeepSim, SurvivesFaults) {
  Clients::totals() = {};
  ClusterCounts counts;
  const sim::Seeds seeds{1 + GetParam() * kSeeds / kParts, kSeeds / kParts};
  const auto result = sim::run_campaign("*KeepSim.SurvivesFaults/0", seeds, run_with({}, &counts));
  EXPECT_FALSE(result.failing_seed) << result.report;
  // RINGKEEP_SIM_SEED and RINGKEEP_SIM_SEEDS may ask for fewer.
  if (result.failing_seed || result.seeds_run < seeds.count) return;
  EXPECT_GE(counts.least_faults, 10U);
  EXPECT_GE(counts.least_writes, 200U);
  const Outcomes& totals = Clients::totals();
  const std::pair<const char*, std::uint64_t> reached[] = {
      {"commits OK", totals.ok / 50},
      {"commits FAILED", totals.failed},
      {"commits UNKNOWN", totals.unknown},
      {"reads", totals.reads / 10},
      {"reads from another server", totals.fetched},
      {"group versions", totals.groups / 2},
      {"removals", totals.removed / 2},
      {"reads of what is lost", totals.lost},
      {"names told of", totals.inspected / 2},
      {"lists", totals.listed},
      {"many versions of a name in flight", totals.bursts},
      {"verifications", totals.verified},
      {"copies spoilt at rest", counts.spoilt / 5},
      {"damaged copies found", counts.damaged / 5},
      {"damaged copies repaired", counts.repaired / 3},
      {"damaged copies that nobody could repair, and told so", counts.unrepairable},
      {"reads that found damage", totals.found_damage},
      {"reads of what is lost by damage", totals.lost_by_damage},
      {"old writers refused", totals.fenced},
      {"servers that died while a copy came", counts.dead_in_sync},
      {"returns of servers that had what was said to be lost", counts.orphans},
      {"homes that died while a group record was half written", counts.half_written},
      {"copies offered as changed pages", counts.deltas / 100},
      {"pages that need not travel", counts.delta_bytes_saved / 4096 / 100},
      {"deltas refused", counts.deltas_refused},
      {"deltas without their base", counts.deltas_baseless},
      {"deltas whose base was damaged", counts.deltas_spoilt},
      {"bases let go of in the midst", counts.bases_outlived},
      {"clocks that jump", counts.jumps},
      {"no memory", counts.full},
      {"flipped bits", counts.flipped},
      {"takeovers", counts.takeovers},
      {"evictions", counts.evictions},
      {"lives that go on where the one before was killed", counts.returned},
      {"copies of the life before that need not travel", counts.returned_copies},
      {"views that the witness's vote decided", counts.witness_votes},
      {"leases that a fence waits for", counts.waits}};
  for (const auto& [what, count] : reached) {
    EXPECT_GE(count, kReached) << what;
    std::printf("%8llu %s\n", static_cast<unsigned long long>(count), what);
  }
}

INSTANTIATE_TEST_SUITE_P(Part, KeepSim, testing::Range<std::uint64_t>(0, kParts));

TEST(Keep, ASeedReplaysExactly) {
  for (const std::uint64_t seed : {3, 17, 99}) EXPECT_TRUE(sim::replays_exactly(seed, run_with({})));
}

// The checkers are worth something only if they find a bug that is known to be there.
struct Planted {
  const char* name;
  keep::PlantedBug bug;
  const char* violation;  // what must be found
};

class KeepBug : public testing::TestWithParam<Planted> {};

TEST_P(KeepBug, IsFound) {
  const Planted& planted = GetParam();
  Options options;
  options.planted_bug = planted.bug;
  const auto result = sim::find_bug(std::string("*KeepBug.IsFound/") + planted.name, kBugSeeds, run_with(options));
  ASSERT_TRUE(result.failing_seed) << "no seed finds it";
  EXPECT_THAT(result.violation, testing::ContainsRegex(planted.violation));
  std::printf("found by seed %llu: %s\n", static_cast<unsigned long long>(*result.failing_seed),
              result.violation.c_str());
}

using Bug = keep::PlantedBug;
INSTANTIATE_TEST_SUITE_P(
    Planted, KeepBug,
    testing::Values(Planted{"OkBeforeAck", Bug::kAcknowledgeBeforeCopy, "not complete at the predecessor"},
                    Planted{"NumberUsedTwice", Bug::kReuseFailedNumber, "two contents"},
                    Planted{"NoLease", Bug::kNoLease, "was OK|is OK at server|has been removed|had been removed"},
                    Planted{"NoLeaseNoEpoch", Bug::kNoLeaseNoEpoch,
                            "was OK|is OK at server|not complete|two contents|that must know of it|slots for"},
                    Planted{"NoFence", Bug::kNoFence, "was OK|is OK at server|two contents"},
                    Planted{"CountEmpty", Bug::kCountEmpty,
                            "not complete at the predecessor|was OK|second copy|not fetched to its home"},
                    Planted{"NotAdopted", Bug::kNotAdopted, "has no home, and server"},
                    Planted{"CountIncomplete", Bug::kCountIncomplete,
                            "no second copy|while a server|was OK|not fetched to its home"},
                    Planted{"OlderAfterLoss", Bug::kOlderAfterLoss, "was OK"},
                    Planted{"ReturnedTrusted", Bug::kReturnedTrusted, "second copy|was OK|removed"},
                    Planted{"DamageNotTold", Bug::kDamageNotTold,
                            "is damaged at server|has no second copy|not fetched to its home"},
                    Planted{"RepairNotVerified", Bug::kRepairNotVerified, "does not have its bytes"},
                    Planted{"ServeDamaged", Bug::kServeDamaged, "knew to be damaged|does not have its bytes"},
                    Planted{"OverwriteShadow", Bug::kOverwriteShadow,
                            "does not have its bytes|bytes that are not its own"},
                    Planted{"NoWriterFence", Bug::kNoWriterFence, "got OK after one of life"},
                    Planted{"TrustChecksum", Bug::kTrustChecksum, "was OK"},
                    Planted{"RetireBeforeCommit", Bug::kRetireBeforeCommit, "a retained group version names it"},
                    Planted{"DeltaOnWrongBase", Bug::kDeltaOnWrongBase, "does not have its bytes"},
                    Planted{"NotOutdated", Bug::kNotOutdated, "was OK"},
                    Planted{"ClaimIsLoss", Bug::kClaimIsLoss, "no server that wrote it is gone"}),
    [](const testing::TestParamInfo<Planted>& planted) { return planted.param.name; });

}  // namespace
}  // namespace rk::keep_sim

// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/campaign.h"
#include "tests/sim/keep/keep_clients.h"
#include "tests/sim/keep/keep_cluster.h"

namespace rk::keep_sim {
namespace {

constexpr std::uint64_t kSeeds = 5000;
constexpr std::uint64_t kBugSeeds = 1000;  // within which a planted bug must be found

sim::RunSeed run_with(const Options& options, ClusterCounts* counts = nullptr) {
  return [options, counts](std::uint64_t seed, sim::Trace& trace) {
    Cluster cluster(seed, options, trace);
    std::string violation = cluster.run();
    if (counts != nullptr) cluster.add_to(*counts);
    return violation;
  };
}

TEST(Keep, SurvivesFaults) {
  Clients::totals() = {};
  ClusterCounts counts;
  const auto result = sim::run_campaign("Keep.SurvivesFaults", kSeeds, run_with({}, &counts));
  EXPECT_FALSE(result.failing_seed) << result.report;
  std::printf("faults %llu (at least %llu a seed), requests %llu (at least %llu writes a seed), beyond recovery %llu\n",
              static_cast<unsigned long long>(counts.faults), static_cast<unsigned long long>(counts.least_faults),
              static_cast<unsigned long long>(counts.requests), static_cast<unsigned long long>(counts.least_writes),
              static_cast<unsigned long long>(counts.beyond_recovery));
  if (!result.failing_seed) {
    EXPECT_GE(counts.least_faults, 10U);
    EXPECT_GE(counts.least_writes, 200U);
  }
  // The clients did what they were there for.
  const Outcomes& totals = Clients::totals();
  for (const std::uint64_t count : {totals.ok / 50, totals.failed, totals.unknown, totals.reads / 10, totals.fetched,
                                    totals.groups / 2, totals.removed / 2})
    EXPECT_GE(count, result.seeds_run / 2);
}

TEST(Keep, ASeedReplaysExactly) {
  for (const std::uint64_t seed : {3, 17, 99}) EXPECT_TRUE(sim::replays_exactly(seed, run_with({})));
}

// The checkers are worth something only if they find a bug that is known to be there.
struct Planted {
  const char* name;
  keep::PlantedBug bug;
  ring::PlantedBug ring_bug;
  const char* violation;  // what must be found
};

class KeepBug : public testing::TestWithParam<Planted> {};

TEST_P(KeepBug, IsFound) {
  const Planted& planted = GetParam();
  Options options;
  options.planted_bug = planted.bug;
  options.planted_ring_bug = planted.ring_bug;
  const auto result = sim::find_bug(std::string("*KeepBug.IsFound/") + planted.name, kBugSeeds, run_with(options));
  ASSERT_TRUE(result.failing_seed) << "no seed finds it";
  EXPECT_THAT(result.violation, testing::ContainsRegex(planted.violation));
  std::printf("found by seed %llu: %s\n", static_cast<unsigned long long>(*result.failing_seed),
              result.violation.c_str());
}

using Bug = keep::PlantedBug;
INSTANTIATE_TEST_SUITE_P(
    Planted, KeepBug,
    testing::Values(Planted{"OkBeforeAck", Bug::kAcknowledgeBeforeCopy, ring::PlantedBug::kNone,
                            "not complete at the predecessor"},
                    Planted{"NumberUsedTwice", Bug::kReuseFailedNumber, ring::PlantedBug::kNone, "two contents"},
                    Planted{"NoLease", Bug::kNoLease, ring::PlantedBug::kNone, "."},
                    Planted{"NoFence", Bug::kNoFence, ring::PlantedBug::kNoFence, "."},
                    Planted{"CountEmpty", Bug::kCountEmpty, ring::PlantedBug::kNone, "."},
                    Planted{"CountIncomplete", Bug::kCountIncomplete, ring::PlantedBug::kNone, "."}),
    [](const testing::TestParamInfo<Planted>& planted) { return planted.param.name; });

}  // namespace
}  // namespace rk::keep_sim

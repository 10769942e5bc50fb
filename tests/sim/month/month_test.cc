// SPDX-License-Identifier: Apache-2.0
// Servers that fail over a long time: nothing is lost but what two adjacent failures take, as often as the formula
// says, and never silently.
#include <gtest/gtest.h>

#include <iostream>

#include "tests/sim/month/rates.h"

namespace rk::month {
namespace {

TEST(Month, PlannedRestartsAndSingleFailuresLoseNothing) {
  Options options;
  options.servers = options.services = 12;
  options.mtbf_s = 20 * 86400.0;
  options.duration_s = 10 * 86400.0;
  options.write_s = 5;
  const Result result = Month(options, 1).run();
  EXPECT_EQ(result.violation, "");
  EXPECT_EQ(result.lost, 0U);
  EXPECT_GE(result.failures, 2U);
  EXPECT_GE(result.leaves, 11U);
  EXPECT_GE(result.restarts, 11U);
  EXPECT_GE(result.reads, 30U);
  EXPECT_GE(result.commits, 100U);
  EXPECT_GT(result.skipped_s, 0.9 * options.duration_s);
}

TEST(Month, TwoAdjacentFailuresLoseAsOftenAsPredicted) {
  const Options options = failing_often(6'000);
  constexpr std::uint64_t kRuns = 3;  // one alone is lucky or not
  std::uint64_t lost = 0;
  for (std::uint64_t seed = 1; seed <= kRuns; ++seed) {
    const Result result = Month(options, seed).run();
    EXPECT_EQ(result.violation, "");
    lost += result.lost;
  }
  EXPECT_GE(lost, 30U);
  const double predicted = kRuns * predicted_losses(options);
  EXPECT_GT(static_cast<double>(lost), predicted / 2);
  EXPECT_LT(static_cast<double>(lost), predicted * 2);
}

// Services that stay away for long, so that all servers that knew their names may have gone meanwhile.
TEST(Month, ANameThatIsNotPassedOnIsFoundForgotten) {
  Options options = failing_often(3'000);
  options.mtbf_s = 100;
  options.restart_s = 60;
  options.planted_bug = keep::PlantedBug::kNotPassedOn;
  std::string found;
  std::uint64_t seed = 0;
  while (found.empty() && ++seed <= 20) found = Month(options, seed).run().violation;
  EXPECT_NE(found.find("is said never to have been"), std::string::npos) << found;
  std::cout << "found by seed " << seed << ": " << found << "\n";
  options.planted_bug = keep::PlantedBug::kNone;
  EXPECT_EQ(Month(options, seed).run().violation, "");
}

}  // namespace
}  // namespace rk::month

// SPDX-License-Identifier: Apache-2.0
// Many seeds, one after another, until one fails. A failing seed is run again with its trace as text, and reported with
// the command that replays it: the same binary with RINGKEEP_SIM_SEED set runs that seed alone.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "sim/trace.h"

namespace rk::sim {

// Runs one seed. The answer is the first violation of an invariant, empty if there is none.
using RunSeed = std::function<std::string(std::uint64_t seed, Trace& trace)>;

struct CampaignResult {
  std::uint64_t seeds_run = 0;
  std::optional<std::uint64_t> failing_seed;
  std::string violation;
  bool replays = true;  // the failing seed gave the same digest and violation again
  std::string report;   // for people: seed, violation, replay command, end of the trace
};

// `test` is the GoogleTest name ("Ring.SurvivesFaults"), for the replay command. Seeds are 1 .. count, or the one of
// RINGKEEP_SIM_SEED; RINGKEEP_SIM_SEEDS replaces the count.
CampaignResult run_campaign(const std::string& test, std::uint64_t count, const RunSeed& run);

// The same for a planted bug, which must be found: RINGKEEP_SIM_SEEDS does not shorten it, the first violation ends it.
CampaignResult find_bug(const std::string& test, std::uint64_t count, const RunSeed& run);

// Does the seed give the same run twice?
bool replays_exactly(std::uint64_t seed, const RunSeed& run);

}  // namespace rk::sim

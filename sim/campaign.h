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

struct Seeds {
  std::uint64_t first = 1;
  std::uint64_t count = 0;
};

// `test` is the GoogleTest name ("Ring.SurvivesFaults"), for the replay command. RINGKEEP_SIM_SEED asks for that seed
// alone; RINGKEEP_SIM_FIRST and RINGKEEP_SIM_SEEDS replace the first one and the count.
CampaignResult run_campaign(const std::string& test, Seeds seeds, const RunSeed& run);

// Seeds 1 .. count for a planted bug, which must be found: only RINGKEEP_SIM_SEED changes them, the first violation
// ends it.
CampaignResult find_bug(const std::string& test, std::uint64_t count, const RunSeed& run);

// Does the seed give the same run twice?
bool replays_exactly(std::uint64_t seed, const RunSeed& run);

}  // namespace rk::sim

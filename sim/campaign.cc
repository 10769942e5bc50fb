// SPDX-License-Identifier: Apache-2.0
#include "sim/campaign.h"

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace rk::sim {
namespace {

constexpr std::size_t kTailLines = 120;

std::optional<std::uint64_t> number_from_environment(const char* name) {
  const char* text = std::getenv(name);
  if (text == nullptr || *text == '\0') return std::nullopt;
  return std::strtoull(text, nullptr, 10);
}

std::string replay_command(const std::string& test, std::uint64_t seed) {
  return "RINGKEEP_SIM_SEED=" + std::to_string(seed) + " " + program_invocation_name + " --gtest_filter=" + test;
}

CampaignResult run_seeds(const std::string& test, Seeds seeds, const RunSeed& run) {
  const auto only = number_from_environment("RINGKEEP_SIM_SEED");
  if (only) seeds = {*only, 1};
  CampaignResult result;
  for (std::uint64_t seed = seeds.first; seed < seeds.first + seeds.count; ++seed) {
    Trace silent(false);
    ++result.seeds_run;
    const std::string violation = run(seed, silent);
    if (violation.empty() && !only) continue;
    Trace told(true);
    const std::string again = run(seed, told);
    result.replays = again == violation && told.digest() == silent.digest();
    result.report =
        "seed " + std::to_string(seed) + ": " + (violation.empty() ? "no violation" : violation) +
        "\nreplay: " + replay_command(test, seed) + "\n" +
        (result.replays ? "" : "the second run of the seed differs: the simulation is not deterministic\n") +
        told.tail(only ? SIZE_MAX : kTailLines);
    if (only) std::fprintf(stderr, "%s", result.report.c_str());
    if (violation.empty()) continue;
    result.failing_seed = seed;
    result.violation = violation;
    break;
  }
  return result;
}

}  // namespace

CampaignResult run_campaign(const std::string& test, Seeds seeds, const RunSeed& run) {
  seeds.first = number_from_environment("RINGKEEP_SIM_FIRST").value_or(seeds.first);
  seeds.count = number_from_environment("RINGKEEP_SIM_SEEDS").value_or(seeds.count);
  return run_seeds(test, seeds, run);
}

CampaignResult find_bug(const std::string& test, std::uint64_t count, const RunSeed& run) {
  return run_seeds(test, {1, count}, run);
}

bool replays_exactly(std::uint64_t seed, const RunSeed& run) {
  Trace one(false);
  Trace two(true);
  const std::string first = run(seed, one);
  return run(seed, two) == first && one.digest() == two.digest();
}

}  // namespace rk::sim

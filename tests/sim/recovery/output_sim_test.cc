// SPDX-License-Identifier: Apache-2.0
// A process prints the same lines in every life, but for some that differ from life to life; it dies at random bytes,
// takes checkpoints, starts from the beginning or from a checkpoint. What is shown must be the lines of a run without a
// failure, each once, each as its first whole version.
#include <gtest/gtest.h>

#include <vector>

#include "base/prng.h"
#include "recovery/output_filter.h"
#include "sim/campaign.h"

namespace rk::recovery {
namespace {

struct Program {
  std::vector<std::string> lines;
  std::vector<bool> varies;
  bool ends_with_newline = true;

  std::string text(std::size_t line, std::uint64_t life) const {
    std::string out = lines[line];
    if (varies[line]) out += " life " + std::to_string(life);
    if (line + 1 < lines.size() || ends_with_newline) out += '\n';
    return out;
  }
};

Program random_program(Prng& random) {
  Program program;
  const std::uint64_t count = random.between(1, 40);
  for (std::uint64_t i = 0; i < count; ++i) {
    program.lines.push_back(std::string(random.below(30), static_cast<char>('a' + random.below(26))) +
                            std::to_string(i));
    program.varies.push_back(random.chance(1, 8));
  }
  program.ends_with_newline = random.chance(3, 4);
  return program;
}

// Feeds `bytes` in random pieces.
void feed(OutputFilter& filter, Prng& random, std::string_view bytes, std::string& shown) {
  while (!bytes.empty()) {
    const std::size_t size = static_cast<std::size_t>(random.between(1, bytes.size()));
    filter.feed(bytes.substr(0, size), shown);
    bytes.remove_prefix(size);
  }
}

// `forgetful`: a launcher that does not tell the filter of a new life, which the comparison must see.
std::string run_seed(std::uint64_t seed, bool forgetful) {
  Prng random(seed);
  const Program program = random_program(random);
  OutputFilter filter;
  std::string shown;
  std::string expected;
  std::size_t reached = 0;     // lines that came out whole in some life
  std::size_t checkpoint = 0;  // line of the newest checkpoint
  std::uint64_t position = 0;  // of the filter at that moment
  const std::uint64_t deaths = random.below(6);
  for (std::uint64_t life = 0;; ++life) {
    std::size_t line = 0;
    if (life > 0 && checkpoint > 0) {
      filter.resume(position);
      line = checkpoint;
    }
    const bool last = life == deaths;
    const std::size_t dies_at =
        last ? program.lines.size() : static_cast<std::size_t>(random.below(program.lines.size() + 1));
    for (; line < dies_at; ++line) {
      const std::string text = program.text(line, life);
      feed(filter, random, text, shown);
      if (line >= reached && text.back() == '\n') {
        expected += text;
        reached = line + 1;
      }
      if (text.back() == '\n' && random.chance(1, 10) && line + 1 >= checkpoint) {
        checkpoint = line + 1;
        position = filter.position();
        if (position != checkpoint)
          return "position " + std::to_string(position) + " after line " + std::to_string(line);
      }
    }
    if (last) {
      if (reached < program.lines.size()) expected += program.text(reached, life);
      break;
    }
    if (line < program.lines.size()) {  // dies in the middle of a line
      const std::string text = program.text(line, life);
      feed(filter, random, std::string_view(text).substr(0, text.size() - 1), shown);
    }
    if (!forgetful) filter.restart();
  }
  filter.finish(shown);
  return shown == expected ? "" : "shown:\n" + shown + "expected:\n" + expected;
}

TEST(OutputSim, EveryLineOnceAsItsFirstVersion) {
  const sim::CampaignResult result =
      sim::run_campaign("OutputSim.EveryLineOnceAsItsFirstVersion", {1, 3000},
                        [](std::uint64_t seed, sim::Trace&) { return run_seed(seed, false); });
  EXPECT_FALSE(result.failing_seed) << result.report;
  EXPECT_GT(result.seeds_run, 0U);
}

TEST(OutputSim, AForgottenRestartIsSeen) {
  const sim::CampaignResult result = sim::find_bug(
      "OutputSim.AForgottenRestartIsSeen", 100, [](std::uint64_t seed, sim::Trace&) { return run_seed(seed, true); });
  EXPECT_TRUE(result.failing_seed);
}

}  // namespace
}  // namespace rk::recovery

// SPDX-License-Identifier: Apache-2.0
// ring_month month|rates SEED: one simulated month of 100 servers, or a small cluster whose servers fail every few
// minutes. A JSON object; campaign/ring-month runs it.
#include <fmt/core.h>

#include <charconv>
#include <cstdio>
#include <string_view>

#include "tests/sim/month/rates.h"

int main(int argc, char** argv) {
  std::uint64_t seed = 0;
  const std::string_view kind = argc > 1 ? argv[1] : "";
  const std::string_view text = argc > 2 ? argv[2] : "";
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), seed);
  if (argc != 3 || (kind != "month" && kind != "rates") || parsed.ec != std::errc()) {
    fmt::print(stderr, "usage: ring_month month|rates SEED\n");
    return 2;
  }
  const rk::month::Options options = kind == "month" ? rk::month::Options{} : rk::month::failing_often(12'000);
  const rk::month::Result result = rk::month::Month(options, seed).run();
  fmt::print(
      R"({{"kind":"{}","servers":{},"services":{},"duration_s":{:.0f},"mtbf_s":{:.0f},"failures":{},"leaves":{},)"
      R"("restarts":{},"views":{},"takeovers":{},"commits":{},"not_confirmed":{},"reads":{},"moves":{},"lost":{},)"
      R"("told_lost":{},"predicted_lost":{:.6g},"single_copy_s":{:.1f},"run_s":{:.0f},)"
      R"("skipped_s":{:.0f},"violation":"{}"}})"
      "\n",
      kind, options.servers, options.services, options.duration_s, options.mtbf_s, result.failures, result.leaves,
      result.restarts, result.views, result.takeovers, result.commits, result.not_confirmed, result.reads, result.moves,
      result.lost, result.told_lost, rk::month::predicted_losses(options), result.single_s, result.run_s,
      result.skipped_s, result.violation);
  return result.violation.empty() ? 0 : 1;
}

// SPDX-License-Identifier: Apache-2.0
// ring_scale N [SEED]: one ring of N simulated servers through all changes, a JSON object a line. campaign/ring-scale
// runs it for every size.
#include <fmt/core.h>

#include <charconv>
#include <cstdio>
#include <string_view>

#include "tests/sim/scale/scale_cycle.h"

namespace {

bool parse(std::string_view text, std::uint64_t& value) {
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  return parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t servers = 0;
  std::uint64_t seed = 1;
  const bool understood = (argc == 2 || argc == 3) && parse(argv[1], servers) && (argc < 3 || parse(argv[2], seed));
  if (!understood || servers < 3 || servers > rk::wire::kMaxServers) {
    fmt::print(stderr, "usage: ring_scale SERVERS [SEED], with 3 to {} servers\n", rk::wire::kMaxServers);
    return 2;
  }
  rk::scale::ScaleRing ring(servers, seed);
  bool right = true;
  for (const rk::scale::Change& change : run_cycle(ring, seed)) {
    const rk::scale::Traffic& traffic = change.traffic;
    right = right && change.complete && traffic.rounds() == change.expected;
    fmt::print(
        R"({{"n":{},"change":"{}","complete":{},"servers":{},"views":{},"ballots":{},"messages":{},"expected":{},)"
        R"("propose":{},"ack":{},"commit":{},"prepare":{},"promise":{},"healing":{},"detection":{},"asking":{},"heartbeats":{},"round_bytes":{},"bytes":{},"simulated_ms":{:.2f},)"
        R"("decider_cpu_ms":{:.3f},"member_cpu_ms":{:.4f}}})"
        "\n",
        servers, change.name, change.complete, change.servers, change.views, change.proposals, traffic.rounds(),
        change.expected, traffic.propose, traffic.ack, traffic.commit, traffic.prepare, traffic.promise,
        traffic.healing, traffic.detection, traffic.asking, traffic.heartbeats, traffic.round_bytes, traffic.bytes,
        static_cast<double>(change.simulated_us) / 1000, change.decider_cpu_ms, change.member_cpu_ms);
    std::fflush(stdout);
  }
  const rk::scale::Traffic idle = ring.idle(1'000'000);
  fmt::print(R"({{"n":{},"change":"idle second","heartbeats":{},"bytes":{},"messages":{}}})"
             "\n",
             servers, idle.heartbeats, idle.bytes, idle.rounds());
  if (!ring.violation().empty()) fmt::print(stderr, "{}\n", ring.violation());
  return right && ring.violation().empty() ? 0 : 1;
}

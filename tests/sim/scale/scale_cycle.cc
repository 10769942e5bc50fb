// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/scale/scale_cycle.h"

#include <algorithm>
#include <string>

namespace rk::scale {
namespace {

// Members other than the leader and the next in line, no two of them neighbours.
std::vector<NodeId> choose(const ring::View& view, std::size_t count, Prng& prng) {
  std::vector<NodeId> out;
  const std::size_t step = (view.members.size() - 2) / count;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t within = std::max<std::size_t>(step - 1, 1);
    out.push_back(view.members[2 + i * step + prng.below(within)].node);
  }
  return out;
}

}  // namespace

std::vector<Change> run_cycle(ScaleRing& ring, std::uint64_t seed) {
  Prng prng(seed);
  std::vector<Change> out;
  out.push_back(ring.form());
  const auto one = [&] { return choose(ring.view(), 1, prng); };
  auto nodes = one();
  out.push_back(ring.crash("member killed", nodes));
  out.push_back(ring.join("join", nodes));
  nodes = one();
  out.push_back(ring.leave("leave", nodes));
  out.push_back(ring.join("join again", nodes));
  if (ring.size() >= 4) {  // with three, one of two others would be left to confirm it
    nodes = one();
    out.push_back(ring.crash("member silent", nodes, true));
    out.push_back(ring.join("join after silence", nodes));
  }
  std::size_t percent = ring.size() / 100;
  if (percent == 8) percent = 0;
  for (const std::size_t count : {std::size_t{8}, percent}) {
    if (count < 2 || 2 * count + 2 > ring.size()) continue;
    nodes = choose(ring.view(), count, prng);
    out.push_back(ring.crash(std::to_string(count) + " killed at once", nodes));
    out.push_back(ring.join(std::to_string(count) + " join at once", nodes));
  }
  out.push_back(ring.crash("leader killed", {ring.view().members.front().node}));
  return out;
}

}  // namespace rk::scale

// SPDX-License-Identifier: Apache-2.0
// The changes that are measured, the same for every size of the ring.
#pragma once

#include <vector>

#include "tests/sim/scale/scale_ring.h"

namespace rk::scale {

// Forms the ring, then: a member killed, it joins again, a member leaves, it joins again, a member's host silent, it
// joins again, 8 members killed at once and 1% at once (where that leaves a quorum), those join again, the leader
// killed.
std::vector<Change> run_cycle(ScaleRing& ring, std::uint64_t seed);

}  // namespace rk::scale

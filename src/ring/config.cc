// SPDX-License-Identifier: Apache-2.0
#include "ring/config.h"

#include <algorithm>

namespace rk::ring {

Timings Timings::with_suspicion(std::uint64_t suspicion_ms) {
  const auto share = [&](std::uint64_t of_500) { return suspicion_ms * of_500 / 500; };
  Timings timings;
  timings.suspicion_ms = timings.hold_ms = suspicion_ms;
  timings.lease_ms = share(350);
  timings.probe_ms = share(200);
  timings.heartbeat_ms = timings.propose_ms = share(100);
  timings.late_ms = std::max(share(100), timings.late_ms);
  return timings;
}

}  // namespace rk::ring

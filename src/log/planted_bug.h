// SPDX-License-Identifier: Apache-2.0
// Known-wrong variants of the log, each of which the simulation must catch (tests/sim/log). Test hook only: nothing in
// the product sets it.
#pragma once

#include <cstdint>

namespace rk::log {

enum class PlantedBug : std::uint8_t {
  kNone = 0,
  kNoDuplicateCheck,         // a receiver accepts a message whose ssn it has passed (breaks MISSION.md C.13)
  kNoInsideSources,          // matches of a wildcard with a sender inside the community leave no determinant
  kDeterminantAtCompletion,  // a match is recorded when the program completes the receive
};

}  // namespace rk::log

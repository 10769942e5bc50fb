// SPDX-License-Identifier: Apache-2.0
// How much memory this process could take before the system refuses or kills: the least of what the machine has
// available and what each enclosing control group (version 1 and 2) still allows.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace rk::shm {

struct MemoryRoom {
  std::uint64_t capacity_bytes = 0;   // at most this can ever be used: the machine's memory or the lowest group limit
  std::uint64_t available_bytes = 0;  // this much is left now; page cache that the system can drop counts as left
  std::string capacity_limit;         // who sets the capacity: "the machine" or "control group PATH"
  std::string available_limit;        // who sets what is available
};

// Reads <root>/proc/meminfo, <root>/proc/self/{cgroup,mountinfo} and the groups' files below <root>. Groups whose files
// are missing (a container may hide them) set no limit.
Result<MemoryRoom> memory_room(const std::string& root);

}  // namespace rk::shm

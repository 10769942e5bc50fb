// SPDX-License-Identifier: Apache-2.0
// Who gets the descriptors that this process may have (RLIMIT_NOFILE). Each client is one and each piece of memory is
// one; if either took all, no operator could connect any more, not even to delete something. So clients get three
// quarters at most, memory what is left below seven eighths, and the rest is for links, answers and operators.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace rk::daemon {

// RLIMIT_NOFILE, as it is now.
std::uint64_t descriptor_limit();
// How many clients may be connected at a time.
std::uint64_t clients_within(std::uint64_t descriptor_limit, std::uint64_t wanted);
// Whether memory may have the descriptor that it was just given: the system gives the lowest that is free. kNoMemory
// with the limit if not.
Status check_room_beside(int memory, std::uint64_t descriptor_limit);

}  // namespace rk::daemon

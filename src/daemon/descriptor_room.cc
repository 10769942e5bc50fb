// SPDX-License-Identifier: Apache-2.0
#include "daemon/descriptor_room.h"

#include <sys/resource.h>

#include <algorithm>
#include <string>

namespace rk::daemon {

std::uint64_t descriptor_limit() {
  rlimit limit{};
  return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : RLIM_INFINITY;
}

std::uint64_t clients_within(std::uint64_t descriptor_limit, std::uint64_t wanted) {
  return std::min(wanted, std::max<std::uint64_t>(1, descriptor_limit / 4 * 3));
}

Status check_room_beside(int memory, std::uint64_t descriptor_limit) {
  if (static_cast<std::uint64_t>(memory) < descriptor_limit / 8 * 7) return {};
  return fail(ErrorCode::kNoMemory, "this server has " + std::to_string(memory) + " of the " +
                                        std::to_string(descriptor_limit) +
                                        " descriptors that it may have, and each piece of memory is one: delete "
                                        "checkpoints, or raise its limit (ulimit -n, LimitNOFILE)");
}

}  // namespace rk::daemon

// SPDX-License-Identifier: Apache-2.0
#include "shm/memory_budget.h"

#include "base/check.h"
#include "shm/memory_room.h"

namespace rk::shm {

Result<MemoryBudget> MemoryBudget::create(Config config) {
  if (config.budget_bytes == 0)
    return fail(ErrorCode::kInvalidArgument, "a memory budget of 0 bytes can keep nothing: give at least 1 MiB");
  RK_TRY(const MemoryRoom room, memory_room(config.root));
  if (config.reserve_bytes > room.capacity_bytes || config.budget_bytes > room.capacity_bytes - config.reserve_bytes)
    return fail(ErrorCode::kNoMemory, "the memory budget of " + std::to_string(config.budget_bytes) +
                                          " bytes and the reserve of " + std::to_string(config.reserve_bytes) +
                                          " bytes exceed the " + std::to_string(room.capacity_bytes) + " bytes of " +
                                          room.capacity_limit + ": set a smaller budget or raise the limit");
  return MemoryBudget(std::move(config));
}

Status MemoryBudget::take(std::uint64_t bytes) {
  const std::uint64_t left = config_.budget_bytes - used_bytes_;
  if (bytes > left)
    return fail(ErrorCode::kNoMemory,
                std::to_string(bytes) + " bytes are asked for and " + std::to_string(left) +
                    " of the memory budget of " + std::to_string(config_.budget_bytes) +
                    " bytes are left: delete checkpoints or start the server with a larger budget");
  RK_TRY(const MemoryRoom room, memory_room(config_.root));
  if (config_.reserve_bytes > room.available_bytes || bytes > room.available_bytes - config_.reserve_bytes)
    return fail(ErrorCode::kNoMemory, std::to_string(bytes) + " bytes are asked for and " + room.available_limit +
                                          " has " + std::to_string(room.available_bytes) +
                                          " bytes available, of which " + std::to_string(config_.reserve_bytes) +
                                          " are a reserve: free memory or raise the limit");
  used_bytes_ += bytes;
  return {};
}

void MemoryBudget::give(std::uint64_t bytes) {
  RK_CHECK(bytes <= used_bytes_);
  used_bytes_ -= bytes;
}

}  // namespace rk::shm

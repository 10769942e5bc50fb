// SPDX-License-Identifier: Apache-2.0
// The memory that a server may use, fixed at start. Every take() is checked against the budget and against what the
// machine and each enclosing control group have left beyond a reserve, because beyond those the system does not refuse
// but kills. Memory that was taken is touched at once (MemoryFile::touch), so that the next check sees it.
// Used by one thread.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace rk::shm {

class MemoryBudget {
 public:
  struct Config {
    std::uint64_t budget_bytes = 0;
    std::uint64_t reserve_bytes = std::uint64_t{64} << 20U;  // left to everybody else on the machine and in the group
    std::string root;                                        // where /proc and /sys are looked for: "" outside of tests
  };

  // kNoMemory, with both numbers, if the budget and the reserve exceed the machine or a group's limit.
  static Result<MemoryBudget> create(Config config);

  // kNoMemory, with the numbers and who sets the limit; nothing is taken then.
  Status take(std::uint64_t bytes);
  void give(std::uint64_t bytes);

  std::uint64_t budget_bytes() const { return config_.budget_bytes; }
  std::uint64_t used_bytes() const { return used_bytes_; }

 private:
  explicit MemoryBudget(Config config) : config_(std::move(config)) {}
  Config config_;
  std::uint64_t used_bytes_ = 0;
};

}  // namespace rk::shm

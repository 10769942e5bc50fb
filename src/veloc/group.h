// SPDX-License-Identifier: Apache-2.0
// The ranks that take checkpoints together, and the few questions that they ask each other.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

namespace rk::veloc {

class Group {
 public:
  Group() = default;
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;
  virtual ~Group() = default;
  virtual std::uint32_t rank() const = 0;
  virtual std::uint32_t ranks() const = 0;
  // Each value becomes the highest that a rank gave. As many values on all ranks.
  virtual Status maximum(std::span<std::uint64_t> values) = 0;
  // The values of rank 0 become everybody's.
  virtual Status take_from_first(std::span<std::uint64_t> values) = 0;
  // One value of each rank, by rank.
  virtual Result<std::vector<std::uint64_t>> gather(std::uint64_t mine) = 0;
};

// VELOC_Init_single: nobody else is asked.
class Alone : public Group {
 public:
  std::uint32_t rank() const override { return 0; }
  std::uint32_t ranks() const override { return 1; }
  Status maximum(std::span<std::uint64_t> /*values*/) override { return {}; }
  Status take_from_first(std::span<std::uint64_t> /*values*/) override { return {}; }
  Result<std::vector<std::uint64_t>> gather(std::uint64_t mine) override { return std::vector{mine}; }
};

}  // namespace rk::veloc

// SPDX-License-Identifier: Apache-2.0
// A Cartesian topology is arithmetic: ranks in row-major order, as MPI says. No MPI here.
#pragma once

#include <optional>
#include <vector>

namespace rk::mpi {

struct CartShape {
  std::vector<int> dims;
  std::vector<bool> periodic;

  int processes() const;  // product of dims; 1 without dimensions
  std::vector<int> coordinates(int rank) const;
  // nullopt: a coordinate is out of range in a dimension that is not periodic.
  std::optional<int> rank(const std::vector<int>& coordinates) const;
  struct Shift {
    std::optional<int> source;  // nullopt: MPI_PROC_NULL
    std::optional<int> dest;
  };
  Shift shift(int rank, int direction, int displacement) const;
  // The dimensions that stay, and which of the sub-grids `rank` belongs to (the rank in the dropped dimensions).
  CartShape remaining(const std::vector<bool>& remain) const;
  int color(int rank, const std::vector<bool>& remain) const;
};

}  // namespace rk::mpi

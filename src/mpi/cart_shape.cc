// SPDX-License-Identifier: Apache-2.0
#include "mpi/cart_shape.h"

#include <cstddef>

namespace rk::mpi {

int CartShape::processes() const {
  int product = 1;
  for (const int extent : dims) product *= extent;
  return product;
}

std::vector<int> CartShape::coordinates(int rank) const {
  std::vector<int> out(dims.size());
  for (std::size_t i = dims.size(); i-- > 0;) {
    out[i] = rank % dims[i];
    rank /= dims[i];
  }
  return out;
}

std::optional<int> CartShape::rank(const std::vector<int>& coordinates) const {
  int rank = 0;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    int at = coordinates[i];
    if (periodic[i]) {
      at %= dims[i];
      if (at < 0) at += dims[i];
    } else if (at < 0 || at >= dims[i]) {
      return std::nullopt;
    }
    rank = rank * dims[i] + at;
  }
  return rank;
}

CartShape::Shift CartShape::shift(int from, int direction, int displacement) const {
  const auto axis = static_cast<std::size_t>(direction);
  std::vector<int> at = coordinates(from);
  const int own = at[axis];
  at[axis] = own + displacement;
  const std::optional<int> dest = rank(at);
  at[axis] = own - displacement;
  return Shift{rank(at), dest};
}

CartShape CartShape::remaining(const std::vector<bool>& remain) const {
  CartShape out;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (!remain[i]) continue;
    out.dims.push_back(dims[i]);
    out.periodic.push_back(periodic[i]);
  }
  return out;
}

int CartShape::color(int rank, const std::vector<bool>& remain) const {
  const std::vector<int> at = coordinates(rank);
  int color = 0;
  for (std::size_t i = 0; i < dims.size(); ++i)
    if (!remain[i]) color = color * dims[i] + at[i];
  return color;
}

}  // namespace rk::mpi

// SPDX-License-Identifier: Apache-2.0
// Cartesian topologies on communicators that span communities: the arithmetic of cart_shape.h. Ranks are not reordered
// (MPI allows that): a process keeps its neighbours' community boundaries where the launcher put them.
#include <vector>

#include "mpi/bodies.h"
#include "mpi/layer.h"
#include "mpi/native.h"
#include "mpi/new_comm.h"

namespace rk::mpi {
namespace {

// The spanning communicator with a Cartesian topology, or nullptr.
CommState* spanning(MPI_Comm comm) { return layer().comms.spanning(comm); }

CartShape make_shape(int ndims, const int* dims, const int* periods) {
  CartShape shape;
  for (int i = 0; i < ndims; ++i) {
    shape.dims.push_back(dims[i]);
    shape.periodic.push_back(periods[i] != 0);
  }
  return shape;
}

// Gives a new communicator its topology: by arithmetic if it spans communities, else natively.
int finish_cart(NewComm made, const CartShape& shape, MPI_Comm* out) {
  *out = made.handle;
  if (made.handle == MPI_COMM_NULL) return MPI_SUCCESS;
  const MPI_Comm handle = made.handle;
  if (CommState* state = adopt(std::move(made)); state != nullptr) {
    state->cart = shape;
    return MPI_SUCCESS;
  }
  std::vector<int> periods(shape.periodic.begin(), shape.periodic.end());
  const int code =
      native.Cart_create(handle, static_cast<int>(shape.dims.size()), shape.dims.data(), periods.data(), 0, out);
  MPI_Comm plain = handle;
  native.Comm_free(&plain);
  return code;
}

}  // namespace

int Cart_create(MPI_Comm old_comm, int ndims, const int* dims, const int* periods, int reorder, MPI_Comm* comm_cart) {
  CommState* parent = spanning(old_comm);
  if (parent == nullptr) return native.Cart_create(old_comm, ndims, dims, periods, reorder, comm_cart);
  if (ndims < 0) return raise(old_comm, MPI_ERR_DIMS);
  for (int i = 0; i < ndims; ++i)
    if (dims[i] <= 0) return raise(old_comm, MPI_ERR_DIMS);
  const CartShape shape = make_shape(ndims, dims, periods);
  if (shape.processes() > parent->ranks.size()) return raise(old_comm, MPI_ERR_DIMS);
  NewComm made;
  const int color = parent->ranks.rank() < shape.processes() ? 0 : MPI_UNDEFINED;
  const int code = split_spanning(*parent, color, parent->ranks.rank(), "MPI_Cart_create", made);
  return code != MPI_SUCCESS ? code : finish_cart(std::move(made), shape, comm_cart);
}

int Cart_sub(MPI_Comm comm, const int* remain_dims, MPI_Comm* newcomm) {
  CommState* parent = spanning(comm);
  if (parent == nullptr) return native.Cart_sub(comm, remain_dims, newcomm);
  if (!parent->cart) return raise(comm, MPI_ERR_TOPOLOGY);
  std::vector<bool> remain;
  for (std::size_t i = 0; i < parent->cart->dims.size(); ++i) remain.push_back(remain_dims[i] != 0);
  const CartShape shape = parent->cart->remaining(remain);
  NewComm made;
  const int color = parent->cart->color(parent->ranks.rank(), remain);
  const int code = split_spanning(*parent, color, parent->ranks.rank(), "MPI_Cart_sub", made);
  return code != MPI_SUCCESS ? code : finish_cart(std::move(made), shape, newcomm);
}

int Cart_get(MPI_Comm comm, int maxdims, int* dims, int* periods, int* coords) {
  const CommState* state = spanning(comm);
  if (state == nullptr) return native.Cart_get(comm, maxdims, dims, periods, coords);
  if (!state->cart) return raise(comm, MPI_ERR_TOPOLOGY);
  const std::vector<int> at = state->cart->coordinates(state->ranks.rank());
  for (std::size_t i = 0; i < at.size() && i < static_cast<std::size_t>(maxdims); ++i) {
    dims[i] = state->cart->dims[i];
    periods[i] = state->cart->periodic[i] ? 1 : 0;
    coords[i] = at[i];
  }
  return MPI_SUCCESS;
}

int Cart_rank(MPI_Comm comm, const int* coords, int* rank) {
  const CommState* state = spanning(comm);
  if (state == nullptr) return native.Cart_rank(comm, coords, rank);
  if (!state->cart) return raise(comm, MPI_ERR_TOPOLOGY);
  const auto found = state->cart->rank(std::vector<int>(coords, coords + state->cart->dims.size()));
  if (!found) return raise(comm, MPI_ERR_ARG);
  *rank = *found;
  return MPI_SUCCESS;
}

int Cart_coords(MPI_Comm comm, int rank, int maxdims, int* coords) {
  const CommState* state = spanning(comm);
  if (state == nullptr) return native.Cart_coords(comm, rank, maxdims, coords);
  if (!state->cart) return raise(comm, MPI_ERR_TOPOLOGY);
  if (rank < 0 || rank >= state->ranks.size()) return raise(comm, MPI_ERR_RANK);
  const std::vector<int> at = state->cart->coordinates(rank);
  for (std::size_t i = 0; i < at.size() && i < static_cast<std::size_t>(maxdims); ++i) coords[i] = at[i];
  return MPI_SUCCESS;
}

int Cart_shift(MPI_Comm comm, int direction, int disp, int* rank_source, int* rank_dest) {
  const CommState* state = spanning(comm);
  if (state == nullptr) return native.Cart_shift(comm, direction, disp, rank_source, rank_dest);
  if (!state->cart) return raise(comm, MPI_ERR_TOPOLOGY);
  if (direction < 0 || static_cast<std::size_t>(direction) >= state->cart->dims.size()) return raise(comm, MPI_ERR_ARG);
  const CartShape::Shift shift = state->cart->shift(state->ranks.rank(), direction, disp);
  *rank_source = shift.source.value_or(MPI_PROC_NULL);
  *rank_dest = shift.dest.value_or(MPI_PROC_NULL);
  return MPI_SUCCESS;
}

int Cartdim_get(MPI_Comm comm, int* ndims) {
  const CommState* state = spanning(comm);
  if (state == nullptr) return native.Cartdim_get(comm, ndims);
  if (!state->cart) return raise(comm, MPI_ERR_TOPOLOGY);
  *ndims = static_cast<int>(state->cart->dims.size());
  return MPI_SUCCESS;
}

int Cart_map(MPI_Comm comm, int ndims, const int* dims, const int* periods, int* newrank) {
  const CommState* state = spanning(comm);
  if (state == nullptr) return native.Cart_map(comm, ndims, dims, periods, newrank);
  const CartShape shape = make_shape(ndims, dims, periods);
  *newrank = state->ranks.rank() < shape.processes() ? state->ranks.rank() : MPI_UNDEFINED;
  return MPI_SUCCESS;
}

int Topo_test(MPI_Comm comm, int* status) {
  const CommState* state = spanning(comm);
  if (state == nullptr) return native.Topo_test(comm, status);
  *status = state->cart ? MPI_CART : MPI_UNDEFINED;
  return MPI_SUCCESS;
}

}  // namespace rk::mpi

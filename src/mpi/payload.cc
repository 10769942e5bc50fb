// SPDX-License-Identifier: Apache-2.0
#include "mpi/payload.h"

#include <climits>
#include <cstring>
#include <string>

#include "mpi/native.h"
#include "mpi/refuse.h"

namespace rk::mpi {
namespace {

bool is_named(MPI_Datatype type) {
  int integers = 0;
  int addresses = 0;
  int types = 0;
  int combiner = 0;
  native.Type_get_envelope(type, &integers, &addresses, &types, &combiner);
  return combiner == MPI_COMBINER_NAMED;
}

TypeShape find_shape(MPI_Datatype type, bool& named) {
  TypeShape shape;
  MPI_Count size = 0;
  native.Type_size_x(type, &size);
  shape.size = static_cast<std::uint64_t>(size);
  named = is_named(type);
  if (named) {
    // A named type without holes has its data in a row; pairs such as MPI_DOUBLE_INT have holes.
    MPI_Aint low = 0;
    MPI_Aint extent = 0;
    native.Type_get_extent(type, &low, &extent);
    shape.contiguous = low == 0 && extent == size;
  }
  return shape;
}

int packed_int(std::uint64_t bytes) {
  if (bytes > INT_MAX)
    end_job(kExitLayer, "a message of " + std::to_string(bytes) +
                            " bytes in a derived datatype goes to another community; send data without holes, or less "
                            "than 2 GiB at once");
  return static_cast<int>(bytes);
}

}  // namespace

TypeShape shape_of(MPI_Datatype type) {
  // Handles of named types are never reused, so the last few can be remembered.
  struct Known {
    MPI_Datatype type;
    TypeShape shape;
  };
  constexpr std::size_t kKnown = 4;
  static Known known[kKnown];
  static std::size_t next = 0;
  for (const Known& entry : known)
    if (entry.type == type && entry.shape.size > 0) return entry.shape;
  bool named = false;
  const TypeShape shape = find_shape(type, named);
  if (named) known[next++ % kKnown] = Known{type, shape};
  return shape;
}

std::uint64_t packed_size(int count, MPI_Datatype type) {
  return static_cast<std::uint64_t>(count) * shape_of(type).size;
}

void pack(const void* data, int count, MPI_Datatype type, std::span<std::byte> out) {
  if (out.empty()) return;
  if (shape_of(type).contiguous) {
    std::memcpy(out.data(), data, out.size());
    return;
  }
  int position = 0;
  native.Pack(data, count, type, out.data(), packed_int(out.size()), &position, MPI_COMM_SELF);
}

int unpack(ByteView message, void* data, int count, MPI_Datatype type) {
  const TypeShape shape = shape_of(type);
  if (message.size() > static_cast<std::uint64_t>(count) * shape.size) return MPI_ERR_TRUNCATE;
  if (message.empty()) return MPI_SUCCESS;
  if (shape.contiguous) {
    std::memcpy(data, message.data(), message.size());
    return MPI_SUCCESS;
  }
  // Fewer elements than there is room for is legal; whole elements only are unpacked into a type with holes.
  int position = 0;
  const auto elements = static_cast<int>(message.size() / shape.size);
  return native.Unpack(message.data(), packed_int(message.size()), &position, data, elements, type, MPI_COMM_SELF);
}

void* at_extent(void* base, std::int64_t count, MPI_Datatype type) {
  return const_cast<void*>(at_extent(static_cast<const void*>(base), count, type));  // NOLINT
}

const void* at_extent(const void* base, std::int64_t count, MPI_Datatype type) {
  MPI_Aint low = 0;
  MPI_Aint extent = 0;
  native.Type_get_extent(type, &low, &extent);
  return static_cast<const std::byte*>(base) + count * extent;
}

}  // namespace rk::mpi

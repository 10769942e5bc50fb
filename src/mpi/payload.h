// SPDX-License-Identifier: Apache-2.0
// Program data to message bytes and back. A message's bytes are the native library's packed form of its data, which
// for data without holes is the data itself; then it is copied in place, without the native library.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "mpi/mpi_header.h"

namespace rk::mpi {

struct TypeShape {
  std::uint64_t size = 0;   // bytes of data in one element
  bool contiguous = false;  // elements are `size` bytes in a row, without holes
};
TypeShape shape_of(MPI_Datatype type);

// Bytes of the packed form; ends the job above what the native library can pack.
std::uint64_t packed_size(int count, MPI_Datatype type);
// Exactly packed_size() bytes.
void pack(const void* data, int count, MPI_Datatype type, std::span<std::byte> out);
// MPI_ERR_TRUNCATE if the message holds more than `count` elements; then nothing is written.
int unpack(ByteView message, void* data, int count, MPI_Datatype type);

// `base` moved by `count` extents of `type`.
void* at_extent(void* base, std::int64_t count, MPI_Datatype type);
const void* at_extent(const void* base, std::int64_t count, MPI_Datatype type);

}  // namespace rk::mpi

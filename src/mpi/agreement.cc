// SPDX-License-Identifier: Apache-2.0
#include "mpi/agreement.h"

#include <vector>

#include "mpi/native.h"

namespace rk::mpi {
namespace {

Bytes broadcast(MPI_Comm comm, Bytes bytes, int root) {
  std::uint64_t size = bytes.size();
  native.Bcast(&size, 1, MPI_UINT64_T, root, comm);
  bytes.resize(size);
  native.Bcast(bytes.data(), static_cast<int>(size), MPI_BYTE, root, comm);
  return bytes;
}

}  // namespace

Bytes from_leader(MPI_Comm comm, Bytes bytes) { return broadcast(comm, std::move(bytes), 0); }

Status agree(MPI_Comm comm, const Status& own) {
  int size = 0;
  native.Comm_size(comm, &size);
  const int code = own ? 0 : static_cast<int>(own.error().code);
  std::vector<int> codes(static_cast<std::size_t>(size));
  native.Allgather(&code, 1, MPI_INT, codes.data(), 1, MPI_INT, comm);
  for (int rank = 0; rank < size; ++rank) {
    const int failed = codes[static_cast<std::size_t>(rank)];
    if (failed == 0) continue;
    Bytes words;
    if (!own) {
      const ByteView text = as_bytes(own.error().message);
      words.assign(text.begin(), text.end());
    }
    words = broadcast(comm, std::move(words), rank);
    return fail(static_cast<ErrorCode>(failed), std::string(reinterpret_cast<const char*>(words.data()), words.size()));
  }
  return {};
}

}  // namespace rk::mpi

// SPDX-License-Identifier: Apache-2.0
// Where a send goes, and the way to another community.
#pragma once

#include <cstdint>

#include "log/outbox.h"
#include "mpi/comm_table.h"
#include "mpi/payload.h"

namespace rk::mpi {

// Open MPI's MPI_TAG_UB.
inline constexpr int kLargestTag = 0x7fffffff;

struct SendTarget {
  CommState* comm = nullptr;  // nullptr: MPI_PROC_NULL, or no communicator
  bool inside = false;
  bool outside = false;  // neither: the native call is given what the program gave
  int native_rank = MPI_PROC_NULL;
  std::uint32_t world = 0;
  int error = MPI_SUCCESS;
};
SendTarget target_of(MPI_Comm comm, int dest, int tag);

// Logs a message of the program, or of a collective (`envelope.context` says which; its length is filled here).
void send_outside(const SendTarget& target, const void* buf, int count, MPI_Datatype type, int tag);
void send_outside(std::uint32_t world, log::Envelope envelope, const void* buf, int count, MPI_Datatype type);

// Waits for a native request while the layer goes on matching.
int wait_native(MPI_Request* request, MPI_Status* status);

}  // namespace rk::mpi

// SPDX-License-Identifier: Apache-2.0
// One request at a time: what every wait and test is made of. The choice among several, and every flag, is an outcome
// that the program cannot foresee: it is recorded, and repeated after a restart by waiting for what was chosen.
#pragma once

#include <cstdint>
#include <span>

#include "mpi/mpi_header.h"
#include "mpi/request_table.h"

namespace rk::mpi {

// Waits, completes and frees as MPI_Wait does.
int wait_request(MPI_Request* request, MPI_Status* status);
// True for MPI_REQUEST_NULL and a persistent request that is not started.
bool is_inactive(MPI_Request request);
// True if it could be completed now; changes nothing that the program can see.
bool is_complete(MPI_Request request);
// After a native call completed a request whose entry was `entry`: corrects the status, updates the table.
void settle(const RequestEntry& entry, MPI_Status* status);
// The entry, or one of kind kNone.
RequestEntry entry_of(MPI_Request request);
// True while native calls may block: the layer has nothing to match meanwhile.
bool native_may_block();

// statuses[i], or MPI_STATUS_IGNORE for MPI_STATUSES_IGNORE.
inline MPI_Status* status_at(MPI_Status* statuses, std::size_t i) {
  return statuses == MPI_STATUSES_IGNORE ? MPI_STATUS_IGNORE : statuses + i;
}
inline std::span<MPI_Request> requests_of(int count, MPI_Request* requests) {
  return {requests, static_cast<std::size_t>(count < 0 ? 0 : count)};
}

}  // namespace rk::mpi

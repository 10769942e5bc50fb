// SPDX-License-Identifier: Apache-2.0
// What the files about receives, probes and completion share.
#pragma once

#include "mpi/comm_table.h"
#include "mpi/mpi_header.h"
#include "mpi/receive.h"

namespace rk::mpi {

// A rank of the communicator, or MPI_ANY_SOURCE.
bool source_exists(const CommState& comm, int source);
// From another community, or from anywhere.
bool by_layer(const CommState& comm, int source);
// Fills the status of a receive that is done and reports its error.
int finish(Receive& receive, MPI_Comm comm, MPI_Status* status);
// A handle for a receive of the layer. Nobody but the layer ever completes or frees it.
void start_generalized(MPI_Request* request);
void end_generalized(MPI_Request* request);

}  // namespace rk::mpi

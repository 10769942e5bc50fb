// SPDX-License-Identifier: Apache-2.0
// Results that all processes of a community share. Collective over `comm`, an ordinary native communicator.
#pragma once

#include "base/bytes.h"
#include "base/result.h"
#include "mpi/mpi_header.h"

namespace rk::mpi {

// Success if it is everybody's; else, on all, the error of the lowest rank that has one.
Status agree(MPI_Comm comm, const Status& own);
// The leader's bytes (rank 0), on all.
Bytes from_leader(MPI_Comm comm, Bytes bytes);

}  // namespace rk::mpi

// SPDX-License-Identifier: Apache-2.0
// The ranks of a communicator. Built once for each MPI library.
#pragma once

#include <mpi.h>

#include <memory>

#include "veloc/group.h"

namespace rk::veloc {

// A communicator of our own over the same ranks: our messages do not meet the program's.
Result<std::unique_ptr<Group>> group_of(MPI_Comm communicator);

}  // namespace rk::veloc

// SPDX-License-Identifier: Apache-2.0
// A communicator being made out of one that spans communities.
#pragma once

#include <cstdint>

#include "mpi/comm_table.h"

namespace rk::mpi {

struct NewComm {
  MPI_Comm handle = MPI_COMM_NULL;  // the carrier, or the communicator itself if it lies inside one community
  RankMap ranks;
  std::uint32_t context = 0;
};

// Collective over `parent`. `call` is what the program called, for messages.
int split_spanning(CommState& parent, int color, int key, const char* call, NewComm& out);
// Enters it into the table; nullptr if it lies inside one community (or is MPI_COMM_NULL): then it is native.
CommState* adopt(NewComm made);

}  // namespace rk::mpi

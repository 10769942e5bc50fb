// SPDX-License-Identifier: Apache-2.0
// Determinants other than matches, in the program's order: record() while the program runs for the first time,
// replay() while it repeats an earlier life. Both end the job when the log says that this cannot be.
#pragma once

#include <cstdint>
#include <span>

#include "log/determinants.h"
#include "mpi/mpi_header.h"

namespace rk::mpi {

bool replaying();
log::Outcome replay(log::OutcomeKind kind);
void record(log::OutcomeKind kind, std::uint64_t value, std::uint64_t detail = 0, ByteView blob = {});

// Messages that a matched probe has taken and that are not received yet.
std::size_t matched_messages();

// Waitsome and Testsome. Which are complete now; the recorded choice; its completion.
int find_complete(std::span<const MPI_Request> requests, int* indices);
void record_or_replay_some(int* outcount, int* indices);
int complete_some(MPI_Request* array, int outcount, const int* indices, MPI_Status* statuses);

}  // namespace rk::mpi

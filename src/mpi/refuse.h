// SPDX-License-Identifier: Apache-2.0
// Calls that cannot cross communities end the job, naming the call and what to do; none passes through silently.
#pragma once

#include <string>

#include "base/result.h"
#include "mpi/mpi_header.h"

namespace rk::mpi {

// What the user can do about it; the names are those of the list `prototypes`.
enum class Advice { k_split, k_blocking, k_file, k_window, k_spawn, k_persistent, k_buffered, k_cancel };

// Ends the whole job: tells the launcher, which ends every community. `message`: cause, then cure.
[[noreturn]] void end_job(int exit_code, const std::string& message);
[[noreturn]] void refuse(const char* call, Advice advice);
// For a call that would reach other communities, or choose among messages, between the restart question and the
// restore: the others answered it once, and this process's choice is not on record.
[[noreturn]] void refuse_before_restore(const char* call);
void refuse_if_spanning(MPI_Comm comm, const char* call, Advice advice);
void refuse_if_communities(const char* call, Advice advice);

// Exit codes of a job that the layer ended (docs/exit-codes.md): a call that is refused, and anything else that has no
// code of its own.
inline constexpr int kExitUnsupported = 78;
inline constexpr int kExitLayer = 70;
int exit_code_of(ErrorCode code);

}  // namespace rk::mpi

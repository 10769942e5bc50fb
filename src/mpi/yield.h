// SPDX-License-Identifier: Apache-2.0
// sched_yield of a process that shares its cores, interposed. Open MPI waits in a loop of yields (mpi_yield_when_idle);
// a yield is only a hint, and kernels exist that give the core back to the yielding process at once for a minute, while
// the server that it waits for stands still (docs/decisions/0019-yields.md). So a row of yields that came back at once
// is followed by a short sleep, which no scheduler can overlook.
#pragma once

namespace rk::mpi {

// At load, where the processes of the job are more than the cores. Until then, and where each process has a core of its
// own, a yield is the system's.
void soften_yields();

}  // namespace rk::mpi

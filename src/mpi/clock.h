// SPDX-License-Identifier: Apache-2.0
// Clocks and resource usage. What the program reads is an outcome that it cannot foresee, so it is recorded and
// repeated: MPI_Wtime, and the C library's clocks, which this library interposes. Only calls of the program itself
// count (entry_guard.h). After a repetition time goes on from where it was: wall clocks do so by themselves, because
// MPI_Wtime is CLOCK_MONOTONIC of the node; the new process's CPU time starts at nothing and gets an offset.
#pragma once

#include <sys/resource.h>
#include <time.h>  // NOLINT(modernize-deprecated-headers): clockid_t and the POSIX calls

#include <cstdint>

namespace rk::mpi {

void find_clocks();
// The real clocks.
std::uint64_t monotonic_ns();
std::uint64_t real_thread_cpu_ns();
rusage real_usage();

// CPU time as the program has seen it, for a checkpoint, and to go on from it in a new process.
struct CpuReadings {
  std::int64_t values[6] = {};
};
CpuReadings cpu_readings();
void resume_cpu(const CpuReadings& readings);

}  // namespace rk::mpi

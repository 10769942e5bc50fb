// SPDX-License-Identifier: Apache-2.0
// `ringkeep exec-rank -- PROGRAM ARGS`: what mpirun starts in place of each process of a job. It introduces itself to
// the launcher, takes over what the launcher sends (standard streams, cores, environment), and becomes the program,
// under the same pid. The control socket stays open for libringkeep-mpi; its end tells the launcher that we are gone.
#pragma once

#include <string>
#include <vector>

namespace rk::launch {

// Set by the launcher in mpirun's environment for exec-rank alone.
inline constexpr char kEnvControlSocket[] = "RINGKEEP_CONTROL_SOCKET";

// Returns only on failure: the exit status.
int exec_rank(const std::vector<std::string>& program);

}  // namespace rk::launch

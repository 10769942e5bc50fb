// SPDX-License-Identifier: Apache-2.0
// Which calls are the program's own. The native library calls itself through the public names (its Fortran wrappers,
// ROMIO), calls back into the program (reduction operations, attribute and error functions), and has threads of its
// own; none of those may be taken for a call of the program. So each thread carries a depth: it starts at 1, "not the
// program", MPI_Init sets it to 0 in the thread that called it (MPI_THREAD_FUNNELED: the only one that may call MPI)
// when the process belongs to a job, and every entry raises it.
#pragma once

namespace rk::mpi {

// initial-exec: the library is loaded at program start, and the access is one instruction.
extern thread_local int t_depth __attribute__((tls_model("initial-exec")));

inline bool bypassed() { return t_depth != 0; }

// The name of the program's newest call that has a hand-written body, for words about it.
extern thread_local const char* t_call __attribute__((tls_model("initial-exec")));

class Entry {
 public:
  Entry() { ++t_depth; }
  explicit Entry(const char* call) : Entry() { t_call = call; }
  ~Entry() { --t_depth; }
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;
};

}  // namespace rk::mpi

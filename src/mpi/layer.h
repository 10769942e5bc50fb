// SPDX-License-Identifier: Apache-2.0
// The state of the layer in this process, one object. It exists from the library's load to the process's end and is
// never destroyed: the program may call MPI functions, and read clocks, from its exit handlers.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "client/log_session.h"
#include "mpi/comm_table.h"
#include "mpi/control.h"
#include "mpi/inside_port.h"
#include "mpi/receive.h"
#include "mpi/refuse.h"
#include "mpi/request_table.h"

namespace rk::mpi {

struct Layer {
  bool in_job = false;  // started by `ringkeep run`
  bool spans = false;   // more than one community
  client::JobEnvironment env;
  Control control;
  CommTable comms;
  RequestTable requests;
  Receives receives;
  NativeQueue port;
  std::unique_ptr<client::LogSession> session;  // between MPI_Init and MPI_Finalize of a process of a job
  // Point-to-point messages inside the community, by world rank, on every communicator: a checkpoint compares them.
  std::vector<std::uint64_t> sent_inside;
  std::vector<std::uint64_t> received_inside;
  // This life repeats an earlier one, from the start or from the version restored.
  bool replaying = false;
  Version restored;
  // Between the restart question and the restore of a restarted life: spanning calls are refused by name.
  bool restoring = false;

  log::ProcessLog& log() { return session->log(); }
  log::OutcomeLog& outcomes() { return session->log().outcomes(); }
};

extern Layer* const g_layer;  // made before the program runs
inline Layer& layer() { return *g_layer; }

// The value, or the end of the job with the error's words: nothing that fails here can be left to the program.
template <class T>
T must(Result<T> result, const char* doing) {
  if (!result) end_job(exit_code_of(result.error().code), std::string(doing) + ": " + result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

// Tells the launcher once everything that an earlier life had recorded or sent is repeated.
void note_replayed();
inline void watch_replay() {
  if (layer().replaying) [[unlikely]]
    note_replayed();
}

// The communicator's state; one inside a community gets its state here.
CommState& state_of(MPI_Comm comm);
// Reports an MPI error on the communicator: its error handler decides; returns the code.
int raise(MPI_Comm comm, int code);

}  // namespace rk::mpi

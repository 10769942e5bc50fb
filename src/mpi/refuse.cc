// SPDX-License-Identifier: Apache-2.0
#include "mpi/refuse.h"

#include <unistd.h>

#include <cstdio>

#include "mpi/layer.h"
#include "mpi/native.h"
#include "wire/control_messages.h"

namespace rk::mpi {
namespace {

const char* text(Advice advice) {
  switch (advice) {
    case Advice::k_split:
      return "split a communicator off that lies inside one community, or run with --communities 1";
    case Advice::k_blocking:
      return "use the blocking call, or run with --communities 1";
    case Advice::k_file:
      return "open the file on MPI_COMM_SELF or on a communicator inside one community, or run with --communities 1";
    case Advice::k_window:
      return "make the window on a communicator inside one community, or run with --communities 1";
    case Advice::k_spawn:
      return "start all processes by `ringkeep run`, or run with --communities 1";
    case Advice::k_persistent:
      return "use MPI_Isend and MPI_Irecv, or run with --communities 1";
    case Advice::k_buffered:
      return "use MPI_Send or MPI_Isend (a send to another community never waits for its receiver), or run with "
             "--communities 1";
    case Advice::k_cancel:
      return "send the message that the receive waits for, or run with --communities 1";
  }
  return "";
}

}  // namespace

int exit_code_of(ErrorCode code) {
  constexpr int kDiffers = 65;
  constexpr int kMemory = 75;
  if (code == ErrorCode::kDivergence) return kDiffers;
  if (code == ErrorCode::kNoMemory) return kMemory;
  return code == ErrorCode::kUnsupported ? kExitUnsupported : kExitLayer;
}

void end_job(int exit_code, const std::string& message) {
  std::fflush(nullptr);
  Layer& all = layer();
  wire::JobAbort abort;
  abort.exit_code = exit_code;
  if (!message.empty()) abort.message = "rank " + std::to_string(all.env.rank.value) + ": " + message;
  all.control.send(abort);
  if (!all.control.is_open() && !message.empty()) std::fprintf(stderr, "ringkeep: %s\n", abort.message.c_str());
  // The launcher ends all communities, this process among them. Should it not, the community's own MPI does.
  constexpr int kLauncherMs = 5000;
  all.control.wait_for_end(kLauncherMs);
  native.Abort(MPI_COMM_WORLD, exit_code);
  _exit(exit_code);
}

void refuse(const char* call, Advice advice) {
  end_job(kExitUnsupported, std::string(call) + " cannot cross communities; " + text(advice));
}

void refuse_before_restore(const char* call) {
  end_job(
      kExitUnsupported,
      std::string(call) +
          " comes between rk_job_restart_version and rk_job_restore, where nothing may reach other communities and no "
          "wildcard may choose; call it before the question, or after the restore");
}

void refuse_if_spanning(MPI_Comm comm, const char* call, Advice advice) {
  if (layer().comms.spanning(comm) != nullptr) refuse(call, advice);
}

void refuse_if_communities(const char* call, Advice advice) {
  if (layer().spans) refuse(call, advice);
}

}  // namespace rk::mpi

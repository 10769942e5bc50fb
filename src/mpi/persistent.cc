// SPDX-License-Identifier: Apache-2.0
// Persistent requests (native inside the community, refused across), and the end of requests without completion.
#include <memory>

#include "mpi/bodies.h"
#include "mpi/completion.h"
#include "mpi/layer.h"
#include "mpi/native.h"
#include "mpi/outcome.h"
#include "mpi/recv.h"
#include "mpi/send.h"
#include "mpi/wait_loop.h"

namespace rk::mpi {
namespace {

using SendInit = int (*)(const void*, int, MPI_Datatype, int, int, MPI_Comm, MPI_Request*);

int send_init(SendInit init, const char* call, const void* buf, int count, MPI_Datatype type, int dest, int tag,
              MPI_Comm comm, MPI_Request* request) {
  const SendTarget to = target_of(comm, dest, tag);
  if (to.error != MPI_SUCCESS) return raise(comm, to.error);
  if (to.outside) refuse(call, Advice::k_persistent);
  const int code = init(buf, count, type, to.inside ? to.native_rank : dest, tag, comm, request);
  if (code == MPI_SUCCESS && to.inside) {
    RequestEntry& entry = layer().requests.add(*request, RequestKind::kPersistent);
    entry.active = false;
    entry.sends = true;
    entry.comm = to.comm;
    entry.source = dest;
  }
  return code;
}

// Marks a request as started. False: it is not one that the table knows.
void started(MPI_Request request) {
  Layer& all = layer();
  RequestEntry* entry = all.requests.find(request);
  if (entry == nullptr || entry->kind != RequestKind::kPersistent) return;
  entry->active = true;
  const std::uint32_t world = entry->comm->ranks.world_of(entry->source);
  if (entry->sends) {
    ++all.sent_inside[world];
    return;
  }
  // A native receive would overtake the wildcard receives that the layer holds.
  if (entry->comm->wildcards > 0)
    end_job(kExitUnsupported,
            "MPI_Start of a receive while a wildcard receive on the same communicator is open is not supported; use "
            "MPI_Irecv");
  ++all.received_inside[world];
}

}  // namespace

int Send_init(const void* buf, int count, MPI_Datatype type, int dest, int tag, MPI_Comm comm, MPI_Request* request) {
  return send_init(native.Send_init, "MPI_Send_init", buf, count, type, dest, tag, comm, request);
}
int Bsend_init(const void* buf, int count, MPI_Datatype type, int dest, int tag, MPI_Comm comm, MPI_Request* request) {
  return send_init(native.Bsend_init, "MPI_Bsend_init", buf, count, type, dest, tag, comm, request);
}
int Rsend_init(const void* buf, int count, MPI_Datatype type, int dest, int tag, MPI_Comm comm, MPI_Request* request) {
  return send_init(native.Rsend_init, "MPI_Rsend_init", buf, count, type, dest, tag, comm, request);
}
int Ssend_init(const void* buf, int count, MPI_Datatype type, int dest, int tag, MPI_Comm comm, MPI_Request* request) {
  return send_init(native.Ssend_init, "MPI_Ssend_init", buf, count, type, dest, tag, comm, request);
}

int Recv_init(void* buf, int count, MPI_Datatype type, int source, int tag, MPI_Comm comm, MPI_Request* request) {
  if (source == MPI_PROC_NULL || comm == MPI_COMM_NULL)
    return native.Recv_init(buf, count, type, source, tag, comm, request);
  CommState& state = state_of(comm);
  if (!source_exists(state, source)) {
    if (state.spanning) return raise(comm, MPI_ERR_RANK);
    return native.Recv_init(buf, count, type, source, tag, comm, request);
  }
  if (source == MPI_ANY_SOURCE)
    end_job(kExitLayer,
            "MPI_Recv_init with MPI_ANY_SOURCE is not supported: the choice could not be repeated after a "
            "restart; use MPI_Irecv");
  if (state.ranks.native_of(source) < 0) refuse("MPI_Recv_init", Advice::k_persistent);
  const int code = native.Recv_init(buf, count, type, state.ranks.native_of(source), tag, comm, request);
  if (code == MPI_SUCCESS) {
    RequestEntry& entry = layer().requests.add(*request, RequestKind::kPersistent);
    entry.active = false;
    entry.comm = &state;
    entry.source = source;
  }
  return code;
}

int Start(MPI_Request* request) {
  started(*request);
  return native.Start(request);
}

int Startall(int count, MPI_Request* array) {
  for (const MPI_Request request : requests_of(count, array)) started(request);
  return native.Startall(count, array);
}

int Request_free(MPI_Request* request) {
  Layer& all = layer();
  const RequestEntry entry = entry_of(*request);
  if (entry.kind == RequestKind::kNone) return native.Request_free(request);
  all.requests.remove(entry.handle);
  if (entry.kind != RequestKind::kReceive) return native.Request_free(request);
  // The receive goes on without its handle; `outstanding` keeps the layer matching.
  entry.receive->detached = true;
  if (entry.receive->state == Receive::State::kDone) delete entry.receive;  // NOLINT(cppcoreguidelines-owning-memory)
  end_generalized(request);
  return MPI_SUCCESS;
}

namespace {

// A native receive that is cancelled either completes or is cancelled, at once and locally; which of both is an
// outcome. A restart can repeat "completed"; it can repeat "cancelled" unless the message is there by then.
void cancel_native(MPI_Request* request) {
  native.Cancel(request);
  int flag = 0;
  MPI_Status status;
  wait_until(true, [&] {
    native.Request_get_status(*request, &flag, &status);
    return flag != 0;
  });
  int cancelled = 0;
  native.Test_cancelled(&status, &cancelled);
  if (!replaying()) {
    record(log::OutcomeKind::kCancelled, static_cast<std::uint64_t>(cancelled));
  } else if (replay(log::OutcomeKind::kCancelled).value != static_cast<std::uint64_t>(cancelled)) {
    end_job(kExitLayer,
            "MPI_Cancel of a receive ended differently than before the restart; do not cancel receives "
            "whose messages are on their way");
  }
}

}  // namespace

int Cancel(MPI_Request* request) {
  Layer& all = layer();
  const RequestEntry entry = entry_of(*request);
  if (entry.kind == RequestKind::kNativeRecv) {
    cancel_native(request);
    return MPI_SUCCESS;
  }
  if (entry.kind != RequestKind::kReceive) return native.Cancel(request);
  Receive& receive = *entry.receive;
  if (receive.state != Receive::State::kPending) return MPI_SUCCESS;
  if (must(all.log().matcher().cancel(receive.psn), "cancel a receive")) {
    receive.cancelled = true;
    receive.state = Receive::State::kDone;
    all.receives.remove_done();
  }
  return MPI_SUCCESS;
}

}  // namespace rk::mpi

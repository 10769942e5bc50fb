// SPDX-License-Identifier: Apache-2.0
// Sends. To a process inside the community: the native call on the carrier, with the native rank. To another
// community: the message is complete when it stands in the outbox; nothing waits for its receiver, so standard,
// ready and buffered sends are one thing. A synchronous send would have to wait, and is refused.
#include "mpi/bodies.h"
#include "mpi/entry_guard.h"
#include "mpi/layer.h"
#include "mpi/native.h"
#include "mpi/send.h"
#include "mpi/stats.h"
#include "mpi/wait_loop.h"

namespace rk::mpi {

SendTarget target_of(MPI_Comm comm, int dest, int tag) {
  SendTarget out;
  if (dest == MPI_PROC_NULL || comm == MPI_COMM_NULL) return out;
  out.comm = &state_of(comm);
  const RankMap& ranks = out.comm->ranks;
  if (dest < 0 || dest >= ranks.size()) {
    // Of an inside communicator the native call says so.
    if (out.comm->spanning) out.error = MPI_ERR_RANK;
    return out;
  }
  const int native_rank = ranks.native_of(dest);
  if (native_rank >= 0) {
    out.native_rank = native_rank;
    out.world = ranks.world_of(dest);
    out.inside = true;
  } else {
    out.world = ranks.world_of(dest);
    out.outside = true;
    if (tag < 0 || tag > kLargestTag) out.error = MPI_ERR_TAG;
  }
  return out;
}

void send_outside(const SendTarget& target, const void* buf, int count, MPI_Datatype type, int tag) {
  log::Envelope envelope{target.comm->context, tag, 0};
  send_outside(target.world, envelope, buf, count, type);
}

void send_outside(std::uint32_t world, log::Envelope envelope, const void* buf, int count, MPI_Datatype type) {
  watch_replay();
  Layer& all = layer();
  if (all.restoring) refuse_before_restore(t_call);
  const TypeShape shape = shape_of(type);
  envelope.length = static_cast<std::uint64_t>(count) * shape.size;
  const LayerWork work(envelope.length);
  if (shape.contiguous) {
    const ByteView bytes(static_cast<const std::byte*>(buf), envelope.length);
    must(all.session->send(world, envelope, bytes), "send to another community");
    return;
  }
  const log::Slot slot = must(all.log().outbox().reserve(world, envelope), "send to another community");
  pack(buf, count, type, slot.space);
  must(all.session->commit(slot), "send to another community");
}

namespace {

using BlockingSend = int (*)(const void*, int, MPI_Datatype, int, int, MPI_Comm);
using NonblockingSend = int (*)(const void*, int, MPI_Datatype, int, int, MPI_Comm, MPI_Request*);

// A native send may wait for its receiver, which may wait for a message that only our matching takes in.
int send_inside(BlockingSend blocking, NonblockingSend nonblocking, const SendTarget& to, const void* buf, int count,
                MPI_Datatype type, int tag, MPI_Comm comm) {
  Layer& all = layer();
  ++all.sent_inside[to.world];
  if (all.receives.outstanding == 0) return blocking(buf, count, type, to.native_rank, tag, comm);
  MPI_Request request = MPI_REQUEST_NULL;
  int code = nonblocking(buf, count, type, to.native_rank, tag, comm, &request);
  if (code == MPI_SUCCESS) code = wait_native(&request, MPI_STATUS_IGNORE);
  return code;
}

int blocking_send(BlockingSend blocking, NonblockingSend nonblocking, const char* refused, const void* buf, int count,
                  MPI_Datatype type, int dest, int tag, MPI_Comm comm) {
  const SendTarget to = target_of(comm, dest, tag);
  if (to.error != MPI_SUCCESS) return raise(comm, to.error);
  if (to.inside) return send_inside(blocking, nonblocking, to, buf, count, type, tag, comm);
  if (!to.outside) return blocking(buf, count, type, dest, tag, comm);
  if (refused != nullptr) refuse(refused, Advice::k_buffered);
  if (count < 0) return raise(comm, MPI_ERR_COUNT);
  send_outside(to, buf, count, type, tag);
  return MPI_SUCCESS;
}

int nonblocking_send(NonblockingSend nonblocking, const char* refused, const void* buf, int count, MPI_Datatype type,
                     int dest, int tag, MPI_Comm comm, MPI_Request* request) {
  Layer& all = layer();
  const SendTarget to = target_of(comm, dest, tag);
  if (to.error != MPI_SUCCESS) return raise(comm, to.error);
  if (!to.outside) {
    const int code = nonblocking(buf, count, type, to.inside ? to.native_rank : dest, tag, comm, request);
    if (code == MPI_SUCCESS && to.inside) {
      ++all.sent_inside[to.world];
      if (*request != all.requests.complete_handle) all.requests.add(*request, RequestKind::kNativeSend);
    }
    return code;
  }
  if (refused != nullptr) refuse(refused, Advice::k_buffered);
  if (count < 0) return raise(comm, MPI_ERR_COUNT);
  send_outside(to, buf, count, type, tag);
  *request = all.requests.complete_handle;
  return MPI_SUCCESS;
}

}  // namespace

int Send(const void* buf, int count, MPI_Datatype type, int dest, int tag, MPI_Comm comm) {
  return blocking_send(native.Send, native.Isend, nullptr, buf, count, type, dest, tag, comm);
}
int Rsend(const void* buf, int count, MPI_Datatype type, int dest, int tag, MPI_Comm comm) {
  return blocking_send(native.Rsend, native.Irsend, nullptr, buf, count, type, dest, tag, comm);
}
int Bsend(const void* buf, int count, MPI_Datatype type, int dest, int tag, MPI_Comm comm) {
  return blocking_send(native.Bsend, native.Ibsend, nullptr, buf, count, type, dest, tag, comm);
}
int Ssend(const void* buf, int count, MPI_Datatype type, int dest, int tag, MPI_Comm comm) {
  return blocking_send(native.Ssend, native.Issend, "MPI_Ssend", buf, count, type, dest, tag, comm);
}
int Isend(const void* buf, int count, MPI_Datatype type, int dest, int tag, MPI_Comm comm, MPI_Request* request) {
  return nonblocking_send(native.Isend, nullptr, buf, count, type, dest, tag, comm, request);
}
int Irsend(const void* buf, int count, MPI_Datatype type, int dest, int tag, MPI_Comm comm, MPI_Request* request) {
  return nonblocking_send(native.Irsend, nullptr, buf, count, type, dest, tag, comm, request);
}
int Ibsend(const void* buf, int count, MPI_Datatype type, int dest, int tag, MPI_Comm comm, MPI_Request* request) {
  return nonblocking_send(native.Ibsend, nullptr, buf, count, type, dest, tag, comm, request);
}
int Issend(const void* buf, int count, MPI_Datatype type, int dest, int tag, MPI_Comm comm, MPI_Request* request) {
  return nonblocking_send(native.Issend, "MPI_Issend", buf, count, type, dest, tag, comm, request);
}

}  // namespace rk::mpi

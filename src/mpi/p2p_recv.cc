// SPDX-License-Identifier: Apache-2.0
// Receives, and the calls that send and receive. A receive from a named process inside the community is the native
// call, unless it overlaps an earlier wildcard receive that the layer still holds; every other one is the layer's.
#include <array>
#include <memory>
#include <vector>

#include "mpi/bodies.h"
#include "mpi/layer.h"
#include "mpi/native.h"
#include "mpi/recv.h"
#include "mpi/send.h"
#include "mpi/wait_loop.h"

namespace rk::mpi {

bool source_exists(const CommState& comm, int source) {
  return source == MPI_ANY_SOURCE || (source >= 0 && source < comm.ranks.size());
}

bool by_layer(const CommState& comm, int source) {
  return source == MPI_ANY_SOURCE || comm.ranks.native_of(source) < 0;
}

int finish(Receive& receive, MPI_Comm comm, MPI_Status* status) {
  fill_status(status, receive.source, receive.tag, receive.bytes, receive.cancelled);
  return raise(comm, receive.error);
}

namespace {

// Native receive from a named process, waited for.
int native_recv(void* buf, int count, MPI_Datatype type, const NativePost& post, int source, MPI_Comm comm,
                MPI_Status* status) {
  int code = MPI_SUCCESS;
  if (layer().receives.outstanding == 0) {
    code = native.Recv(buf, count, type, post.native_source, post.native_tag, comm, status);
  } else {
    MPI_Request request = MPI_REQUEST_NULL;
    code = native.Irecv(buf, count, type, post.native_source, post.native_tag, comm, &request);
    if (code == MPI_SUCCESS) code = wait_native(&request, status);
  }
  if (status != MPI_STATUS_IGNORE) status->MPI_SOURCE = source;
  return code;
}

}  // namespace

int Recv(void* buf, int count, MPI_Datatype type, int source, int tag, MPI_Comm comm, MPI_Status* status) {
  if (source == MPI_PROC_NULL || comm == MPI_COMM_NULL) return native.Recv(buf, count, type, source, tag, comm, status);
  CommState& state = state_of(comm);
  if (!source_exists(state, source)) {
    if (state.spanning) return raise(comm, MPI_ERR_RANK);
    return native.Recv(buf, count, type, source, tag, comm, status);
  }
  Receive receive;
  receive.buffer = buf;
  receive.count = count;
  receive.type = type;
  receive.comm = &state;
  const NativePost post = post_receive(receive, source, tag);
  if (post.native) {
    const int rank = source == MPI_ANY_SOURCE ? state.ranks.rank_of_native(post.native_source) : source;
    return native_recv(buf, count, type, post, rank, comm, status);
  }
  if (receive.state != Receive::State::kDone) {
    // Open requests may need the native library's progress, for this process or for others.
    const bool inside = !by_layer(state, source) || source == MPI_ANY_SOURCE || !layer().requests.empty();
    wait_until(inside, [&receive] { return receive.state == Receive::State::kDone; });
  }
  return finish(receive, comm, status);
}

int Irecv(void* buf, int count, MPI_Datatype type, int source, int tag, MPI_Comm comm, MPI_Request* request) {
  if (source == MPI_PROC_NULL || comm == MPI_COMM_NULL)
    return native.Irecv(buf, count, type, source, tag, comm, request);
  Layer& all = layer();
  CommState& state = state_of(comm);
  if (!source_exists(state, source)) {
    if (state.spanning) return raise(comm, MPI_ERR_RANK);
    return native.Irecv(buf, count, type, source, tag, comm, request);
  }
  auto receive = std::make_unique<Receive>();
  receive->buffer = buf;
  receive->count = count;
  receive->type = type;
  receive->comm = &state;
  const NativePost post = post_receive(*receive, source, tag);
  RequestEntry* entry = nullptr;
  if (post.native) {
    const int code = native.Irecv(buf, count, type, post.native_source, post.native_tag, comm, request);
    if (code != MPI_SUCCESS) return code;
    entry = &all.requests.add(*request, RequestKind::kNativeRecv);
    entry->source = source == MPI_ANY_SOURCE ? state.ranks.rank_of_native(post.native_source) : source;
  } else {
    start_generalized(request);
    entry = &all.requests.add(*request, RequestKind::kReceive);
    entry->receive = receive.release();
  }
  entry->comm = &state;
  entry->wildcard = source == MPI_ANY_SOURCE;
  entry->outstanding = !post.native;
  if (entry->outstanding) ++all.receives.outstanding;
  if (entry->wildcard) ++state.wildcards;
  return MPI_SUCCESS;
}

int Sendrecv(const void* sendbuf, int sendcount, MPI_Datatype sendtype, int dest, int sendtag, void* recvbuf,
             int recvcount, MPI_Datatype recvtype, int source, int recvtag, MPI_Comm comm, MPI_Status* status) {
  Layer& all = layer();
  const SendTarget to = target_of(comm, dest, sendtag);
  if (to.error != MPI_SUCCESS) return raise(comm, to.error);
  const bool native_send = !to.outside;
  const int native_dest = to.inside ? to.native_rank : dest;
  // Nothing but a send: the receive's side is MPI_PROC_NULL, or what the native call will refuse.
  if (source == MPI_PROC_NULL || comm == MPI_COMM_NULL || !source_exists(state_of(comm), source)) {
    if (comm != MPI_COMM_NULL && source != MPI_PROC_NULL && state_of(comm).spanning) return raise(comm, MPI_ERR_RANK);
    if (native_send && to.inside) ++all.sent_inside[to.world];
    if (!native_send) send_outside(to, sendbuf, sendcount, sendtype, sendtag);
    return native.Sendrecv(sendbuf, sendcount, sendtype, native_send ? native_dest : MPI_PROC_NULL, sendtag, recvbuf,
                           recvcount, recvtype, source, recvtag, comm, status);
  }
  CommState& state = state_of(comm);
  Receive receive;
  receive.buffer = recvbuf;
  receive.count = recvcount;
  receive.type = recvtype;
  receive.comm = &state;
  const NativePost post = post_receive(receive, source, recvtag);
  const int from = source == MPI_ANY_SOURCE && post.native ? state.ranks.rank_of_native(post.native_source) : source;
  if (post.native && native_send && all.receives.outstanding == 0) {
    if (to.inside) ++all.sent_inside[to.world];
    const int code = native.Sendrecv(sendbuf, sendcount, sendtype, native_dest, sendtag, recvbuf, recvcount, recvtype,
                                     post.native_source, post.native_tag, comm, status);
    if (status != MPI_STATUS_IGNORE) status->MPI_SOURCE = from;
    return code;
  }
  // As MPI defines it: both at once, then both are waited for.
  MPI_Request receiving = MPI_REQUEST_NULL;
  MPI_Request sending = MPI_REQUEST_NULL;
  int code = MPI_SUCCESS;
  if (post.native)
    code = native.Irecv(recvbuf, recvcount, recvtype, post.native_source, post.native_tag, comm, &receiving);
  if (code == MPI_SUCCESS && native_send) {
    if (to.inside) ++all.sent_inside[to.world];
    code = native.Isend(sendbuf, sendcount, sendtype, native_dest, sendtag, comm, &sending);
  }
  if (code != MPI_SUCCESS) return code;
  if (!native_send) send_outside(to, sendbuf, sendcount, sendtype, sendtag);
  if (post.native) {
    code = wait_native(&receiving, status);
    if (status != MPI_STATUS_IGNORE) status->MPI_SOURCE = from;
  } else {
    wait_until(true, [&receive] { return receive.state == Receive::State::kDone; });
    code = finish(receive, comm, status);
  }
  if (sending != MPI_REQUEST_NULL) {
    const int sent = wait_native(&sending, MPI_STATUS_IGNORE);
    if (code == MPI_SUCCESS) code = sent;
  }
  return code;
}

int Sendrecv_replace(void* buf, int count, MPI_Datatype type, int dest, int sendtag, int source, int recvtag,
                     MPI_Comm comm, MPI_Status* status) {
  int bytes = 0;
  const int code = native.Pack_size(count, type, comm, &bytes);
  if (code != MPI_SUCCESS) return code;
  std::vector<std::byte> copy(static_cast<std::size_t>(bytes));
  int position = 0;
  native.Pack(buf, count, type, copy.data(), bytes, &position, comm);
  return Sendrecv(copy.data(), position, MPI_PACKED, dest, sendtag, buf, count, type, source, recvtag, comm, status);
}

}  // namespace rk::mpi

// SPDX-License-Identifier: Apache-2.0
#include "mpi/completion.h"

#include <memory>

#include "mpi/layer.h"
#include "mpi/native.h"
#include "mpi/recv.h"
#include "mpi/send.h"
#include "mpi/wait_loop.h"

namespace rk::mpi {
namespace {

// The callbacks of a generalized request: nobody but end_generalized() ever completes one, with its status ignored.
int no_query(void* /*state*/, MPI_Status* status) {
  native.Status_set_elements_x(status, MPI_BYTE, 0);
  native.Status_set_cancelled(status, 0);
  return MPI_SUCCESS;
}
int no_free(void* /*state*/) { return MPI_SUCCESS; }
int no_cancel(void* /*state*/, int /*complete*/) { return MPI_SUCCESS; }

void forget(const RequestEntry& entry) {
  Layer& all = layer();
  if (entry.outstanding) --all.receives.outstanding;
  if (entry.wildcard) --entry.comm->wildcards;
  all.requests.remove(entry.handle);
}

int complete_receive(MPI_Request* request, const RequestEntry& entry, MPI_Status* status) {
  const std::unique_ptr<Receive> receive(entry.receive);
  forget(entry);
  end_generalized(request);
  return finish(*receive, receive->comm->handle, status);
}

}  // namespace

void start_generalized(MPI_Request* request) { native.Grequest_start(no_query, no_free, no_cancel, nullptr, request); }

void end_generalized(MPI_Request* request) {
  native.Grequest_complete(*request);
  native.Wait(request, MPI_STATUS_IGNORE);
}

bool native_may_block() { return layer().receives.outstanding == 0; }

RequestEntry entry_of(MPI_Request request) {
  const RequestEntry* found = layer().requests.find(request);
  return found == nullptr ? RequestEntry{} : *found;
}

void settle(const RequestEntry& entry, MPI_Status* status) {
  if (entry.kind == RequestKind::kNone || !entry.active) return;
  const bool received = entry.kind == RequestKind::kNativeRecv ||
                        (entry.kind == RequestKind::kPersistent && entry.comm != nullptr && !entry.sends);
  if (received && status != MPI_STATUS_IGNORE && status->MPI_SOURCE >= 0) status->MPI_SOURCE = entry.source;
  if (entry.kind == RequestKind::kPersistent) {
    if (RequestEntry* kept = layer().requests.find(entry.handle); kept != nullptr) kept->active = false;
    return;
  }
  forget(entry);
}

int wait_native(MPI_Request* request, MPI_Status* status) {
  int code = MPI_SUCCESS;
  wait_until(true, [&] {
    int flag = 0;
    code = native.Test(request, &flag, status);
    return flag != 0 || code != MPI_SUCCESS;
  });
  return code;
}

int wait_request(MPI_Request* request, MPI_Status* status) {
  const RequestEntry entry = entry_of(*request);
  if (entry.kind == RequestKind::kReceive) {
    const Receive& receive = *entry.receive;
    // Alone and from another community: nothing but a message that rings the bell can change anything.
    const bool inside_too = entry.wildcard || layer().requests.size() > 1;
    wait_until(inside_too, [&receive] { return receive.state == Receive::State::kDone; });
    return complete_receive(request, entry, status);
  }
  const int code = native_may_block() ? native.Wait(request, status) : wait_native(request, status);
  settle(entry, status);
  return code;
}

bool is_inactive(MPI_Request request) {
  if (request == MPI_REQUEST_NULL) return true;
  const RequestEntry entry = entry_of(request);
  return entry.kind == RequestKind::kPersistent && !entry.active;
}

bool is_complete(MPI_Request request) {
  if (request == MPI_REQUEST_NULL) return true;
  const RequestEntry entry = entry_of(request);
  if (entry.kind == RequestKind::kReceive) return entry.receive->state == Receive::State::kDone;
  int flag = 0;
  native.Request_get_status(request, &flag, MPI_STATUS_IGNORE);
  return flag != 0;
}

}  // namespace rk::mpi

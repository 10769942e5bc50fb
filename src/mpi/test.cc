// SPDX-License-Identifier: Apache-2.0
// Tests: their flags are outcomes. A recorded "not yet" is repeated without looking; a recorded "done" by waiting.
#include <algorithm>

#include "mpi/bodies.h"
#include "mpi/completion.h"
#include "mpi/layer.h"
#include "mpi/native.h"
#include "mpi/outcome.h"
#include "mpi/recv.h"
#include "mpi/wait_loop.h"

namespace rk::mpi {
namespace {

// The flag as recorded, or as found and recorded now.
template <class Find>
bool flag_of(log::OutcomeKind kind, Find find) {
  if (replaying()) return replay(kind).value != 0;
  progress_receives();
  const bool flag = find();
  if (!flag) native_progress();  // a program that only tests must still move what is under way
  record(kind, flag ? 1 : 0);
  return flag;
}

}  // namespace

int Test(MPI_Request* request, int* flag, MPI_Status* status) {
  if (is_inactive(*request)) return native.Test(request, flag, status);
  *flag = flag_of(log::OutcomeKind::kTest, [request] { return is_complete(*request); }) ? 1 : 0;
  return *flag != 0 ? wait_request(request, status) : MPI_SUCCESS;
}

int Testall(int count, MPI_Request* array, int* flag, MPI_Status* statuses) {
  const auto requests = requests_of(count, array);
  const auto all_complete = [&requests] {
    return std::all_of(requests.begin(), requests.end(),
                       [](MPI_Request r) { return is_inactive(r) || is_complete(r); });
  };
  *flag = flag_of(log::OutcomeKind::kTestAll, all_complete) ? 1 : 0;
  return *flag != 0 ? Waitall(count, array, statuses) : MPI_SUCCESS;
}

int Testany(int count, MPI_Request* array, int* index, int* flag, MPI_Status* status) {
  const auto requests = requests_of(count, array);
  if (std::all_of(requests.begin(), requests.end(), is_inactive))
    return native.Testany(0, nullptr, index, flag, status);
  if (replaying()) {
    const log::Outcome seen = replay(log::OutcomeKind::kTestAny);
    *flag = static_cast<int>(seen.value);
    *index = static_cast<int>(seen.detail);
  } else {
    progress_receives();
    const auto at =
        std::find_if(requests.begin(), requests.end(), [](MPI_Request r) { return !is_inactive(r) && is_complete(r); });
    *flag = at != requests.end() ? 1 : 0;
    *index = *flag != 0 ? static_cast<int>(at - requests.begin()) : MPI_UNDEFINED;
    record(log::OutcomeKind::kTestAny, static_cast<std::uint64_t>(*flag), static_cast<std::uint64_t>(*index));
  }
  return *flag != 0 ? wait_request(&array[*index], status) : MPI_SUCCESS;
}

int Testsome(int count, MPI_Request* array, int* outcount, int* indices, MPI_Status* statuses) {
  const auto requests = requests_of(count, array);
  if (!replaying()) {
    progress_receives();
    const bool none = std::all_of(requests.begin(), requests.end(), is_inactive);
    *outcount = none ? MPI_UNDEFINED : find_complete(requests, indices);
  }
  record_or_replay_some(outcount, indices);
  return complete_some(array, *outcount, indices, statuses);
}

int Request_get_status(MPI_Request request, int* flag, MPI_Status* status) {
  if (is_inactive(request)) return native.Request_get_status(request, flag, status);
  *flag = flag_of(log::OutcomeKind::kTest, [request] { return is_complete(request); }) ? 1 : 0;
  if (*flag == 0) return MPI_SUCCESS;
  const RequestEntry entry = entry_of(request);
  wait_until(true, [request] { return is_complete(request); });
  if (entry.kind == RequestKind::kReceive) {
    const Receive& receive = *entry.receive;
    fill_status(status, receive.source, receive.tag, receive.bytes, receive.cancelled);
    return MPI_SUCCESS;
  }
  const int code = native.Request_get_status(request, flag, status);
  if (entry.kind == RequestKind::kNativeRecv && status != MPI_STATUS_IGNORE && status->MPI_SOURCE >= 0)
    status->MPI_SOURCE = entry.source;
  return code;
}

}  // namespace rk::mpi

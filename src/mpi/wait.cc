// SPDX-License-Identifier: Apache-2.0
// MPI_Wait, MPI_Waitall (no choice to record) and MPI_Waitany, MPI_Waitsome (the choice is recorded).
#include <algorithm>
#include <cstring>
#include <vector>

#include "mpi/bodies.h"
#include "mpi/completion.h"
#include "mpi/layer.h"
#include "mpi/native.h"
#include "mpi/outcome.h"
#include "mpi/wait_loop.h"

namespace rk::mpi {
namespace {

// Waits for the requests one after the other: all must complete, so the order does not matter.
int wait_each(std::span<MPI_Request> requests, MPI_Status* statuses) {
  int result = MPI_SUCCESS;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const int code = wait_request(&requests[i], status_at(statuses, i));
    if (code != MPI_SUCCESS) result = MPI_ERR_IN_STATUS;
    if (statuses != MPI_STATUSES_IGNORE) statuses[i].MPI_ERROR = code;
  }
  return result;
}

}  // namespace

int Wait(MPI_Request* request, MPI_Status* status) { return wait_request(request, status); }

int Waitall(int count, MPI_Request* array, MPI_Status* statuses) {
  const auto requests = requests_of(count, array);
  if (!native_may_block()) return wait_each(requests, statuses);
  static std::vector<RequestEntry> entries;  // kept for its memory
  entries.clear();
  for (const MPI_Request request : requests) entries.push_back(entry_of(request));
  const int code = native.Waitall(count, array, statuses);
  for (std::size_t i = 0; i < entries.size(); ++i) settle(entries[i], status_at(statuses, i));
  return code;
}

int Waitany(int count, MPI_Request* array, int* index, MPI_Status* status) {
  const auto requests = requests_of(count, array);
  if (replaying()) {
    *index = static_cast<int>(replay(log::OutcomeKind::kWaitAny).value);
    if (*index == MPI_UNDEFINED) return native.Waitany(0, nullptr, index, status);
    return wait_request(&array[*index], status);
  }
  int code = MPI_SUCCESS;
  if (native_may_block()) {
    static std::vector<RequestEntry> entries;
    entries.clear();
    for (const MPI_Request request : requests) entries.push_back(entry_of(request));
    code = native.Waitany(count, array, index, status);
    if (*index != MPI_UNDEFINED) settle(entries[static_cast<std::size_t>(*index)], status);
  } else if (std::all_of(requests.begin(), requests.end(), is_inactive)) {
    code = native.Waitany(0, nullptr, index, status);
  } else {
    wait_until(true, [&] {
      const auto at = std::find_if(requests.begin(), requests.end(),
                                   [](MPI_Request r) { return !is_inactive(r) && is_complete(r); });
      *index = static_cast<int>(at - requests.begin());
      return at != requests.end();
    });
    code = wait_request(&array[*index], status);
  }
  record(log::OutcomeKind::kWaitAny, static_cast<std::uint64_t>(*index));
  return code;
}

int Waitsome(int count, MPI_Request* array, int* outcount, int* indices, MPI_Status* statuses) {
  const auto requests = requests_of(count, array);
  if (!replaying()) {
    const bool none = std::all_of(requests.begin(), requests.end(), is_inactive);
    *outcount = none ? MPI_UNDEFINED : 0;
    if (!none)
      wait_until(true, [&] {
        *outcount = find_complete(requests, indices);
        return *outcount > 0;
      });
  }
  record_or_replay_some(outcount, indices);
  return complete_some(array, *outcount, indices, statuses);
}

int find_complete(std::span<const MPI_Request> requests, int* indices) {
  int found = 0;
  for (std::size_t i = 0; i < requests.size(); ++i)
    if (!is_inactive(requests[i]) && is_complete(requests[i])) indices[found++] = static_cast<int>(i);
  return found;
}

void record_or_replay_some(int* outcount, int* indices) {
  static std::vector<std::uint32_t> blob;
  if (replaying()) {
    const log::Outcome seen = replay(log::OutcomeKind::kSome);
    *outcount = static_cast<int>(seen.value);
    blob.resize(seen.blob.size() / sizeof(std::uint32_t));
    if (!blob.empty()) std::memcpy(blob.data(), seen.blob.data(), blob.size() * sizeof(std::uint32_t));
    std::copy(blob.begin(), blob.end(), indices);
    return;
  }
  blob.clear();
  for (int i = 0; i < *outcount; ++i) blob.push_back(static_cast<std::uint32_t>(indices[i]));
  record(log::OutcomeKind::kSome, static_cast<std::uint64_t>(*outcount), 0, std::as_bytes(std::span(blob)));
}

int complete_some(MPI_Request* array, int outcount, const int* indices, MPI_Status* statuses) {
  int result = MPI_SUCCESS;
  for (int i = 0; i < outcount; ++i) {
    MPI_Status* status = status_at(statuses, static_cast<std::size_t>(i));
    const int code = wait_request(&array[indices[i]], status);
    if (code != MPI_SUCCESS) result = MPI_ERR_IN_STATUS;
    if (status != MPI_STATUS_IGNORE) status->MPI_ERROR = code;
  }
  return result;
}

}  // namespace rk::mpi

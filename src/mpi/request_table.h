// SPDX-License-Identifier: Apache-2.0
// Requests that have not completed yet, keyed by handle: which are the layer's own (a receive that the layer matches,
// behind a generalized request), and for native ones what the program may still ask for (the source of an inside
// receive is a native rank, the program's status wants its own). A checkpoint names what is still in here.
#pragma once

#include <cstdint>
#include <vector>

#include "mpi/mpi_header.h"

namespace rk::mpi {

struct Receive;    // receive.h
struct CommState;  // comm_table.h

enum class RequestKind : std::uint8_t {
  kNone,        // not in the table: MPI_REQUEST_NULL, or complete from the start
  kNativeSend,  // inside send
  kNativeRecv,  // inside receive from a named source
  kNative,      // any other: nonblocking collective, file, generalized request of the program
  kPersistent,  // native persistent request; `active` between start and completion
  kReceive,     // the layer's own
};

struct RequestEntry {
  MPI_Request handle = MPI_REQUEST_NULL;
  RequestKind kind = RequestKind::kNone;
  bool active = true;
  int source = MPI_ANY_SOURCE;  // kNativeRecv: rank in the program's communicator
  bool wildcard = false;        // receive with MPI_ANY_SOURCE, as posted
  bool outstanding = false;     // counted in Receives::outstanding
  bool sends = false;           // kPersistent
  Receive* receive = nullptr;
  CommState* comm = nullptr;  // of a receive
};

// Open addressing with linear probing: a lookup is a few nanoseconds, on the path of every wait.
class RequestTable {
 public:
  RequestTable();
  RequestEntry* find(MPI_Request handle);
  RequestEntry& add(MPI_Request handle, RequestKind kind);
  void remove(MPI_Request handle);
  bool empty() const { return used_ == 0; }
  std::size_t size() const { return used_; }
  // Calls visit(entry) for each. No order: only for counts and for naming one of them.
  template <class Visit>
  void each(Visit visit) const {
    for (const RequestEntry& slot : slots_)
      if (slot.kind != RequestKind::kNone) visit(slot);
  }
  // The handle that the native library gives to operations that are complete at once, shared by all of them.
  MPI_Request complete_handle = MPI_REQUEST_NULL;

 private:
  std::size_t home(MPI_Request handle) const;
  void grow();

  std::vector<RequestEntry> slots_;
  std::size_t used_ = 0;
};

// Enters a native request that a generated guard let through (layer.cc).
void track_native(MPI_Request request);

}  // namespace rk::mpi

// SPDX-License-Identifier: Apache-2.0
// A receive that the layer matches: from another community, from anywhere, or from inside behind one of those.
// Nonblocking ones stand behind a generalized request, so that the program holds an ordinary handle.
#pragma once

#include <cstdint>
#include <vector>

#include "log/matcher.h"
#include "mpi/mpi_header.h"

namespace rk::mpi {

struct CommState;

struct Receive {
  enum class State : std::uint8_t { kPending, kInner, kDone };

  std::uint64_t psn = 0;
  State state = State::kPending;
  void* buffer = nullptr;
  int count = 0;
  MPI_Datatype type = MPI_DATATYPE_NULL;
  bool owns_type = false;  // a duplicate: the program may free its own before the message comes
  CommState* comm = nullptr;
  log::Match* raw = nullptr;             // of a collective: the message itself is wanted, not a buffer filled
  MPI_Request inner = MPI_REQUEST_NULL;  // kInner: the native receive of a matched inside message
  bool cancelled = false;
  bool detached = false;  // MPI_Request_free: nobody waits for it
  int error = MPI_SUCCESS;
  // What the program's status will say.
  int source = MPI_PROC_NULL;
  int tag = MPI_ANY_TAG;
  std::uint64_t bytes = 0;
};

// Receives that the program has posted and that are not done.
class Receives {
 public:
  void add(Receive& receive) { open_.push_back(&receive); }
  void remove_done();
  Receive* find(std::uint64_t psn) const;
  bool any() const { return !open_.empty(); }
  const std::vector<Receive*>& open() const { return open_; }

  // Nonblocking receives of the layer that the program has not completed yet. While there are any, the layer must keep
  // matching, so no native call may block without it.
  std::uint64_t outstanding = 0;

 private:
  std::vector<Receive*> open_;
};

// Posts a receive through the matcher. False: it is to be posted natively, from native rank `native_source` with
// `native_tag`; the receive then is not kept.
struct NativePost {
  bool native = false;
  int native_source = MPI_ANY_SOURCE;
  int native_tag = MPI_ANY_TAG;
};
NativePost post_receive(Receive& receive, int source, int tag);
// Gives a receive what it was matched with.
void deliver(Receive& receive, const log::Match& match);
// Looks for matches and moves inner receives on; true if something moved.
bool progress_receives();

void fill_status(MPI_Status* status, int source, int tag, std::uint64_t bytes, bool cancelled);

}  // namespace rk::mpi

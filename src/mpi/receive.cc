// SPDX-License-Identifier: Apache-2.0
#include "mpi/receive.h"

#include <algorithm>

#include "mpi/entry_guard.h"
#include "mpi/layer.h"
#include "mpi/native.h"
#include "mpi/payload.h"
#include "mpi/recv.h"
#include "mpi/stats.h"

namespace rk::mpi {
namespace {

// Duplicates a derived datatype that must outlive the call.
void keep_type(Receive& receive) {
  int integers = 0;
  int addresses = 0;
  int types = 0;
  int combiner = 0;
  native.Type_get_envelope(receive.type, &integers, &addresses, &types, &combiner);
  if (combiner == MPI_COMBINER_NAMED) return;
  native.Type_dup(receive.type, &receive.type);
  receive.owns_type = true;
}

void done(Receive& receive) {
  receive.state = Receive::State::kDone;
  if (receive.owns_type) native.Type_free(&receive.type);
  receive.owns_type = false;
}

// True when the native part of a matched inside message has arrived.
bool advance_inner(Receive& receive) {
  int flag = 0;
  MPI_Status status;
  const int code = native.Test(&receive.inner, &flag, &status);
  if (flag == 0 && code == MPI_SUCCESS) return false;
  if (code != MPI_SUCCESS) receive.error = code;
  MPI_Count bytes = 0;
  native.Get_elements_x(&status, MPI_BYTE, &bytes);
  receive.bytes = static_cast<std::uint64_t>(bytes);
  done(receive);
  return true;
}

}  // namespace

void Receives::remove_done() {
  std::erase_if(open_, [](Receive* receive) {
    if (receive->state != Receive::State::kDone) return false;
    if (receive->detached) delete receive;  // NOLINT(cppcoreguidelines-owning-memory): given up by Request_free
    return true;
  });
}

Receive* Receives::find(std::uint64_t psn) const {
  const auto at = std::find_if(open_.begin(), open_.end(), [psn](const Receive* r) { return r->psn == psn; });
  return at == open_.end() ? nullptr : *at;
}

NativePost post_receive(Receive& receive, int source, int tag) {
  watch_replay();
  Layer& all = layer();
  const CommState& comm = *receive.comm;
  if (all.restoring && by_layer(comm, source)) refuse_before_restore(t_call);
  log::RecvSpec spec;
  spec.context = comm.context;
  spec.source = source == MPI_ANY_SOURCE ? log::kAnySource : comm.ranks.world_of(source);
  spec.tag = tag == MPI_ANY_TAG ? log::kAnyTag : tag;
  spec.reach = comm.spanning ? log::Reach::kBoth : log::Reach::kInside;
  const log::Posted posted = [&] {
    const LayerWork work;
    return must(all.log().matcher().post(spec), "receive");
  }();
  NativePost out;
  receive.psn = posted.psn;
  switch (posted.state) {
    case log::PostState::kNative:
      out.native = true;
      out.native_source = comm.ranks.native_of(comm.ranks.rank_of_world(posted.native_source));
      out.native_tag = posted.native_tag == log::kAnyTag ? MPI_ANY_TAG : posted.native_tag;
      ++all.received_inside[posted.native_source];
      return out;
    case log::PostState::kMatched:
      deliver(receive, posted.match);
      if (receive.state != Receive::State::kDone) all.receives.add(receive);
      return out;
    case log::PostState::kPending:
    case log::PostState::kCancelled:
      keep_type(receive);
      all.receives.add(receive);
      return out;
  }
  return out;
}

void deliver(Receive& receive, const log::Match& match) {
  receive.source = receive.comm->ranks.rank_of_world(match.source);
  receive.tag = match.tag;
  receive.bytes = match.length;
  if (match.inside) {
    ++layer().received_inside[match.source];
    auto message = reinterpret_cast<MPI_Message>(match.token);  // NOLINT(performance-no-int-to-ptr): the port's token
    receive.error = native.Imrecv(receive.buffer, receive.count, receive.type, &message, &receive.inner);
    receive.state = Receive::State::kInner;
    if (receive.error != MPI_SUCCESS)
      done(receive);
    else
      advance_inner(receive);
    return;
  }
  const LayerWork work(match.length);
  if (receive.raw != nullptr)
    *receive.raw = match;
  else
    receive.error = unpack(match.payload, receive.buffer, receive.count, receive.type);
  done(receive);
}

bool progress_receives() {
  Layer& all = layer();
  if (!all.receives.any()) return false;
  static std::vector<log::Match> matches;  // kept for its memory
  matches.clear();
  if (all.log().matcher().pending() > 0) {
    LayerWork work;
    must(all.log().matcher().progress(matches), "match messages");
    if (matches.empty()) work.drop();
  }
  bool moved = !matches.empty();
  for (const log::Match& match : matches) {
    Receive* receive = all.receives.find(match.psn);
    if (receive == nullptr) end_job(kExitLayer, "a match belongs to no receive; please report this");
    deliver(*receive, match);
  }
  for (Receive* receive : all.receives.open())
    if (receive->state == Receive::State::kInner && advance_inner(*receive)) moved = true;
  if (moved) all.receives.remove_done();
  return moved;
}

void fill_status(MPI_Status* status, int source, int tag, std::uint64_t bytes, bool cancelled) {
  if (status == MPI_STATUS_IGNORE) return;
  status->MPI_SOURCE = source;
  status->MPI_TAG = tag;
  native.Status_set_elements_x(status, MPI_BYTE, static_cast<MPI_Count>(bytes));
  native.Status_set_cancelled(status, cancelled ? 1 : 0);
}

}  // namespace rk::mpi

// SPDX-License-Identifier: Apache-2.0
// Probes and matched probes. A probe from anywhere, and every flag, is an outcome. A matched probe is a receive as far
// as the matcher is concerned: what it took is on record under its posting number.
#include <memory>
#include <optional>
#include <unordered_map>

#include "mpi/bodies.h"
#include "mpi/entry_guard.h"
#include "mpi/layer.h"
#include "mpi/native.h"
#include "mpi/outcome.h"
#include "mpi/payload.h"
#include "mpi/recv.h"
#include "mpi/wait_loop.h"

namespace rk::mpi {
namespace {

// A message that a matched probe has taken. One from inside keeps its native handle; for one from another community
// the address of this object serves as the handle.
struct Taken {
  log::Match match;
  CommState* comm = nullptr;
  int source = MPI_PROC_NULL;
};

std::unordered_map<MPI_Message, std::unique_ptr<Taken>>& taken() {
  static std::unordered_map<MPI_Message, std::unique_ptr<Taken>> all;
  return all;
}

log::RecvSpec spec_of(const CommState& comm, int source, int tag) {
  if (layer().restoring && by_layer(comm, source)) refuse_before_restore(t_call);
  log::RecvSpec spec;
  spec.context = comm.context;
  spec.source = source == MPI_ANY_SOURCE ? log::kAnySource : comm.ranks.world_of(source);
  spec.tag = tag == MPI_ANY_TAG ? log::kAnyTag : tag;
  spec.reach = comm.spanning ? log::Reach::kBoth : log::Reach::kInside;
  return spec;
}

std::optional<log::Probed> look(const log::RecvSpec& spec) {
  progress_receives();
  auto found = must(layer().log().matcher().probe(spec), "probe");
  if (!found) native_progress();  // a program that only probes must still move what is under way
  return found;
}

log::Probed look_until(const log::RecvSpec& spec) {
  std::optional<log::Probed> found;
  wait_until(true, [&] {
    found = look(spec);
    return found.has_value();
  });
  return *found;
}

// What the native call would refuse, or answer for MPI_PROC_NULL.
bool is_native(MPI_Comm comm, int source) {
  return comm == MPI_COMM_NULL || source == MPI_PROC_NULL || !source_exists(state_of(comm), source);
}

MPI_Message keep(CommState& comm, log::Match match, MPI_Status* status) {
  auto entry = std::make_unique<Taken>();
  entry->comm = &comm;
  entry->source = comm.ranks.rank_of_world(match.source);
  fill_status(status, entry->source, match.tag, match.length, false);
  if (match.inside) ++layer().received_inside[match.source];
  const std::uintptr_t value = match.inside ? match.token : reinterpret_cast<std::uintptr_t>(entry.get());
  // NOLINTNEXTLINE(performance-no-int-to-ptr): the port's token, or our own address
  const auto handle = reinterpret_cast<MPI_Message>(value);
  entry->match = std::move(match);
  taken()[handle] = std::move(entry);
  return handle;
}

std::unique_ptr<Taken> release(MPI_Message message) {
  const auto at = taken().find(message);
  if (at == taken().end()) return nullptr;
  auto out = std::move(at->second);
  taken().erase(at);
  return out;
}

}  // namespace

std::size_t matched_messages() { return taken().size(); }

int Probe(int source, int tag, MPI_Comm comm, MPI_Status* status) {
  if (is_native(comm, source)) return native.Probe(source, tag, comm, status);
  const CommState& state = state_of(comm);
  log::RecvSpec spec = spec_of(state, source, tag);
  const bool open = source == MPI_ANY_SOURCE;
  if (open && replaying()) {
    const log::Outcome seen = replay(log::OutcomeKind::kProbe);
    spec.source = static_cast<std::uint32_t>(seen.value);
    spec.tag = static_cast<std::int32_t>(seen.detail);
    const log::Probed found = look_until(spec);
    fill_status(status, state.ranks.rank_of_world(found.source), found.tag, found.length, false);
    return MPI_SUCCESS;
  }
  const log::Probed found = look_until(spec);
  if (open) record(log::OutcomeKind::kProbe, found.source, static_cast<std::uint32_t>(found.tag));
  fill_status(status, state.ranks.rank_of_world(found.source), found.tag, found.length, false);
  return MPI_SUCCESS;
}

int Iprobe(int source, int tag, MPI_Comm comm, int* flag, MPI_Status* status) {
  if (is_native(comm, source)) return native.Iprobe(source, tag, comm, flag, status);
  const CommState& state = state_of(comm);
  log::RecvSpec spec = spec_of(state, source, tag);
  std::optional<log::Probed> found;
  if (replaying()) {
    const log::Outcome seen = replay(log::OutcomeKind::kProbeFlag);
    if (seen.value != 0) {
      spec.source = static_cast<std::uint32_t>(seen.value - 1);
      spec.tag = static_cast<std::int32_t>(seen.detail);
      found = look_until(spec);
    }
  } else {
    found = look(spec);
    record(log::OutcomeKind::kProbeFlag, found ? std::uint64_t{found->source} + 1 : 0,
           found ? static_cast<std::uint32_t>(found->tag) : 0);
  }
  *flag = found ? 1 : 0;
  if (found) fill_status(status, state.ranks.rank_of_world(found->source), found->tag, found->length, false);
  return MPI_SUCCESS;
}

int Improbe(int source, int tag, MPI_Comm comm, int* flag, MPI_Message* message, MPI_Status* status) {
  if (is_native(comm, source)) return native.Improbe(source, tag, comm, flag, message, status);
  CommState& state = state_of(comm);
  const log::RecvSpec spec = spec_of(state, source, tag);
  std::optional<log::Match> match;
  const auto take = [&] {
    progress_receives();
    match = must(layer().log().matcher().take(spec), "matched probe");
    return match.has_value();
  };
  if (replaying()) {
    if (replay(log::OutcomeKind::kProbeFlag).value != 0) wait_until(true, take);
  } else {
    // An earlier life may have been killed between its match and this outcome: the match stands, and comes again.
    if (layer().log().matcher().next_on_record()) wait_until(true, take);
    record(log::OutcomeKind::kProbeFlag, match || take() ? 1 : 0);
  }
  *flag = match ? 1 : 0;
  if (match) *message = keep(state, std::move(*match), status);
  return MPI_SUCCESS;
}

int Mprobe(int source, int tag, MPI_Comm comm, MPI_Message* message, MPI_Status* status) {
  if (is_native(comm, source)) return native.Mprobe(source, tag, comm, message, status);
  CommState& state = state_of(comm);
  const log::RecvSpec spec = spec_of(state, source, tag);
  std::optional<log::Match> match;
  wait_until(true, [&] {
    progress_receives();
    match = must(layer().log().matcher().take(spec), "matched probe");
    return match.has_value();
  });
  *message = keep(state, std::move(*match), status);
  return MPI_SUCCESS;
}

int Mrecv(void* buf, int count, MPI_Datatype type, MPI_Message* message, MPI_Status* status) {
  const auto from = release(*message);
  if (from == nullptr) return native.Mrecv(buf, count, type, message, status);
  if (from->match.inside) {
    const int code = native.Mrecv(buf, count, type, message, status);
    if (status != MPI_STATUS_IGNORE) status->MPI_SOURCE = from->source;
    return code;
  }
  *message = MPI_MESSAGE_NULL;
  fill_status(status, from->source, from->match.tag, from->match.length, false);
  return raise(from->comm->handle, unpack(from->match.payload, buf, count, type));
}

int Imrecv(void* buf, int count, MPI_Datatype type, MPI_Message* message, MPI_Request* request) {
  Layer& all = layer();
  const auto from = release(*message);
  if (from == nullptr || from->match.inside) {
    const int code = native.Imrecv(buf, count, type, message, request);
    if (code == MPI_SUCCESS && from != nullptr && *request != all.requests.complete_handle) {
      RequestEntry& entry = all.requests.add(*request, RequestKind::kNativeRecv);
      entry.source = from->source;
      entry.comm = from->comm;
    }
    return code;
  }
  *message = MPI_MESSAGE_NULL;
  auto receive = std::make_unique<Receive>();
  receive->buffer = buf;
  receive->count = count;
  receive->type = type;
  receive->comm = from->comm;
  deliver(*receive, from->match);
  start_generalized(request);
  RequestEntry& entry = all.requests.add(*request, RequestKind::kReceive);
  entry.comm = from->comm;
  entry.outstanding = true;
  ++all.receives.outstanding;
  entry.receive = receive.release();
  return MPI_SUCCESS;
}

}  // namespace rk::mpi

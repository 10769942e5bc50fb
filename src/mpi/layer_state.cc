// SPDX-License-Identifier: Apache-2.0
#include "mpi/layer_state.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstring>
#include <iostream>

#include "mpi/layer.h"
#include "mpi/native.h"
#include "mpi/outcome.h"
#include "wire/control_messages.h"

namespace rk::mpi {
namespace {

constexpr std::uint32_t kStateFormat = 1;

void flush_output() {
  std::cout.flush();
  std::clog.flush();
  std::fflush(nullptr);
  // gfortran's own buffers, if the program has any: a null unit means all units.
  using FlushUnits = void (*)(const std::int32_t*);
  FlushUnits flush = nullptr;
  void* found = dlsym(RTLD_DEFAULT, "_gfortran_flush_i4");
  std::memcpy(&flush, &found, sizeof found);
  if (flush != nullptr) flush(nullptr);
}

std::string name_of(const CommState& comm) {
  char name[MPI_MAX_OBJECT_NAME] = "";
  int length = 0;
  native.Comm_get_name(comm.handle, name, &length);
  return length > 0 ? std::string(name, static_cast<std::size_t>(length))
                    : "without a name, of " + std::to_string(comm.ranks.size()) + " processes";
}

const char* words_of(RequestKind kind) {
  switch (kind) {
    case RequestKind::kNativeSend:
      return "a send inside the community";
    case RequestKind::kNativeRecv:
      return "a receive inside the community";
    case RequestKind::kPersistent:
      return "a persistent request";
    case RequestKind::kReceive:
      return "a receive";
    case RequestKind::kNative:
    case RequestKind::kNone:
      break;
  }
  return "a nonblocking operation";
}

}  // namespace

Bytes encode(const LayerState& state) {
  Bytes out;
  ByteWriter writer(out);
  writer.integer(kStateFormat);
  writer.integer(state.stdout_lines);
  writer.integer(state.stderr_lines);
  writer.integer(state.next_context);
  writer.integer(static_cast<std::uint32_t>(state.counters.size()));
  for (const LayerState::Counter& counter : state.counters) {
    writer.integer(counter.context);
    writer.integer(counter.collectives);
  }
  for (const std::int64_t reading : state.cpu.values) writer.integer(reading);
  return out;
}

Result<LayerState> decode_layer_state(ByteView bytes) {
  ByteReader reader(bytes);
  LayerState state;
  if (reader.integer<std::uint32_t>() != kStateFormat) reader.mark_failed();
  state.stdout_lines = reader.integer<std::uint64_t>();
  state.stderr_lines = reader.integer<std::uint64_t>();
  state.next_context = reader.integer<std::uint32_t>();
  const auto count = reader.integer<std::uint32_t>();
  if (count > reader.remaining()) reader.mark_failed();
  for (std::uint32_t i = 0; i < count && !reader.failed(); ++i) {
    LayerState::Counter counter;
    counter.context = reader.integer<std::uint32_t>();
    counter.collectives = reader.integer<std::uint32_t>();
    state.counters.push_back(counter);
  }
  for (std::int64_t& reading : state.cpu.values) reading = reader.integer<std::int64_t>();
  RK_TRY_VOID(reader.finish("the layer's part of a checkpoint"));
  return state;
}

Result<LayerState> take_layer_state() {
  Layer& all = layer();
  LayerState state;
  flush_output();
  if (all.control.is_open()) {
    RK_TRY(const auto position, all.control.ask<wire::OutputPositionAnswer>(wire::OutputPosition{}));
    state.stdout_lines = position.stdout_lines;
    state.stderr_lines = position.stderr_lines;
  }
  state.next_context = all.comms.next_context;
  for (const auto& comm : all.comms.all())
    if (comm->spanning) state.counters.push_back({comm->context, comm->collectives});
  state.cpu = cpu_readings();
  return state;
}

Status suspend_output() {
  Layer& all = layer();
  if (!all.control.is_open()) return {};
  flush_output();
  RK_TRY(const auto position, all.control.ask<wire::OutputPositionAnswer>(wire::OutputSuspend{}));
  static_cast<void>(position);
  return {};
}

Status resume_layer_state(const LayerState& state) {
  Layer& all = layer();
  std::size_t spanning = 0;
  for (const auto& comm : all.comms.all()) spanning += comm->spanning ? 1 : 0;
  bool same = spanning == state.counters.size();
  for (const LayerState::Counter& counter : state.counters) {
    CommState* comm = all.comms.of_context(counter.context);
    same = same && comm != nullptr && comm->spanning;
    if (same) comm->collectives = counter.collectives;
  }
  if (!same)
    return fail(ErrorCode::kInvalidArgument,
                "the communicators that span communities are not those of the checkpoint; make them before the restart "
                "question, in each life the same");
  all.comms.next_context = state.next_context;
  all.sent_inside.assign(all.sent_inside.size(), 0);
  all.received_inside.assign(all.received_inside.size(), 0);
  resume_cpu(state.cpu);
  if (all.control.is_open()) {
    flush_output();
    RK_TRY(const auto position,
           all.control.ask<wire::OutputPositionAnswer>(wire::OutputResume{state.stdout_lines, state.stderr_lines}));
    static_cast<void>(position);
  }
  return {};
}

Status check_nothing_open() {
  Layer& all = layer();
  RequestKind kind = RequestKind::kNone;
  std::size_t count = 0;
  all.requests.each([&](const RequestEntry& entry) {
    if (!entry.active) return;
    kind = entry.kind;
    ++count;
  });
  const std::string who = "rank " + std::to_string(all.env.rank.value);
  if (count > 0 || all.receives.any())
    return fail(ErrorCode::kInvalidArgument, who + " has " + std::to_string(count) +
                                                 " active requests at the checkpoint, " + words_of(kind) +
                                                 " among them; complete all requests before rk_job_checkpoint");
  if (const std::size_t messages = matched_messages(); messages > 0)
    return fail(ErrorCode::kInvalidArgument, who + " has " + std::to_string(messages) +
                                                 " messages of MPI_Mprobe at the checkpoint; receive them by MPI_Mrecv "
                                                 "before rk_job_checkpoint");
  for (const auto& comm : all.comms.all())
    if (comm->spanning && !comm->born_before_question)
      return fail(ErrorCode::kInvalidArgument,
                  who + " has a communicator (" + name_of(*comm) +
                      ") that spans communities and was made after rk_job_restart_version; make it before, so that a "
                      "restarted process has it");
  return {};
}

}  // namespace rk::mpi

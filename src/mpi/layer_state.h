// SPDX-License-Identifier: Apache-2.0
// The layer's own part of a checkpoint, beside the log's state: where the program's output, its communicators and its
// CPU time stood.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "mpi/clock.h"

namespace rk::mpi {

inline constexpr char kLayerSection[] = "ringkeep.mpi";

struct LayerState {
  std::uint64_t stdout_lines = 0;
  std::uint64_t stderr_lines = 0;
  std::uint32_t next_context = 0;
  struct Counter {
    std::uint32_t context = 0;
    std::uint32_t collectives = 0;
  };
  std::vector<Counter> counters;  // of spanning communicators
  CpuReadings cpu;
};

Bytes encode(const LayerState& state);
Result<LayerState> decode_layer_state(ByteView bytes);

// Flushes the program's output (C, C++, Fortran), asks the launcher how many lines it has, and takes the rest from the
// tables.
Result<LayerState> take_layer_state();
// At a restart question that was answered with a version: what the program prints up to the restore is set aside.
Status suspend_output();
// kInvalidArgument if the communicators of this life are not those of the checkpoint.
Status resume_layer_state(const LayerState& state);

// Names what a checkpoint could not keep: an open request, a matched message, a communicator made after the restart
// question.
Status check_nothing_open();

}  // namespace rk::mpi

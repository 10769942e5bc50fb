// SPDX-License-Identifier: Apache-2.0
// What this process did, for the launcher's report, and how much CPU time the layer took for it.
//
// layer_cpu_us is the time spent in the layer's own work: logging and packing what is sent, matching, copying what is
// received, recording outcomes. It is measured with the time-stamp counter around those pieces (about 20 ns each), the
// native library's part left out. Looks that find nothing while a process waits are not in it: the native library
// polls while it waits, too.
#pragma once

#include <x86intrin.h>

#include <cstdint>

#include "wire/control_messages.h"

namespace rk::mpi {

inline std::uint64_t g_layer_ticks = 0;  // one thread: the program's

// Counts the time of its life, unless it is dropped.
class LayerWork {
 public:
  LayerWork() : start_(__rdtsc()) {}
  ~LayerWork() {
    if (counts_) g_layer_ticks += __rdtsc() - start_;
  }
  LayerWork(const LayerWork&) = delete;
  LayerWork& operator=(const LayerWork&) = delete;
  void drop() { counts_ = false; }

 private:
  std::uint64_t start_;
  bool counts_ = true;
};

void start_accounting();
wire::LayerStats collect_stats();

}  // namespace rk::mpi

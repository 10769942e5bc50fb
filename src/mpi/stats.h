// SPDX-License-Identifier: Apache-2.0
// What this process did, for the launcher's report, and how much CPU time the layer took for it.
//
// layer_cpu_us is the time spent in the layer's own work: logging and packing what is sent, matching, copying what is
// received, recording outcomes. It is measured with the time-stamp counter around every 16th of those pieces and
// counted 16 times, because the measuring (20 ns) would itself be a large part of a short message. Looks that find
// nothing while a process waits are not in it: the native library polls while it waits, too.
#pragma once

#include <x86intrin.h>

#include <cstdint>

#include "wire/control_messages.h"

namespace rk::mpi {

// One thread, the program's.
inline std::uint64_t g_layer_ticks = 0;
inline std::uint32_t g_layer_pieces = 0;

// Counts the time of its life, unless it is dropped.
class LayerWork {
 public:
  LayerWork() : start_(++g_layer_pieces % kSample == 0 ? __rdtsc() : 0) {}
  ~LayerWork() {
    if (start_ != 0) [[unlikely]]
      g_layer_ticks += (__rdtsc() - start_) * kSample;
  }
  LayerWork(const LayerWork&) = delete;
  LayerWork& operator=(const LayerWork&) = delete;
  void drop() { start_ = 0; }

 private:
  static constexpr std::uint32_t kSample = 16;
  std::uint64_t start_;
};

void start_accounting();
wire::LayerStats collect_stats();

}  // namespace rk::mpi

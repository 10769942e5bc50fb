// SPDX-License-Identifier: Apache-2.0
// What this process did, for the launcher's report, and how much CPU time the layer took for it.
//
// layer_cpu_us is the time spent in the layer's own work: logging and packing what is sent, matching, copying what is
// received, recording outcomes. A piece of work that copies kLarge bytes or more is measured exactly, by the thread's
// CPU clock. Of the small ones every 16th is measured, by the time-stamp counter, and counted 16 times, because the
// measuring (20 ns) would itself be a large part of them; one that was interrupted (above kInterruptedTicks) counts
// nothing. Looks that find nothing while a process waits are not in it: the native library polls while it waits, too.
#pragma once

#include <x86intrin.h>

#include <cstdint>

#include "wire/control_messages.h"

namespace rk::mpi {

// One thread, the program's.
inline std::uint64_t g_layer_ticks = 0;
inline std::uint64_t g_layer_ns = 0;
inline std::uint32_t g_layer_pieces = 0;

std::uint64_t thread_cpu_ns();

// Counts the time of its life, unless it is dropped.
class LayerWork {
 public:
  static constexpr std::uint64_t kLarge = 16384;
  explicit LayerWork(std::uint64_t bytes = 0) : large_(bytes >= kLarge) {
    if (large_)
      start_ = thread_cpu_ns();
    else if (++g_layer_pieces % kSample == 0)
      start_ = __rdtsc();
  }
  ~LayerWork() {
    if (start_ == 0) [[likely]]
      return;
    if (large_) {
      g_layer_ns += thread_cpu_ns() - start_;
    } else if (const std::uint64_t ticks = __rdtsc() - start_; ticks < kInterruptedTicks) {
      g_layer_ticks += ticks * kSample;
    }
  }
  LayerWork(const LayerWork&) = delete;
  LayerWork& operator=(const LayerWork&) = delete;
  void drop() { start_ = 0; }

 private:
  static constexpr std::uint32_t kSample = 16;
  static constexpr std::uint64_t kInterruptedTicks = 100'000;  // some 30 us
  std::uint64_t start_ = 0;
  bool large_;
};

void start_accounting();
wire::LayerStats collect_stats();

}  // namespace rk::mpi

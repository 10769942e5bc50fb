// SPDX-License-Identifier: Apache-2.0
#include "mpi/stats.h"

#include "mpi/clock.h"
#include "mpi/layer.h"

namespace rk::mpi {
namespace {
std::uint64_t start_ticks = 0;
std::uint64_t start_ns = 0;
}  // namespace

std::uint64_t thread_cpu_ns() { return real_thread_cpu_ns(); }

void start_accounting() {
  g_layer_ticks = 0;
  g_layer_ns = 0;
  start_ticks = __rdtsc();
  start_ns = monotonic_ns();
}

wire::LayerStats collect_stats() {
  const log::LogStats counts = layer().log().stats();
  wire::LayerStats out;
  out.messages_sent = counts.sent.messages;
  out.bytes_logged = counts.sent.bytes;
  out.messages_received = counts.received.received;
  out.messages_replayed = counts.received.replayed;
  out.messages_resent = counts.sent.resent;
  out.resent_verified = counts.sent.resent_verified;
  out.resent_differing = counts.sent.resent_differing;
  out.determinants = counts.determinants;
  out.determinants_replayed = counts.determinants_replayed;
  // Ticks of the counter in one nanosecond, over the process's life.
  const double ticks = static_cast<double>(__rdtsc() - start_ticks);
  const double ns = static_cast<double>(monotonic_ns() - start_ns);
  out.layer_cpu_us = g_layer_ns / 1000;
  if (ticks > 0) out.layer_cpu_us += static_cast<std::uint64_t>(static_cast<double>(g_layer_ticks) * ns / ticks / 1000);
  const rusage usage = real_usage();
  out.total_cpu_us = static_cast<std::uint64_t>((usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1'000'000 +
                                                usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
  return out;
}

}  // namespace rk::mpi

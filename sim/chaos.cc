// SPDX-License-Identifier: Apache-2.0
#include "sim/chaos.h"

#include <utility>
#include <vector>

namespace rk::sim {

Chaos::Chaos(Scheduler& clock, Hosts& hosts, Network& network, Prng prng, ChaosLimits limits, OnHost start,
             OnHost crash)
    : clock_(clock),
      hosts_(hosts),
      network_(network),
      prng_(prng),
      limits_(limits),
      start_(std::move(start)),
      crash_(std::move(crash)) {}

void Chaos::begin() {
  active_ = true;
  change_weather();
  clock_.after(prng_.between(1, 2 * limits_.mean_gap_us), [this] { next(); });
}

void Chaos::next() {
  if (!active_) return;
  std::uint64_t draw = prng_.below(limits_.crash_weight + limits_.pause_weight + limits_.cut_weight +
                                   limits_.partition_weight + limits_.weather_weight);
  const auto falls_in = [&](std::uint64_t weight) {
    if (draw < weight) return true;
    draw -= weight;
    return false;
  };
  if (falls_in(limits_.crash_weight))
    crash_one();
  else if (falls_in(limits_.pause_weight))
    pause_one();
  else if (falls_in(limits_.cut_weight))
    cut_one();
  else if (falls_in(limits_.partition_weight))
    split();
  else
    change_weather();
  clock_.after(prng_.between(1, 2 * limits_.mean_gap_us), [this] { next(); });
}

void Chaos::crash_one() {
  const HostId host = any_host();
  const std::uint64_t down_us = prng_.between(1000, limits_.max_down_us);
  if (!hosts_.up(host)) return;
  ++counts_.crashes;
  crash_(host);
  clock_.after(down_us, [this, host] {
    if (!active_ || hosts_.up(host)) return;
    ++counts_.restarts;
    start_(host);
  });
}

void Chaos::pause_one() {
  const HostId host = any_host();
  const std::uint64_t pause_us = prng_.between(1000, limits_.max_pause_us);
  if (!hosts_.up(host) || hosts_.paused(host)) return;
  ++counts_.pauses;
  hosts_.pause(host);
  const std::uint64_t life = hosts_.life(host);
  clock_.after(pause_us, [this, host, life] {
    if (hosts_.life(host) == life) hosts_.resume(host);
  });
}

void Chaos::cut_one() {
  const HostId from = any_host();
  const HostId to = any_host();
  const std::uint64_t cut_us = prng_.between(1000, limits_.max_cut_us);
  const bool both = prng_.chance(1, 2);
  if (from == to) return;
  ++counts_.cuts;
  network_.cut(from, to);
  if (both) network_.cut(to, from);
  clock_.after(cut_us, [this, from, to] {
    if (!active_) return;
    network_.mend(from, to);
    network_.mend(to, from);
  });
}

void Chaos::split() {
  std::vector<std::uint32_t> group;
  for (HostId host = 0; host < hosts_.count(); ++host) group.push_back(static_cast<std::uint32_t>(prng_.below(2)));
  const std::uint64_t cut_us = prng_.between(1000, limits_.max_cut_us);
  ++counts_.partitions;
  network_.partition(group);
  clock_.after(cut_us, [this] {
    if (active_) network_.mend_all();
  });
}

void Chaos::change_weather() {
  ++counts_.weather;
  NetworkFaults faults;
  const bool fair = prng_.chance(1, 3);
  const auto up_to = [&](std::uint64_t limit) {
    const std::uint64_t drawn = prng_.between(0, limit);
    return fair ? 0 : drawn;
  };
  faults.loss_permille = up_to(limits_.max_loss_permille);
  faults.duplicate_permille = up_to(limits_.max_duplicate_permille);
  faults.slow_permille = up_to(limits_.max_slow_permille);
  faults.slow_delay_us = prng_.between(faults.max_delay_us, limits_.max_slow_delay_us);
  faults.flip_permille = up_to(limits_.max_flip_permille);
  network_.set_faults(faults);
}

void Chaos::quiet() {
  active_ = false;
  network_.set_faults(NetworkFaults{});
  network_.mend_all();
  for (HostId host = 0; host < hosts_.count(); ++host) {
    hosts_.resume(host);
    if (!hosts_.up(host)) {
      ++counts_.restarts;
      start_(host);
    }
  }
}

}  // namespace rk::sim

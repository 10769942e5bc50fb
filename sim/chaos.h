// SPDX-License-Identifier: Apache-2.0
// Draws faults from a seed: crashes and restarts, pauses, one-way cuts, partitions, and changing network faults, until
// quiet() ends them: everything mended, resumed and started again.
#pragma once

#include <cstdint>
#include <functional>

#include "base/prng.h"
#include "sim/hosts.h"
#include "sim/network.h"

namespace rk::sim {

struct ChaosLimits {
  std::uint64_t mean_gap_us = 700000;  // between faults
  std::uint64_t max_down_us = 4000000;
  std::uint64_t max_pause_us = 3000000;
  std::uint64_t max_cut_us = 4000000;
  std::uint64_t max_loss_permille = 150;
  std::uint64_t max_duplicate_permille = 100;
  std::uint64_t max_slow_permille = 100;
  std::uint64_t max_slow_delay_us = 1500000;
  std::uint64_t max_flip_permille = 0;
  std::uint32_t crash_weight = 4, pause_weight = 3, cut_weight = 3, partition_weight = 2, weather_weight = 2;
};

struct ChaosCounts {
  std::uint64_t crashes = 0, restarts = 0, pauses = 0, cuts = 0, partitions = 0, weather = 0;
};

class Chaos {
 public:
  using OnHost = std::function<void(HostId)>;

  // `start` begins a new life at a host that is down (and calls Hosts::start); `crash` ends the one that runs (and
  // calls Hosts::crash): what is lost with it is the simulation's business.
  Chaos(Scheduler& clock, Hosts& hosts, Network& network, Prng prng, ChaosLimits limits, OnHost start, OnHost crash);

  void begin();  // draws the first fault; the next ones follow by themselves
  void quiet();  // no fault any more
  const ChaosCounts& counts() const { return counts_; }

 private:
  void next();
  void crash_one();
  void pause_one();
  void cut_one();
  void split();
  void change_weather();
  HostId any_host() { return static_cast<HostId>(prng_.below(hosts_.count())); }

  Scheduler& clock_;
  Hosts& hosts_;
  Network& network_;
  Prng prng_;
  ChaosLimits limits_;
  OnHost start_;
  OnHost crash_;
  ChaosCounts counts_;
  bool active_ = false;
};

}  // namespace rk::sim

// SPDX-License-Identifier: Apache-2.0
// A cluster of ring cores under simulated faults, from one seed: a time of chaos, then quiet, in which the servers must
// come to one view within a bound (or, where too much memory was lost, all refuse and say why), then one last fault or
// leave on a healthy network, which must be resolved within a bound too.
#pragma once

#include <functional>
#include <set>
#include <string>

#include "base/prng.h"
#include "sim/chaos.h"
#include "sim/clocks.h"
#include "tests/sim/ring/ring_servers.h"

namespace rk::ring {

class RingCluster {
 public:
  RingCluster(std::uint64_t seed, sim::Trace& trace, PlantedBug bug);
  // The first violation, empty if there is none.
  std::string run();
  void add_to(RingCounts& counts) const;

 private:
  void start(sim::HostId host);
  void receive(sim::HostId from, sim::HostId host, const Bytes& bytes);
  void restart_later(sim::HostId host);
  void more_faults();
  void restart_in_place(sim::HostId host, std::uint64_t down_us);
  void restart_many();

  void calm_down();
  bool run_until(std::uint64_t within_us, const std::function<bool()>& condition);
  bool healthy() const;
  bool serve_together(const std::set<sim::HostId>& hosts) const;
  bool all_refuse() const;
  void last_fault();
  void kill_for_good(sim::HostId host);
  void last_leave(NodeId node);
  void last_override(bool cut_off);
  bool go_on_apart(const std::set<sim::HostId>& majority);
  bool override_at(sim::HostId host, const std::set<sim::HostId>& rest);

  Prng prng_;
  sim::Scheduler clock_;
  sim::Hosts hosts_;
  sim::Network network_;
  sim::Clocks clocks_;
  RingServers servers_;
  sim::Chaos chaos_;
  bool quiet_ = false;
  bool ended_ = false;  // nobody is started again
};

}  // namespace rk::ring

// SPDX-License-Identifier: Apache-2.0
// A cluster of ring cores under simulated faults, from one seed: a time of chaos, then quiet, in which the servers must
// come to one view within a bound (or, where too much memory was lost, all refuse and say why), then one last fault or
// leave on a healthy network, which must be resolved within a bound too.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/prng.h"
#include "ring/core.h"
#include "sim/chaos.h"
#include "sim/network.h"
#include "tests/sim/ring/ring_checker.h"

namespace rk::ring {

// What happened over many seeds: that every kind of fault really did.
struct RingCounts {
  std::uint64_t views = 0, wedges = 0, evictions = 0, leaves = 0, wipes = 0, same_lives = 0, beyond_recovery = 0;
  std::uint64_t crashes = 0, pauses = 0, cuts = 0, partitions = 0, lost = 0, duplicated = 0, slowed = 0;
  std::uint64_t member_deaths = 0, leader_deaths = 0, half_deaths = 0;
  std::uint64_t takeovers = 0, adopted = 0, ties = 0;
};

class RingCluster {
 public:
  RingCluster(std::uint64_t seed, sim::Trace& trace, PlantedBug bug);
  // The first violation, empty if there is none.
  std::string run();
  void add_to(RingCounts& counts) const;

 private:
  struct Write {
    std::uint64_t token = 0;
    Bytes bytes;
  };
  struct Server {
    Member self;
    std::unique_ptr<Core> core;
    Bytes durable;
    bool has_run = false;
    bool same_life_possible = false;
    std::deque<Write> writes;  // under way, in order
  };

  NodeId node_of(sim::HostId host) const { return NodeId(host + 1); }
  sim::HostId host_of(NodeId node) const { return node.value - 1; }

  void start(sim::HostId host);
  void crash(sim::HostId host);
  void tick(sim::HostId host);
  void step(sim::HostId host, decltype(Event::what) what);
  void carry_out(sim::HostId host, Effects& effects);
  void carry_out(sim::HostId host, Send& send);
  void carry_out(sim::HostId host, Persist& persist);
  void carry_out(sim::HostId host, MemberLost& lost);
  void carry_out(sim::HostId host, ViewInstalled& installed);
  void carry_out(sim::HostId host, Wedged& wedged);
  void carry_out(sim::HostId host, Unwedged& unwedged);
  void carry_out(sim::HostId host, Left& left);
  void carry_out(sim::HostId host, Evicted& evicted);
  void finish_write(sim::HostId host);
  void receive(sim::HostId from, sim::HostId host, const Bytes& bytes);
  void restart_later(sim::HostId host);
  void leave_some_time();

  void calm_down();
  bool run_until(std::uint64_t within_us, const std::function<bool()>& condition);
  bool healthy() const;
  bool all_refuse() const;
  void last_fault();
  void kill_for_good(sim::HostId host);
  void last_leave(NodeId node);

  Prng prng_;
  sim::Trace& trace_;
  PlantedBug bug_;
  sim::Scheduler clock_;
  std::vector<RosterEntry> roster_;
  sim::Hosts hosts_;
  sim::Network network_;
  std::vector<Server> servers_;
  RingChecker checker_;
  std::optional<sim::Chaos> chaos_;
  bool quiet_ = false;
  bool ended_ = false;  // nobody is started again
  RingCounts counts_;
};

}  // namespace rk::ring

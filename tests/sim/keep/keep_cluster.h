// SPDX-License-Identifier: Apache-2.0
// A simulated ring of servers with its clients. Views come from outside, as the ring promises them: numbered, one
// change at a time, installed at each member after a delay of its own; at most one living server at a time is out of
// the view without knowing it (the ring's leases are what allows no more).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/prng.h"
#include "keep/keep.h"
#include "sim/chaos.h"
#include "sim/hosts.h"
#include "sim/network.h"
#include "sim/scheduler.h"
#include "sim/trace.h"
#include "tests/sim/keep/keep_checker.h"
#include "tests/sim/keep/keep_host.h"

namespace rk::keep_sim {

struct Options {
  std::size_t servers = 4;
  std::uint64_t busy_us = 12'000'000;   // with faults
  std::uint64_t quiet_us = 25'000'000;  // after them
  keep::PlantedBug planted_bug = keep::PlantedBug::kNone;
};

class Clients;

class Cluster {
 public:
  Cluster(std::uint64_t seed, const Options& options, sim::Trace& trace);
  ~Cluster();
  // The first violation, empty if there is none.
  std::string run();

  sim::Scheduler& clock() { return clock_; }
  sim::Hosts& hosts() { return hosts_; }
  sim::Trace& trace() { return trace_; }
  Checker& checker() { return checker_; }
  KeepHost* host(sim::HostId id) { return lives_.at(id).get(); }
  std::size_t servers() const { return options_.servers; }
  // Is this life of the host in the newest view, and does it know?
  bool current(sim::HostId id) const;
  // The living servers of the view that `asked` has installed with a complete copy of that version, or of a newer one
  // that they know to be committed.
  std::vector<keep::Member> holders(sim::HostId asked, const wire::KeepKey& key, Version least) const;
  bool quiet() const { return quiet_; }
  void note(std::initializer_list<std::uint64_t> numbers, const std::string& text) {
    trace_.note(clock_, numbers, [&] { return text; });
  }

 private:
  void start(sim::HostId id);
  void crash(sim::HostId id);
  void tick(sim::HostId id);
  void watch();
  bool change_view();
  void publish();
  void install(sim::HostId id, std::uint64_t delay_us);
  void check_end();
  keep::Member member(sim::HostId id) const;
  static sim::HostId host_of(NodeId node) { return node.value - 1; }

  Options options_;
  sim::Trace& trace_;
  Prng prng_;
  sim::Scheduler clock_;
  sim::Hosts hosts_;
  sim::Network network_;
  Checker checker_;
  Prng view_prng_;
  Prng memory_prng_;
  sim::Chaos chaos_;
  std::vector<std::unique_ptr<KeepHost>> lives_;
  std::unique_ptr<Clients> clients_;
  std::uint64_t view_ = 0;
  std::vector<keep::Member> members_;
  std::vector<std::uint64_t> trouble_since_us_;  // of each host: down or paused; 0: well
  std::optional<keep::Member> shut_out_;         // alive, out of the view, not told yet
  bool quiet_ = false;
};

}  // namespace rk::keep_sim

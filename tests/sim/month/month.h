// SPDX-License-Identifier: Apache-2.0
// A cluster over weeks: real ring and keep cores on every server, services that write checkpoints and move to another
// server when theirs fails, copies that take the time their bytes need on a link, failures at a given mean time.
//
// Stretches in which nothing happens are skipped: after each event everything is run until the ring is whole, every
// service has its checkpoint twice and `active_us` have passed; then all servers' clocks jump on together to just
// before the next event, as those of a cluster that was suspended. How much was skipped is told.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/prng.h"
#include "sim/clocks.h"
#include "tests/sim/keep/keep_checker.h"
#include "tests/sim/keep/keep_host.h"
#include "tests/sim/month/service.h"
#include "tests/sim/ring/ring_servers.h"

namespace rk::month {

struct Options {
  std::size_t servers = 100;
  std::size_t services = 100;
  double duration_s = 30 * 86400.0;
  double mtbf_s = 365 * 86400.0;  // of one server
  double repair_s = 300;          // until it is back, with nothing in its memory
  double restart_s = 5;           // until a service runs on another server
  double write_s = 10;            // mean time between a service's checkpoints, while anything is run
  std::uint64_t bytes = 81'920;   // of a checkpoint
  double bytes_per_ms = 25;       // of a server's link; each byte stands for 100,000
  std::uint64_t active_us = 15'000'000;
  bool planned = true;  // each server leaves and comes back once, and is restarted once without leaving
  keep::PlantedBug planted_bug = keep::PlantedBug::kNone;
};

struct Result {
  std::uint64_t failures = 0, leaves = 0, restarts = 0, views = 0, takeovers = 0;
  std::uint64_t commits = 0, not_confirmed = 0, reads = 0, moves = 0;
  std::uint64_t lost = 0;       // newest confirmed versions of which no server had a copy any more
  std::uint64_t told_lost = 0;  // reads that were answered LOST
  double run_s = 0, skipped_s = 0;
  double single_s = 0;  // service-seconds in which a newest confirmed version had one holder only
  std::string violation;
};

class Month {
 public:
  Month(const Options& options, std::uint64_t seed);
  ~Month();
  Result run();

  // What services need.
  sim::Scheduler& clock() { return clock_; }
  keep_sim::KeepHost* host(sim::HostId id) { return lives_.at(id).get(); }
  keep_sim::Checker& checker() { return checker_; }
  Result& result() { return result_; }
  const Options& options() const { return options_; }
  // Living servers with a complete copy of that version.
  std::size_t holders(const wire::KeepKey& key, Version version) const;
  // A server that runs and is not about to leave.
  sim::HostId any_host();
  // No new checkpoints now: what is under way comes to its end before time is skipped.
  bool writers_rest() const { return resting_; }

 private:
  enum class Kind : std::uint8_t { kFail, kRepair, kDrain, kLeave, kRestart };
  struct Planned {
    Kind kind = Kind::kFail;
    sim::HostId host = 0;
  };

  // Of a copy on its way, or what is to be done when all before it has been sent.
  struct Piece {
    NodeId to;
    std::uint64_t copy = 0;
    Bytes frame;
    std::function<void()> sent;
  };
  struct Link {
    std::deque<Piece> queue;
    bool busy = false;
  };

  void start(sim::HostId id);
  void crash(sim::HostId id);
  void over(sim::HostId id);
  void tick(sim::HostId id);
  void receive(sim::HostId from, sim::HostId id, const Bytes& bytes);
  void send(sim::HostId from, NodeId to, Bytes bytes);
  void pump(sim::HostId id);
  void tell_ring_state(sim::HostId id);
  void apply(const Planned& event);
  void plan(double at_s, Kind kind, sim::HostId host) { calendar_.emplace(at_s, Planned{kind, host}); }
  void plan_failure(sim::HostId host);
  void plan_maintenance();
  void watch();
  bool settled() const;
  bool whole() const;
  double now_s() const { return static_cast<double>(clock_.now_us()) / 1e6 + result_.skipped_s; }
  void run_until_s(double time_s);
  void settle();
  void skip_to(double time_s);

  Options options_;
  Prng prng_;
  sim::Scheduler clock_;
  sim::Trace trace_{false};
  sim::Hosts hosts_;
  sim::Network network_;
  sim::Clocks clocks_;
  keep_sim::Checker checker_;
  ring::RingServers ring_;
  std::vector<std::unique_ptr<keep_sim::KeepHost>> lives_;
  std::vector<Link> links_;
  std::vector<bool> draining_;
  bool resting_ = false;
  std::vector<std::unique_ptr<Service>> services_;
  std::multimap<double, Planned> calendar_;  // by the month's time, in seconds
  Result result_;
};

}  // namespace rk::month

// SPDX-License-Identifier: Apache-2.0
// Ring cores on simulated hosts: their lives and durable memories, messages as bytes, clocks of their own. Everything
// that they make durable, send and install goes to the checker. Who starts and crashes them is the owner's business.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <vector>

#include "base/prng.h"
#include "ring/core.h"
#include "sim/clocks.h"
#include "sim/network.h"
#include "tests/sim/ring/model_rules.h"
#include "tests/sim/ring/ring_checker.h"

namespace rk::ring {

// What happened over many seeds: that every kind of fault and situation really did.
struct RingCounts {
  std::uint64_t views = 0, wedges = 0, evictions = 0, leaves = 0, wipes = 0, same_lives = 0, beyond_recovery = 0;
  std::uint64_t crashes = 0, pauses = 0, cuts = 0, partitions = 0, lost = 0, duplicated = 0, slowed = 0;
  std::uint64_t jumps = 0, quick_restarts = 0, majority_restarts = 0, shrunken_cold_starts = 0;
  std::uint64_t member_deaths = 0, leader_deaths = 0, half_deaths = 0, witness_deaths = 0, leader_dies_proposing = 0;
  std::uint64_t takeovers = 0, adopted = 0, ties = 0, apart = 0, moved = 0, witness_votes = 0, single = 0, fenced = 0,
                waits = 0, refused = 0, overrides = 0, two_rings = 0;
};

// Nodes 1 to `servers`, without racks or a witness.
std::vector<RosterEntry> plain_roster(std::size_t servers);
// With what the prng draws of both: one of the servers from `lowest_witness` on may be the witness.
std::vector<RosterEntry> drawn_roster(std::size_t servers, NodeId lowest_witness, Prng prng);

class RingServers {
 public:
  struct World {
    sim::Scheduler& clock;
    sim::Hosts& hosts;
    sim::Network& network;
    sim::Clocks& clocks;
    sim::Trace& trace;
  };
  struct Hooks {
    std::function<void(sim::HostId)> on_step;  // a core may have another state, view or lease
    std::function<void(sim::HostId)> on_over;  // it has left, or was evicted: its life is to end
  };

  RingServers(World world, const std::vector<RosterEntry>& roster, Prng prng, PlantedBug bug, Hooks hooks);

  // A new life; the host is down. `wipe`: without the memory of the lives before.
  void start(sim::HostId host, bool same_life, bool wipe);
  void crash(sim::HostId host);
  void step(sim::HostId host, decltype(Event::what) what);
  // The hosts are cut off from the rest, to which it looks as if nothing listened there any more.
  void shut_out(const std::set<sim::HostId>& hosts);
  // A message of the ring.
  void receive(sim::HostId from, sim::HostId host, const wire::Frame& frame);

  const Core* core(sim::HostId host) const { return servers_[host].core.get(); }
  Member self(sim::HostId host) const { return servers_[host].self; }
  bool has_run(sim::HostId host) const { return servers_[host].has_run; }
  // Has all that the last life held outlived it?
  bool same_life_possible(sim::HostId host) const;
  // May the server act now?
  bool acts(sim::HostId host) const;
  std::size_t count() const { return servers_.size(); }
  bool is_witness(sim::HostId host) const { return roster_[host].witness; }
  RingChecker& checker() { return checker_; }
  const RingChecker& checker() const { return checker_; }
  RingCounts& counts() { return counts_; }
  const RingCounts& counts() const { return counts_; }

  static NodeId node_of(sim::HostId host) { return NodeId(host + 1); }
  static sim::HostId host_of(NodeId node) { return node.value - 1; }

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
    bool ended = false;        // on purpose: it left, or asked to, or was evicted
    std::deque<Write> writes;  // under way, in order
    ViewNumber proposes;       // has sent a proposal of that number, and knows of no commit
  };

  void tick(sim::HostId host);
  void tell_links(sim::HostId host);
  void check_leases(sim::HostId host);
  void carry_out(sim::HostId host, Effects& effects);
  void carry_out(sim::HostId host, Send& send);
  void carry_out(sim::HostId host, Persist& persist);
  void carry_out(sim::HostId host, MemberLost& lost);
  void carry_out(sim::HostId host, ViewInstalled& installed);
  void carry_out(sim::HostId host, Wedged& wedged);
  void carry_out(sim::HostId host, Unwedged& unwedged);
  void carry_out(sim::HostId host, Left& left);
  void carry_out(sim::HostId host, Evicted& evicted);
  void carry_out(sim::HostId host, OverrideRefused& refused);
  void finish_write(sim::HostId host);
  void make_durable(Server& server, const Bytes& bytes);

  World world_;
  Prng prng_;
  PlantedBug bug_;
  Hooks hooks_;
  std::vector<RosterEntry> roster_;
  std::vector<Server> servers_;
  RingChecker checker_;
  ModelRules rules_{checker_};
  RingCounts counts_;
};

}  // namespace rk::ring

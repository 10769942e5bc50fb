// SPDX-License-Identifier: Apache-2.0
// A simulated cluster with its clients: on every host a ring core and a keep core, joined as the daemon joins them. A
// server that leaves, is evicted or crashes comes back as a new life whose keep is empty.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/prng.h"
#include "keep/keep.h"
#include "sim/chaos.h"
#include "sim/clocks.h"
#include "sim/hosts.h"
#include "sim/network.h"
#include "sim/scheduler.h"
#include "sim/trace.h"
#include "tests/sim/keep/keep_checker.h"
#include "tests/sim/keep/keep_host.h"
#include "tests/sim/ring/ring_servers.h"

namespace rk::keep_sim {

struct Options {
  std::uint64_t busy_us = 6'000'000;      // with faults
  std::uint64_t converge_us = 5'000'000;  // after them, for the ring
  std::uint64_t quiet_us = 11'000'000;    // after that; no new request in the last 8 s
  keep::PlantedBug planted_bug = keep::PlantedBug::kNone;
};

// What happened over many seeds.
struct ClusterCounts {
  std::uint64_t seeds = 0, faults = 0, least_faults = UINT64_MAX, requests = 0, least_writes = UINT64_MAX;
  std::uint64_t beyond_recovery = 0, flipped = 0, full = 0, jumps = 0, waits = 0, takeovers = 0, evictions = 0,
                witness_votes = 0, returned = 0, returned_copies = 0;
  std::uint64_t spoilt = 0, damaged = 0, repaired = 0, unrepairable = 0;
  std::uint64_t dead_in_sync = 0, orphans = 0, half_written = 0;
  std::uint64_t deltas = 0, deltas_refused = 0, delta_bytes_saved = 0, deltas_baseless = 0, deltas_spoilt = 0,
                bases_outlived = 0;
};

class Clients;

class Cluster {
 public:
  Cluster(std::uint64_t seed, const Options& options, sim::Trace& trace);
  ~Cluster();
  // The first violation, empty if there is none.
  std::string run();
  void add_to(ClusterCounts& counts) const;

  sim::Scheduler& clock() { return clock_; }
  sim::Hosts& hosts() { return hosts_; }
  Checker& checker() { return checker_; }
  KeepHost* host(sim::HostId id) { return lives_.at(id).get(); }
  std::size_t servers() const { return hosts_.count(); }
  bool is_witness(sim::HostId id) const { return ring_.is_witness(id); }
  // The living servers of the view that `asked` has installed with a complete copy of that version, or of a newer one
  // that they know to be committed, and which version that is.
  std::map<keep::Member, Version> holders(sim::HostId asked, const wire::KeepKey& key, Version least) const;
  // A copy of that version, or of a newer one, was once changed behind its server's back.
  bool spoilt(const wire::KeepKey& key, Version least) const;
  // The name was said to be lost: who has that version, or a newer one, outside of the view of the server that said so?
  void note_lost(sim::HostId asked, const wire::KeepKey& key, Version least);
  void note(std::initializer_list<std::uint64_t> numbers, const std::string& text) {
    trace_.note(clock_, numbers, [&] { return text; });
  }

 private:
  void start(sim::HostId id);
  void crash(sim::HostId id);
  void kill_all();
  void note_rebirth(sim::HostId id, const keep::ViewInstalled& view);
  void restart_later(sim::HostId id);
  void tick(sim::HostId id);
  void receive(sim::HostId from, sim::HostId id, const Bytes& bytes);
  void tell_ring_state(sim::HostId id);
  void more_faults();
  void spoil_copies();
  void spoil_base(sim::HostId from, sim::HostId id, const wire::Frame& frame);
  void spoil(sim::HostId id, const wire::KeepKey& key, Version version);
  void check_copy(sim::HostId id, const wire::KeepKey& key, const keep::VersionRecord& record);
  void watch();
  bool run_until(std::uint64_t time_us);
  bool healthy() const;
  bool has_home(const wire::KeepKey& key) const;
  void check_end();
  bool half_written(sim::HostId home) const;
  void note_death(sim::HostId id);
  void note_returned(const keep::ViewInstalled& view);
  static sim::HostId host_of(NodeId node) { return node.value - 1; }

  Options options_;
  sim::Trace& trace_;
  Prng prng_;
  sim::Scheduler clock_;
  sim::Hosts hosts_;
  sim::Network network_;
  sim::Clocks clocks_;
  Checker checker_;
  Prng memory_prng_;
  ring::RingServers ring_;
  sim::Chaos chaos_;
  std::vector<std::unique_ptr<KeepHost>> lives_;
  // Of the life before, if this one has its memory: who it was, its last view, and what it was the home of.
  struct Before {
    keep::Member self;
    keep::ViewInstalled view;
    std::set<wire::KeepKey> homes;
    KeepHost::Remains remains;
  };
  std::vector<std::optional<Before>> before_;
  std::uint64_t returned_ = 0;  // lives that went on where the one before was killed
  std::uint64_t returned_copies_ = 0;
  std::vector<keep::DeltaCounts> deltas_;  // of lives that ended
  std::unique_ptr<Clients> clients_;
  std::uint64_t full_ = 0;
  Prng spoil_prng_;
  std::map<wire::KeepKey, Version> spoilt_;  // the newest version
  std::uint64_t spoils_ = 0;
  std::map<keep::CopyNews::Kind, std::uint64_t> news_;
  // What a fault is aimed at: a home that dies while its group record is half written.
  bool aims_at_group_ = false;
  std::set<std::pair<wire::KeepKey, keep::Member>> out_with_copy_;  // of what was said to be lost meanwhile
  std::uint64_t dead_in_sync_ = 0;
  std::uint64_t orphans_ = 0;
  std::uint64_t half_written_ = 0;
  bool quiet_ = false;
  bool beyond_recovery_ = false;
};

}  // namespace rk::keep_sim

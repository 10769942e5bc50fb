// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/ring/ring_cluster.h"

#include <algorithm>

#include "base/check.h"

namespace rk::ring {
namespace {

constexpr std::uint64_t kSecond_us = 1000000;
constexpr std::uint64_t kBound_us = 5 * kSecond_us;  // for every agreement on a healthy network
constexpr std::uint64_t kStable_us = 2 * kSecond_us;

// One seed in eight is a ring of one or two, the rest have three to seven.
std::uint64_t draw_size(Prng& prng) { return prng.chance(1, 8) ? prng.between(1, 2) : prng.between(3, 7); }

sim::ChaosLimits chaos_limits() {
  sim::ChaosLimits limits;
  limits.mean_gap_us = 350000;
  limits.max_down_us = 2000000;
  limits.max_pause_us = 1500000;
  limits.max_cut_us = 2000000;
  limits.max_loss_permille = 300;
  limits.max_slow_delay_us = 1000000;
  return limits;
}

}  // namespace

RingCluster::RingCluster(std::uint64_t seed, sim::Trace& trace, PlantedBug bug)
    : prng_(seed),
      hosts_(clock_, trace, draw_size(prng_)),
      network_(clock_, hosts_, trace, prng_.fork()),
      clocks_(clock_, hosts_.count(), prng_.fork()),
      servers_({clock_, hosts_, network_, clocks_, trace}, drawn_roster(hosts_.count(), NodeId(1), prng_.fork()),
               prng_.fork(), bug, {[](sim::HostId) {}, [this](sim::HostId host) { restart_later(host); }}),
      chaos_(
          clock_, hosts_, network_, prng_.fork(), chaos_limits(), [this](sim::HostId host) { start(host); },
          [this](sim::HostId host) { servers_.crash(host); }) {
  for (sim::HostId host = 0; host < hosts_.count(); ++host)
    network_.attach(host, [this, host](sim::HostId from, const Bytes& bytes) { receive(from, host, bytes); });
}

void RingCluster::start(sim::HostId host) {
  if (ended_ || hosts_.up(host)) return;
  const bool same_life = servers_.same_life_possible(host) && prng_.chance(1, 6);
  const bool wipe = !same_life && servers_.has_run(host) && prng_.chance(1, 10);
  servers_.start(host, same_life, wipe);
}

void RingCluster::receive(sim::HostId from, sim::HostId host, const Bytes& bytes) {
  wire::FrameCutter cutter;
  cutter.feed(bytes);
  const auto frame = cutter.next();
  RK_CHECK(frame && *frame);
  servers_.receive(from, host, **frame);
}

void RingCluster::restart_later(sim::HostId host) {
  // Not inside the core's own step.
  hosts_.after(host, 1, [this, host] { servers_.crash(host); });
  clock_.after(prng_.between(10000, 800000), [this, host] { start(host); });
}

// --- faults that only a ring has -------------------------------------------------------------------------------------

void RingCluster::more_faults() {
  if (quiet_) return;
  const auto host = static_cast<sim::HostId>(prng_.below(hosts_.count()));
  const auto other = static_cast<sim::HostId>(prng_.below(hosts_.count()));
  switch (prng_.below(9)) {
    case 0:
    case 1:
      if (hosts_.up(host)) hosts_.after(host, 0, [this, host] { servers_.step(host, LeaveRequest{}); });
      break;
    case 2:
    case 3:
      // A link that breaks and says so although nobody died.
      if (hosts_.up(other))
        hosts_.after(other, 0, [this, other, host] { servers_.step(other, LinkDown{RingServers::node_of(host)}); });
      break;
    case 4:
      ++servers_.counts().jumps;
      clocks_.jump(host, prng_.between(1, 3000));
      break;
    case 5:
    case 6:
      if (hosts_.up(host)) restart_in_place(host, prng_.between(1000, 150000));
      ++servers_.counts().quick_restarts;
      break;
    case 7:
      servers_.shut_out({host, prng_.chance(1, 2) ? host : other});
      clock_.after(prng_.between(100000, 2 * kSecond_us), [this] {
        if (!quiet_) network_.mend_all();
      });
      break;
    default:
      restart_many();
  }
  clock_.after(prng_.between(1000, 2 * kSecond_us), [this] { more_faults(); });
}

void RingCluster::restart_in_place(sim::HostId host, std::uint64_t down_us) {
  servers_.crash(host);
  const bool same_life = servers_.same_life_possible(host) && prng_.chance(1, 3);
  clock_.after(down_us, [this, host, same_life] {
    if (!ended_ && !hosts_.up(host)) servers_.start(host, same_life, false);
  });
}

// A power failure: most of the servers, or all, go down at about the same time, and come back with their memory.
void RingCluster::restart_many() {
  const View& newest = servers_.checker().newest_committed();
  const bool all = prng_.chance(1, 2);
  std::size_t down = 0;
  for (sim::HostId host = 0; host < hosts_.count(); ++host) {
    if (!all && prng_.chance(1, 4)) continue;
    down += hosts_.up(host) && find(newest, RingServers::node_of(host)) ? 1U : 0U;
    if (hosts_.up(host)) restart_in_place(host, prng_.between(1000, 1000000));
  }
  RingCounts& counts = servers_.counts();
  counts.majority_restarts += newest.number && 2 * down > newest.members.size() ? 1U : 0U;
  counts.shrunken_cold_starts += all && newest.number && newest.members.size() < hosts_.count() ? 1U : 0U;
}

// --- the run --------------------------------------------------------------------------------------------------------

bool RingCluster::run_until(std::uint64_t within_us, const std::function<bool()>& condition) {
  const std::uint64_t end_us = clock_.now_us() + within_us;
  while (servers_.checker().violation().empty() && clock_.now_us() < end_us) {
    if (condition()) return true;
    clock_.run_until(clock_.now_us() + 100000);
  }
  return servers_.checker().violation().empty() && condition();
}

// Do all that are up serve in one view, of them and nobody else?
bool RingCluster::healthy() const {
  std::set<sim::HostId> up;
  for (sim::HostId host = 0; host < hosts_.count(); ++host)
    if (hosts_.up(host)) up.insert(host);
  return serve_together(up);
}

bool RingCluster::serve_together(const std::set<sim::HostId>& hosts) const {
  const View* view = nullptr;
  for (const sim::HostId host : hosts) {
    if (!hosts_.up(host)) return false;
    const Core& core = *servers_.core(host);
    if (core.state() != State::kServing || core.committed() != core.view()) return false;
    if (view == nullptr) view = &core.view();
    if (core.view() != *view || !contains(*view, servers_.self(host))) return false;
  }
  return view == nullptr || view->members.size() == hosts.size();
}

bool RingCluster::all_refuse() const {
  for (sim::HostId host = 0; host < hosts_.count(); ++host)
    if (hosts_.up(host) && servers_.core(host)->state() != State::kWedged) return false;
  return true;
}

void RingCluster::calm_down() {
  quiet_ = true;
  chaos_.quiet();
  const std::uint64_t end_us = clock_.now_us() + kBound_us;
  while (servers_.checker().violation().empty()) {
    const std::uint64_t left_us = end_us - std::min(end_us, clock_.now_us());
    if (run_until(left_us, [&] { return healthy(); })) {
      clock_.run_until(clock_.now_us() + kStable_us);
      if (healthy()) return;
    }
    if (clock_.now_us() >= end_us) break;
  }
  if (!servers_.checker().violation().empty()) return;
  const View& newest = servers_.checker().newest_committed();
  if (!servers_.checker().beyond_recovery(newest))
    return servers_.checker().violate("no agreement in time after the network healed");
  ++servers_.counts().beyond_recovery;
  if (!all_refuse()) servers_.checker().violate("the memory of a quorum is lost, and not all servers refuse to act");
  ended_ = true;
}

std::string RingCluster::run() {
  for (sim::HostId host = 0; host < hosts_.count(); ++host)
    clock_.after(prng_.between(0, prng_.chance(1, 5) ? 3 * kSecond_us : 400000), [this, host] { start(host); });
  clock_.after(prng_.between(1, 2 * kSecond_us), [this] {
    chaos_.begin();
    more_faults();
  });
  const std::uint64_t chaos_us = prng_.between(4 * kSecond_us, 9 * kSecond_us);
  run_until(chaos_us, [] { return false; });
  if (servers_.checker().violation().empty()) calm_down();
  if (servers_.checker().violation().empty() && !ended_) last_fault();
  return servers_.checker().violation();
}

// On a healthy network: a death or a leave, and what must follow.
void RingCluster::last_fault() {
  ended_ = true;
  const View view = servers_.core(0)->view();
  const std::size_t size = view.members.size();
  const NodeId leader = view.members.front().node;
  const NodeId member = view.members[size == 1 ? 0 : prng_.between(1, size - 1)].node;
  switch (prng_.below(8)) {
    case 0:
    case 1:
      return kill_for_good(RingServers::host_of(member));
    case 2:
    case 3:
      return kill_for_good(RingServers::host_of(leader));
    case 4:
      return last_override(false);
    case 5:
      return last_override(true);
    case 6:
      return last_leave(member);
    default:
      return last_leave(leader);
  }
}

void RingCluster::kill_for_good(sim::HostId host) {
  const View view = servers_.core(host)->view();
  const NodeId dead = RingServers::node_of(host);
  servers_.crash(host);
  const std::size_t size = view.members.size();
  if (size == 1) return;
  if (size == 2 && view.witness == dead) {
    // The other one needs nobody, and goes on.
    ++servers_.counts().witness_deaths;
    clock_.run_until(clock_.now_us() + kStable_us);
    if (!servers_.acts(RingServers::host_of(view.members.front().node)))
      servers_.checker().violate("a server stops with its witness");
    return;
  }
  if (size == 2) {
    ++servers_.counts().half_deaths;
    const auto all_name_it = [&] {
      for (sim::HostId other = 0; other < hosts_.count(); ++other)
        if (hosts_.up(other) &&
            (servers_.core(other)->state() != State::kWedged || servers_.core(other)->missing() != dead))
          return false;
      return true;
    };
    if (!run_until(kBound_us, all_name_it)) servers_.checker().violate("the death of one of two is not named in time");
    return;
  }
  ++(view.members.front().node == dead ? servers_.counts().leader_deaths : servers_.counts().member_deaths);
  if (!run_until(kBound_us, [&] { return healthy(); }))
    return servers_.checker().violate("a dead member is not evicted in time");
  const NodeId survivor = view.members[view.members.front().node == dead ? 1 : 0].node;
  const View next = servers_.core(RingServers::host_of(survivor))->view();
  // Two are left, one of them the witness: without it, the other one is a quorum.
  if (next.witness && next.members.size() == 2) kill_for_good(RingServers::host_of(next.witness));
}

void RingCluster::last_leave(NodeId node) {
  const sim::HostId host = RingServers::host_of(node);
  servers_.step(host, LeaveRequest{});
  // restart_later() ends the life; nobody starts it again.
  if (!run_until(kBound_us, [&] { return !hosts_.up(host) && healthy(); }))
    servers_.checker().violate("a leave is not complete in time");
}

// An operator asks the server to go on with the others of `rest`; all else is gone, or cut off.
bool RingCluster::override_at(sim::HostId host, const std::set<sim::HostId>& rest) {
  RingChecker& checker = servers_.checker();
  if (!run_until(kBound_us, [&] { return servers_.core(host)->override_refusal().empty(); }))
    checker.violate("an override is refused although the majority is gone: " + servers_.core(host)->override_refusal());
  if (!checker.violation().empty()) return false;
  ++servers_.counts().overrides;
  checker.on_override(servers_.self(host));
  servers_.step(host, OverrideRequest{clock_.now_us() / 1000});
  if (!run_until(kBound_us, [&] { return serve_together(rest); }))
    checker.violate("the servers of an override do not serve in time");
  return checker.violation().empty();
}

// A majority that is only cut off goes on by itself, some of it with lives that the other side has never heard of.
bool RingCluster::go_on_apart(const std::set<sim::HostId>& majority) {
  RingChecker& checker = servers_.checker();
  const auto serve = [&] { return serve_together(majority); };
  if (!run_until(kBound_us, serve)) checker.violate("a majority that was cut off does not go on");
  if (checker.violation().empty() && prng_.chance(1, 2)) {
    const sim::HostId host = *majority.begin();
    servers_.crash(host);
    servers_.start(host, false, false);
    if (!run_until(kBound_us, serve)) checker.violate("a restarted server is not admitted in time");
  }
  ++servers_.counts().two_rings;
  return checker.violation().empty();
}

// Most servers are lost, or only cut off; an operator overrides at one of the rest. When they are back, all are in one
// ring of the new generation, and they are there with new lives.
void RingCluster::last_override(bool cut_off) {
  const View view = servers_.core(0)->view();
  const std::size_t size = view.members.size();
  const NodeId leader = view.members.front().node;
  // Alone, or with its witness, a server goes on by itself; and neither of two does.
  if (size == 1 || (size == 2 && (view.witness || cut_off))) return last_leave(leader);
  const std::size_t stay = size == 2 ? 1 : prng_.between(1, (size - 1) / 2);
  std::size_t first = prng_.below(size);
  if (view.members[first].node == view.witness) first = 0;
  std::set<sim::HostId> rest;
  std::set<sim::HostId> majority;
  for (std::size_t i = 0; i < size; ++i)
    (i < stay ? rest : majority).insert(RingServers::host_of(view.members[(first + i) % size].node));
  if (cut_off)
    servers_.shut_out(rest);
  else
    for (const sim::HostId host : majority) servers_.crash(host);
  if (!override_at(RingServers::host_of(view.members[first].node), rest)) return;
  ended_ = false;
  if (cut_off) {
    if (!go_on_apart(majority)) return;
    network_.mend_all();
  } else {
    for (const sim::HostId host : majority) {
      const bool same_life = servers_.same_life_possible(host) && prng_.chance(1, 3);
      servers_.start(host, same_life, !same_life && prng_.chance(1, 4));
    }
  }
  std::set<sim::HostId> all = rest;
  all.insert(majority.begin(), majority.end());
  const auto one_ring = [&] {
    return serve_together(all) && generation(servers_.core(*rest.begin())->view().number) > 0;
  };
  if (!run_until(kBound_us, one_ring)) servers_.checker().violate("two generations are not one ring in time");
}

void RingCluster::add_to(RingCounts& counts) const {
  const RingCounts& own = servers_.counts();
  counts.views += own.views;
  counts.wedges += own.wedges;
  counts.evictions += own.evictions;
  counts.leaves += own.leaves;
  counts.wipes += own.wipes;
  counts.same_lives += own.same_lives;
  counts.beyond_recovery += own.beyond_recovery;
  counts.jumps += own.jumps;
  counts.quick_restarts += own.quick_restarts;
  counts.majority_restarts += own.majority_restarts;
  counts.shrunken_cold_starts += own.shrunken_cold_starts;
  counts.member_deaths += own.member_deaths;
  counts.leader_deaths += own.leader_deaths;
  counts.half_deaths += own.half_deaths;
  counts.witness_deaths += own.witness_deaths;
  counts.leader_dies_proposing += own.leader_dies_proposing;
  counts.fenced += own.fenced;
  counts.waits += own.waits;
  counts.refused += own.refused;
  counts.takeovers += servers_.checker().counts().takeovers;
  counts.adopted += servers_.checker().counts().adopted;
  counts.ties += servers_.checker().counts().ties;
  counts.apart += servers_.checker().counts().apart;
  counts.moved += servers_.checker().counts().moved;
  counts.witness_votes += servers_.checker().counts().witness_votes;
  counts.overrides += own.overrides;
  counts.two_rings += own.two_rings;
  counts.single += servers_.checker().counts().single;
  counts.crashes += chaos_.counts().crashes;
  counts.pauses += chaos_.counts().pauses;
  counts.cuts += chaos_.counts().cuts;
  counts.partitions += chaos_.counts().partitions;
  counts.lost += network_.counts().lost;
  counts.duplicated += network_.counts().duplicated;
  counts.slowed += network_.counts().slowed;
}

}  // namespace rk::ring

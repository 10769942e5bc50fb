// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/ring/ring_cluster.h"

#include <algorithm>

#include "base/check.h"

namespace rk::ring {
namespace {

constexpr std::uint64_t kSecond_us = 1000000;
constexpr std::uint64_t kBound_us = 20 * kSecond_us;  // for every agreement on a healthy network
constexpr std::uint64_t kStable_us = 3 * kSecond_us;

std::vector<RosterEntry> make_roster(std::uint64_t servers) {
  std::vector<RosterEntry> roster;
  for (std::uint32_t node = 1; node <= servers; ++node)
    roster.push_back({NodeId(node), "host" + std::to_string(node) + ":7000"});
  return roster;
}

// One seed in eight is a ring of one or two, the rest have three to seven.
std::uint64_t draw_size(Prng& prng) { return prng.chance(1, 8) ? prng.between(1, 2) : prng.between(3, 7); }

}  // namespace

RingCluster::RingCluster(std::uint64_t seed, sim::Trace& trace, PlantedBug bug)
    : prng_(seed),
      trace_(trace),
      bug_(bug),
      roster_(make_roster(draw_size(prng_))),
      hosts_(clock_, trace_, roster_.size()),
      network_(clock_, hosts_, trace_, prng_.fork()),
      servers_(roster_.size()),
      checker_(roster_) {
  for (sim::HostId host = 0; host < servers_.size(); ++host) {
    servers_[host].self = {node_of(host), Incarnation()};
    network_.attach(host, [this, host](sim::HostId from, const Bytes& bytes) { receive(from, host, bytes); });
  }
  chaos_.emplace(
      clock_, hosts_, network_, prng_.fork(), sim::ChaosLimits{}, [this](sim::HostId host) { start(host); },
      [this](sim::HostId host) { crash(host); });
}

// --- lives ----------------------------------------------------------------------------------------------------------

void RingCluster::start(sim::HostId host) {
  if (ended_ || hosts_.up(host)) return;
  Server& server = servers_[host];
  Config config;
  config.self = server.self.node;
  config.roster = roster_;
  config.planted_bug = bug_;
  const bool same_life = server.same_life_possible && !server.durable.empty() && prng_.chance(1, 6);
  const bool wiped = !same_life && server.has_run && prng_.chance(1, 10);
  if (wiped) server.durable.clear();
  if (!same_life) server.self.incarnation = Incarnation(server.self.incarnation.value + prng_.between(1, 3));
  config.incarnation = server.self.incarnation;
  config.durable = server.durable;
  config.memory_lost = server.has_run && server.durable.empty();
  counts_.same_lives += same_life ? 1U : 0U;
  counts_.wipes += wiped ? 1U : 0U;
  hosts_.start(host);
  trace_.note(clock_, {20, host, config.incarnation.value, config.memory_lost}, [&] {
    return "server " + std::to_string(host + 1) + "." + std::to_string(config.incarnation.value) +
           (config.memory_lost ? " without memory" : "");
  });
  checker_.on_start(server.self, config.memory_lost);
  auto core = Core::create(std::move(config));
  if (!core) return checker_.violate("a server does not start: " + core.error().message);
  server.core = std::make_unique<Core>(std::move(*core));
  server.has_run = true;
  server.same_life_possible = true;
  step(host, Start{});
  tick(host);
  for (sim::HostId other = 0; other < servers_.size(); ++other) {
    if (other == host || !hosts_.up(other) || !network_.reaches(host, other) || prng_.chance(1, 4)) continue;
    hosts_.after(host, 300, [this, host, other, peer = servers_[other].self] {
      if (servers_[other].self == peer) step(host, LinkUp{peer});
    });
    hosts_.after(other, 300, [this, other, peer = server.self] { step(other, LinkUp{peer}); });
  }
}

void RingCluster::crash(sim::HostId host) {
  if (!hosts_.up(host)) return;
  Server& server = servers_[host];
  // Writes under way are on the disk or not, in order.
  while (!server.writes.empty() && prng_.chance(1, 2)) {
    server.durable = server.writes.front().bytes;
    checker_.on_durable(server.self.node, *decode_memory(server.durable));
    server.writes.pop_front();
  }
  server.writes.clear();
  server.core.reset();
  hosts_.crash(host);
  for (sim::HostId other = 0; other < servers_.size(); ++other)
    if (other != host && hosts_.up(other) && prng_.chance(9, 10))
      hosts_.after(other, prng_.between(50, 5000),
                   [this, other, node = server.self.node] { step(other, LinkDown{node}); });
}

void RingCluster::restart_later(sim::HostId host) {
  servers_[host].same_life_possible = false;
  // Not inside the core's own step.
  hosts_.after(host, 1, [this, host] { crash(host); });
  clock_.after(prng_.between(10000, 800000), [this, host] { start(host); });
}

void RingCluster::tick(sim::HostId host) {
  hosts_.after(host, Timings{}.tick_ms * 1000, [this, host] {
    step(host, Tick{});
    tick(host);
  });
}

// --- one step -------------------------------------------------------------------------------------------------------

void RingCluster::step(sim::HostId host, decltype(Event::what) what) {
  Server& server = servers_[host];
  if (!server.core) return;
  Effects effects;
  const std::size_t kind = what.index();
  server.core->step(Event{clock_.now_ms(), std::move(what)}, effects);
  if (!effects.empty())
    trace_.note(clock_, {21, host, kind, effects.size()}, [&] {
      return "server " + std::to_string(host + 1) + ": event " + std::to_string(kind) + ", " +
             std::to_string(effects.size()) + " effects";
    });
  carry_out(host, effects);
}

void RingCluster::carry_out(sim::HostId host, Effects& effects) {
  for (Effect& effect : effects) std::visit([&](auto& it) { carry_out(host, it); }, effect);
}

void RingCluster::carry_out(sim::HostId host, Send& send) {
  const Server& server = servers_[host];
  checker_.on_sent(server.self.node, send.message);
  trace_.note(clock_, {22, host, send.to.value, send.message.index()}, [&] {
    constexpr const char* kNames[] = {"HEARTBEAT", "ACCUSE", "PROBE", "PROPOSE", "ACK",
                                      "COMMIT",    "JOIN",   "LEAVE", "PREPARE", "PROMISE"};
    std::string text =
        "  " + std::to_string(host + 1) + " -> " + std::to_string(send.to.value) + " " + kNames[send.message.index()];
    if (const auto* propose = std::get_if<wire::RingPropose>(&send.message))
      text += " " + to_text(propose->proposed) + " by ballot " + to_text(propose->ballot);
    if (const auto* prepare = std::get_if<wire::RingPrepare>(&send.message))
      text += " ballot " + to_text(prepare->ballot) + " on " + to_text(prepare->committed);
    if (const auto* promise = std::get_if<wire::RingPromise>(&send.message))
      text += " ballot " + to_text(promise->ballot) + ", accepted " + to_text(promise->accepted);
    if (const auto* commit = std::get_if<wire::RingCommit>(&send.message)) text += " " + to_text(commit->view);
    return text;
  });
  const wire::Frame frame = wire::ring_message_to_frame(send.message, server.self.incarnation);
  network_.send(host, host_of(send.to), wire::encode_frame(frame));
}

void RingCluster::receive(sim::HostId from, sim::HostId host, const Bytes& bytes) {
  wire::FrameCutter cutter;
  cutter.feed(bytes);
  auto frame = cutter.next();
  RK_CHECK(frame && *frame);
  auto message = wire::ring_message_from_frame(**frame);
  if (!message) return checker_.violate("a server refuses a message of another: " + message.error().message);
  if (const auto* commit = std::get_if<wire::RingCommit>(&*message))
    checker_.on_told(node_of(host), commit->view.number);
  if (const auto* propose = std::get_if<wire::RingPropose>(&*message))
    checker_.on_told(node_of(host), propose->committed.number);
  if (const auto* prepare = std::get_if<wire::RingPrepare>(&*message))
    checker_.on_told(node_of(host), prepare->committed.number);
  step(host, Received{{node_of(from), (*frame)->sender}, std::move(*message)});
}

void RingCluster::carry_out(sim::HostId host, Persist& persist) {
  Server& server = servers_[host];
  server.writes.push_back({persist.token, std::move(persist.bytes)});
  const std::uint64_t delay_us = prng_.chance(1, 30) ? prng_.between(1000, 700000) : prng_.between(50, 15000);
  if (server.writes.size() == 1) hosts_.after(host, delay_us, [this, host] { finish_write(host); });
}

void RingCluster::finish_write(sim::HostId host) {
  Server& server = servers_[host];
  if (server.writes.empty()) return;
  const Write write = std::move(server.writes.front());
  server.writes.pop_front();
  server.durable = write.bytes;
  checker_.on_durable(server.self.node, *decode_memory(server.durable));
  if (!server.writes.empty()) hosts_.after(host, prng_.between(50, 15000), [this, host] { finish_write(host); });
  step(host, Persisted{write.token});
}

void RingCluster::carry_out(sim::HostId host, MemberLost& lost) {
  trace_.note(clock_, {23, host, lost.member.node.value},
              [&] { return "  lost server " + std::to_string(lost.member.node.value); });
}

void RingCluster::carry_out(sim::HostId host, ViewInstalled& installed) {
  ++counts_.views;
  trace_.note(clock_, {24, host, installed.view.number.value},
              [&] { return "  server " + std::to_string(host + 1) + " acts in " + to_text(installed.view); });
  checker_.on_installed(servers_[host].self, installed.view);
}

void RingCluster::carry_out(sim::HostId host, Wedged& wedged) {
  ++counts_.wedges;
  trace_.note(clock_, {25, host, wedged.server.value},
              [&] { return "  server " + std::to_string(host + 1) + " wedges: " + wedged.reason; });
  checker_.on_wedged(servers_[host].self, wedged);
}

void RingCluster::carry_out(sim::HostId host, Unwedged&) {
  trace_.note(clock_, {26, host}, [&] { return "  server " + std::to_string(host + 1) + " goes on"; });
}

void RingCluster::carry_out(sim::HostId host, Left&) {
  ++counts_.leaves;
  trace_.note(clock_, {27, host}, [&] { return "  server " + std::to_string(host + 1) + " has left"; });
  restart_later(host);
}

void RingCluster::carry_out(sim::HostId host, Evicted& evicted) {
  ++counts_.evictions;
  trace_.note(clock_, {28, host, evicted.view.value},
              [&] { return "  server " + std::to_string(host + 1) + " is evicted"; });
  restart_later(host);
}

// --- the run --------------------------------------------------------------------------------------------------------

void RingCluster::leave_some_time() {
  if (quiet_) return;
  const auto host = static_cast<sim::HostId>(prng_.below(servers_.size()));
  if (hosts_.up(host) && prng_.chance(1, 3)) hosts_.after(host, 0, [this, host] { step(host, LeaveRequest{}); });
  // Links that break and say so although nobody died.
  const auto other = static_cast<sim::HostId>(prng_.below(servers_.size()));
  if (hosts_.up(other)) hosts_.after(other, 0, [this, other, host] { step(other, LinkDown{node_of(host)}); });
  clock_.after(prng_.between(1000, 3 * kSecond_us), [this] { leave_some_time(); });
}

bool RingCluster::run_until(std::uint64_t within_us, const std::function<bool()>& condition) {
  const std::uint64_t end_us = clock_.now_us() + within_us;
  while (checker_.violation().empty() && clock_.now_us() < end_us) {
    if (condition()) return true;
    clock_.run_until(clock_.now_us() + 100000);
  }
  return checker_.violation().empty() && condition();
}

// Do all that are up serve in one view, of them and nobody else?
bool RingCluster::healthy() const {
  const View* view = nullptr;
  std::size_t up = 0;
  for (sim::HostId host = 0; host < servers_.size(); ++host) {
    if (!hosts_.up(host)) continue;
    ++up;
    const Core& core = *servers_[host].core;
    if (core.state() != State::kServing || core.committed() != core.view()) return false;
    if (view == nullptr) view = &core.view();
    if (core.view() != *view || !contains(*view, servers_[host].self)) return false;
  }
  return view == nullptr || view->members.size() == up;
}

bool RingCluster::all_refuse() const {
  for (sim::HostId host = 0; host < servers_.size(); ++host)
    if (hosts_.up(host) && servers_[host].core->state() != State::kWedged) return false;
  return true;
}

void RingCluster::calm_down() {
  quiet_ = true;
  chaos_->quiet();
  const std::uint64_t end_us = clock_.now_us() + kBound_us;
  while (checker_.violation().empty()) {
    const std::uint64_t left_us = end_us - std::min(end_us, clock_.now_us());
    if (run_until(left_us, [&] { return healthy(); })) {
      clock_.run_until(clock_.now_us() + kStable_us);
      if (healthy()) return;
    }
    if (clock_.now_us() >= end_us) break;
  }
  if (!checker_.violation().empty()) return;
  const View& newest = checker_.newest_committed();
  if (!checker_.beyond_recovery(newest)) return checker_.violate("no agreement in time after the network healed");
  ++counts_.beyond_recovery;
  if (!all_refuse()) checker_.violate("the memory of a quorum is lost, and not all servers refuse to act");
  ended_ = true;
}

std::string RingCluster::run() {
  for (sim::HostId host = 0; host < servers_.size(); ++host)
    clock_.after(prng_.between(0, prng_.chance(1, 5) ? 5 * kSecond_us : 400000), [this, host] { start(host); });
  clock_.after(prng_.between(1, 3 * kSecond_us), [this] {
    chaos_->begin();
    leave_some_time();
  });
  const std::uint64_t chaos_us = prng_.between(5 * kSecond_us, 15 * kSecond_us);
  run_until(chaos_us, [] { return false; });
  if (checker_.violation().empty()) calm_down();
  if (checker_.violation().empty() && !ended_) last_fault();
  return checker_.violation();
}

// On a healthy network: a death or a leave, and what must follow.
void RingCluster::last_fault() {
  ended_ = true;
  const View view = servers_[0].core->view();
  const std::size_t size = view.members.size();
  const NodeId leader = view.members.front().node;
  const NodeId member = view.members[size == 1 ? 0 : prng_.between(1, size - 1)].node;
  switch (prng_.below(4)) {
    case 0:
      return kill_for_good(host_of(member));
    case 1:
      return kill_for_good(host_of(leader));
    case 2:
      return last_leave(member);
    default:
      return last_leave(leader);
  }
}

void RingCluster::kill_for_good(sim::HostId host) {
  const View view = servers_[host].core->view();
  const NodeId dead = node_of(host);
  crash(host);
  const std::size_t size = view.members.size();
  if (size == 1) return;
  if (size == 2) {
    ++counts_.half_deaths;
    const auto all_name_it = [&] {
      for (sim::HostId other = 0; other < servers_.size(); ++other)
        if (hosts_.up(other) &&
            (servers_[other].core->state() != State::kWedged || servers_[other].core->missing() != dead))
          return false;
      return true;
    };
    if (!run_until(kBound_us, all_name_it)) checker_.violate("the death of one of two is not named in time");
    return;
  }
  ++(view.members.front().node == dead ? counts_.leader_deaths : counts_.member_deaths);
  if (!run_until(kBound_us, [&] { return healthy(); })) checker_.violate("a dead member is not evicted in time");
}

void RingCluster::last_leave(NodeId node) {
  const sim::HostId host = host_of(node);
  step(host, LeaveRequest{});
  // restart_later() ends the life; nobody starts it again.
  if (!run_until(kBound_us, [&] { return !hosts_.up(host) && healthy(); }))
    checker_.violate("a leave is not complete in time");
}

void RingCluster::add_to(RingCounts& counts) const {
  counts.views += counts_.views;
  counts.wedges += counts_.wedges;
  counts.evictions += counts_.evictions;
  counts.leaves += counts_.leaves;
  counts.wipes += counts_.wipes;
  counts.same_lives += counts_.same_lives;
  counts.beyond_recovery += counts_.beyond_recovery;
  counts.member_deaths += counts_.member_deaths;
  counts.leader_deaths += counts_.leader_deaths;
  counts.half_deaths += counts_.half_deaths;
  counts.takeovers += checker_.counts().takeovers;
  counts.adopted += checker_.counts().adopted;
  counts.ties += checker_.counts().ties;
  counts.crashes += chaos_->counts().crashes;
  counts.pauses += chaos_->counts().pauses;
  counts.cuts += chaos_->counts().cuts;
  counts.partitions += chaos_->counts().partitions;
  counts.lost += network_.counts().lost;
  counts.duplicated += network_.counts().duplicated;
  counts.slowed += network_.counts().slowed;
}

}  // namespace rk::ring

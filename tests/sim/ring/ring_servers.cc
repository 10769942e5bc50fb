// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/ring/ring_servers.h"

#include <algorithm>

#include "base/check.h"
#include "tests/unit/ring/message_names.h"

namespace rk::ring {

std::vector<RosterEntry> plain_roster(std::size_t servers) {
  std::vector<RosterEntry> roster;
  for (std::uint32_t node = 1; node <= servers; ++node)
    roster.push_back({NodeId(node), "host" + std::to_string(node) + ":7000"});
  return roster;
}

// Half of the rosters have racks: two to four of them, and servers in none. Half of those of three servers, and one in
// eight of the larger ones, have a witness.
std::vector<RosterEntry> drawn_roster(std::size_t servers, NodeId lowest_witness, Prng prng) {
  std::vector<RosterEntry> roster = plain_roster(servers);
  const std::uint64_t racks = prng.chance(1, 2) ? prng.between(2, 4) : 0;
  for (RosterEntry& entry : roster)
    if (racks > 0 && prng.chance(5, 6)) entry.rack = "r" + std::to_string(prng.between(1, racks));
  if (servers >= 3 && prng.chance(1, servers == 3 ? 2 : 8))
    roster[prng.between(lowest_witness.value, servers) - 1].witness = true;
  return roster;
}

RingServers::RingServers(World world, const std::vector<RosterEntry>& roster, Prng prng, PlantedBug bug, Hooks hooks)
    : world_(world),
      prng_(prng),
      bug_(bug),
      hooks_(std::move(hooks)),
      roster_(roster),
      servers_(roster.size()),
      checker_(roster_) {
  for (sim::HostId host = 0; host < servers_.size(); ++host) servers_[host].self = {node_of(host), Incarnation()};
}

// --- lives ----------------------------------------------------------------------------------------------------------

bool RingServers::same_life_possible(sim::HostId host) const {
  const Server& server = servers_[host];
  return server.has_run && !server.ended && !server.durable.empty();
}

void RingServers::start(sim::HostId host, bool same_life, bool wipe) {
  Server& server = servers_[host];
  Config config;
  config.self = server.self.node;
  config.roster = roster_;
  config.planted_bug = bug_;
  if (wipe) server.durable.clear();
  if (!same_life) server.self.incarnation = Incarnation(server.self.incarnation.value + prng_.between(1, 3));
  config.incarnation = server.self.incarnation;
  config.durable = server.durable;
  config.memory_lost = server.has_run && server.durable.empty();
  counts_.same_lives += same_life ? 1U : 0U;
  counts_.wipes += wipe ? 1U : 0U;
  world_.hosts.start(host);
  world_.trace.note(world_.clock, {20, host, config.incarnation.value, config.memory_lost}, [&] {
    return "server " + std::to_string(host + 1) + "." + std::to_string(config.incarnation.value) +
           (config.memory_lost ? " without memory" : "");
  });
  checker_.on_start(server.self, config.memory_lost);
  rules_.on_start(server.self.node);
  auto core = Core::create(std::move(config));
  if (!core) return checker_.violate("a server does not start: " + core.error().message);
  server.core = std::make_unique<Core>(std::move(*core));
  server.has_run = true;
  server.ended = false;
  server.proposes = {};
  step(host, Start{});
  tick(host);
  tell_links(host);
}

void RingServers::tell_links(sim::HostId host) {
  for (sim::HostId other = 0; other < servers_.size(); ++other) {
    if (other == host || !world_.hosts.up(other) || !world_.network.reaches(host, other) || prng_.chance(1, 4))
      continue;
    world_.hosts.after(host, 300, [this, host, other, peer = servers_[other].self] {
      if (servers_[other].self == peer) step(host, LinkUp{peer});
    });
    world_.hosts.after(other, 300, [this, other, peer = servers_[host].self] { step(other, LinkUp{peer}); });
  }
}

void RingServers::crash(sim::HostId host) {
  if (!world_.hosts.up(host)) return;
  Server& server = servers_[host];
  if (server.core && server.proposes.value > checker_.newest_committed().number.value) ++counts_.leader_dies_proposing;
  // Writes under way are on the disk or not, in order.
  while (!server.writes.empty() && prng_.chance(1, 2)) {
    make_durable(server, server.writes.front().bytes);
    server.writes.pop_front();
  }
  server.writes.clear();
  server.core.reset();
  world_.hosts.crash(host);
  for (sim::HostId other = 0; other < servers_.size(); ++other) {
    if (other == host || !world_.hosts.up(other) || !prng_.chance(9, 10)) continue;
    const bool dials = prng_.chance(1, 2);
    world_.hosts.after(other, prng_.between(50, 5000), [this, other, dials, node = server.self.node] {
      // A host that is up again, or that is cut off, refuses nothing.
      if (!dials || world_.hosts.up(host_of(node)) || !world_.network.reaches(host_of(node), other))
        return step(other, LinkDown{node});
      ++counts_.refused;
      step(other, Refused{node});
    });
  }
}

void RingServers::shut_out(const std::set<sim::HostId>& hosts) {
  for (const sim::HostId out : hosts) {
    for (sim::HostId other = 0; other < servers_.size(); ++other) {
      if (hosts.contains(other)) continue;
      world_.network.cut(out, other);
      world_.network.cut(other, out);
      world_.hosts.after(other, prng_.between(50, 5000), [this, other, node = node_of(out)] {
        ++counts_.refused;
        step(other, Refused{node});
      });
    }
  }
}

void RingServers::tick(sim::HostId host) {
  world_.hosts.after(host, Timings{}.tick_ms * 1000, [this, host] {
    step(host, Tick{});
    tick(host);
  });
}

// --- one step -------------------------------------------------------------------------------------------------------

void RingServers::step(sim::HostId host, decltype(Event::what) what) {
  Server& server = servers_[host];
  if (!server.core) return;
  Effects effects;
  const std::size_t kind = what.index();
  if (std::holds_alternative<LeaveRequest>(what)) server.ended = true;
  server.core->step(Event{world_.clocks.now_ms(host), std::move(what)}, effects);
  if (!effects.empty())
    world_.trace.note(world_.clock, {21, host, kind, effects.size()}, [&] {
      return "server " + std::to_string(host + 1) + ": event " + std::to_string(kind) + ", " +
             std::to_string(effects.size()) + " effects";
    });
  carry_out(host, effects);
  check_leases(host);
  hooks_.on_step(host);
}

bool RingServers::acts(sim::HostId host) const {
  const Server& server = servers_[host];
  return server.core && world_.clocks.now_ms(host) < server.core->lease_until_ms();
}

// A server that may act is not one whose place another may take already.
void RingServers::check_leases(sim::HostId host) {
  if (acts(host)) checker_.on_acts(servers_[host].self, servers_[host].core->view());
  for (sim::HostId other = 0; other < servers_.size(); ++other) {
    for (const auto& [older, newer] : {std::pair(host, other), std::pair(other, host)}) {
      if (older == newer || !servers_[newer].core || !servers_[older].core) continue;
      const View& view = servers_[newer].core->view();
      const View& before = servers_[older].core->view();
      // An override takes the operator's word for it.
      if (view.number <= before.number || generation(view.number) != generation(before.number)) continue;
      if (contains(view, servers_[older].self) || !acts(older)) continue;
      if (servers_[newer].core->fence_left_ms() == 0)
        return checker_.violate("server " + std::to_string(older + 1) + " may act although " + to_text(view) +
                                " has replaced it");
      ++counts_.waits;
    }
  }
}

void RingServers::carry_out(sim::HostId host, Effects& effects) {
  for (Effect& effect : effects) std::visit([&](auto& it) { carry_out(host, it); }, effect);
}

void RingServers::carry_out(sim::HostId host, Send& send) {
  const Server& server = servers_[host];
  checker_.on_sent(server.self.node, send.message);
  rules_.on_sent(server.self.node, send.message);
  world_.trace.note(world_.clock, {22, host, send.to.value, send.message.index()}, [&] {
    std::string text =
        "  " + std::to_string(host + 1) + " -> " + std::to_string(send.to.value) + " " + name_of(send.message);
    if (const auto* propose = std::get_if<wire::RingPropose>(&send.message))
      text += " " + to_text(propose->proposed) + " by ballot " + to_text(propose->ballot);
    if (const auto* prepare = std::get_if<wire::RingPrepare>(&send.message))
      text += " ballot " + to_text(prepare->ballot) + " on " + to_text(prepare->committed);
    if (const auto* promise = std::get_if<wire::RingPromise>(&send.message))
      text += " ballot " + to_text(promise->ballot) + ", accepted " + to_text(promise->accepted);
    if (const auto* commit = std::get_if<wire::RingCommit>(&send.message)) text += " " + to_text(commit->view);
    return text;
  });
  if (const auto* propose = std::get_if<wire::RingPropose>(&send.message))
    servers_[host].proposes = propose->proposed.number;
  const wire::Frame frame = wire::ring_message_to_frame(send.message, server.self.incarnation);
  world_.network.send(host, host_of(send.to), wire::encode_frame(frame));
}

void RingServers::receive(sim::HostId from, sim::HostId host, const wire::Frame& frame) {
  auto message = wire::ring_message_from_frame(frame);
  if (!message) return checker_.violate("a server refuses a message of another: " + message.error().message);
  if (const auto* commit = std::get_if<wire::RingCommit>(&*message))
    checker_.on_told(node_of(host), commit->view.number);
  if (const auto* propose = std::get_if<wire::RingPropose>(&*message))
    checker_.on_told(node_of(host), propose->committed.number);
  if (const auto* prepare = std::get_if<wire::RingPrepare>(&*message))
    checker_.on_told(node_of(host), prepare->committed.number);
  // What a server ignores, for it is not ready or the sender's life is over, is not heard.
  if (servers_[host].core && servers_[host].core->view().number && frame.sender == servers_[from].self.incarnation) {
    if (const auto* heartbeat = std::get_if<wire::RingHeartbeat>(&*message))
      checker_.on_heard_of(node_of(host), heartbeat->committed);
    if (const auto* join = std::get_if<wire::RingJoin>(&*message)) checker_.on_heard_of(node_of(host), join->committed);
  }
  rules_.on_delivered(node_of(host), {node_of(from), frame.sender}, *message);
  step(host, Received{{node_of(from), frame.sender}, std::move(*message)});
}

void RingServers::carry_out(sim::HostId host, Persist& persist) {
  Server& server = servers_[host];
  server.writes.push_back({persist.token, std::move(persist.bytes)});
  const std::uint64_t delay_us = prng_.chance(1, 30) ? prng_.between(1000, 700000) : prng_.between(50, 15000);
  if (server.writes.size() == 1) world_.hosts.after(host, delay_us, [this, host] { finish_write(host); });
}

void RingServers::finish_write(sim::HostId host) {
  Server& server = servers_[host];
  if (server.writes.empty()) return;
  const Write write = std::move(server.writes.front());
  server.writes.pop_front();
  make_durable(server, write.bytes);
  if (!server.writes.empty()) world_.hosts.after(host, prng_.between(50, 15000), [this, host] { finish_write(host); });
  step(host, Persisted{write.token});
}

void RingServers::make_durable(Server& server, const Bytes& bytes) {
  server.durable = bytes;
  const Memory memory = *decode_memory(bytes);
  rules_.on_durable(server.self.node, memory);
  checker_.on_durable(server.self.node, memory);
}

void RingServers::carry_out(sim::HostId host, MemberLost& lost) {
  world_.trace.note(world_.clock, {23, host, lost.member.node.value},
                    [&] { return "  lost server " + std::to_string(lost.member.node.value); });
}

void RingServers::carry_out(sim::HostId host, ViewInstalled& installed) {
  ++counts_.views;
  world_.trace.note(world_.clock, {24, host, installed.view.number.value},
                    [&] { return "  server " + std::to_string(host + 1) + " acts in " + to_text(installed.view); });
  counts_.fenced += servers_[host].core->fence_left_ms() > 0 ? 1U : 0U;
  checker_.on_installed(servers_[host].self, installed.view);
}

void RingServers::carry_out(sim::HostId host, Wedged& wedged) {
  ++counts_.wedges;
  world_.trace.note(world_.clock, {25, host, wedged.server.value},
                    [&] { return "  server " + std::to_string(host + 1) + " wedges: " + wedged.reason; });
  checker_.on_wedged(servers_[host].self, wedged);
}

void RingServers::carry_out(sim::HostId host, Unwedged&) {
  world_.trace.note(world_.clock, {26, host}, [&] { return "  server " + std::to_string(host + 1) + " goes on"; });
}

void RingServers::carry_out(sim::HostId host, Left&) {
  ++counts_.leaves;
  world_.trace.note(world_.clock, {27, host}, [&] { return "  server " + std::to_string(host + 1) + " has left"; });
  servers_[host].ended = true;
  hooks_.on_over(host);
}

void RingServers::carry_out(sim::HostId host, Evicted& evicted) {
  ++counts_.evictions;
  world_.trace.note(world_.clock, {28, host, evicted.view.value},
                    [&] { return "  server " + std::to_string(host + 1) + " is evicted"; });
  servers_[host].ended = true;
  hooks_.on_over(host);
}

void RingServers::carry_out(sim::HostId host, OverrideRefused& refused) {
  checker_.violate("server " + std::to_string(host + 1) + " refuses an override: " + refused.reason);
}

}  // namespace rk::ring

// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/ring/bench.h"

#include <algorithm>

#include "base/check.h"
#include "tests/unit/ring/message_names.h"

namespace rk::ring {

Config Bench::config(std::uint32_t node, std::uint64_t incarnation) const {
  Config config;
  config.self = NodeId(node);
  config.incarnation = Incarnation(incarnation);
  for (std::uint32_t n = 1; n <= roster_size_; ++n)
    config.roster.push_back({NodeId(n), "host" + std::to_string(n) + ":700" + std::to_string(n), "", n == witness});
  return config;
}

void Bench::start(const Config& config) {
  const std::uint32_t node = config.self.value;
  auto core = Core::create(config);
  RK_CHECK(core.has_value());
  Server& server = servers_[node];
  const Bytes durable = server.durable;
  server = Server{};
  server.durable = durable;
  server.self = {config.self, config.incarnation};
  server.core = std::make_unique<Core>(std::move(*core));
  feed(node, Event{now_ms, Start{}});
}

void Bench::start_all() {
  for (std::uint32_t node = 1; node <= roster_size_; ++node) start(node);
  settle();
}

void Bench::crash(std::uint32_t node, bool tell) {
  servers_.at(node).core.reset();
  if (!tell) return;
  for (auto& [other, server] : servers_)
    if (server.core) feed(other, Event{now_ms, Refused{NodeId(node)}});
}

void Bench::feed(std::uint32_t node, const Event& event) {
  Effects effects;
  servers_.at(node).core->step(event, effects);
  carry_out(node, effects);
}

void Bench::carry_out(std::uint32_t node, Effects& effects) {
  Server& server = servers_.at(node);
  std::vector<std::uint64_t> written;
  for (Effect& effect : effects) {
    if (auto* send = std::get_if<Send>(&effect)) {
      note(node, send->to.value, send->message);
      letters_.push_back({server.self, send->to.value, std::move(send->message)});
    } else if (auto* persist = std::get_if<Persist>(&effect)) {
      if (server.hold_writes) {
        server.writes_held.push_back(persist->token);
      } else {
        server.durable = std::move(persist->bytes);
        written.push_back(persist->token);
      }
    } else if (auto* installed = std::get_if<ViewInstalled>(&effect)) {
      server.installed.push_back(installed->view);
    } else if (auto* lost = std::get_if<MemberLost>(&effect)) {
      server.lost.push_back(lost->member);
    } else if (auto* wedged = std::get_if<Wedged>(&effect)) {
      server.wedged.push_back(*wedged);
    } else if (std::holds_alternative<Unwedged>(effect)) {
      ++server.unwedged;
    } else if (std::holds_alternative<Left>(effect)) {
      server.left = true;
    } else if (std::holds_alternative<Evicted>(effect)) {
      server.evicted = true;
    } else if (auto* refused = std::get_if<OverrideRefused>(&effect)) {
      server.override_refused.push_back(std::move(refused->reason));
    }
  }
  for (const std::uint64_t token : written) feed(node, Event{now_ms, Persisted{token}});
}

void Bench::complete_writes(std::uint32_t node) {
  const auto tokens = std::exchange(servers_.at(node).writes_held, {});
  servers_.at(node).hold_writes = false;
  for (const std::uint64_t token : tokens) feed(node, Event{now_ms, Persisted{token}});
}

void Bench::note(std::uint32_t from, std::uint32_t to, const wire::RingMessage& message) {
  ++sent[name_of(message)];
  std::uint64_t number = 0;
  if (const auto* propose = std::get_if<wire::RingPropose>(&message))
    number = propose->proposed.number.value;
  else if (const auto* ack = std::get_if<wire::RingAck>(&message))
    number = ack->number.value;
  else if (const auto* commit = std::get_if<wire::RingCommit>(&message))
    number = commit->view.number.value;
  else if (const auto* prepare = std::get_if<wire::RingPrepare>(&message))
    number = prepare->committed.number.value + 1;
  else if (const auto* promise = std::get_if<wire::RingPromise>(&message))
    number = promise->number.value;
  else
    return;
  agreement.push_back(std::to_string(from) + ">" + std::to_string(to) + " " + name_of(message) + " " +
                      std::to_string(number));
}

void Bench::settle() {
  while (!letters_.empty()) {
    const Letter letter = std::move(letters_.front());
    letters_.pop_front();
    const auto it = servers_.find(letter.to);
    if (it == servers_.end() || !it->second.core || cut.contains({letter.from.node.value, letter.to})) continue;
    if (lose && lose(letter.from.node.value, letter.to, letter.message)) continue;
    feed(letter.to, Event{now_ms, Received{letter.from, letter.message}});
  }
}

void Bench::advance(std::uint64_t ms) {
  const std::uint64_t end_ms = now_ms + ms;
  while (now_ms < end_ms) {
    now_ms += Timings{}.tick_ms;
    for (auto& [node, server] : servers_)
      if (server.core) feed(node, Event{now_ms, Tick{}});
    settle();
  }
}

bool Bench::until(const std::function<bool()>& condition, std::uint64_t within_ms) {
  const std::uint64_t end_ms = now_ms + within_ms;
  while (!condition()) {
    if (now_ms >= end_ms) return false;
    advance(Timings{}.tick_ms);
  }
  return true;
}

bool Bench::agree(const std::vector<std::uint32_t>& nodes) {
  for (const std::uint32_t node : nodes) {
    const Core& core = *servers_.at(node).core;
    if (core.state() != State::kServing || core.view() != this->core(nodes.front()).view()) return false;
    if (core.view().members.size() != nodes.size()) return false;
    for (std::size_t rank = 0; rank < nodes.size(); ++rank)
      if (core.view().members[rank].node.value != nodes[rank]) return false;
  }
  return true;
}

}  // namespace rk::ring

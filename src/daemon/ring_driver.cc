// SPDX-License-Identifier: Apache-2.0
#include "daemon/ring_driver.h"

#include <utility>

namespace rk::daemon {

Result<std::unique_ptr<RingDriver>> RingDriver::create(ring::Config config, const StateFiles& files, PeerPort& peers,
                                                       Hooks hooks) {
  RK_TRY(const auto durable, files.read(StateKind::kRing));
  // The file is there, if empty, from before the first life on (StateFiles::open).
  config.memory_lost = !durable;
  if (durable) config.durable = *durable;
  const ring::Member self{config.self, config.incarnation};
  RK_TRY(ring::Core core, ring::Core::create(std::move(config)));
  return std::unique_ptr<RingDriver>(new RingDriver(std::move(core), peers, std::move(hooks), self));
}

void RingDriver::on_link_up(std::uint64_t now_ms, const io::ProvenPeer& peer) {
  feed(now_ms, ring::LinkUp{{peer.node, peer.incarnation}});
}

Status RingDriver::on_frame(std::uint64_t now_ms, const io::ProvenPeer& from, const wire::Frame& frame) {
  RK_TRY(auto message, wire::ring_message_from_frame(frame));
  feed(now_ms, ring::Received{{from.node, from.incarnation}, std::move(message)});
  return {};
}

RingState RingDriver::state() const {
  RingState state;
  state.view = core_.view().number;
  for (const ring::Member& member : ring::ring_of(core_.view()))
    state.members.push_back({member.node, member.incarnation});
  for (const ring::Member& before : core_.view().succeeded)
    if (before.node == self_.node) state.succeeded = {before.node, before.incarnation};
  if (const ring::Member* witness = ring::find(core_.view(), core_.view().witness))
    state.witness = {witness->node, witness->incarnation};
  if (const auto keeper = ring::backup_of(core_.view(), self_.node)) state.keeper = {keeper->node, keeper->incarnation};
  state.serving = core_.state() == ring::State::kServing;
  state.reason = core_.reason();
  state.word = ring::to_string(core_.state());
  return state;
}

void RingDriver::feed(std::uint64_t now_ms, What what) {
  events_.push_back({now_ms, std::move(what)});
  if (feeding_) return;
  feeding_ = true;
  while (!events_.empty()) {
    const ring::Event event = std::move(events_.front());
    events_.pop_front();
    ring::Effects effects;
    core_.step(event, effects);
    carry_out(effects);
  }
  feeding_ = false;
  if (RingState now = state(); now != reported_) {
    reported_ = std::move(now);
    hooks_.on_state(reported_);
  }
}

void RingDriver::carry_out(const ring::Effects& effects) {
  for (const ring::Effect& effect : effects) {
    hooks_.on_effect(effect);
    std::visit([this](const auto& one) { carry(one); }, effect);
  }
}

void RingDriver::carry(const ring::Send& effect) {
  peers_.send(effect.to, wire::ring_message_to_frame(effect.message, self_.incarnation));
}

void RingDriver::carry(const ring::Persist& effect) { hooks_.persist(effect.token, effect.bytes); }

}  // namespace rk::daemon

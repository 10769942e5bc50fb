// SPDX-License-Identifier: Apache-2.0
// What links and the ring tell the server.
#include <algorithm>

#include "daemon/logger.h"
#include "daemon/rebirth.h"
#include "daemon/server.h"

namespace rk::daemon {

std::string Server::server_name(NodeId node) const {
  const auto entry = std::find_if(config_.roster.begin(), config_.roster.end(),
                                  [&](const io::RosterEntry& e) { return e.node == node; });
  const std::string address = entry == config_.roster.end() ? "" : " (" + io::to_string(entry->address) + ")";
  return "server " + std::to_string(node.value) + address;
}

io::PeerLinks::Callbacks Server::link_callbacks() {
  io::PeerLinks::Callbacks callbacks;
  callbacks.on_up = [this](const io::ProvenPeer& peer) {
    logger::info("link to " + server_name(peer.node) + " is up");
    last_refusal_.erase(peer.node);
    event_writer_.link_up(peer);
    ring_driver_->on_link_up(loop_.now_ms(), peer);
  };
  callbacks.on_down = [this](NodeId node, const Error& why) {
    logger::warn("link to " + server_name(node) + " is down: " + why.message);
    event_writer_.link_down(node, why.message);
    if (keep_) keep_->on_peer_down(node);
    ring_driver_->on_link_down(loop_.now_ms(), node);
  };
  callbacks.on_unreachable = [this](NodeId node, bool refused) {
    if (refused) return ring_driver_->on_refused(loop_.now_ms(), node);
    ring_driver_->on_link_down(loop_.now_ms(), node);
  };
  callbacks.on_frame = [this](const io::ProvenPeer& from, const wire::Frame& frame) {
    return on_peer_frame(from, frame);
  };
  callbacks.on_moved = [this] { on_link_moved(); };
  callbacks.on_refused = [this](NodeId node, const Error& why) {
    std::string& last = last_refusal_[node];
    if (last == why.message) return;
    last = why.message;
    logger::warn("no link to " + (node ? server_name(node) : "a stranger") + ": " + why.message);
    event_writer_.peer_refused(node, why.message, loop_.now_ms());
  };
  return callbacks;
}

Status Server::on_peer_frame(const io::ProvenPeer& from, const wire::Frame& frame) {
  traffic_.received(frame);
  if (wire::is_ring_message(frame.type)) {
    event_writer_.spoke(from.node);
    return ring_driver_->on_frame(loop_.now_ms(), from, frame);
  }
  if (keep_ && frame.type >= wire::MessageType::kKeepFirst && frame.type < wire::MessageType::kLogFirst) {
    keep_->on_tick(loop_.now_ms());
    if (frame.payload.size() <= kSmallBytes) loop_.expect_more();
    return keep_->on_peer_frame(from.node, from.incarnation, frame);
  }
  if (frame.type == wire::MessageType::kPeerLeaving) {
    event_writer_.peer_leaves(from);
    return wire::from_frame<wire::PeerLeaving>(frame).map([](const auto&) {});
  }
  return fail(ErrorCode::kCorrupt, "message type " + std::to_string(static_cast<std::uint32_t>(frame.type)) +
                                       " is nothing that a server sends: install the same release on all servers");
}

RingDriver::Hooks Server::ring_hooks() {
  RingDriver::Hooks hooks;
  hooks.on_effect = [this](const ring::Effect& effect) {
    event_writer_.on_effect(effect);
    answer_override(effect);
  };
  hooks.on_state = [this](const RingState& state) { on_ring_state(state); };
  hooks.on_member_lost = [this](const ring::Member& member) { on_member_lost(member); };
  hooks.on_left = [this] { stop(ExitCode::kOk); };
  hooks.on_evicted = [this](const ring::Evicted& evicted) { on_evicted(evicted); };
  hooks.persist = [this](std::uint64_t token, Bytes bytes) { state_writer_->write(token, std::move(bytes)); };
  return hooks;
}

void Server::on_evicted(const ring::Evicted& evicted) {
  const std::string text = "the ring went on without " + server_name(config_.node) + ": " +
                           (evicted.reason.empty() ? "it was silent for too long" : evicted.reason) +
                           "; it begins anew and holds nothing of before";
  logger::error(text);
  notify_creators({true, text});
  end_sessions(Error{ErrorCode::kPeerGone, text + ", connect again"});
  evicted_ = true;
  Rebirth::hold_signals();
  // One that came before is on its way through the loop: it is given the time to arrive.
  leaving_.start(1, [this] { loop_.post([this] { stop(ExitCode::kEvicted); }); });
}

void Server::on_state_written(std::uint64_t token, const Status& status) {
  if (status) return ring_driver_->on_persisted(loop_.now_ms(), token);
  // It could not keep its word.
  logger::error("the ring's state cannot be kept: " + status.error().message);
  stop(ExitCode::kInternal);
}

void Server::on_ring_state(const RingState& state) {
  const bool was_serving = ring_.serving;
  ring_ = state;
  std::string members;
  for (const RingMember& member : state.members) members += " " + std::to_string(member.node.value);
  logger::info("ring: " + state.word + ", view " + std::to_string(state.view.value) + " of servers" + members +
               (state.reason.empty() ? "" : "; " + state.reason));
  if (was_serving && !state.serving && !stopping_) notify_creators({true, "the ring stopped serving: " + state.reason});
  if (keep_) keep_->on_ring(ring_);
}

void Server::on_member_lost(const ring::Member& member) {
  const std::string text = server_name(member.node) + " is gone from the ring";
  logger::warn(text);
  notify_creators({true, text});
}

}  // namespace rk::daemon

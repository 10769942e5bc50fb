// SPDX-License-Identifier: Apache-2.0
// Heartbeats, probes, accusations: who is alive.
#include <algorithm>

#include "ring/core.h"

namespace rk::ring {

bool Core::probe_failed(const Peer& peer) const {
  return peer.refused || (peer.probed_ms && now_ms_ - *peer.probed_ms >= config_.timings.probe_ms);
}

bool Core::hears(NodeId node) const {
  const auto it = peers_.find(node);
  if (it == peers_.end()) return node == self_.node;
  const Peer& peer = it->second;
  return peer.known && !probe_failed(peer) && now_ms_ - peer.heard_ms < config_.timings.suspicion_ms;
}

bool Core::silent(const Member& member) const {
  const auto it = peers_.find(member.node);
  if (it == peers_.end()) return member.node != self_.node;
  const Peer& peer = it->second;
  return probe_failed(peer) || now_ms_ - peer.heard_ms >= config_.timings.suspicion_ms;
}

bool Core::superseded(const Member& member) const {
  const auto it = peers_.find(member.node);
  return it != peers_.end() && it->second.incarnation > member.incarnation;
}

// The second opinion: another member has accused it lately.
bool Core::confirmed_dead(const Member& member) const {
  const auto it = peers_.find(member.node);
  if (it == peers_.end()) return false;
  return std::any_of(it->second.accused_ms.begin(), it->second.accused_ms.end(), [&](const auto& accusation) {
    return accusation.first != member.node && find(memory_.committed, accusation.first) &&
           now_ms_ - accusation.second < config_.timings.suspicion_ms;
  });
}

void Core::forgive(Peer& peer) const {
  peer.heard_ms = now_ms_;
  peer.probed_ms.reset();
  peer.refused = false;
}

void Core::send_heartbeat(NodeId to, bool answer_wanted, Effects& out) const {
  const bool wedged_leader = state_ == State::kWedged && memory_.committed.number && leads() && !hears_quorum();
  send(to,
       wire::RingHeartbeat{memory_.committed.number, memory_.since, answer_wanted, wedged_leader ? missing_ : NodeId(),
                           lease_to(to)},
       out);
}

// Whoever of the two has the older committed view gets the newer one.
void Core::heal(NodeId node, ViewNumber theirs, Effects& out) {
  if (theirs < memory_.committed.number)
    send_commit(node, out);
  else if (theirs > memory_.committed.number)
    send_heartbeat(node, false, out);
}

void Core::handle(const Member& from, const wire::RingHeartbeat& message, Effects& out) {
  Peer& peer = peers_[from.node];
  peer.committed = message.committed;
  note_generation(from.node, message.committed);
  note_memory(from.node, message.memory_since);
  peer.missing = message.missing;
  if (!message.missing)
    peer.helpless_ms.reset();
  else if (!peer.helpless_ms)
    peer.helpless_ms = now_ms_;
  const bool behind = message.committed > memory_.committed.number;
  heal(from.node, message.committed, out);
  take_lease(from, message.committed, message.lease);
  if (message.answer_wanted && !behind) send_heartbeat(from.node, false, out);
  if (handing_over_ && message.committed >= memory_.committed.number &&
      from.node == memory_.committed.members.front().node)
    end_life(out);
}

void Core::send_heartbeats(Effects& out) {
  const View& view = memory_.committed;
  if (!contains(view, self_)) return;
  if (leads()) {
    for (const Member& member : view.members)
      if (member.node != self_.node) send_heartbeat(member.node, true, out);
    // Those of an older generation may have a ring of their own, which ends when it hears of this one.
    if (generation(view.number) > 0)
      for (const RosterEntry& entry : config_.roster)
        if (find(view, entry.node) == nullptr) send_heartbeat(entry.node, false, out);
    return;
  }
  // Whoever says nothing would never learn that the others have gone on: the witness has the leader only.
  const auto before = view.witness == self_.node ? view.members.front() : predecessor(view, self_.node);
  if (before) peers_.find(before->node);
  for (const auto& [node, peer] : peers_) {
    const bool probed = peer.probed_ms.has_value();
    if ((probed && find(view, node)) || (before && before->node == node)) send_heartbeat(node, probed, out);
  }
}

void Core::probe(NodeId node, Effects& out) {
  const auto it = peers_.find(node);
  if (it == peers_.end() || it->second.probed_ms) return;
  it->second.probed_ms = now_ms_;
  silence_due_ms_ = 0;
  count_again(node);
  send_heartbeat(node, true, out);
}

// The leader looks for a second opinion on those it does not hear; a member tells the leader about its successor, and
// about those that the leader has asked it to probe.
void Core::report_silent(Effects& out) {
  const View& view = memory_.committed;
  if (now_ms_ < silence_due_ms_ || !view.number || !contains(view, self_)) return;
  const Member leader = view.members.front();
  const auto watched = successor(view, self_.node);
  silence_due_ms_ = UINT64_MAX;
  const auto look_again = [this](std::uint64_t at_ms) { silence_due_ms_ = std::min(silence_due_ms_, at_ms); };
  for (auto& [node, peer] : peers_) {
    const Member* found = find(view, node);
    if (found == nullptr || *found == leader || superseded(*found)) continue;
    const Member& member = *found;
    if (!leads() && !peer.probe_asked && watched != member) continue;
    if (!silent(member)) {
      look_again(silent_from_ms(peer));
      continue;
    }
    if (peer.reported_ms && now_ms_ - *peer.reported_ms < config_.timings.heartbeat_ms) {
      look_again(*peer.reported_ms + config_.timings.heartbeat_ms);
      continue;
    }
    look_again(now_ms_ + config_.timings.tick_ms);
    if (leads()) {
      if (confirmed_dead(member)) continue;
      peer.reported_ms = now_ms_;
      seek_confirmation(member, out);
    } else {
      peer.reported_ms = now_ms_;
      peer.probe_asked = false;
      send(leader.node, wire::RingAccuse{view.number, member}, out);
    }
  }
}

// Asks the members that are heard in turn, one each time.
void Core::seek_confirmation(const Member& suspect, Effects& out) {
  std::vector<NodeId> heard;
  for (const Member& member : memory_.committed.members)
    if (member.node != self_.node && member != suspect && hears(member.node)) heard.push_back(member.node);
  if (heard.empty()) return;
  const std::size_t turn = static_cast<std::size_t>(now_ms_ / config_.timings.heartbeat_ms) % heard.size();
  send(heard[turn], wire::RingProbeRequest{memory_.committed.number, suspect}, out);
}

void Core::handle(const Member& from, const wire::RingAccuse& message, Effects& out) {
  heal(from.node, message.committed, out);
  const auto it = peers_.find(message.suspect.node);
  const bool members = contains(memory_.committed, from) && contains(memory_.committed, message.suspect);
  if (it == peers_.end() || !members || !leads()) return;
  it->second.accused_ms[from.node] = now_ms_;
  silence_due_ms_ = 0;
  count_again(message.suspect.node);
}

void Core::handle(const Member& from, const wire::RingProbeRequest& message, Effects& out) {
  heal(from.node, message.committed, out);
  const auto it = peers_.find(message.suspect.node);
  if (it == peers_.end() || !contains(memory_.committed, message.suspect)) return;
  if (from.node != memory_.committed.members.front().node) {
    ++refused_;
    return;
  }
  // Of a server that we do not watch, silence proves nothing before the probe.
  const bool watched = successor(memory_.committed, self_.node) == message.suspect;
  if (!watched && !it->second.probed_ms && !it->second.refused) forgive(it->second);
  it->second.probe_asked = true;
  silence_due_ms_ = 0;
  probe(message.suspect.node, out);
}

}  // namespace rk::ring

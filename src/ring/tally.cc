// SPDX-License-Identifier: Apache-2.0
// What is known of all peers together, without looking at each of them with every message.
#include <algorithm>
#include <set>

#include "ring/core.h"

namespace rk::ring {

// When a peer that is not silent will be, if nothing is heard of it.
std::uint64_t Core::silent_from_ms(const Peer& peer) const {
  const Timings& timings = config_.timings;
  const std::uint64_t unheard_ms = peer.heard_ms + timings.suspicion_ms;
  return peer.probed_ms ? std::min(unheard_ms, *peer.probed_ms + timings.probe_ms) : unheard_ms;
}

bool Core::is_odd(NodeId node, const Peer& peer) const {
  if (peer.joins || peer.leaves) return true;
  const Member* member = find(memory_.committed, node);
  if (member == nullptr) return false;
  if (peer.incarnation > member->incarnation) return true;
  return std::any_of(peer.accused_ms.begin(), peer.accused_ms.end(), [&](const auto& accusation) {
    return now_ms_ - accusation.second < config_.timings.suspicion_ms;
  });
}

void Core::count_again(NodeId node, const Peer& peer) const {
  if (!tally_) return;
  const bool counts = is_voter(node, peer.memory_since) && hears(node);
  const bool odd = is_odd(node, peer);
  tally_->heard = tally_->heard + (counts ? 1U : 0U) - (peer.counted ? 1U : 0U);
  tally_->odd = tally_->odd + (odd ? 1U : 0U) - (peer.counted_odd ? 1U : 0U);
  if (counts) tally_->until_ms = std::min(tally_->until_ms, silent_from_ms(peer));
  peer.counted = counts;
  peer.counted_odd = odd;
}

void Core::count_again(NodeId node) const {
  if (!tally_) return;
  const auto it = peers_.find(node);
  if (it != peers_.end()) count_again(node, it->second);
}

void Core::count_peers() const {
  tally_ = Tally{0, 0, UINT64_MAX};
  for (auto& [node, peer] : peers_) {
    peer.counted = peer.counted_odd = false;
    count_again(node, peer);
  }
}

bool Core::hears_quorum() const {
  if (config_.planted_bug == PlantedBug::kColdStartByRoster) {
    std::set<NodeId> heard;
    if (votes()) heard.insert(self_.node);
    for (const auto& [node, peer] : peers_)
      if (hears(node) && (!find(memory_.committed, node) || is_voter(node, peer.memory_since))) heard.insert(node);
    return quorum_of(heard);
  }
  if (config_.planted_bug == PlantedBug::kNoMajority) return true;
  if (!tally_ || now_ms_ >= tally_->until_ms) count_peers();
  const NodeId first = memory_.committed.members.front().node;
  const bool first_votes = first == self_.node ? votes() : peers_.at(first).counted;
  return is_quorum(memory_.committed, tally_->heard + (votes() ? 1U : 0U), first_votes);
}

// Is the next view the committed one, for all that hears_quorum() has just counted?
bool Core::all_is_settled() const {
  if (!tally_ || leaving_) return false;
  const View& view = memory_.committed;
  if (view.number) return tally_->odd == 0 && contains(view, self_);
  // The first one waits for everybody; whoever asks for a place in it is counted.
  return tally_->odd + 1 < view.members.size() && now_ms_ - start_ms_ < config_.timings.formation_ms;
}

void Core::forgive_all() {
  for (auto& [node, peer] : peers_) forgive(peer);
  peers_.watch_all(now_ms_);
  tally_.reset();
}

// Since when the peer remembers, as it says.
void Core::note_memory(NodeId node, Incarnation since) {
  Peer& peer = peers_[node];
  if (peer.memory_since == since) return;
  peer.memory_since = since;
  held_since_.reset();
}

// It holds for us from that time of ours, which is later than before.
void Core::note_held(const Member& from, std::uint64_t held_ms) {
  Peer& peer = peers_[from.node];
  const bool passes = held_since_ && peer.held_ms <= held_since_->since_ms && held_ms > held_since_->since_ms;
  if (passes && is_voter(from.node, peer.memory_since)) ++held_since_->later;
  peer.held_ms = held_ms;
}

}  // namespace rk::ring

// SPDX-License-Identifier: Apache-2.0
// Leases: until when a server may act without asking anybody.
//
// A member that has a message of its leader holds for it: whatever it promises another within hold_ms, it says how long
// the hold lasts still. In its answers it names the leader's time from which it holds, so the leader knows, on its own
// clock, since when a quorum does. Leases rest on that for lease_ms: the leader grants what is left to each member,
// counted from the newest of the member's own times that the leader has, so that no grant outlives the oldest of the
// holds beneath it. Clocks are never compared; their rates may differ by 10% each (hold_ms / 1.1 > lease_ms / 0.9).
//
// A lease belongs to the view it was granted in, for the holds count as a quorum of that view's members only. A server
// that a view removes may have one still: fence_ms says how long nobody takes its place. After a takeover that is the
// longest hold that a promise told of: a quorum of them meets the quorum that any lease of the view rests on.
#include <algorithm>
#include <utility>

#include "ring/core.h"

namespace rk::ring {

// Our time since which a quorum of the committed view holds for us.
std::optional<std::uint64_t> Core::held_since() const {
  if (!leads() || is_overridden()) return std::nullopt;
  if (config_.planted_bug == PlantedBug::kNoLeaderLease) return now_ms_;
  const View& view = memory_.committed;
  const std::size_t size = view.members.size();
  const std::size_t others = view.number ? (size + 1) / 2 - 1 : size / 2;  // that a quorum needs beside rank 0
  if (others == 0) return now_ms_;
  // What was found stands until enough hold from a later time.
  if (!held_since_ || held_since_->later >= others) {
    std::vector<std::uint64_t> times;
    for (const auto& [node, peer] : peers_)
      if (is_voter(node, peer.memory_since)) times.push_back(peer.held_ms);
    HeldSince held;
    if (times.size() >= others) {
      const auto oldest = times.begin() + static_cast<std::ptrdiff_t>(others) - 1;
      std::nth_element(times.begin(), oldest, times.end(), std::greater<>());
      held.since_ms = *oldest;
    }
    held.later = static_cast<std::size_t>(
        std::count_if(times.begin(), times.end(), [&](std::uint64_t time_ms) { return time_ms > held.since_ms; }));
    held_since_ = held;
  }
  return held_since_->since_ms == 0 ? std::nullopt : std::optional(held_since_->since_ms);
}

std::uint64_t Core::lease_until_ms() const { return state_ == State::kServing ? lease_end() : 0; }

bool Core::needs_lease() const {
  const View& view = memory_.committed;
  return !leaving_ && view.number && installed_.number == view.number && contains(view, self_);
}

std::uint64_t Core::lease_end() const {
  const View& view = memory_.committed;
  if (!needs_lease()) return 0;
  if (!leads()) return lease_view_ == view.number ? lease_until_ms_ : 0;
  const auto since = held_since();
  return since ? *since + config_.timings.lease_ms : 0;
}

// What goes to that server with a message that names the committed view.
wire::RingLease Core::lease_to(NodeId node) const {
  wire::RingLease lease;
  lease.sent_ms = now_ms_;
  lease.hold_ms = static_cast<std::uint32_t>(config_.timings.hold_ms);
  const auto it = peers_.find(node);
  if (it == peers_.end()) return lease;
  const Peer& peer = it->second;
  lease.echo_ms = peer.echo_ms;
  if (node == hold_for_ && holds()) lease.held_ms = hold_from_ms_;
  const auto since = held_since();
  if (since && peer.echo_ms != 0 && !leaving_) {
    // The grant counts from a time before we had the member's message.
    const std::uint64_t end_ms = *since + config_.timings.lease_ms;
    if (end_ms > peer.echo_at_ms)
      lease.grant_ms = static_cast<std::uint32_t>(std::min(end_ms - peer.echo_at_ms, config_.timings.lease_ms));
  }
  return lease;
}

// How long leases may run that rest on our hold for another than that server.
std::uint64_t Core::held_against_ms(NodeId asker) const {
  if (config_.planted_bug == PlantedBug::kNoHold) return 0;
  const std::uint64_t until_ms = std::max(held_before_ms_, hold_for_ == asker ? 0 : hold_until_ms_);
  return until_ms - std::min(until_ms, waited_ms_);
}

// For `leader`, whose message of its time sent_ms this is.
void Core::hold(const Member& leader, std::uint64_t sent_ms) {
  // One that says that it lacks a quorum has nothing to gain from it, and another may have.
  if (peers_[leader.node].helpless_ms) return;
  if (hold_for_ != leader.node) {
    held_before_ms_ = std::max(held_before_ms_, std::exchange(hold_until_ms_, 0));
    hold_from_ms_ = 0;
  }
  hold_for_ = leader.node;
  hold_from_ms_ = std::max(hold_from_ms_, sent_ms);
  hold_until_ms_ = std::max(hold_until_ms_, waited_ms_ + config_.timings.hold_ms);
}

// Notes what a message of `from` says about leases; `committed` is the view that it builds on.
void Core::take_lease(const Member& from, ViewNumber committed, const wire::RingLease& lease) {
  if (lease.hold_ms != config_.timings.hold_ms) {
    timings_differ_ = from.node;
    return;
  }
  note_answer(from.node, lease);
  Peer& peer = peers_[from.node];
  if (lease.sent_ms > peer.echo_ms) {
    peer.echo_ms = lease.sent_ms;
    peer.echo_at_ms = now_ms_;
    peer.echo_waited_ms = waited_ms_;
  }
  // Times of a life before this one are not of this clock.
  const auto ours = [this](std::uint64_t time_ms) { return time_ms >= start_ms_ && time_ms <= now_ms_; };
  if (lease.held_ms > peer.held_ms && ours(lease.held_ms)) note_held(from, lease.held_ms);
  const View& view = memory_.committed;
  if (!committed || committed != view.number || from.node != view.members.front().node) return;
  if (!is_voter(from.node, peer.memory_since)) return;
  // Who has promised a ballot for the next number, whosever, holds no more in this view: another may have decided it.
  if (memory_.promised.round == 0) hold(from, lease.sent_ms);
  if (lease.grant_ms == 0 || !ours(lease.echo_ms)) return;
  if (lease_view_ != committed) lease_until_ms_ = 0;
  lease_view_ = committed;
  lease_until_ms_ = std::max<std::uint64_t>(
      lease_until_ms_, lease.echo_ms + std::min<std::uint64_t>(lease.grant_ms, config_.timings.lease_ms));
}

// Nobody takes the place of servers that are removed before that time has passed.
void Core::fence(std::uint64_t for_ms) {
  if (config_.planted_bug != PlantedBug::kNoFence) fenced_until_ms_ = std::max(fenced_until_ms_, waited_ms_ + for_ms);
}

// How long members that are not in our next view may have a lease still.
std::uint64_t Core::longest_lease_without(const View& next) const {
  std::uint64_t end_ms = waited_ms_;
  for (const Member& member : memory_.committed.members) {
    if (contains(next, member)) continue;
    const auto it = peers_.find(member.node);
    if (it == peers_.end()) continue;
    // Who asks to leave acts no more, and a newer life proves this one's end.
    if (it->second.leaves || superseded(member)) continue;
    // The last that we can have granted, or the leaders before us.
    const std::uint64_t granted_ms = leads() ? std::max(it->second.echo_waited_ms, led_since_ms_) : learned_ms_;
    end_ms = std::max({end_ms, granted_ms + config_.timings.hold_ms, proposal_->leases_end_ms});
  }
  return end_ms - waited_ms_;
}

// Has a quorum that this leader hears not held for it for long? Then members have promised another, which went no
// further: a ballot of the leader's own finds out, and the view that it decides, if only the same one again, wins them
// back.
bool Core::must_win_back() const {
  if (!leads() || !installed_.number || installed_.number != memory_.committed.number) return false;
  const std::uint64_t patience_ms = config_.timings.suspicion_ms;
  return now_ms_ - std::max(held_since().value_or(0), prepared_ms_) >= patience_ms &&
         waited_ms_ - led_since_ms_ >= patience_ms && hears_quorum();
}

}  // namespace rk::ring

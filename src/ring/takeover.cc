// SPDX-License-Identifier: Apache-2.0
// PREPARE, PROMISE: the decision on the next view passes to the next in line.
#include <algorithm>

#include "base/check.h"
#include "ring/core.h"

namespace rk::ring {

// Does the node's vote count for the next number?
bool Core::is_voter(NodeId node, Incarnation memory_since) const {
  const Member* member = find(memory_.committed, node);
  return member != nullptr && may_vote(*member, memory_since);
}

// Silent for certain: of a member that this server does not listen to, silence proves nothing before a probe.
bool Core::is_unheard(const Member& member) const {
  const View& view = memory_.committed;
  const bool listened_to = leads() || member == view.members.front() || successor(view, self_.node) == member;
  if (listened_to) return silent(member);
  const auto it = peers_.find(member.node);
  return it == peers_.end() || probe_failed(it->second);
}

// Has it said for long that it leads and lacks a quorum? It can speak, and hears nobody.
bool Core::is_helpless(const Member& member) const {
  const auto it = peers_.find(member.node);
  return it != peers_.end() && it->second.helpless_ms &&
         now_ms_ - *it->second.helpless_ms >= config_.timings.suspicion_ms;
}

// Can the member not decide the next number, as far as this server knows?
bool Core::is_gone(const Member& member) const {
  if (member.node == self_.node) return !votes();
  const auto it = peers_.find(member.node);
  if (it == peers_.end()) return true;
  const Peer& peer = it->second;
  if (peer.known && !may_vote(member, peer.memory_since)) return true;
  return is_helpless(member) || is_unheard(member);
}

// The first member that may be able to decide the next number; the last one if none is.
const Member& Core::head_of_line() const {
  const auto& line = memory_.committed.members;
  const auto head = std::find_if(line.begin(), line.end(), [&](const Member& member) { return !is_gone(member); });
  return head == line.end() ? line.back() : *head;
}

bool Core::heads_line() const {
  // The first view waits for the servers of the roster to start.
  if (!leads() && !memory_.committed.number && now_ms_ - start_ms_ < config_.timings.formation_ms) return false;
  return votes() && head_of_line().node == self_.node;
}

// Have the members that promised found the same silence? They answer no PREPARE of a member as long as they hear one
// before it in line.
bool Core::found_dead(const Member& member) const {
  if (!preparation_ || !quorum_of(preparation_->promised)) return false;
  const View& view = memory_.committed;
  return rank_of(view, member.node) < rank_of(view, self_.node) && (is_unheard(member) || is_helpless(member));
}

// Without a leader, a member asks the one before it in line whether it is there, if that one does not take over.
void Core::watch_line(Effects& out) {
  const auto& line = memory_.committed.members;
  if (leads() || !votes() || !is_gone(line.front())) return leaderless_ms_.reset();
  if (!leaderless_ms_) leaderless_ms_ = now_ms_;
  if (now_ms_ - *leaderless_ms_ < config_.timings.probe_ms) return;
  const auto self = std::find_if(line.rbegin(), line.rend(), [&](const Member& m) { return m.node == self_.node; });
  const auto before = std::find_if(self + 1, line.rend(), [&](const Member& member) { return !is_gone(member); });
  if (before == line.rend()) return;
  leaderless_ms_ = now_ms_;
  probe(before->node, out);
}

void Core::prepare(Effects& out) {
  // A ballot that was overtaken is followed by a higher one, but not at once: two must not chase each other.
  if (overtaken_by_.round && now_ms_ - prepared_ms_ < config_.timings.propose_ms) return;
  prepared_ms_ = now_ms_;
  Preparation preparation;
  preparation.ballot = {std::max(memory_.promised, overtaken_by_).round + 1, self_.node};
  preparation.promised.insert(self_.node);
  preparation.leases_end_ms = waited_ms_ + held_against_ms(self_.node);
  if (config_.planted_bug != PlantedBug::kNoAdoption) {
    preparation.best = memory_.accepted_ballot;
    preparation.adopted = memory_.accepted;
  }
  memory_.promised = preparation.ballot;
  persist(out);
  preparation.token = last_token_;
  preparation_ = std::move(preparation);
}

void Core::send_prepare(Effects& out) {
  preparation_->sent_ms = now_ms_;
  if (quorum_of(preparation_->promised)) return;
  for (const Member& member : memory_.committed.members)
    if (member.node != self_.node && !preparation_->promised.contains(member.node) && !is_unheard(member))
      send(member.node, wire::RingPrepare{memory_.since, preparation_->ballot, memory_.committed}, out);
}

// A higher ballot than ours is about: what we began with ours can not succeed any more.
void Core::stand_back(Ballot overtaken_by) {
  overtaken_by_ = std::max(overtaken_by_, overtaken_by);
  if (preparation_ && preparation_->ballot < overtaken_by_) preparation_.reset();
  if (proposal_ && proposal_->ballot < overtaken_by_) proposal_.reset();
}

wire::RingPromise Core::promise(NodeId to) const {
  const Memory& memory = memory_;
  return {ViewNumber(memory.committed.number.value + 1),
          memory.promised,
          memory.since,
          memory.accepted_ballot,
          memory.accepted,
          static_cast<std::uint32_t>(held_against_ms(to))};
}

void Core::handle(const Member& from, const wire::RingPrepare& message, Effects& out) {
  note_memory(from.node, message.memory_since);
  if (!same_ground(from, message.committed, out)) return;
  if (!message.ballot.round || !may_use(from, message.ballot, message.memory_since)) {
    ++refused_;
    return;
  }
  if (message.ballot <= memory_.promised) {
    // One that is still being written is answered then.
    if (held_.empty()) send(from.node, promise(from.node), out);
    return;
  }
  asked_ = Asked{from.node, message.ballot};
  for (const Member& member : memory_.committed.members) {
    if (member.node == from.node) break;
    if (member.node != self_.node && !is_gone(member)) probe(member.node, out);
  }
}

// Promises what was asked for once everybody who is in line before the one who asked is gone.
void Core::consider_promise(Effects& out) {
  if (!asked_) return;
  if (asked_->ballot <= memory_.promised) return asked_.reset();
  for (const Member& member : memory_.committed.members) {
    if (member.node == asked_->by) break;
    if (!is_gone(member)) return;
  }
  stand_back(asked_->ballot);
  memory_.promised = asked_->ballot;
  Held& held = persist(out);
  held.effects.emplace_back(Send{asked_->by, promise(asked_->by)});
  asked_.reset();
}

void Core::handle(const Member& from, const wire::RingPromise& message, Effects&) {
  note_memory(from.node, message.memory_since);
  if (message.number.value != memory_.committed.number.value + 1) return;
  if ((message.accepted.number && message.accepted.number != message.number) || message.ballot.round > kMaxRound) {
    ++refused_;
    return;
  }
  stand_back(message.ballot);
  if (!preparation_ || message.ballot != preparation_->ballot) return;
  if (!is_voter(from.node, message.memory_since)) return;
  preparation_->promised.insert(from.node);
  const std::uint64_t held_ms = std::min<std::uint64_t>(message.held_ms, config_.timings.hold_ms);
  preparation_->leases_end_ms = std::max(preparation_->leases_end_ms, waited_ms_ + held_ms);
  if (config_.planted_bug == PlantedBug::kNoAdoption || !message.accepted.number) return;
  if (preparation_->adopted.number && message.accepted_ballot <= preparation_->best) return;
  preparation_->best = message.accepted_ballot;
  preparation_->adopted = message.accepted;
}

}  // namespace rk::ring

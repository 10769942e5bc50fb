// SPDX-License-Identifier: Apache-2.0
// PROPOSE, ACK, COMMIT: one round for the next view.
#include <algorithm>

#include "base/check.h"
#include "ring/core.h"

namespace rk::ring {

// Rank 0 of the committed view, with the memory of all it may have proposed.
bool Core::leads() const {
  const Member& first = memory_.committed.members.front();
  return first.node == self_.node && may_vote(first, memory_.since);
}

bool Core::owns(Ballot ballot) const { return ballot.round == 0 ? leads() : ballot.node == self_.node; }

bool Core::may_use(const Member& from, Ballot ballot, Incarnation memory_since) const {
  if (!is_voter(from.node, memory_since) || ballot.round > kMaxRound) return false;
  const NodeId leader = memory_.committed.members.front().node;
  return ballot.round == 0 ? !ballot.node && from.node == leader : ballot.node == from.node;
}

bool Core::quorum_of(const std::set<NodeId>& voters) const {
  if (config_.planted_bug == PlantedBug::kNoMajority) return true;
  // They are members, each with a vote that counts.
  const View& view = memory_.committed;
  if (config_.planted_bug != PlantedBug::kColdStartByRoster)
    return is_quorum(view, voters.size(), voters.contains(view.members.front().node));
  if (is_quorum(view, [&](const Member& member) { return voters.contains(member.node); })) return true;
  return 2 * voters.size() > config_.roster.size();
}

// What this server has to decide now, if it is the one to decide.
void Core::decide(Effects& out) {
  if (proposal_ || is_overridden()) return;
  // Somebody before this server in line is heard again: promises that were given on his silence are void.
  if (!heads_line()) return preparation_.reset();
  const Memory& memory = memory_;
  if (leaving_ && memory.committed.members.size() == 1) return end_life(out);
  const bool not_overtaken = owns(memory.promised) && memory.promised >= overtaken_by_;
  if (not_overtaken && memory.accepted.number && memory.accepted_ballot == memory.promised) {
    // Proposed in a life before: the only value that this ballot can have.
    take_up_accepted(last_token_);
    return send_durable(out);
  }
  if (preparation_ && !quorum_of(preparation_->promised)) return;
  if (preparation_ && preparation_->adopted.number) return propose(preparation_->adopted, out);
  const bool free_to_choose = preparation_ || (not_overtaken && !memory.promised.round);
  // What no quorum can agree to now is not proposed: the number would be bound to it. Promises show that one can.
  std::optional<View> next;
  if (preparation_ || (hears_quorum() && !all_is_settled())) next = wanted_view();
  if (preparation_ && leads() && !next) next = view_again();
  if (free_to_choose && next) return propose(std::move(*next), out);
  // A leader asks only if it must.
  if (!free_to_choose && (!leads() || memory.accepted.number || next)) return prepare(out);
  if (must_win_back()) prepare(out);
}

void Core::propose(View value, Effects& out) {
  RK_CHECK(value.number.value == memory_.committed.number.value + 1);
  RK_CHECK(!preparation_ || preparation_->ballot == memory_.promised);
  memory_.accepted = std::move(value);
  memory_.accepted_ballot = memory_.promised;
  persist(out);
  take_up_accepted(last_token_);
}

void Core::take_up_accepted(std::uint64_t token) {
  Proposal proposal;
  proposal.ballot = memory_.accepted_ballot;
  proposal.value = memory_.accepted;
  proposal.token = token;
  proposal.voted.insert(self_.node);
  // Of one taken up from a life before it is not known any more.
  proposal.leases_end_ms = preparation_ ? preparation_->leases_end_ms : waited_ms_ + config_.timings.hold_ms;
  if (proposal.ballot.round == 0) proposal.leases_end_ms = 0;
  proposal_ = std::move(proposal);
}

// What has become durable and was not sent yet.
void Core::send_durable(Effects& out) {
  if (preparation_ && preparation_->sent_ms == 0 && preparation_->token <= durable_token_) send_prepare(out);
  if (proposal_ && proposal_->sent_ms == 0 && proposal_->token <= durable_token_) {
    send_proposal(out);
    count_votes(out);
  }
}

void Core::send_proposal(Effects& out) {
  proposal_->sent_ms = now_ms_;
  for (const Member& member : proposal_->value.members)
    if (member.node != self_.node) proposal_->recipients.insert(member.node);
  // Of those who go, the ones that are heard (they leave, or came back) vote and learn the result too.
  for (const Member& member : memory_.committed.members)
    if (member.node != self_.node && hears(member.node)) proposal_->recipients.insert(member.node);
  for (const NodeId node : proposal_->recipients)
    if (!proposal_->acked.contains(node))
      send(node,
           wire::RingPropose{memory_.since, proposal_->ballot, memory_.committed, proposal_->value, lease_to(node)},
           out);
}

// Does the sender of a round build on the view that is committed here? Whoever of the two is behind learns.
bool Core::same_ground(const Member& from, const View& committed, Effects& out) {
  if (committed.number) {
    learn(committed, config_.timings.hold_ms, out);
  } else if (!memory_.committed.number && committed != memory_.committed) {
    roster_differs_ = from.node;
    ++refused_;
    return false;
  }
  if (committed.number == memory_.committed.number) return !conflict_;
  send_commit(from.node, out);
  return false;
}

void Core::handle(const Member& from, const wire::RingPropose& message, Effects& out) {
  note_memory(from.node, message.memory_since);
  if (message.proposed.number.value != message.committed.number.value + 1) {
    ++refused_;
    return;
  }
  if (!same_ground(from, message.committed, out)) return;
  if (!may_use(from, message.ballot, message.memory_since)) {
    ++refused_;
    return;
  }
  if (message.ballot < memory_.promised) {
    if (held_.empty()) send(from.node, promise(from.node), out);
    return;
  }
  take_lease(from, message.committed.number, message.lease);
  if (memory_.accepted.number && memory_.accepted_ballot == message.ballot) {
    if (memory_.accepted != message.proposed)
      conflict_ = true;
    else if (held_.empty())
      send(from.node, acknowledge(from), out);  // otherwise the first ACK is still to come
    return;
  }
  stand_back(message.ballot);
  memory_.accepted = message.proposed;
  memory_.accepted_ballot = memory_.promised = message.ballot;
  // It counts on us if it is to lead.
  if (message.proposed.members.front().node == from.node) hold(from, message.lease.sent_ms);
  Held& held = persist(out);
  if (config_.planted_bug == PlantedBug::kAckBeforeDurable)
    send(from.node, acknowledge(from), out);
  else
    held.effects.emplace_back(Send{from.node, acknowledge(from)});
  if (config_.planted_bug == PlantedBug::kInstallOnPropose) learn(message.proposed, 0, out);
}

wire::RingAck Core::acknowledge(const Member& proposer) const {
  return {memory_.accepted.number, memory_.accepted_ballot, memory_.since, lease_to(proposer.node)};
}

void Core::handle(const Member& from, const wire::RingAck& message, Effects& out) {
  note_memory(from.node, message.memory_since);
  take_lease(from, ViewNumber(), message.lease);
  if (!proposal_ || message.number != proposal_->value.number || message.ballot != proposal_->ballot) return;
  proposal_->acked.insert(from.node);
  if (is_voter(from.node, message.memory_since) || config_.planted_bug == PlantedBug::kColdStartByRoster)
    proposal_->voted.insert(from.node);
  count_votes(out);
}

void Core::count_votes(Effects& out) {
  if (proposal_->token > durable_token_ || !quorum_of(proposal_->voted)) return;
  const View value = proposal_->value;
  const std::set<NodeId> recipients = proposal_->recipients;
  handing_over_ = leaving_ && !find(value, self_.node);
  learn(value, longest_lease_without(value), out);
  for (const NodeId node : recipients) send_commit(node, out);
}

void Core::send_commit(NodeId to, Effects& out) const {
  send(to, wire::RingCommit{memory_.committed, lease_to(to), static_cast<std::uint32_t>(fence_left_ms())}, out);
}

void Core::handle(const Member& from, const wire::RingCommit& message, Effects& out) {
  Peer& peer = peers_[from.node];
  peer.committed = std::max(peer.committed, message.view.number);
  if (!message.view.number) {
    ++refused_;
    return;
  }
  learn(message.view, message.fence_ms, out);
  take_lease(from, message.view.number, message.lease);
}

}  // namespace rk::ring

// SPDX-License-Identifier: Apache-2.0
// PROPOSE, ACK, COMMIT: one round for the next view.
#include <algorithm>

#include "base/check.h"
#include "ring/core.h"

namespace rk::ring {
namespace {

// A vote counts as that of a member if the voter has not lost its memory since that life.
bool may_vote(const Member& member, Incarnation memory_since) { return memory_since <= member.incarnation; }

}  // namespace

// Rank 0 of the committed view, with the memory of all it may have proposed.
bool Core::leads() const {
  const Member& first = memory_.committed.members.front();
  return first.node == self_.node && may_vote(first, memory_.since);
}

void Core::propose(View value, Effects& out) {
  RK_CHECK(leads() && !memory_.accepted.number && value.number.value == memory_.committed.number.value + 1);
  memory_.accepted = std::move(value);
  take_up(memory_.accepted);
  persist(out).proposes = memory_.accepted.number;
}

void Core::take_up(const View& value) {
  Proposal proposal;
  proposal.value = value;
  proposal.voted.insert(self_.node);
  proposal_ = std::move(proposal);
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
      send(node, wire::RingPropose{memory_.since, memory_.committed, proposal_->value}, out);
}

void Core::handle(const Member& from, const wire::RingPropose& message, Effects& out) {
  peers_[from.node].memory_since = message.memory_since;
  if (message.proposed.number.value != message.committed.number.value + 1) {
    ++refused_;
    return;
  }
  if (message.committed.number) {
    learn(message.committed, out);
  } else if (!memory_.committed.number && message.committed != memory_.committed) {
    roster_differs_ = from.node;
    ++refused_;
    return;
  }
  if (memory_.committed.number >= message.proposed.number)
    return send(from.node, wire::RingCommit{memory_.committed}, out);
  const Member& leader = memory_.committed.members.front();
  if (from.node != leader.node || !may_vote(leader, message.memory_since)) {
    ++refused_;
    return;
  }
  const wire::RingAck ack{message.proposed.number, memory_.since};
  if (memory_.accepted.number == message.proposed.number) {
    if (memory_.accepted != message.proposed)
      conflict_ = true;
    else if (held_.empty())
      send(from.node, ack, out);  // otherwise the first ACK is still to come
    return;
  }
  memory_.accepted = message.proposed;
  Held& held = persist(out);
  if (config_.planted_bug == PlantedBug::kAckBeforeDurable)
    send(from.node, ack, out);
  else
    held.effects.emplace_back(Send{from.node, ack});
  if (config_.planted_bug == PlantedBug::kInstallOnPropose) learn(message.proposed, out);
}

void Core::handle(const Member& from, const wire::RingAck& message, Effects& out) {
  peers_[from.node].memory_since = message.memory_since;
  if (!proposal_ || !proposal_->durable || message.number != proposal_->value.number) return;
  proposal_->acked.insert(from.node);
  const Member* member = find(memory_.committed, from.node);
  if (member != nullptr && may_vote(*member, message.memory_since)) proposal_->voted.insert(from.node);
  count_votes(out);
}

void Core::count_votes(Effects& out) {
  const auto voted = [&](const Member& member) { return proposal_->voted.contains(member.node); };
  if (!is_quorum(memory_.committed, voted) && config_.planted_bug != PlantedBug::kNoMajority) return;
  const View value = proposal_->value;
  const std::set<NodeId> recipients = proposal_->recipients;
  handing_over_ = leaving_ && !find(value, self_.node);
  learn(value, out);
  for (const NodeId node : recipients) send(node, wire::RingCommit{value}, out);
}

void Core::handle(const Member& from, const wire::RingCommit& message, Effects& out) {
  Peer& peer = peers_[from.node];
  peer.committed = std::max(peer.committed, message.view.number);
  if (!message.view.number) {
    ++refused_;
    return;
  }
  learn(message.view, out);
}

}  // namespace rk::ring

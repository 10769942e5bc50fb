// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/ring/model_rules.h"

namespace rk::ring {
namespace {

ViewNumber after(ViewNumber number) { return ViewNumber(number.value + 1); }

}  // namespace

void ModelRules::on_sent(NodeId node, const wire::RingMessage& message) {
  if (const auto* it = std::get_if<wire::RingPrepare>(&message)) prepare(node, *it);
  if (const auto* it = std::get_if<wire::RingPromise>(&message)) promise(node, *it);
  if (const auto* it = std::get_if<wire::RingPropose>(&message)) propose(node, *it);
  if (const auto* it = std::get_if<wire::RingAck>(&message)) accept(node, *it);
}

void ModelRules::on_delivered(NodeId node, const Member& from, const wire::RingMessage& message) {
  Heard& heard = heard_[node];
  const auto told = [&](ViewNumber committed) { heard.committed = std::max(heard.committed, committed); };
  const auto counts = [&](ViewNumber number, Incarnation memory_since) {
    const View* before = checker_.committed(ViewNumber(number.value - 1));
    const Member* voter = before != nullptr ? find(*before, from.node) : nullptr;
    return voter != nullptr && may_vote(*voter, memory_since);
  };
  if (const auto* commit = std::get_if<wire::RingCommit>(&message)) told(commit->view.number);
  if (const auto* propose = std::get_if<wire::RingPropose>(&message)) told(propose->committed.number);
  if (const auto* prepare = std::get_if<wire::RingPrepare>(&message)) told(prepare->committed.number);
  if (const auto* it = std::get_if<wire::RingPromise>(&message); it != nullptr && counts(it->number, it->memory_since))
    heard.promises[{it->number, it->ballot}].try_emplace(from.node, Told{it->accepted_ballot, it->accepted});
  if (const auto* it = std::get_if<wire::RingAck>(&message); it != nullptr && counts(it->number, it->memory_since))
    heard.acks[{it->number, it->ballot}].insert(from.node);
}

void ModelRules::on_durable(NodeId node, const Memory& memory) {
  const Memory& before = checker_.durable(node);
  // A ballot of its own is its own first promise.
  if (memory.promised.round != 0 && memory.promised.node == node && is_voter(memory.committed, node))
    own_promises_.try_emplace({after(memory.committed.number), memory.promised},
                              Told{memory.accepted_ballot, memory.accepted});
  const Slot accepted{memory.accepted.number, memory.accepted_ballot};
  if (memory.accepted.number && owns(node, memory.committed, memory.accepted_ballot) && !proposed_.contains(accepted))
    choose(node, before, memory);
  if (memory.committed.number <= before.committed.number || heard_[node].committed >= memory.committed.number) return;
  // The model has no operator, whose word takes the place of a quorum: one view, made where he asked for it, by a voter
  // of the view that it goes on from.
  if (checker_.is_override(node, memory.committed) && memory.committed.overridden.from == before.committed.number &&
      is_voter(before.committed, node))
    return;
  if (!can_commit(node, memory.committed))
    checker_.violate("server " + std::to_string(node.value) + " commits " + to_text(memory.committed) +
                     " without the ACKs of a quorum, and nobody told it");
}

// A ballot of its own, which it has promised itself first, as a voter of the view before.
void ModelRules::prepare(NodeId node, const wire::RingPrepare& message) {
  const ViewNumber number = after(message.committed.number);
  if (message.ballot.node != node || !own_promises_.contains({number, message.ballot}))
    violate(node, "prepares a ballot that is not its own", number, message.ballot);
}

// The ballot's owner has prepared it, and what the PROMISE tells is what the server has accepted.
void ModelRules::promise(NodeId node, const wire::RingPromise& message) {
  if (message.ballot.round != 0 && !own_promises_.contains({message.number, message.ballot}))
    violate(node, "promises what nobody prepared", message.number, message.ballot);
  const Memory& memory = checker_.durable(node);
  if (message.number != after(memory.committed.number)) return;
  if (message.accepted != memory.accepted || message.accepted_ballot != memory.accepted_ballot)
    violate(node, "promises, and tells of another value than it has accepted", message.number, message.ballot);
}

// What a ballot's owner accepts is what it proposes: the only value of that ballot, again after a restart too.
void ModelRules::propose(NodeId node, const wire::RingPropose& message) {
  const Slot slot{message.proposed.number, message.ballot};
  const auto proposal = proposed_.find(slot);
  if (proposal == proposed_.end() || proposal->second != message.proposed ||
      !owns(node, message.committed, message.ballot))
    violate(node, "proposes what it has not accepted", slot.first, slot.second);
}

void ModelRules::choose(NodeId node, const Memory& before, const Memory& memory) {
  const Slot slot{memory.accepted.number, memory.accepted_ballot};
  if (!is_voter(memory.committed, node)) violate(node, "proposes and is no voter", slot.first, slot.second);
  if (slot.second.round != 0) {
    take_over(node, memory);
  } else if (before.committed == memory.committed && before.promised.round != 0) {
    violate(node, "proposes by ballot 0 and has promised another", slot.first, slot.second);
  }
  proposed_[slot] = memory.accepted;
}

// With the promises of a quorum: the value of the highest ballot that they tell of, or any if they tell of none.
void ModelRules::take_over(NodeId node, const Memory& memory) {
  const View& view = memory.committed;
  const Slot slot{memory.accepted.number, memory.accepted_ballot};
  std::map<NodeId, Told> told = heard_[node].promises[slot];
  if (const auto own = own_promises_.find(slot); own != own_promises_.end()) told.try_emplace(node, own->second);
  std::set<NodeId> free;
  std::map<Ballot, View> values;
  for (const auto& [voter, it] : told) {
    if (it.value.number) {
      values.try_emplace(it.ballot, it.value);
    } else {
      free.insert(voter);
    }
  }
  if (RingChecker::quorum(view, free)) return;
  // A quorum tells of something, whichever part of the promises it was that the taker went by.
  std::set<NodeId> below = free;
  for (const auto& [ballot, value] : values) {
    for (const auto& [voter, it] : told)
      if (it.value.number && it.ballot == ballot) below.insert(voter);
    if (RingChecker::quorum(view, below) && value == memory.accepted) return;
  }
  violate(node, "takes over without a quorum of promises, or adopts another value than they tell of", slot.first,
          slot.second);
}

// Its owner has proposed that value, and it is durable.
void ModelRules::accept(NodeId node, const wire::RingAck& message) {
  const auto proposal = proposed_.find({message.number, message.ballot});
  if (proposal == proposed_.end())
    return violate(node, "acknowledges what nobody proposed", message.number, message.ballot);
  const Memory& memory = checker_.durable(node);
  if (message.number == after(memory.committed.number) &&
      (memory.accepted_ballot != message.ballot || memory.accepted != proposal->second))
    violate(node, "acknowledges another value than it has accepted", message.number, message.ballot);
}

// ACKs of a quorum for one ballot of its own, its own acceptance among them.
bool ModelRules::can_commit(NodeId node, const View& value) const {
  const View* before = checker_.committed(ViewNumber(value.number.value - 1));
  const auto heard = heard_.find(node);
  if (before == nullptr || heard == heard_.end()) return false;
  for (const auto& [slot, proposal] : proposed_) {
    const Ballot ballot = slot.second;
    if (slot.first != value.number || proposal != value || !owns(node, *before, ballot)) continue;
    const auto acks = heard->second.acks.find(slot);
    std::set<NodeId> voters;
    if (acks != heard->second.acks.end()) voters = acks->second;
    const Memory& memory = checker_.durable(node);
    if (memory.accepted == value && memory.accepted_ballot == ballot && is_voter(*before, node)) voters.insert(node);
    if (RingChecker::quorum(*before, voters)) return true;
  }
  return false;
}

// Ballot 0 is rank 0's of the view before.
bool ModelRules::owns(NodeId node, const View& view, Ballot ballot) {
  return ballot.round != 0 ? ballot.node == node : view.members.front().node == node;
}

// May the server's vote count as that of a member of the view?
bool ModelRules::is_voter(const View& view, NodeId node) const {
  const Member* member = find(view, node);
  return member != nullptr && may_vote(*member, checker_.memory_since(node));
}

void ModelRules::violate(NodeId node, const std::string& what, ViewNumber number, Ballot ballot) {
  checker_.violate("server " + std::to_string(node.value) + " " + what + ": view " + std::to_string(number.value) +
                   ", ballot " + to_text(ballot));
}

}  // namespace rk::ring

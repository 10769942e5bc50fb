// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/ring/ring_checker.h"

#include <algorithm>

namespace rk::ring {

RingChecker::RingChecker(const std::vector<RosterEntry>& roster) {
  View zero;
  for (const RosterEntry& entry : roster) {
    addresses_[entry.node] = entry.address;
    racks_[entry.node] = entry.rack;
    if (entry.witness) witness_ = entry.node;
    zero.members.push_back({entry.node, Incarnation()});
    memory_since_[entry.node] = Incarnation();
  }
  auto& members = zero.members.edit();
  std::sort(members.begin(), members.end());
  const auto witness =
      std::find_if(members.begin(), members.end(), [this](const Member& member) { return member.node == witness_; });
  if (witness != members.end()) std::rotate(witness, witness + 1, members.end());
  committed_[0] = zero;
}

void RingChecker::violate(const std::string& what) {
  if (violation_.empty()) violation_ = what;
}

void RingChecker::on_start(const Member& self, bool memory_lost) {
  heard_of_.erase(self.node);
  if (!memory_lost) return;
  memory_since_[self.node] = self.incarnation;
  durable_.erase(self.node);
}

void RingChecker::on_durable(NodeId node, const Memory& memory) {
  check_ballots(node, durable_[node], memory);
  durable_[node] = memory;
  if (memory.accepted.number) {
    auto& ballots = accepted_[memory.accepted.number.value];
    Accepted& accepted = ballots.try_emplace(memory.accepted_ballot, Accepted{memory.accepted, {}}).first->second;
    if (accepted.value != memory.accepted)
      violate("two values were accepted in ballot " + to_text(memory.accepted_ballot) + ": " + to_text(accepted.value) +
              " and " + to_text(memory.accepted));
    accepted.by.try_emplace(node, memory_since_.at(node));
  }
  if (memory.committed.number) on_committed(memory.committed);
}

void RingChecker::check_ballots(NodeId node, const Memory& before, const Memory& memory) {
  if (before.committed.number != memory.committed.number) return;
  const std::string who = "server " + std::to_string(node.value);
  if (memory.promised < before.promised) violate(who + " takes back what it has promised");
  if (memory.accepted_ballot > memory.promised) violate(who + " accepts more than it has promised");
  if (memory.accepted != before.accepted && memory.accepted_ballot < before.promised)
    violate(who + " accepts a lower ballot than it has promised");
}

void RingChecker::on_sent(NodeId node, const wire::RingMessage& message) {
  const Memory& memory = durable_[node];
  const std::string who = "server " + std::to_string(node.value);
  const auto of_next = [&](ViewNumber number) { return number.value == memory.committed.number.value + 1; };
  if (const auto* promise = std::get_if<wire::RingPromise>(&message))
    if (of_next(promise->number) && memory.promised < promise->ballot) violate(who + " promises before it is durable");
  if (const auto* ack = std::get_if<wire::RingAck>(&message))
    if (of_next(ack->number) && (!memory.accepted.number || memory.accepted_ballot < ack->ballot))
      violate(who + " acknowledges before it is durable");
  if (const auto* commit = std::get_if<wire::RingCommit>(&message)) on_committed(commit->view);
}

void RingChecker::on_told(NodeId node, ViewNumber committed) { told_[node] = std::max(told_[node], committed); }

void RingChecker::on_heard_of(NodeId node, ViewNumber committed) {
  heard_of_[node] = std::max(heard_of_[node], committed);
}

void RingChecker::on_acts(const Member& self, const View& view) {
  const ViewNumber newest = heard_of_[self.node];
  if (generation(newest) > generation(view.number))
    violate("server " + std::to_string(self.node.value) + " may act in " + to_text(view) +
            " although it has heard of view " + std::to_string(newest.value) + " of a newer generation");
}

void RingChecker::on_override(const Member& by) {
  const ViewNumber from = durable_[by.node].committed.number;
  overridden_by_[generation(from) + 1] = by;
}

bool RingChecker::is_override(NodeId by, const View& view) const {
  const auto asked = overridden_by_.find(generation(view.number));
  if (asked == overridden_by_.end() || asked->second.node != by || view.overridden.by != by) return false;
  const auto first = first_views_.find(asked->first);
  return first == first_views_.end() ? contains(view, asked->second) : first->second == view;
}

const View* RingChecker::committed(ViewNumber number) const {
  const auto it = committed_.find(number.value);
  return it == committed_.end() ? nullptr : &it->second;
}

// The rule of the ring, written down once more: more than half, or exactly half with rank 0, but for the first view.
bool RingChecker::quorum(const View& view, const std::set<NodeId>& votes) {
  const std::size_t needed = view.number ? view.members.size() : view.members.size() + 1;
  if (2 * votes.size() > view.members.size()) return true;
  return 2 * votes.size() >= needed && votes.contains(view.members.front().node);
}

void RingChecker::on_committed(const View& view) {
  const std::uint64_t number = view.number.value;
  const auto [it, first] = committed_.try_emplace(number, view);
  if (!first) {
    if (it->second != view) violate("two values were committed: " + to_text(it->second) + " and " + to_text(view));
    return;
  }
  const std::uint64_t current = generation(view.number);
  if (overridden_by_.contains(current) && !first_views_.contains(current)) {
    first_views_[current] = view;
    if (view.members.front() != overridden_by_[current] || view.overridden.by != view.members.front().node)
      violate(to_text(view) + " is not led by the server that was asked for it");
    check_lives({}, view);
    return check_placement({}, view);
  }
  const auto before = committed_.find(number - 1);
  if (before == committed_.end()) return violate(to_text(view) + " was committed, but not the one before");
  if (view.overridden != before->second.overridden)
    violate(to_text(view) + " names another override than the view before");
  check_successor(before->second, view);
  check_placement(before->second, view);
}

// The rule of the ring's order, written down once more.
void RingChecker::check_placement(const View& before, const View& view) {
  std::map<std::string, std::size_t> racks;
  std::size_t most = 0;
  std::size_t pairs = 0;
  bool moved = false;
  const NodeId witness = find(view, witness_) == nullptr ? NodeId() : witness_;
  const auto holds = [&](const Member& member) { return view.ring.rank_of(member.node).has_value(); };
  if (view.witness != witness || (witness && view.ring.rank_of(witness)))
    violate(to_text(view) + " has not the witness of the roster, or copies at it");
  if (witness && view.members.size() > 1 && view.members.front().node == witness)
    violate(to_text(view) + " is led by the witness");
  counts_.single += witness && view.members.size() == 2 ? 1U : 0U;
  for (const Member& member : view.members) {
    if (member.node == witness) continue;
    if (!holds(member)) violate(to_text(view) + " has no place for server " + std::to_string(member.node.value));
    const std::string& rack = racks_[member.node];
    if (!rack.empty()) most = std::max(most, ++racks[rack]);
    const auto keeper = predecessor(view, member.node);
    if (keeper && !rack.empty() && racks_[keeper->node] == rack) ++pairs;
    const auto old = before.number ? predecessor(before, member.node) : std::nullopt;
    moved = moved || (old && keeper && keeper->node != old->node && find(view, old->node) != nullptr);
  }
  const std::size_t size = view.members.size() - (witness ? 1 : 0);
  const std::size_t unavoidable = size < 2 ? 0 : 2 * most - std::min(2 * most, size);
  if (pairs != unavoidable)
    violate(to_text(view) + " has " + std::to_string(pairs) + " neighbours of one rack, where " +
            std::to_string(unavoidable) + " would do");
  std::vector<NodeId> ranks;
  for (const Member& member : view.members)
    if (member.node != witness) ranks.push_back(member.node);
  counts_.apart += ranks == view.ring.entries() ? 0U : 1U;
  counts_.moved += moved ? 1U : 0U;
}

void RingChecker::check_successor(const View& before, const View& view) {
  bool decided = false;
  bool accepted_before = false;
  for (const auto& [ballot, accepted] : accepted_[view.number.value]) {
    if (decided || accepted.value != view) continue;
    std::set<NodeId> voters;
    for (const Member& member : before.members) {
      const auto vote = accepted.by.find(member.node);
      if (vote != accepted.by.end() && may_vote(member, vote->second)) voters.insert(member.node);
    }
    decided = quorum(before, voters);
    if (decided) {
      counts_.takeovers += ballot.round != 0 ? 1U : 0U;
      counts_.adopted += accepted_before ? 1U : 0U;
      counts_.ties += 2 * voters.size() == before.members.size() ? 1U : 0U;
      std::set<NodeId> holders = voters;
      holders.erase(before.witness);
      counts_.witness_votes += quorum(before, holders) ? 0U : 1U;
    }
    accepted_before = true;
  }
  if (!decided) violate(to_text(view) + " was committed without a quorum of " + to_text(before));
  check_lives(before, view);
}

void RingChecker::check_lives(const View& before, const View& view) {
  const std::uint64_t current = generation(view.number);
  for (const Member& member : view.members) {
    const bool stays = before.members.empty() || contains(before, member);
    bool older = false;
    for (const auto& [of, lives] : newest_life_) {
      const auto newest = lives.find(member.node);
      if (of > current || newest == lives.end()) continue;
      // A view of an older generation may have named it, as long as it did not act there (check_generation).
      const bool again = !stays && of == current && member.incarnation == newest->second;
      older = older || again || member.incarnation < newest->second;
    }
    if (older) violate(to_text(view) + " brings back an older life of server " + std::to_string(member.node.value));
    Incarnation& newest = newest_life_[current][member.node];
    newest = std::max(newest, member.incarnation);
  }
}

void RingChecker::on_installed(const Member& self, const View& view) {
  const std::string who = "server " + std::to_string(self.node.value);
  on_committed(view);
  if (!contains(view, self)) violate(who + " acts in " + to_text(view) + ", which does not contain it");
  const auto own = [&](const auto& ballots) {
    return std::any_of(ballots.begin(), ballots.end(), [&](const auto& entry) {
      return entry.second.value == view && (entry.first.round ? entry.first.node == self.node : leads(self.node, view));
    });
  };
  if (!is_override(self.node, view) && !own(accepted_[view.number.value]) && told_[self.node] < view.number)
    violate(who + " acts in " + to_text(view) + " before it was told of the commit");
  auto& [life, number] = installed_[self.node];
  const bool rises = self.incarnation == life ? view.number >= number : self.incarnation > life && view.number > number;
  if (self.incarnation == life) check_generation(self, number, view);
  if (!rises) violate(who + " goes back to " + to_text(view) + " after view " + std::to_string(number.value));
  life = self.incarnation;
  number = view.number;
}

void RingChecker::check_generation(const Member& self, ViewNumber before, const View& view) {
  const auto first = first_views_.find(generation(view.number));
  if (generation(before) == generation(view.number) || first == first_views_.end()) return;
  if (!contains(first->second, self))
    violate("server " + std::to_string(self.node.value) + " acts in " + to_text(view) +
            " with what it holds of the generation before");
}

// Was the node rank 0 of the view before?
bool RingChecker::leads(NodeId node, const View& view) const {
  const auto before = committed_.find(view.number.value - 1);
  return before != committed_.end() && before->second.members.front().node == node;
}

void RingChecker::on_wedged(const Member& self, const Wedged& wedged) {
  const std::string who = "server " + std::to_string(self.node.value);
  if (wedged.reason.empty()) return violate(who + " wedges without a reason");
  if (!wedged.server) return violate(who + " wedges without naming a server: " + wedged.reason);
  const bool named = wedged.reason.find(addresses_[wedged.server]) != std::string::npos;
  if (!named && wedged.server != self.node) violate(who + " wedges without naming the server: " + wedged.reason);
}

const View& RingChecker::newest_committed() const {
  const View* newest = &committed_.at(0);
  for (const auto& [node, memory] : durable_)
    if (memory.committed.number > newest->number) newest = &memory.committed;
  return *newest;
}

bool RingChecker::beyond_recovery(const View& view) const {
  std::set<NodeId> voters;
  for (const Member& member : view.members)
    if (memory_since_.at(member.node) <= member.incarnation) voters.insert(member.node);
  return !quorum(view, voters);
}

}  // namespace rk::ring

// SPDX-License-Identifier: Apache-2.0
// Joining, leaving, and what the next view should be.
#include <algorithm>

#include "ring/core.h"

namespace rk::ring {

void Core::ask_for_membership(Effects& out) {
  const View& view = memory_.committed;
  if (contains(view, self_)) {
    if (leaving_ && !leads()) send(view.members.front().node, wire::RingLeave{view.number}, out);
    return;
  }
  if (leaving_ || ends_this_life(view) || overridden_by(view)) return;
  const wire::RingJoin join{view.number, memory_.since};
  // In a large ring who should decide and some others: whoever is asked tells who does. Each time others.
  const std::size_t servers = config_.roster.size();
  const bool all = peers_.others() <= kAskedAtOnce;
  const NodeId head = all ? NodeId() : head_of_line().node;
  if (head && head != self_.node) send(head, join, out);
  for (std::size_t i = 0; i < (all ? servers : kAskedAtOnce); ++i) {
    const NodeId node = config_.roster[asked_turn_++ % servers].node;
    if (node != self_.node && node != head) send(node, join, out);
  }
}

void Core::handle(const Member& from, const wire::RingJoin& message, Effects& out) {
  Peer& peer = peers_[from.node];
  peer.committed = message.committed;
  note_generation(from.node, message.committed);
  note_memory(from.node, message.memory_since);
  peer.joins = true;
  count_again(from.node, peer);
  heal(from.node, message.committed, out);
  send_heartbeat(from.node, false, out);
}

void Core::handle(const Member& from, const wire::RingLeave& message, Effects& out) {
  peers_[from.node].leaves = contains(memory_.committed, from);
  count_again(from.node);
  heal(from.node, message.committed, out);
}

// Does the node ask for a place, in a life that can still have one? One that is in the view, or that a view has ended,
// does not join: it has missed a COMMIT.
bool Core::rejoins(NodeId node) const {
  const auto it = peers_.find(node);
  if (it == peers_.end() || !it->second.joins || !hears(node)) return false;
  const auto names_it = [&](const Member& member) {
    return member.node == node && member.incarnation >= it->second.incarnation;
  };
  const View& view = memory_.committed;
  return !view.number || (std::none_of(view.members.begin(), view.members.end(), names_it) &&
                          std::none_of(view.retired.begin(), view.retired.end(), names_it));
}

// Is the member to be in the next view, in this life?
bool Core::stays(const Member& member) const {
  if (member.node == self_.node) return member == self_ && !leaving_;
  const auto it = peers_.find(member.node);
  if (it == peers_.end()) return false;
  if (it->second.leaves) return false;
  // A newer life proves this one dead; it is given the time to ask for its place, so that one change does both.
  if (superseded(member)) return hears(member.node) && !it->second.joins;
  return !found_dead(member) && !(silent(member) && confirmed_dead(member));
}

View Core::wanted_first_view() const {
  View next;
  for (const Member& entry : memory_.committed.members) {
    if (entry.node == self_.node)
      next.members.push_back(self_);
    else if (rejoins(entry.node))
      next.members.push_back({entry.node, peers_.at(entry.node).incarnation});
  }
  return next;
}

// The view that follows from what is known now; nullopt if it is the committed one.
std::optional<View> Core::wanted_view() const {
  const View& view = memory_.committed;
  View next;
  if (!view.number) {
    next = wanted_first_view();
    const bool waited = now_ms_ - start_ms_ >= config_.timings.formation_ms;
    if (next.members.size() < view.members.size() && !waited) return std::nullopt;
  } else {
    for (const Member& member : view.members) {
      if (stays(member))
        next.members.push_back(member);
      else if (member.node == self_.node && !leaving_)
        next.members.push_back(self_);
      else if (rejoins(member.node))
        next.members.push_back({member.node, peers_.at(member.node).incarnation});
    }
    for (const auto& [node, peer] : peers_)
      if (!find(view, node) && rejoins(node)) next.members.push_back({node, peer.incarnation});
    // The last one keeps the light on until it is alone.
    if (next.members.empty()) next.members.push_back(self_);
    // Nor is the lead left to a server that may be dead.
    if (leaving_ && !hears(next.members.front().node)) return std::nullopt;
    if (next.members == view.members) return std::nullopt;
  }
  next.number = ViewNumber(view.number.value + 1);
  next.overridden = view.overridden;
  // Nobody has copies before the first view.
  arrange(next, view.number ? view.ring.entries() : std::vector<NodeId>(), racks_, witness_);
  for (const auto* list : {&view.retired, view.number ? &view.members : &view.retired})
    for (const Member& member : *list) {
      const bool noted = std::any_of(next.retired.begin(), next.retired.end(),
                                     [&](const Member& retired) { return retired.node == member.node; });
      if (!find(next, member.node) && !noted) next.retired.push_back(member);
    }
  std::sort(next.retired.edit().begin(), next.retired.edit().end());
  if (view.number)
    for (const Member& member : view.members)
      if (find(next, member.node) && !contains(next, member)) next.succeeded.push_back(member);
  return next;
}

// The same members under the next number.
View Core::view_again() const {
  View next = memory_.committed;
  ++next.number.value;
  next.succeeded = {};
  return next;
}

// A leader that was cut off has not listened either: with the quorum back, everybody gets the full time to be heard.
void Core::watch_quorum() {
  if (!leads()) return;
  const bool hears_it = hears_quorum();
  if (hears_it && !heard_quorum_) {
    forgive_all();
    for (auto& [node, peer] : peers_) peer.accused_ms.clear();
  }
  heard_quorum_ = hears_it;
}

// A leader that has left makes sure that the next one knows that it leads.
void Core::hand_over(Effects& out) {
  if (!handing_over_) return;
  const Member next = memory_.committed.members.front();
  const auto it = peers_.find(next.node);
  if (it == peers_.end() || it->second.committed >= memory_.committed.number || silent(next)) return end_life(out);
  send_commit(next.node, out);
  send_heartbeat(next.node, true, out);
}

}  // namespace rk::ring

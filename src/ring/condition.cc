// SPDX-License-Identifier: Apache-2.0
// May this server act, and if not, which server is missing.
#include <algorithm>

#include "ring/core.h"

namespace rk::ring {

std::string Core::name(NodeId node) const {
  const auto rank = config_.roster.rank_of(node);
  return "server " + std::to_string(node.value) + " (" + (rank ? config_.roster[*rank].address : "not in the roster") +
         ")";
}

std::string Core::names(const std::vector<NodeId>& nodes) const {
  constexpr std::size_t kNamed = 8;
  std::string text;
  for (std::size_t i = 0; i < std::min(nodes.size(), kNamed); ++i) text += (i == 0 ? "" : ", ") + name(nodes[i]);
  if (nodes.size() > kNamed) text += " and " + std::to_string(nodes.size() - kNamed) + " more";
  return text;
}

Core::Fault Core::first_view_fault() const {
  const View& roster = memory_.committed;
  if (roster_differs_)
    return {roster_differs_, name(roster_differs_) + " has another roster than this server; give both the same"};
  if (now_ms_ - start_ms_ < config_.timings.formation_ms) return {};
  if (memory_.since)
    return {self_.node, "this server has lost its memory of the ring; start the others, which can admit it again"};
  if (!heads_line()) {
    const NodeId head = head_of_line().node;
    return {head, name(head) + " has not formed the first view yet; see what it waits for"};
  }
  std::vector<NodeId> missing;
  for (const Member& member : roster.members) {
    const auto it = peers_.find(member.node);
    if (it != peers_.end() && (!hears(member.node) || it->second.memory_since)) missing.push_back(member.node);
  }
  if (hears_quorum()) {
    if (!proposal_) return {};
    for (const NodeId node : proposal_->recipients)
      if (!proposal_->acked.contains(node))
        return {node, name(node) + " does not accept the first view; see its own reason"};
  }
  if (missing.empty()) return {};
  return {missing.front(), "the first view needs more than half of the roster's " +
                               std::to_string(roster.members.size()) +
                               " servers with their memory; missing: " + names(missing)};
}

// Without a quorum: who is not there, or is no voter.
Core::Fault Core::quorum_fault() const {
  const View& view = memory_.committed;
  std::vector<NodeId> missing;
  for (const Member& member : view.members)
    if (member.node != self_.node && (superseded(member) ? !hears(member.node) : is_unheard(member)))
      missing.push_back(member.node);
  // Heard, but without the memory of the view, or not heard yet: not silent, and no voter all the same.
  if (missing.empty() && now_ms_ - start_ms_ >= config_.timings.suspicion_ms)
    for (const Member& member : view.members)
      if (member.node != self_.node && (superseded(member) || !hears(member.node))) missing.push_back(member.node);
  if (missing.empty()) return {};
  return {missing.front(),
          "no quorum of view " + std::to_string(view.number.value) + " answers (missing: " + names(missing) +
              "); restart them with their state, or see `ringkeep override` if they are gone for good"};
}

Core::Fault Core::leader_fault() const {
  if (!hears_quorum()) return quorum_fault();
  const View& view = memory_.committed;
  const Member& other = view.members.back();
  // Without its witness a server loses nothing but the next majority.
  if (view.members.size() == 2 && other.node != view.witness && !superseded(other) && silent(other))
    return {other.node, name(other.node) + " is silent, and no third server can tell whether it is dead; restart it"};
  return {};
}

// The leader is gone, and another member is to take over.
Core::Fault Core::line_fault() const {
  const View& view = memory_.committed;
  const Member& leader = view.members.front();
  const auto it = peers_.find(leader.node);
  const bool forgot = it != peers_.end() && it->second.known && !may_vote(leader, it->second.memory_since);
  std::string reason = name(leader.node) + ", which leads view " + std::to_string(view.number.value) + ", " +
                       (forgot               ? "has lost its memory"
                        : is_unheard(leader) ? "is silent"
                                             : "hears no quorum");
  if (heads_line()) {
    const bool for_long = now_ms_ - leaderless_ms_.value_or(now_ms_) >= config_.timings.probe_ms;
    const Fault quorum = for_long ? quorum_fault() : Fault{};
    if (!quorum.reason.empty())
      reason += ", and " + quorum.reason;
    else
      reason += "; this server takes over";
  } else if (is_gone(head_of_line())) {
    reason += ", and no member can take over; restart it with its state";
  } else {
    reason += "; " + name(head_of_line().node) + " is to take over";
  }
  return {leader.node, std::move(reason)};
}

Core::Fault Core::member_fault() const {
  const View& view = memory_.committed;
  const Member leader = view.members.front();
  const std::string role = ", which leads view " + std::to_string(view.number.value) + ",";
  if (leader.node == self_.node)
    return {self_.node, "this server led view " + std::to_string(view.number.value) +
                            " and has lost its memory of it; wait until the others have taken over"};
  if (is_gone(leader)) return line_fault();
  const auto it = peers_.find(leader.node);
  if (it != peers_.end() && it->second.missing)
    return {it->second.missing, name(it->second.missing) + " is missing, so that " + name(leader.node) + role +
                                    " can not act; restart the missing one"};
  if (superseded(leader))
    return {leader.node, name(leader.node) + role + " has restarted and does not lead again yet; wait for it"};
  if (!contains(view, self_) && now_ms_ - start_ms_ >= config_.timings.formation_ms)
    return {leader.node, name(leader.node) + role + " has not admitted this server yet; see what it waits for"};
  return {};
}

void Core::watch_lease() {
  if (!needs_lease() || lease_end() > now_ms_)
    unleased_ms_.reset();
  else if (!unleased_ms_)
    unleased_ms_ = now_ms_;
}

// Everybody seems to be there, and still there is no lease: somebody does not hear.
Core::Fault Core::lease_fault() const {
  if (!unleased_ms_ || now_ms_ - *unleased_ms_ < config_.timings.suspicion_ms) return {};
  const View& view = memory_.committed;
  const std::string of_view = "view " + std::to_string(view.number.value);
  if (!leads()) {
    const NodeId leader = view.members.front().node;
    return {leader,
            name(leader) + ", which leads " + of_view +
                ", gives this server no lease: it does not hear this server or has no quorum; see its reason and "
                "the network between the two"};
  }
  std::vector<NodeId> missing;
  for (const Member& member : view.members) {
    const auto it = peers_.find(member.node);
    if (it != peers_.end() && now_ms_ - it->second.held_ms >= config_.timings.lease_ms) missing.push_back(member.node);
  }
  if (missing.empty()) return {};
  return {missing.front(), "no quorum of " + of_view + " confirms that this server leads it (missing: " +
                               names(missing) + "); see their reasons and the network to them"};
}

Core::Fault Core::find_fault() const {
  if (handing_over_) return {};
  if (timings_differ_)
    return {timings_differ_, name(timings_differ_) + " has other timings of the ring; give every server the same"};
  if (conflict_)
    return {NodeId(), "two different views with the same number were seen; end the ring, its memory is inconsistent"};
  if (memory_.committed.number && is_overridden())
    return {told_by_, name(told_by_) +
                          " has gone on in a newer generation, by an operator's override; this server "
                          "joins it as soon as the two can talk to each other"};
  const wire::RingOverride& newest = memory_.committed.overridden;
  if (installed_.number && installed_.overridden != newest)
    return {newest.by, "an operator's override at " + name(newest.by) + " is about to take effect here"};
  if (!memory_.committed.number) return first_view_fault();
  Fault fault = leads() ? leader_fault() : member_fault();
  return fault.reason.empty() ? lease_fault() : fault;
}

void Core::settle_condition(Effects& out) {
  watch_lease();
  Fault fault = find_fault();
  if (!fault.reason.empty()) {
    if (state_ != State::kWedged || fault.reason != reason_) out.emplace_back(Wedged{fault.server, fault.reason});
    state_ = State::kWedged;
  } else {
    if (state_ == State::kWedged) out.emplace_back(Unwedged{});
    state_ = installed_.number ? State::kServing : State::kForming;
  }
  missing_ = fault.server;
  reason_ = std::move(fault.reason);
}

}  // namespace rk::ring

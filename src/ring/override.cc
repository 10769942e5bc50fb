// SPDX-License-Identifier: Apache-2.0
// An operator goes on without a quorum: the servers that answer this one become a view of the next generation.
//
// The generation is the high part of the view number, so that every view of it is above all views of the generations
// before, whatever those come to: its servers learn it like any newer view, nothing of an older generation is taken for
// newer, and the version numbers of the keep, which contain the view number, rise too. The view names its override.
// Whoever acted in a line of views without that override, and is not in the new view, has ended, even if it has a
// quorum of its own there: what it holds may be of views that are dropped. The new leader tells all servers of the
// roster, members or not; who hears that there is a newer generation acts no more, even before it has learned the view.
//
// Who else may act meanwhile is the operator's word: a majority that was cut off only, and is not gone, goes on until
// it hears of the new generation. What it commits until then is dropped, never merged.
#include <algorithm>

#include "ring/core.h"

namespace rk::ring {

// Is there a newer generation than the one of the views that this server knows?
bool Core::is_overridden() const { return generation(told_) > generation(memory_.committed.number); }

// Has this life acted in a line of views that is dropped?
bool Core::overridden_by(const View& view) const {
  return config_.planted_bug != PlantedBug::kSurviveOverride && installed_.number && installed_.number < view.number &&
         installed_.overridden != view.overridden;
}

// A server says that it knows this view.
void Core::note_generation(NodeId node, ViewNumber committed) {
  if (committed <= told_) return;
  told_ = committed;
  told_by_ = node;
}

std::string Core::override_refusal() const {
  const View& view = memory_.committed;
  if (over() || leaving_ || !ready_) return "this server is about to start or to end; ask one that runs";
  if (!view.number) return "the ring had no view yet, so nothing is lost; start the servers of the roster";
  if (self_.node == witness_) return "this server is the witness, which holds no data; ask one that does";
  if (find(view, self_.node) == nullptr || !votes())
    return "this server is no member of the newest view that it knows, or has lost its memory of it; ask one that has "
           "it";
  if (generation(std::max(view.number, told_)) >= kMaxGeneration)
    return "there have been " + std::to_string(kMaxGeneration) + " overrides; end the ring and start it anew";
  if (timings_differ_ || conflict_) return reason_;
  if (state_ != State::kWedged)
    return "the ring serves view " + std::to_string(view.number.value) +
           ": an override would only lose data; take a "
           "server out by ending it";
  return {};
}

void Core::on(const OverrideRequest& event, Effects& out) {
  if (std::string refusal = override_refusal(); !refusal.empty())
    return out.emplace_back(OverrideRefused{std::move(refusal)}), void();
  override_ = Override{event.at_ms, now_ms_, memory_.committed.number, {}};
}

// Who answers is in the new view: of most servers this one hears nothing unless it asks.
void Core::ask_all(Effects& out) const {
  if (!override_) return;
  for (const RosterEntry& entry : config_.roster)
    if (entry.node != self_.node && !override_->heard.contains(entry.node)) send_heartbeat(entry.node, true, out);
}

// An answer has heard what was sent since; other messages of the dead may be on their way still.
void Core::note_answer(NodeId node, const wire::RingLease& lease) {
  if (override_ && lease.echo_ms > override_->since_ms && lease.echo_ms <= now_ms_) override_->heard.insert(node);
}

void Core::watch_override(Effects& out) {
  if (!override_) return;
  if (override_->from != memory_.committed.number)
    override_ = Override{override_->at_ms, now_ms_, memory_.committed.number, {}};
  if (now_ms_ - override_->since_ms < config_.timings.suspicion_ms) return;
  const Override asked = std::move(*override_);
  override_.reset();
  std::string refusal = override_refusal();
  if (refusal.empty()) refusal = refusal_of_others(asked.heard);
  if (!refusal.empty()) return out.emplace_back(OverrideRefused{std::move(refusal)}), void();
  go_on_without_quorum(asked, out);
}

// What those that have answered have against it.
std::string Core::refusal_of_others(const std::set<NodeId>& heard) const {
  const View& view = memory_.committed;
  const bool quorum = is_quorum(view, [&](const Member& member) {
    if (member.node == self_.node) return votes();
    return heard.contains(member.node) && is_voter(member.node, peers_.at(member.node).memory_since);
  });
  // One of two that leads is half, and may not go on by itself: it can not tell whether the other one is dead.
  const bool alone = view.members.size() == 2 && leads() &&
                     std::none_of(view.members.begin(), view.members.end(),
                                  [&](const Member& member) { return heard.contains(member.node); });
  if (quorum && !alone && !is_overridden())
    return "a quorum of view " + std::to_string(view.number.value) +
           " answers, so the ring can go on by itself; see `ringkeep ring` for what it waits for";
  if (is_overridden() && heard.contains(told_by_))
    return name(told_by_) + " has gone on in a newer generation; wait until this server has joined it";
  return {};
}

void Core::go_on_without_quorum(const Override& asked, Effects& out) {
  const View before = memory_.committed;
  const auto& roster = config_.roster;
  const auto place =
      std::count_if(roster.begin(), roster.end(), [this](const RosterEntry& entry) { return entry.node < self_.node; });
  View next;
  next.number = override_number(std::max(before.number, told_), static_cast<std::size_t>(place), roster.size());
  next.overridden = {self_.node, before.number, asked.at_ms};
  next.members.push_back(self_);
  for (const Member& member : before.members)
    if (asked.heard.contains(member.node)) next.members.push_back({member.node, peers_.at(member.node).incarnation});
  for (const NodeId node : asked.heard)
    if (find(before, node) == nullptr && rejoins(node)) next.members.push_back({node, peers_.at(node).incarnation});
  arrange(next, before.ring.entries(), racks_, witness_);
  for (const auto* list : {&before.retired, &before.members})
    for (Member member : *list) {
      if (find(next, member.node) != nullptr) continue;
      // Of one whose newest life was seen that life is over.
      if (const auto it = peers_.find(member.node); it != peers_.end())
        member.incarnation = std::max(member.incarnation, it->second.incarnation);
      next.retired.push_back(member);
    }
  std::sort(next.retired.edit().begin(), next.retired.edit().end());
  learn(next, config_.timings.hold_ms, out);
  // Told when it is durable; whoever misses it learns by heartbeats.
  Held& held = held_.back();
  for (const Member& member : next.members)
    if (member.node != self_.node)
      held.effects.emplace_back(Send{
          member.node, wire::RingCommit{next, lease_to(member.node), static_cast<std::uint32_t>(fence_left_ms())}});
}

}  // namespace rk::ring

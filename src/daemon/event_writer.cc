// SPDX-License-Identifier: Apache-2.0
#include "daemon/event_writer.h"

#include <utility>
#include <variant>

namespace rk::daemon {
namespace {

wire::ServerEvent event_of(const char* name) {
  wire::ServerEvent event;
  event.event = name;
  return event;
}

wire::ServerLife life_of(const ring::Member& member) { return {member.node, member.incarnation}; }

// The leader watches all, every member the leader and its successor.
std::vector<ring::Member> watched_in(const ring::View& view, NodeId self) {
  if (!ring::rank_of(view, self)) return {};
  if (view.members.front().node == self) return view.members.entries();
  std::vector<ring::Member> out{view.members.front()};
  if (const auto next = ring::successor(view, self); next && *next != out.front()) out.push_back(*next);
  return out;
}

}  // namespace

void EventWriter::started(const ring::Member& self, const ring::View& known, const std::string& why_again) {
  self_ = self;
  view_ = known;
  wire::ServerEvent event = event_of(events::kServerStarted);
  event.node = self_.node;
  event.incarnation = self_.incarnation;
  event.view = known.number;
  event.reason = why_again;
  log_.record(std::move(event));
}

void EventWriter::stopping(const std::string& reason) {
  wire::ServerEvent event = event_of(events::kServerStopping);
  event.node = self_.node;
  event.incarnation = self_.incarnation;
  event.reason = reason;
  log_.record(std::move(event));
}

void EventWriter::on_effect(const ring::Effect& effect) {
  std::visit([this](const auto& one) { write(one); }, effect);
}

wire::OverrideMark mark_of(const ring::View& view) {
  if (!view.overridden.by) return {};
  return {static_cast<std::uint32_t>(ring::generation(view.number)), view.overridden.by, view.overridden.from,
          view.overridden.at_ms};
}

// A line of its own, before that of the view.
void EventWriter::write_override(const ring::View& view) {
  wire::ServerEvent event = event_of(events::kOverridden);
  event.node = view.overridden.by;
  event.view = view.number;
  event.previous = view.overridden.from;
  event.overridden = mark_of(view);
  event.reason = "an operator went on without a quorum of view " + std::to_string(view.overridden.from.value) +
                 ": what was committed elsewhere may be stale or lost";
  log_.record(std::move(event));
}

void EventWriter::write(const ring::ViewInstalled& effect) {
  const ring::View& view = effect.view;
  if (view.overridden != view_.overridden) write_override(view);
  wire::ServerEvent event = event_of(events::kViewInstalled);
  event.node = view.members.front().node;
  event.incarnation = view.members.front().incarnation;
  event.view = view.number;
  event.previous = view_.number;
  event.witness = view.witness;
  event.overridden = mark_of(view);
  for (const ring::Member& member : ring::ring_of(view)) event.members.push_back(life_of(member));
  for (const ring::Member& member : view.members) {
    // View 0 is the roster, whose incarnations nobody knows.
    const ring::Member* before = view_.number ? ring::find(view_, member.node) : nullptr;
    if (before == nullptr)
      event.joined.push_back(life_of(member));
    else if (*before != member)
      event.restarted.push_back(life_of(member));
  }
  if (view_.number)
    for (const ring::Member& member : view_.members)
      if (!ring::rank_of(view, member.node))
        (leaving_.contains(member) ? event.left : event.lost).push_back(life_of(member));
  view_ = view;
  std::erase_if(leaving_, [&](const ring::Member& member) { return !ring::contains(view, member); });
  log_.record(std::move(event));
}

void EventWriter::write(const ring::Wedged& effect) {
  wire::ServerEvent event = event_of(events::kWedged);
  event.node = effect.server;
  event.view = view_.number;
  event.reason = effect.reason;
  log_.record(std::move(event));
}

void EventWriter::write(const ring::Unwedged&) {
  wire::ServerEvent event = event_of(events::kUnwedged);
  event.view = view_.number;
  log_.record(std::move(event));
}

void EventWriter::write(const ring::Evicted& effect) {
  wire::ServerEvent event = event_of(events::kEvicted);
  event.node = self_.node;
  event.incarnation = self_.incarnation;
  event.view = effect.view;
  event.reason = effect.reason;
  log_.record(std::move(event));
}

void EventWriter::link_up(const io::ProvenPeer& peer) {
  down_.erase(peer.node);
  wire::ServerEvent event = event_of(events::kLinkUp);
  event.node = peer.node;
  event.incarnation = peer.incarnation;
  log_.record(std::move(event));
}

void EventWriter::link_down(NodeId node, const std::string& reason) {
  down_[node] = printable(reason, EventLog::kMaxReasonBytes);
  wire::ServerEvent event = event_of(events::kLinkDown);
  event.node = node;
  event.reason = reason;
  log_.record(std::move(event));
}

void EventWriter::peer_refused(NodeId node, const std::string& reason, std::uint64_t now_ms) {
  ++refusals_;
  if (refused_ms_ != 0 && now_ms < refused_ms_ + kRefusalMs) return;
  refused_ms_ = now_ms;
  wire::ServerEvent event = event_of(events::kPeerRefused);
  event.node = node;
  event.reason = reason;
  event.count = std::exchange(refusals_, 0);
  log_.record(std::move(event));
}

void EventWriter::job_created(OwnerId owner, const wire::JobCreate& request) {
  wire::ServerEvent event = event_of(events::kJobCreated);
  event.job = request.job;
  event.owner = owner;
  event.ranks = static_cast<std::uint32_t>(request.community_of.size());
  log_.record(std::move(event));
}

void EventWriter::job_ended(const JobRegistry::Ended& job) {
  wire::ServerEvent event = event_of(events::kJobEnded);
  event.job = job.job;
  event.owner = job.owner;
  log_.record(std::move(event));
}

void EventWriter::on_tick(const ring::Core& core) {
  std::map<NodeId, bool> now;
  for (const ring::Member& member : watched_in(core.view(), self_.node)) {
    if (member.node == self_.node) continue;
    const bool hears = core.hears(member.node) && !silent_.contains(member.node);
    const auto before = heard_.find(member.node);
    // Silence counts once something was heard.
    if (before == heard_.end() && !hears) continue;
    now[member.node] = hears;
    if (before == heard_.end() || before->second == hears) continue;
    wire::ServerEvent event = event_of(hears ? events::kMemberHeard : events::kMemberSuspected);
    event.node = member.node;
    event.incarnation = member.incarnation;
    if (!hears) {
      const std::string why = down_reason(member.node);
      event.reason = why.empty() ? "its link is up, but it says nothing" : "its link is down: " + why;
      suspected_[member.node] = event.reason;
      silent_.insert(member.node);
    }
    log_.record(std::move(event));
  }
  heard_ = std::move(now);
  // Who is watched no more is suspected no more.
  const auto settled = [this](NodeId node) {
    const auto at = heard_.find(node);
    return at == heard_.end() || at->second;
  };
  std::erase_if(suspected_, [&](const auto& item) { return settled(item.first); });
  std::erase_if(silent_, settled);
}

std::string EventWriter::suspicion(NodeId node) const {
  const auto at = suspected_.find(node);
  return at == suspected_.end() ? "" : at->second;
}

std::string EventWriter::down_reason(NodeId node) const {
  const auto at = down_.find(node);
  return at == down_.end() ? "" : at->second;
}

}  // namespace rk::daemon

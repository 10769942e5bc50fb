// SPDX-License-Identifier: Apache-2.0
// Events in, durable memory, and the views this server acts in.
#include "ring/core.h"

#include <algorithm>

#include "base/check.h"

namespace rk::ring {
namespace {

Racks racks_of(const Config& config) {
  Racks racks;
  if (config.planted_bug == PlantedBug::kIgnoreRacks) return racks;
  for (const RosterEntry& entry : config.roster)
    if (!entry.rack.empty()) racks[entry.node] = entry.rack;
  return racks;
}

NodeId witness_of(const Config& config) {
  if (config.planted_bug == PlantedBug::kIgnoreWitness) return {};
  for (const RosterEntry& entry : config.roster)
    if (entry.witness) return entry.node;
  return {};
}

View roster_view(const Config& config) {
  View view;
  for (const RosterEntry& entry : config.roster) view.members.push_back({entry.node, Incarnation()});
  std::sort(view.members.edit().begin(), view.members.edit().end());
  arrange(view, {}, racks_of(config), witness_of(config));
  return view;
}

Status check_config(const Config& config) {
  if (!config.incarnation) return fail(ErrorCode::kInvalidArgument, "incarnation 0 is none; count from 1");
  const View roster = roster_view(config);
  if (!find(roster, config.self) || !wire::check_view(roster))
    return fail(ErrorCode::kInvalidArgument, "the roster is no list of up to " + std::to_string(wire::kMaxServers) +
                                                 " servers, each with its own number above 0, server " +
                                                 std::to_string(config.self.value) + " among them; correct the roster");
  const auto witnesses =
      std::count_if(config.roster.begin(), config.roster.end(), [](const RosterEntry& entry) { return entry.witness; });
  if (witnesses > 1 || (witnesses == 1 && config.roster.size() == 1))
    return fail(ErrorCode::kInvalidArgument, "the roster has " + std::to_string(witnesses) + " witnesses among " +
                                                 std::to_string(config.roster.size()) +
                                                 " servers; name one at most, and others that hold data");
  const Timings& t = config.timings;
  if (t.tick_ms == 0 || t.tick_ms > t.heartbeat_ms || t.heartbeat_ms >= t.probe_ms || t.probe_ms > t.suspicion_ms ||
      t.propose_ms == 0 || t.late_ms <= t.tick_ms || t.heartbeat_ms >= t.lease_ms || t.lease_ms >= t.hold_ms ||
      t.hold_ms > t.suspicion_ms)
    return fail(
        ErrorCode::kInvalidArgument,
        "the ring's timings contradict each other; keep tick <= heartbeat < probe <= suspicion, heartbeat < lease "
        "< hold <= suspicion and tick < late");
  return {};
}

}  // namespace

const char* to_string(State state) {
  switch (state) {
    case State::kForming:
      return "forming";
    case State::kServing:
      return "serving";
    case State::kWedged:
      return "wedged";
    case State::kLeft:
      return "left";
    case State::kEvicted:
      return "evicted";
  }
  return "unknown";
}

Result<Core> Core::create(Config config) {
  RK_TRY_VOID(check_config(config));
  Memory memory;
  if (config.durable.empty()) {
    const bool admits_loss = config.memory_lost && config.planted_bug != PlantedBug::kVoteWithoutMemory;
    memory.since = admits_loss ? config.incarnation : Incarnation();
    memory.committed = roster_view(config);
  } else {
    RK_TRY(memory, decode_memory(config.durable));
    // A roster corrected before anything was agreed replaces the one remembered.
    if (!memory.committed.number && !memory.accepted.number) memory.committed = roster_view(config);
  }
  Incarnation newest = memory.since;
  for (const auto* list : {&memory.committed.members, &memory.committed.retired})
    for (const Member& member : *list)
      if (member.node == config.self) newest = std::max(newest, member.incarnation);
  if (newest > config.incarnation)
    return fail(ErrorCode::kFenced, "incarnation " + std::to_string(config.incarnation.value) + " of server " +
                                        std::to_string(config.self.value) + " is older than the remembered " +
                                        std::to_string(newest.value) + "; restore the counter of incarnations");
  return Core(std::move(config), std::move(memory));
}

Core::Core(Config config, Memory memory) : config_(std::move(config)), memory_(std::move(memory)) {
  self_ = {config_.self, config_.incarnation};
  racks_ = racks_of(config_);
  witness_ = witness_of(config_);
  fresh_ = config_.durable.empty() && !config_.memory_lost;
  config_.durable.clear();
  peers_.set_roster(config_.roster, self_.node);
  asked_turn_ = *config_.roster.rank_of(self_.node) + 1;
}

void Core::step(const Event& event, Effects& out) {
  if (over()) return;
  pass_time(event.now_ms);
  std::visit([&](const auto& what) { on(what, out); }, event.what);
  if (const auto* received = std::get_if<Received>(&event.what)) count_again(received->from.node);
  if (over() || !ready_) return;
  watch_quorum();
  report_silent(out);
  watch_line(out);
  consider_promise(out);
  watch_override(out);
  decide(out);
  if (!over()) settle_condition(out);
}

void Core::pass_time(std::uint64_t now_ms) {
  const Timings& timings = config_.timings;
  const std::uint64_t gap_ms = now_ms - std::min(now_ms, now_ms_);
  now_ms_ += gap_ms;
  waited_ms_ += std::min(gap_ms, 2 * timings.tick_ms);
  // A loop that ran late has not listened: the silences are its own.
  if (ready_ && gap_ms > timings.late_ms) forgive_all();
}

void Core::on(const Start&, Effects& out) {
  RK_CHECK(last_token_ == 0);
  start_ms_ = now_ms_;
  led_since_ms_ = learned_ms_ = waited_ms_;
  if (memory_.committed.number || memory_.accepted.number) {
    // The life before may have held; for whom follows from what it had durable.
    const bool taken = memory_.accepted.number && memory_.accepted_ballot.round != 0;
    hold_for_ = taken ? memory_.accepted_ballot.node : memory_.committed.members.front().node;
    hold_until_ms_ = waited_ms_ + config_.timings.hold_ms;
    fence(config_.timings.hold_ms);
  }
  forgive_all();
  watch_anew(View{});
  persist(out).installs = memory_.committed;
}

void Core::on(const Tick&, Effects& out) {
  if (ready_) on_time(out);
}

void Core::on_time(Effects& out) {
  if (now_ms_ - beat_ms_ >= config_.timings.heartbeat_ms) {
    beat_ms_ = now_ms_;
    send_heartbeats(out);
    ask_for_membership(out);
    hand_over(out);
    ask_all(out);
  }
  const auto due = [&](const auto& round) {
    return round && round->sent_ms != 0 && now_ms_ - round->sent_ms >= config_.timings.propose_ms;
  };
  if (due(proposal_)) send_proposal(out);
  if (due(preparation_)) send_prepare(out);
}

void Core::on(const Received& event, Effects& out) {
  if (!ready_ || !admit(event.from)) return;
  std::visit([&](const auto& message) { handle(event.from, message, out); }, event.message);
}

void Core::on(const LinkUp& event, Effects& out) {
  if (!ready_ || !admit(event.peer)) return;
  // It may be of an older generation, with a quorum there.
  if (generation(memory_.committed.number) > 0) send_heartbeat(event.peer.node, false, out);
  const bool asked_now = peers_.others() <= kAskedAtOnce || event.peer.node == head_of_line().node;
  if (asked_now && !contains(memory_.committed, self_) && !leaving_)
    send(event.peer.node, wire::RingJoin{memory_.committed.number, memory_.since}, out);
}

void Core::on(const LinkDown& event, Effects& out) {
  if (ready_ && find(memory_.committed, event.node)) probe(event.node, out);
}

void Core::on(const Refused& event, Effects& out) {
  const auto it = peers_.find(event.node);
  if (!ready_ || it == peers_.end() || !find(memory_.committed, event.node)) return;
  // One that is still to start proves nothing.
  if (it->second.known) it->second.refused = true;
  silence_due_ms_ = 0;
  count_again(event.node);
  probe(event.node, out);
}

void Core::on(const LeaveRequest&, Effects& out) {
  if (leaving_) return;
  leaving_ = true;
  if (!contains(memory_.committed, self_)) return end_life(out);
  ask_for_membership(out);
}

// The peer of a message, heard now; null if the message is to be ignored.
Core::Peer* Core::admit(const Member& from) {
  const auto it = peers_.find(from.node);
  if (it == peers_.end() || !from.incarnation) {
    ++refused_;
    return nullptr;
  }
  Peer& peer = it->second;
  if (from.incarnation < peer.incarnation) return nullptr;  // overtaken by the life after it
  if (from.incarnation > peer.incarnation) {
    Peer next;
    next.incarnation = from.incarnation;
    next.counted = peer.counted;
    next.counted_odd = peer.counted_odd;
    peer = std::move(next);
    held_since_.reset();
    if (proposal_) {
      // The new life may lack the memory that the old one voted with: it is asked again.
      proposal_->acked.erase(from.node);
      proposal_->voted.erase(from.node);
    }
  }
  peer.known = true;
  peer.probe_asked = false;
  forgive(peer);
  count_again(from.node, peer);
  return &peer;
}

void Core::send(NodeId to, wire::RingMessage message, Effects& out) { out.emplace_back(Send{to, std::move(message)}); }

Core::Held& Core::persist(Effects& out) {
  Memory durable = memory_;
  if (config_.planted_bug == PlantedBug::kForgetAccepted) durable.accepted = {};
  if (config_.planted_bug == PlantedBug::kForgetPromise) durable.promised = durable.accepted_ballot;
  out.emplace_back(Persist{++last_token_, encode_memory(durable)});
  held_.push_back(Held{last_token_, {}, {}});
  return held_.back();
}

void Core::on(const Persisted& event, Effects& out) {
  durable_token_ = std::max(durable_token_, event.token);
  const auto end = std::find_if(held_.begin(), held_.end(), [&](const Held& held) { return held.token > event.token; });
  std::vector<Held> released(std::make_move_iterator(held_.begin()), std::make_move_iterator(end));
  held_.erase(held_.begin(), end);
  for (Held& held : released) {
    for (Effect& effect : held.effects) out.push_back(std::move(effect));
    // Not in a line of views that was dropped meanwhile.
    if (held.installs && held.installs->overridden == memory_.committed.overridden) act_in(*held.installs, out);
    if (over()) return;
    if (!ready_) ask_for_membership(out);
    ready_ = true;
  }
  send_durable(out);
}

// A view that is known to be committed; for fence_ms those that it removes may have a lease.
void Core::learn(const View& view, std::uint64_t fence_ms, Effects& out) {
  if (view.number < memory_.committed.number) return;
  if (view.number == memory_.committed.number) {
    if (view != memory_.committed) conflict_ = true;
    return;
  }
  if (fresh_ && names_older_life(view) && config_.planted_bug != PlantedBug::kVoteWithoutMemory)
    memory_.since = self_.incarnation;  // there was a life before, and all of it is forgotten
  fresh_ = false;
  fence(fence_ms);
  const bool led = leads();
  const View before = std::move(memory_.committed);
  memory_.committed = view;
  learned_ms_ = waited_ms_;
  if (!led && leads()) led_since_ms_ = waited_ms_;
  held_since_.reset();
  // Leases of the views before end within hold_ms from now, which is counted with the view (longest_lease_without).
  held_before_ms_ = 0;
  if (hold_for_ != view.members.front().node) hold_until_ms_ = 0;
  memory_.accepted = {};
  memory_.accepted_ballot = memory_.promised = {};
  preparation_.reset();
  proposal_.reset();
  asked_.reset();
  overtaken_by_ = {};
  leaderless_ms_.reset();
  watch_anew(before);
  for (auto& [node, peer] : peers_) {
    // The quorum that it lacked is not asked any more.
    if (view.overridden != before.overridden) peer.helpless_ms.reset();
    const Member* member = find(view, node);
    if (member == nullptr)
      peer.leaves = false;
    else if (member->incarnation >= peer.incarnation)
      peer.joins = false;
  }
  persist(out).installs = memory_.committed;
}

// Whoever is watched from now on, and was not before, gets the full time to be heard.
void Core::watch_anew(const View& before) {
  const View& view = memory_.committed;
  tally_.reset();
  silence_due_ms_ = 0;
  peers_.set_view(view);
  const bool other_leader = before.members.empty() || before.members.front() != view.members.front();
  const bool other_successor = successor(before, self_.node) != successor(view, self_.node);
  if (other_leader) peers_.watch_all(now_ms_);
  const auto watch = [&](const Member& member, Peer& peer) {
    if (member.incarnation > peer.incarnation) {
      peer = Peer{};
      peer.incarnation = member.incarnation;
      forgive(peer);
    }
    const bool watched = other_successor && successor(view, self_.node) == member;
    if (other_leader || watched || !contains(before, member)) forgive(peer);
  };
  // A leader listens to all, others to their leader and their successor.
  if (leads())
    for (const Member& member : view.members) peers_.find(member.node);
  for (const auto& member : {std::optional(view.members.front()), successor(view, self_.node)})
    if (member) peers_.find(member->node);
  for (auto& [node, peer] : peers_)
    if (const Member* member = find(view, node)) watch(*member, peer);
}

void Core::act_in(const View& view, Effects& out) {
  if (!view.number || view.number <= installed_.number) return;
  if (!contains(view, self_) && config_.planted_bug != PlantedBug::kActOutside) {
    if (!ends_this_life(view) && !overridden_by(view)) return;
    if (handing_over_) return hand_over(out);
    return end_life(out);
  }
  // Who stays keeps the order of before, as a rule.
  auto next = view.members.begin();
  for (const Member& member : installed_.members) {
    if (next != view.members.end() && *next == member)
      ++next;
    else if (!contains(view, member))
      out.emplace_back(MemberLost{member});
  }
  installed_ = view;
  out.emplace_back(ViewInstalled{view});
}

// Does the view put an end to this incarnation (and not just lack it so far)?
bool Core::ends_this_life(const View& view) const {
  if (const Member* member = find(view, self_.node)) return member->incarnation > self_.incarnation;
  return std::any_of(view.retired.begin(), view.retired.end(), [&](const Member& retired) {
    return retired.node == self_.node && retired.incarnation >= self_.incarnation;
  });
}

bool Core::names_older_life(const View& view) const {
  for (const auto* list : {&view.members, &view.retired})
    for (const Member& member : *list)
      if (member.node == self_.node && member.incarnation && member.incarnation < self_.incarnation) return true;
  return false;
}

void Core::end_life(Effects& out) {
  state_ = leaving_ ? State::kLeft : State::kEvicted;
  const View& view = memory_.committed;
  const bool overridden = installed_.number && view.overridden != installed_.overridden;
  if (leaving_)
    reason_.clear();
  else if (overridden)
    reason_ = "an operator's override at " + name(view.overridden.by) + " has dropped the views after " +
              std::to_string(view.overridden.from.value) + "; what was committed in them is lost";
  else
    reason_ = "the other servers have gone on without this one; restart it to join again";
  missing_ = {};
  if (leaving_)
    out.emplace_back(Left{});
  else
    out.emplace_back(Evicted{view.number, overridden ? reason_ : ""});
}

}  // namespace rk::ring

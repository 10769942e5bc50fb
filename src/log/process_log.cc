// SPDX-License-Identifier: Apache-2.0
#include "log/process_log.h"

namespace rk::log {

ProcessLog::ProcessLog(Config config, Segment segment, ArenaSource& arena)
    : config_(std::move(config)), segment_(segment), arena_(*this, arena), units_(segment, arena_) {}

Result<std::uint64_t> ProcessLog::ReclaimingArena::grow(std::uint64_t bytes) {
  const std::uint64_t before = log_.units_.free_units();
  RK_TRY_VOID(log_.free_outbox());
  if (log_.units_.free_units() > before) return log_.segment_.usable_bytes();
  return outer_.grow(bytes);
}

void ProcessLog::ReclaimingArena::grow_ahead(std::uint64_t bytes) {
  // What cannot be freed now is found again, and reported, when the space is needed.
  if (!log_.free_outbox() || log_.units_.free_units() * kUnitBytes < bytes) outer_.grow_ahead(bytes);
}

Result<std::unique_ptr<ProcessLog>> ProcessLog::open(std::span<std::byte> memory, std::uint64_t usable, Config config,
                                                     ArenaSource& arena, PeerSource& peers, InsidePort* port) {
  if (config.community_of.size() != config.identity.ranks || config.identity.rank.value >= config.identity.ranks)
    return fail(ErrorCode::kInvalidArgument, "process " + std::to_string(config.identity.rank.value) + " of a job of " +
                                                 std::to_string(config.identity.ranks) + " with communities for " +
                                                 std::to_string(config.community_of.size()) +
                                                 ": give one for each process");
  Segment segment;
  if (Segment::is_blank(memory)) {
    RK_TRY(segment, Segment::format(memory, config.identity, usable));
  } else {
    RK_TRY(segment, Segment::open(memory, config.identity, usable));
    if (segment.incarnation() > config.incarnation.value)
      return fail(ErrorCode::kFenced, "process " + std::to_string(config.identity.rank.value) +
                                          " lives in incarnation " + std::to_string(segment.incarnation()) +
                                          " already: end this older one");
  }
  segment.set_incarnation(config.incarnation);

  std::unique_ptr<ProcessLog> log(new ProcessLog(std::move(config), segment, arena));
  RK_TRY_VOID(rebuild_units(log->units_));
  log->peers_ = &peers;
  RK_TRY(log->outbox_, Outbox::open(log->units_, {log->config_.incarnation, log->config_.strict}));
  RK_TRY(log->matches_, MatchLog::open(log->units_));
  RK_TRY(log->outcomes_, OutcomeLog::open(log->units_));
  Inbox::Config inbox;
  Matcher::Config matcher;
  inbox.planted = matcher.planted = log->config_.planted;
  for (std::uint32_t rank = 0; rank < log->config_.identity.ranks; ++rank) {
    matcher.inside.push_back(log->inside(rank));
    if (!log->inside(rank)) inbox.sources.push_back(rank);
  }
  log->inbox_ = std::make_unique<Inbox>(segment, peers, std::move(inbox));
  log->matcher_ = std::make_unique<Matcher>(*log->inbox_, *log->matches_, port, std::move(matcher));
  return log;
}

bool ProcessLog::replaying() const {
  return outcomes_->replaying() || matcher_->replaying() || outbox_->re_executing();
}

LogState ProcessLog::snapshot() const {
  LogState state;
  outbox_->snapshot(state);
  inbox_->snapshot(state);
  matcher_->snapshot(state);
  state.outcomes = outcomes_->position();
  return state;
}

Status ProcessLog::jump(const LogState& state) {
  RK_TRY_VOID(matcher_->jump(state));
  RK_TRY_VOID(inbox_->jump(state));
  RK_TRY_VOID(outbox_->jump(state));
  return outcomes_->jump(state.outcomes);
}

void ProcessLog::mark_prologue() {
  OwnerState& owner = segment_.owner();
  if (owner.prologue_matches_plus_1 != 0) return;
  inbox_->mark_prologue();
  outbox_->mark_prologue();
  const OutcomePosition outcomes = outcomes_->position();
  store_release(owner.prologue_outcome_item, outcomes.item);
  store_release(owner.prologue_outcome_run, outcomes.run);
  store_release(owner.prologue_matches_plus_1, matches_->items() + 1);
}

Status ProcessLog::trim(const LogState& oldest) {
  const OwnerState& owner = segment_.owner();
  if (owner.prologue_matches_plus_1 == 0) return {};  // a restart would start from the very beginning
  inbox_->publish_trim(oldest);
  RK_TRY_VOID(matches_->trim(owner.prologue_matches_plus_1 - 1, oldest.matches));
  RK_TRY_VOID(outcomes_->trim({owner.prologue_outcome_item, owner.prologue_outcome_run}, oldest.outcomes));
  return free_outbox();
}

Status ProcessLog::free_outbox() {
  if (outbox_ == nullptr) return {};
  for (std::uint32_t dest = 0; dest < segment_.ranks(); ++dest) {
    if (inside(dest) || outbox_->published(dest) == 0) continue;
    auto view = peers_->open(dest);
    if (!view) continue;  // not there, or not readable: nothing can be freed for it
    const ConsumedEntry& entry = view->consumed(segment_.rank());
    RK_TRY_VOID(outbox_->trim(dest, load_acquire(entry.prologue), load_acquire(entry.trim)));
  }
  return {};
}

LogStats ProcessLog::stats() const {
  LogStats stats;
  stats.sent = outbox_->counts();
  stats.received = inbox_->counts();
  stats.determinants = matches_->recorded() + outcomes_->recorded();
  stats.determinants_replayed = matches_->repeated() + outcomes_->replayed();
  return stats;
}

}  // namespace rk::log

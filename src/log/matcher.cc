// SPDX-License-Identifier: Apache-2.0
#include "log/matcher.h"

#include <algorithm>

namespace rk::log {

Matcher::Matcher(Inbox& inbox, MatchLog& log, InsidePort* port, Config config)
    : inbox_(inbox), log_(log), port_(port), config_(std::move(config)), rsn_(log.highest_rsn()) {}

Reach Matcher::reach_of(const RecvSpec& spec) const {
  if (spec.source == kAnySource) return spec.reach;
  return is_inside(spec.source) ? Reach::kInside : Reach::kOutside;
}

bool Matcher::accepts(const Pending& receive, const Candidate& message) {
  const bool side = (static_cast<unsigned>(receive.reach) & static_cast<unsigned>(message.side)) != 0;
  return side && receive.spec.context == message.context && !receive.to_be_cancelled &&
         (receive.spec.source == kAnySource || receive.spec.source == message.source) &&
         (receive.spec.tag == kAnyTag || receive.spec.tag == message.tag || receive.exact_ssn != 0) &&
         (receive.exact_ssn == 0 || receive.exact_ssn == message.ssn);
}

std::size_t Matcher::first_acceptor(const Candidate& message) const {
  std::size_t at = 0;
  while (at < pending_.size() && !accepts(pending_[at], message)) ++at;
  return at;
}

// Only inside messages matter: those from outside never pass through the native library.
bool Matcher::overlaps_pending(const RecvSpec& spec) const {
  return std::any_of(pending_.begin(), pending_.end(), [&](const Pending& receive) {
    return receive.reach != Reach::kOutside && !receive.to_be_cancelled && receive.spec.context == spec.context &&
           (receive.spec.source == kAnySource || receive.spec.source == spec.source) &&
           (receive.spec.tag == kAnyTag || spec.tag == kAnyTag || receive.spec.tag == spec.tag);
  });
}

Matcher::Pending Matcher::describe(const RecvSpec& spec, std::uint64_t psn) const {
  Pending receive;
  receive.psn = psn;
  receive.spec = spec;
  receive.wildcard = spec.source == kAnySource;
  receive.reach = reach_of(spec);
  return receive;
}

Result<Matcher::Pending> Matcher::describe_on_record(const RecvSpec& spec, const MatchRecord& record) const {
  Pending receive = describe(spec, record.psn);
  receive.recorded = true;
  if (record.kind == MatchKind::kCancelled) {
    receive.to_be_cancelled = true;
    return receive;
  }
  const Reach side = record.kind == MatchKind::kInside ? Reach::kInside : Reach::kOutside;
  if ((static_cast<unsigned>(receive.reach) & static_cast<unsigned>(side)) == 0 ||
      (spec.source != kAnySource && spec.source != record.source) || (spec.tag != kAnyTag && spec.tag != record.tag))
    return fail(ErrorCode::kDivergence, "receive " + std::to_string(record.psn) +
                                            " of the re-execution cannot get the message that the original "
                                            "got (from process " +
                                            std::to_string(record.source) + ", tag " + std::to_string(record.tag) +
                                            "): the program is not deterministic as fault tolerance needs it");
  receive.reach = side;
  receive.spec.source = record.source;
  receive.spec.tag = record.tag;
  receive.exact_ssn = record.ssn;
  receive.rsn = record.rsn;
  return receive;
}

Result<Posted> Matcher::post(const RecvSpec& spec) {
  const std::uint64_t psn = ++postings_;
  const MatchRecord* record = log_.find(psn);
  Pending receive;
  if (record == nullptr) [[likely]] {
    receive = describe(spec, psn);
  } else {
    RK_TRY(receive, describe_on_record(spec, *record));
  }
  Posted posted;
  posted.psn = psn;
  if (receive.to_be_cancelled) {
    pending_.push_back(receive);
    posted.state = PostState::kCancelled;
    return posted;
  }
  if (receive.reach == Reach::kInside && receive.spec.source != kAnySource && !overlaps_pending(receive.spec)) {
    if (receive.recorded) log_.count_repeated();
    posted.state = PostState::kNative;
    posted.native_source = receive.spec.source;
    posted.native_tag = receive.spec.tag;
    return posted;
  }
  RK_TRY(const bool found, match_now(receive, posted.match));
  if (found) {
    posted.state = PostState::kMatched;
    return posted;
  }
  if (receive.recorded) ++replaying_pending_;
  pending_.push_back(receive);
  return posted;
}

// Looks for a message that `newest` gets, being the latest of all receives.
Result<bool> Matcher::match_now(const Pending& newest, Match& match) {
  if (newest.reach != Reach::kInside) {
    RK_TRY(const bool held, match_held(newest, match));
    if (held) return true;
  }
  if (newest.reach != Reach::kOutside) {
    RK_TRY(const bool found, ask_port(newest, match));
    if (found) return true;
  }
  if (newest.reach == Reach::kInside) return false;
  if (newest.spec.source != kAnySource) return drain(newest.spec.source, &newest, match);
  const std::vector<std::uint32_t>& sources = inbox_.sources();
  for (std::size_t i = 0; i < sources.size(); ++i) {
    rotation_ = rotation_ + 1 < sources.size() ? rotation_ + 1 : 0;
    RK_TRY(const bool found, drain(sources[rotation_], &newest, match));
    if (found) return true;
  }
  return false;
}

Result<bool> Matcher::match_held(const Pending& receive, Match& match) {
  const bool any = receive.spec.source == kAnySource;
  const std::vector<std::uint32_t>& sources = inbox_.sources();
  const std::size_t lanes = any ? sources.size() : 1;
  for (std::size_t lane = 0; lane < lanes; ++lane) {
    const std::uint32_t source = any ? sources[(lane + rotation_) % sources.size()] : receive.spec.source;
    const auto& held = inbox_.held(source);
    for (std::size_t i = 0; i < held.size(); ++i) {
      if (!accepts(receive, candidate(held[i]))) continue;
      RK_TRY_VOID(bind_outside(receive, inbox_.take_held(source, i), match));
      return true;
    }
  }
  return false;
}

// Gives each new arrival of a source to the earliest receive that accepts it, `newest` (may be null) being the last;
// stops when `newest` got one. What nobody accepts is held.
Result<bool> Matcher::drain(std::uint32_t source, const Pending* newest, Match& match) {
  for (;;) {
    RK_TRY(const Arrival* arrival, inbox_.pull(source));
    if (arrival == nullptr) return false;
    const Candidate message = candidate(*arrival);
    if (const std::size_t at = first_acceptor(message); at < pending_.size()) {
      RK_TRY_VOID(bind_outside(pending_[at], *arrival, ready_.emplace_back()));
      remove_pending(at);
    } else if (newest != nullptr && accepts(*newest, message)) {
      RK_TRY_VOID(bind_outside(*newest, *arrival, match));
      return true;
    } else {
      inbox_.hold(*arrival);
    }
  }
}

Result<bool> Matcher::ask_port(const Pending& newest, Match& match) {
  if (port_ == nullptr) return false;
  for (;;) {
    const auto message = port_->try_match(newest.spec.context, newest.spec.source, newest.spec.tag);
    if (!message) return false;
    const std::size_t at = first_acceptor(candidate(newest.spec.context, *message));
    if (at == pending_.size()) {
      RK_TRY_VOID(bind_inside(newest, *message, match));
      return true;
    }
    RK_TRY_VOID(bind_inside(pending_[at], *message, ready_.emplace_back()));
    remove_pending(at);
  }
}

void Matcher::remove_pending(std::size_t at) {
  if (pending_[at].recorded && !pending_[at].to_be_cancelled) --replaying_pending_;
  pending_.erase(pending_.begin() + static_cast<std::ptrdiff_t>(at));
}

Status Matcher::bind_outside(const Pending& receive, const Arrival& arrival, Match& match) {
  match.psn = receive.psn;
  match.source = arrival.source;
  match.tag = arrival.tag;
  match.length = arrival.payload.size();
  match.inside = false;
  match.ssn = arrival.ssn;
  match.payload = arrival.payload;
  match.owned = arrival.owned;
  if (receive.recorded) {
    if (arrival.tag != receive.spec.tag)
      return fail(ErrorCode::kDivergence, "message " + std::to_string(arrival.ssn) + " of process " +
                                              std::to_string(arrival.source) + " has tag " +
                                              std::to_string(arrival.tag) + " where the original had " +
                                              std::to_string(receive.spec.tag) +
                                              ": the program is not deterministic as fault tolerance needs it");
    match.rsn = receive.rsn;
    log_.count_repeated();
  } else {
    match.rsn = ++rsn_;
    RK_TRY_VOID(write({receive.psn, MatchKind::kOutside, arrival.source, arrival.tag, arrival.ssn, match.rsn}));
  }
  inbox_.consume(arrival);
  return {};
}

Status Matcher::bind_inside(const Pending& receive, const InsideMessage& message, Match& match) {
  match.psn = receive.psn;
  match.source = message.source;
  match.tag = message.tag;
  match.length = message.length;
  match.inside = true;
  match.token = message.token;
  if (receive.recorded)
    log_.count_repeated();
  else if (receive.wildcard && config_.planted != PlantedBug::kNoInsideSources)
    RK_TRY_VOID(write({receive.psn, MatchKind::kInside, message.source, message.tag, 0, 0}));
  return {};
}

Status Matcher::write(const MatchRecord& record) {
  if (config_.planted != PlantedBug::kDeterminantAtCompletion) [[likely]]
    return log_.record(record);
  deferred_.push_back(record);
  return {};
}

Status Matcher::planted_completion(std::uint64_t psn) {
  const auto at = std::find_if(deferred_.begin(), deferred_.end(), [&](const MatchRecord& r) { return r.psn == psn; });
  if (at == deferred_.end()) return {};
  RK_TRY_VOID(log_.record(*at));
  deferred_.erase(at);
  return {};
}

Result<std::optional<Match>> Matcher::take(const RecvSpec& spec) {
  const MatchRecord* record = log_.find(postings_ + 1);
  Pending receive = describe(spec, postings_ + 1);
  if (record != nullptr) {
    RK_TRY(receive, describe_on_record(spec, *record));
  }
  Match match;
  RK_TRY(const bool found, match_now(receive, match));
  if (!found) return std::nullopt;
  ++postings_;
  return match;
}

// Binds everything that has arrived to pending receives, into ready_.
Status Matcher::settle() {
  Match unused;
  for (const std::uint32_t source : inbox_.sources()) RK_TRY_VOID(drain(source, nullptr, unused));
  if (port_ == nullptr) return {};
  for (std::size_t at = 0; at < pending_.size();) {
    const Pending& receive = pending_[at];
    if (receive.reach == Reach::kOutside || receive.to_be_cancelled) {
      ++at;
      continue;
    }
    const std::uint64_t context = receive.spec.context;
    const auto message = port_->try_match(context, receive.spec.source, receive.spec.tag);
    if (!message) {
      ++at;
      continue;
    }
    // An earlier receive may accept what this one's question found. It is there: this receive itself accepts it.
    const std::size_t acceptor = first_acceptor(candidate(context, *message));
    RK_TRY_VOID(bind_inside(pending_[acceptor], *message, ready_.emplace_back()));
    remove_pending(acceptor);
    if (acceptor < at) --at;
  }
  return {};
}

Result<std::optional<Probed>> Matcher::probe(const RecvSpec& spec) {
  const Pending receive = describe(spec, 0);
  for (;;) {
    RK_TRY_VOID(settle());
    if (receive.reach != Reach::kInside) {
      const bool any = spec.source == kAnySource;
      const std::vector<std::uint32_t>& sources = inbox_.sources();
      for (std::size_t lane = 0; lane < (any ? sources.size() : 1); ++lane) {
        for (const Arrival& arrival : inbox_.held(any ? sources[(lane + rotation_) % sources.size()] : spec.source))
          if (accepts(receive, candidate(arrival)))
            return Probed{arrival.source, arrival.tag, arrival.payload.size(), false};
      }
    }
    if (receive.reach == Reach::kOutside || port_ == nullptr) return std::nullopt;
    const auto message = port_->try_probe(spec.context, spec.source, spec.tag);
    if (!message) return std::nullopt;
    if (first_acceptor(candidate(spec.context, *message)) == pending_.size())
      return Probed{message->source, message->tag, message->length, true};
    // It came after settle() and belongs to a pending receive: settle again, which takes it away.
  }
}

Status Matcher::progress(std::vector<Match>& out) {
  RK_TRY_VOID(settle());
  if (ready_.empty()) [[likely]]
    return {};
  for (Match& match : ready_) out.push_back(std::move(match));
  ready_.clear();
  return {};
}

Result<bool> Matcher::cancel(std::uint64_t psn) {
  const auto at = std::find_if(pending_.begin(), pending_.end(), [&](const Pending& p) { return p.psn == psn; });
  if (at == pending_.end()) return false;
  if (at->recorded && !at->to_be_cancelled) return false;
  if (at->to_be_cancelled)
    log_.count_repeated();
  else
    RK_TRY_VOID(log_.record({psn, MatchKind::kCancelled, 0, 0, 0, 0}));
  pending_.erase(at);
  return true;
}

void Matcher::snapshot(LogState& state) const {
  state.rsn = rsn_;
  state.postings = postings_;
  state.matches = log_.position(postings_);
}

Status Matcher::jump(const LogState& state) {
  if (!pending_.empty() || !ready_.empty())
    return fail(ErrorCode::kInvalidArgument,
                "a restore while a receive is open would lose it: complete every receive before the restore");
  RK_TRY_VOID(log_.jump(state.matches, state.postings));
  postings_ = state.postings;
  rsn_ = std::max(state.rsn, log_.highest_rsn());
  return {};
}

}  // namespace rk::log

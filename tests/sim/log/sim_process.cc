// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/log/sim_process.h"

#include <algorithm>
#include <cstring>

#include "base/checksum.h"

namespace rk::log {

namespace {

std::uint64_t mix(std::uint64_t a, std::uint64_t b) { return Prng(a ^ (b * 0x9e3779b97f4a7c15ULL)).next(); }

}  // namespace

void SimProcess::step() {
  if (finished() || !checker_.violation().empty()) return;
  blocked_ = false;
  execute(plan_.ops[rank_][state_.op]);
}

std::string SimProcess::place() const {
  const auto& ops = plan_.ops[rank_];
  std::string text = std::to_string(state_.op) + "/" + std::to_string(ops.size());
  if (finished()) return text;
  static const char* const kNames[] = {"send",  "receive", "wait",     "waitany",   "test",
                                       "probe", "clock",   "question", "checkpoint"};
  const Op& op = ops[state_.op];
  text += std::string("(") + kNames[static_cast<std::size_t>(op.kind)];
  if (op.kind == OpKind::kWait || op.kind == OpKind::kTest)
    text += " for receive " + std::to_string(state_.requests.at(op.request).psn);
  if (replayed_) text += ", replayed";
  return text + ", " + std::to_string(log_->matcher().pending()) + " pending)";
}

void SimProcess::execute(const Op& op) {
  switch (op.kind) {
    case OpKind::kSend:
      return send(op);
    case OpKind::kReceive:
      return receive(op);
    case OpKind::kWait:
      return wait(op);
    case OpKind::kWaitAny:
      return wait_any(op);
    case OpKind::kTest:
      return test(op);
    case OpKind::kProbe:
      return probe(op);
    case OpKind::kClock:
      return clock();
    case OpKind::kQuestion:
      return question();
    case OpKind::kCheckpoint:
      arrived_ = true;
      blocked_ = !world_.checkpointed(rank_);
      return;
  }
}

void SimProcess::see(std::uint64_t value) {
  state_.digest = mix(state_.digest, value);
  checker_.observed(rank_, state_.op, state_.digest);
  ++state_.op;
  replayed_.reset();
}

// The bytes are made from all that the process has seen, so that a wrong replay shows in what it sends.
void SimProcess::send(const Op& op) {
  payload_.assign(op.length, static_cast<std::byte>(state_.digest & 0xffU));
  const std::uint64_t digest = mix(state_.digest, state_.op);
  std::memcpy(payload_.data(), &digest, sizeof digest);
  const std::uint64_t sum = checksum(payload_);
  if (plan_.inside(rank_, op.peer)) {
    world_.send_inside(rank_, op.peer, {op.context, rank_, op.tag, op.length, sum});
  } else {
    world_.maybe_kill(rank_);
    const auto sent = log_->outbox().send(op.peer, {op.context, op.tag, op.length}, payload_);
    if (!good(sent)) return;
    checker_.sent(rank_, op.peer, sent->ssn, sum);
    if (log_->outbox().counts().resent_differing > 0) checker_.violate("a message was sent again with other bytes");
  }
  world_.maybe_kill(rank_);
  see(1);
}

void SimProcess::receive(const Op& op) {
  RecvSpec spec{op.context, op.peer, op.tag, Reach::kBoth};
  if (spec.source == kAnySource && last_ && last_context_ == op.context) {
    spec.source = last_->source;
    spec.tag = last_->tag;
  }
  last_.reset();
  Request request;
  request.abandoned = op.abandoned;
  request.context = op.context;
  state_.requests.push_back(request);
  const auto posted = log_->matcher().post(spec);
  if (!good(posted)) return;
  state_.requests.back().psn = posted->psn;
  if (posted->state == PostState::kMatched) matched(posted->match);
  if (posted->state == PostState::kNative)
    network_.post(posted->psn, op.context, posted->native_source, posted->native_tag);
  see(2);
}

SimProcess::Request* SimProcess::by_psn(std::uint64_t psn) {
  const auto at = std::find_if(state_.requests.begin(), state_.requests.end(),
                               [&](const Request& request) { return request.psn == psn; });
  if (at != state_.requests.end() && !at->done) return &*at;
  checker_.violate("process " + std::to_string(rank_) + ": a match for receive " + std::to_string(psn) +
                   ", which is not open");
  return nullptr;
}

void SimProcess::matched(const Match& match) {
  if (match.inside) return inside_done(match.psn, network_.taken(match.token));
  Request* request = by_psn(match.psn);
  if (request == nullptr) return;
  const std::uint64_t sum = checksum(match.payload);
  checker_.received(rank_, match.source, match.ssn, sum);
  request->done = true;
  request->digest = mix(mix(sum, match.source), mix(match.ssn, match.rsn) + static_cast<std::uint64_t>(match.tag));
}

void SimProcess::inside_done(std::uint64_t psn, const InsideDelivery& message) {
  Request* request = by_psn(psn);
  if (request == nullptr) return;
  request->done = true;
  request->digest = mix(mix(message.digest, message.source), static_cast<std::uint64_t>(message.tag));
}

void SimProcess::progress() {
  matches_.clear();
  if (!good(log_->matcher().progress(matches_))) return;
  for (const Match& match : matches_) matched(match);
  for (const auto& done : network_.take_done()) inside_done(done.psn, done.message);
}

void SimProcess::background() {
  if (!checker_.violation().empty()) return;
  progress();
  world_.maybe_kill(rank_);
}

void SimProcess::complete(Request& request) {
  request.complete = true;
  good(log_->matcher().planted_completion(request.psn));
  world_.maybe_kill(rank_);
}

void SimProcess::wait(const Op& op) {
  progress();
  Request& request = state_.requests.at(op.request);
  if (request.complete) return see(3);
  if (!request.done) {
    blocked_ = true;
    return;
  }
  complete(request);
  see(request.digest);
}

const Outcome& SimProcess::replayed(OutcomeKind kind) {
  if (!replayed_) {
    const auto seen = log_->outcomes().replay(kind);
    replayed_ = good(seen) ? *seen : Outcome{};
  }
  return *replayed_;
}

void SimProcess::record(OutcomeKind kind, std::uint64_t value, std::uint64_t detail) {
  world_.maybe_kill(rank_);
  good(log_->outcomes().record(kind, value, detail));
  world_.maybe_kill(rank_);
}

void SimProcess::wait_any(const Op& op) {
  progress();
  std::vector<std::size_t> open;
  std::vector<std::size_t> done;
  for (std::size_t i = 0; i < state_.requests.size(); ++i) {
    const Request& request = state_.requests[i];
    if (request.complete || request.abandoned || request.context != op.context) continue;
    open.push_back(i);
    if (request.done) done.push_back(i);
  }
  if (open.empty()) return see(4);
  std::size_t chosen = 0;
  if (replayed_ || log_->outcomes().replaying()) {
    chosen = replayed(OutcomeKind::kWaitAny).value;
    if (!state_.requests.at(chosen).done) {
      blocked_ = true;
      return;
    }
  } else {
    if (done.empty()) {
      blocked_ = true;
      return;
    }
    chosen = done[world_.draw(done.size())];
    record(OutcomeKind::kWaitAny, chosen);
  }
  complete(state_.requests[chosen]);
  see(mix(state_.requests[chosen].digest, chosen));
}

void SimProcess::test(const Op& op) {
  progress();
  Request& request = state_.requests.at(op.request);
  if (request.complete) return see(5);
  bool flag = request.done;
  if (replayed_ || log_->outcomes().replaying()) {
    flag = replayed(OutcomeKind::kTest).value != 0;
    if (flag && !request.done) {
      blocked_ = true;
      return;
    }
  } else {
    record(OutcomeKind::kTest, flag ? 1 : 0);
  }
  if (flag) complete(request);
  see(flag ? request.digest : 6);
}

void SimProcess::probe(const Op& op) {
  RecvSpec spec{op.context, kAnySource, kAnyTag, Reach::kBoth};
  const bool repeat = replayed_ || log_->outcomes().replaying();
  if (repeat) {
    const Outcome& seen = replayed(OutcomeKind::kProbeFlag);
    if (seen.value == 0) return see(7);
    spec.source = static_cast<std::uint32_t>(seen.value - 1);
    spec.tag = static_cast<std::int32_t>(seen.detail);
  }
  const auto probed = log_->matcher().probe(spec);
  if (!good(probed)) return;
  if (repeat && !*probed) {
    blocked_ = true;
    return;
  }
  if (!repeat) {
    const std::uint64_t tag = *probed ? static_cast<std::uint64_t>((*probed)->tag) : 0;
    record(OutcomeKind::kProbeFlag, *probed ? (*probed)->source + std::uint64_t{1} : 0, tag);
  }
  if (!*probed) return see(7);
  last_ = **probed;
  last_context_ = op.context;
  see(mix((*probed)->source, (*probed)->length));
}

void SimProcess::clock() {
  std::uint64_t now = world_.now();
  if (log_->outcomes().replaying())
    now = replayed(OutcomeKind::kClock).value;
  else
    record(OutcomeKind::kClock, now);
  see(now);
}

void SimProcess::question() {
  if (world_.restored(rank_)) return;
  log_->mark_prologue();
  see(8);
}

}  // namespace rk::log

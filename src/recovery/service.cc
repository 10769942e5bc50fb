// SPDX-License-Identifier: Apache-2.0
#include "recovery/service.h"

#include <algorithm>
#include <charconv>

namespace rk::recovery::service {
namespace {

std::string ending_of(int status) {
  if (status > 128) return "was killed by signal " + std::to_string(status - 128);
  return "ended with status " + std::to_string(status);
}

// The digits behind `field`.
std::optional<std::uint64_t> number_of(std::string_view text, std::string_view field) {
  const std::size_t at = text.find(field);
  if (at == std::string_view::npos) return std::nullopt;
  std::uint64_t value = 0;
  const char* const begin = text.data() + at + field.size();
  if (std::from_chars(begin, text.data() + text.size(), value).ec != std::errc{}) return std::nullopt;
  return value;
}

constexpr std::string_view kServer = "\"server\": ";
constexpr std::string_view kIncarnation = "\"incarnation\": ";
constexpr std::string_view kPid = "\"agent_pid\": ";
constexpr std::string_view kActive = "\"state\": \"active\"";
constexpr std::string_view kOver = "\"state\": \"ended\"";

}  // namespace

std::string to_text(const Record& record) {
  std::string out = "{\"service\": \"" + record.name + "\", ";
  out += record.active ? kActive : kOver;
  for (const auto& [field, value] :
       {std::pair{kServer, std::uint64_t{record.server.value}}, std::pair{kIncarnation, record.incarnation.value},
        std::pair{kPid, record.agent_pid}})
    out.append(", ").append(field).append(std::to_string(value));
  return out + "}\n";
}

std::optional<Record> parse_record(std::string_view text) {
  const auto server = number_of(text, kServer);
  const auto incarnation = number_of(text, kIncarnation);
  const auto pid = number_of(text, kPid);
  const bool active = text.find(kActive) != std::string_view::npos;
  const bool over = text.find(kOver) != std::string_view::npos;
  if (!server || *server > UINT32_MAX || !incarnation || !pid || active == over) return std::nullopt;
  Record out;
  out.active = active;
  out.server = NodeId(static_cast<std::uint32_t>(*server));
  out.incarnation = Incarnation(*incarnation);
  out.agent_pid = *pid;
  return out;
}

void Agent::step(TimeMs now_ms, const What& what, Effects& out) {
  if (state_ == State::kEnded) return;
  now_ms_ = now_ms;
  out_ = &out;
  std::visit([this](const auto& event) { on(event); }, what);
}

void Agent::say(const std::string& text) {
  said_ = text;
  out_->emplace_back(Say{"service " + config_.name + ": " + text});
}

// What is tried again and again is told once.
void Agent::say_once(const std::string& text) {
  if (text != said_) say(text);
}

void Agent::set_timer(TimeMs delay_ms) { out_->emplace_back(SetTimer{++timer_, delay_ms}); }

void Agent::connect() {
  drop_timer();
  state_ = State::kAway;
  lost_ = false;
  out_->emplace_back(Connect{});
}

void Agent::look() {
  drop_timer();
  state_ = State::kLooking;
  changed_ = false;
  out_->emplace_back(Look{});
}

void Agent::claim() {
  drop_timer();
  state_ = State::kClaiming;
  aside_until_ms_ = 0;
  out_->emplace_back(Claim{});
}

void Agent::end(int status) {
  drop_timer();
  state_ = State::kEnded;
  out_->emplace_back(End{status});
}

void Agent::retry_later(const std::string& why) {
  say_once(why);
  state_ = State::kWaiting;
  set_timer(config_.retry_ms);
}

void Agent::end_program() {
  state_ = State::kEnding;
  out_->emplace_back(Terminate{});
  set_timer(config_.grace_ms);
}

void Agent::on(const Begin&) { connect(); }

void Agent::on(const Reached& event) {
  node_ = event.node;
  incarnation_ = event.incarnation;
  restarts_ = 0;
  aside_until_ms_ = 0;
  look();
}

void Agent::on(const Unreached& event) {
  say_once(event.why + "; waiting for it");
  set_timer(config_.retry_ms);
}

void Agent::on(const ServerLost& event) {
  switch (state_) {
    case State::kRunning:
      say(event.why + "; ending the program");
      lost_ = true;
      return end_program();
    case State::kEnding:
      lost_ = true;
      return;
    default:
      say(event.why);
      connect();
  }
}

void Agent::on(const RingChanged&) {
  if (state_ == State::kWaiting) return look();
  changed_ = true;
}

void Agent::on(const Found& event) {
  if (state_ != State::kLooking) return;
  const bool ours = event.record && event.record->server == node_ && event.record->incarnation == incarnation_;
  if (event.record && event.is_member && !ours) {
    aside_until_ms_ = 0;
    if (changed_) return look();
    const std::string server = std::to_string(event.record->server.value);
    say_once(event.record->active ? "waiting, it belongs to server " + server
                                  : "waiting, it was ended at server " + server +
                                        ", which keeps its checkpoints as long as it is in the ring");
    state_ = State::kWaiting;
    return;
  }
  if (ours || !event.exists || event.holds) return claim();
  if (aside_until_ms_ == 0) aside_until_ms_ = now_ms_ + config_.step_aside_ms;
  if (now_ms_ >= aside_until_ms_) return claim();
  state_ = State::kWaiting;
  set_timer(aside_until_ms_ - now_ms_);
}

void Agent::on(const LookFailed& event) {
  if (state_ == State::kLooking) retry_later(event.why);
}

void Agent::on(const Claimed& event) {
  if (state_ != State::kClaiming) return;
  say("active at server " + std::to_string(node_.value) + ", epoch " + std::to_string(event.epoch.value));
  state_ = State::kRunning;
  started_ms_ = now_ms_;
  out_->emplace_back(Start{event.epoch});
}

void Agent::on(const ClaimFailed& event) {
  if (state_ == State::kClaiming) retry_later(event.why);
}

void Agent::on(const ProgramEnded& event) {
  if (state_ == State::kEnding) {
    if (!stopping_) return connect();
    if (!lost_) out_->emplace_back(Release{});
    return end(0);
  }
  if (state_ != State::kRunning) return;
  if (event.status == 0) {
    say("the program ended with status 0: it is done");
    out_->emplace_back(Release{});
    return end(0);
  }
  if (now_ms_ >= started_ms_ + config_.settled_ms) restarts_ = 0;
  if (restarts_ >= config_.max_restarts) {
    say("the program " + ending_of(event.status) + ", and was started " + std::to_string(restarts_) +
        " times again in vain: mend it, or raise --max-restarts");
    out_->emplace_back(Release{});
    return end(event.status);
  }
  TimeMs delay_ms = config_.first_backoff_ms;
  for (std::uint32_t i = 0; i < restarts_ && delay_ms < config_.longest_backoff_ms; ++i) delay_ms *= 2;
  ++restarts_;
  say("the program " + ending_of(event.status) + "; starting it again (" + std::to_string(restarts_) + " of " +
      std::to_string(config_.max_restarts) + ")");
  state_ = State::kBackingOff;
  set_timer(std::min(delay_ms, config_.longest_backoff_ms));
}

void Agent::on(const Stop&) {
  const bool again = stopping_;
  stopping_ = true;
  if (state_ == State::kEnding) {
    // Who asks twice does not want to wait.
    if (again) out_->emplace_back(Kill{});
    return;
  }
  if (state_ == State::kRunning) return end_program();
  if (state_ == State::kBackingOff) out_->emplace_back(Release{});
  end(0);
}

void Agent::on(const Due& event) {
  if (event.timer != timer_) return;
  switch (state_) {
    case State::kAway:
      return connect();
    case State::kWaiting:
      return look();
    case State::kBackingOff:
      return claim();
    case State::kEnding:
      out_->emplace_back(Kill{});
      return;
    default:
      return;
  }
}

}  // namespace rk::recovery::service

// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/month/service.h"

#include <cmath>

#include "base/checksum.h"
#include "tests/sim/month/month.h"
#include "wire/version_sum.h"

namespace rk::month {
namespace {

constexpr OwnerId kOwner{1000};
constexpr std::uint64_t kRetryUs = 300'000;
constexpr std::uint32_t kCommitTimeoutMs = 120'000;

}  // namespace

Service::Service(Month& month, std::uint64_t number, sim::HostId host, Prng prng)
    : month_(month),
      number_(number),
      host_(host),
      prng_(prng),
      key_{kOwner, wire::KeepKind::kCheckpoint, "service" + std::to_string(number)} {}

void Service::ask(keep::ClientMessage message) {
  keep_sim::KeepHost* life = month_.host(host_);
  if (life == nullptr) return again(kRetryUs);
  request_ = number_ << 32U | ++last_request_;
  life->feed(keep::ClientRequest{keep::SessionId(number_ + 1), kOwner, request_, {}, std::move(message)});
}

// What comes next: the newest checkpoint if it has none, else another one.
void Service::again(std::uint64_t after_us) {
  request_ = 0;
  month_.clock().after(after_us, [this, turn = ++turn_] {
    if (turn != turn_) return;
    if (needs_read_) return read();
    month_.writers_rest() && !urgent_ ? write_later() : write();
  });
}

void Service::write_later() {
  const double draw = (static_cast<double>(prng_.below(1U << 30U)) + 0.5) / (1U << 30U);
  again(static_cast<std::uint64_t>(-std::log(draw) * month_.options().write_s * 1e6));
}

void Service::write() { ask(wire::CheckpointBegin{key_.name, {{"state", month_.options().bytes}}}); }
void Service::read() { ask(wire::CheckpointOpen{key_.name, {}}); }

void Service::move(std::uint64_t after_us) {
  needs_read_ = bool{newest_};
  request_ = 0;
  month_.clock().after(after_us, [this, turn = ++turn_] {
    if (turn != turn_) return;
    ++month_.result().moves;
    host_ = month_.any_host();
    again(0);
  });
}

void Service::read_again() {
  needs_read_ = bool{newest_};
  again(0);
}

void Service::look() {
  if (lost_ || !needs_read_ || month_.holders(key_, newest_) != 0) return;
  lost_ = true;
  ++month_.result().lost;
}

void Service::answered(const keep::Answer& answer) {
  if (answer.request != request_) return;  // of a life before
  request_ = 0;
  std::visit([&](const auto& message) { judge(answer, message); }, answer.message);
}

void Service::judge(const keep::Answer& answer, const wire::CheckpointSlot& message) {
  Bytes& bytes = month_.host(host_)->slot(answer.slot);
  const std::uint64_t stamp = prng_.next();
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(stamp >> (i % 8 * 8));
  month_.clock().after(1000, [this, slot = message.slot, turn = ++turn_] {
    if (turn == turn_) ask(wire::CheckpointCommit{slot, wire::CommitLevel::kReplicated, kCommitTimeoutMs});
  });
}

// At the predecessor, if that lives: it may have died since it said so.
bool Service::second_copy() const {
  const keep_sim::KeepHost& home = *month_.host(host_);
  const auto before = home.predecessor();
  if (!before) return false;
  const keep_sim::KeepHost* second = month_.host(before->node.value - 1);
  return second == nullptr || second->self() != *before || second->holds(key_, newest_);
}

void Service::judge(const keep::Answer&, const wire::CommitAnswer& message) {
  if (message.result != wire::CommitResult::kOk) {
    ++month_.result().not_confirmed;
    return again(kRetryUs);
  }
  ++month_.result().commits;
  if (!sums_.empty() && message.version <= sums_.rbegin()->first)
    month_.checker().violated("a version number of " + key_.name + " was used again");
  urgent_ = false;
  newest_ = message.version;
  sums_[newest_] = message.sum;
  lost_ = false;
  if (!month_.host(host_)->holds(key_, newest_) || !second_copy())
    month_.checker().violated(key_.name + " was confirmed with less than two copies");
  write_later();
}

void Service::judge(const keep::Answer& answer, const wire::CheckpointContent& message) {
  ++month_.result().reads;
  std::vector<wire::SectionPlace> table = message.sections;
  for (wire::SectionPlace& section : table)
    section.sum = checksum(ByteView(month_.host(host_)->slot(answer.slot)).subspan(section.offset, section.size));
  const auto known = sums_.find(message.version);
  const bool older = message.version < newest_;
  if (older)
    month_.checker().violated(key_.name + " was given in an older version than was confirmed");
  else if (wire::version_sum(table) != message.sum || (known != sums_.end() && known->second != message.sum))
    month_.checker().violated(key_.name + " was given with other bytes");
  else if (lost_ && message.version == newest_)
    month_.checker().violated(key_.name + " was given although no server had it");
  if (lost_) --month_.result().lost;  // a newer one, not confirmed, was there
  lost_ = needs_read_ = false;
  urgent_ = true;
  again(0);
}

void Service::judge(const keep::Answer&, const wire::Refusal& message) {
  const auto code = static_cast<ErrorCode>(message.code);
  if (needs_read_ && (code == ErrorCode::kNotFound || code == ErrorCode::kLost)) {
    ++month_.result().told_lost;
    if (code == ErrorCode::kNotFound) month_.checker().violated(key_.name + " is said never to have been");
    if (!lost_) month_.checker().violated(key_.name + " is said to be gone while a server has it");
    // The service knows it, and begins anew.
    newest_ = {};
    lost_ = needs_read_ = false;
  }
  again(kRetryUs);
}

}  // namespace rk::month

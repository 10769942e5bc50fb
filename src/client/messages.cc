// SPDX-License-Identifier: Apache-2.0
#include "client/messages.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "ringkeep/ringkeep.h"

namespace rk::client {

namespace {

constexpr std::uint64_t kLongestSleepUs = 100'000;  // a lost ring costs no more than this

std::uint64_t now_us() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(now).count());
}

void wait_for_a_bell(LogSession& session, std::uint64_t bound_us) { session.wait(bound_us); }

Status check_peer(LogSession& session, std::uint32_t rank, const char* what) {
  if (rank >= session.ranks())
    return fail(ErrorCode::kInvalidArgument, "process " + std::to_string(rank) + " of a job of " +
                                                 std::to_string(session.ranks()) + ": " + what +
                                                 " a rank below the job's size");
  if (session.log().inside(rank))
    return fail(ErrorCode::kUnsupported,
                "process " + std::to_string(rank) +
                    " is of the same community, whose messages are not logged: use MPI inside of a community");
  return {};
}

tl::unexpected<Error> too_large(std::uint64_t size, std::size_t capacity) {
  return fail(ErrorCode::kInvalidArgument, "the message has " + std::to_string(size) + " bytes and the buffer " +
                                               std::to_string(capacity) + ": receive it again with a larger one");
}

tl::unexpected<Error> timed_out() {
  return fail(ErrorCode::kTimeout, "no message came within the time-out: receive again, or allow more time");
}

class Receive {
 public:
  Receive(LogSession& session, const log::RecvSpec& spec, std::span<std::byte> buffer, ReceivedMessage& received,
          Idle idle)
      : session_(session), spec_(spec), buffer_(buffer), received_(received), idle_(idle) {}

  // Does what an earlier life of this process did.
  Status repeat() {
    RK_TRY(const log::Outcome seen, session_.log().outcomes().replay(log::OutcomeKind::kReceive));
    switch (static_cast<ErrorCode>(seen.value)) {
      case ErrorCode::kOk:
        return take_on_record();
      case ErrorCode::kTimeout:
        return timed_out();
      default:
        received_.size = seen.detail;
        return too_large(seen.detail, buffer_.size());
    }
  }

  Status receive(std::uint32_t timeout_ms) {
    log::ProcessLog& log = session_.log();
    // The earlier life was killed between its match and the outcome: the match stands.
    if (log.matcher().next_on_record()) {
      RK_TRY_VOID(take_on_record());
      return log.outcomes().record(log::OutcomeKind::kReceive, 0);
    }
    const std::uint64_t deadline_us = now_us() + std::uint64_t{timeout_ms} * 1000;
    for (;;) {
      RK_TRY(const auto probed, log.matcher().probe(spec_));
      if (probed) return take_probed(*probed);
      const std::uint64_t now = now_us();
      if (now >= deadline_us) {
        RK_TRY_VOID(record(ErrorCode::kTimeout, 0));
        return timed_out();
      }
      idle_(session_, std::min(deadline_us - now, kLongestSleepUs));
    }
  }

 private:
  Status record(ErrorCode code, std::uint64_t detail) {
    return session_.log().outcomes().record(log::OutcomeKind::kReceive, static_cast<std::uint64_t>(code), detail);
  }

  Status take_probed(const log::Probed& probed) {
    if (probed.length > buffer_.size()) {
      RK_TRY_VOID(record(ErrorCode::kInvalidArgument, probed.length));
      received_.size = probed.length;
      return too_large(probed.length, buffer_.size());
    }
    spec_.source = probed.source;
    spec_.tag = probed.tag;
    RK_TRY(const auto match, session_.log().matcher().take(spec_));
    if (!match) return fail(ErrorCode::kCorrupt, "a message that was there is gone: restart the job");
    RK_TRY_VOID(copy(*match));
    return record(ErrorCode::kOk, 0);
  }

  // The message was there once and comes again, however long its sender takes to be restarted.
  Status take_on_record() {
    for (;;) {
      RK_TRY(const auto match, session_.log().matcher().take(spec_));
      if (match) return copy(*match);
      idle_(session_, kLongestSleepUs);
    }
  }

  Status copy(const log::Match& match) {
    received_ = {match.source, match.tag, match.length, match.ssn, match.rsn};
    if (match.length > buffer_.size())
      return fail(ErrorCode::kDivergence,
                  "the re-execution gives a smaller buffer than the original: the program is "
                  "not deterministic as fault tolerance needs it");
    if (match.length > 0) std::memcpy(buffer_.data(), match.payload.data(), match.length);
    return {};
  }

  LogSession& session_;
  log::RecvSpec spec_;
  std::span<std::byte> buffer_;
  ReceivedMessage& received_;
  Idle idle_;
};

}  // namespace

Status send_message(LogSession& session, std::uint32_t dest, std::int32_t tag, ByteView data) {
  RK_TRY_VOID(check_peer(session, dest, "send to"));
  if (tag < 0 || tag > RK_MAX_TAG)
    return fail(ErrorCode::kInvalidArgument,
                "tag " + std::to_string(tag) + " cannot be sent: use 0 to " + std::to_string(RK_MAX_TAG));
  RK_TRY_VOID(session.send(dest, {kMessagesContext, tag, data.size()}, data));
  return {};
}

Status receive_message(LogSession& session, std::uint32_t source, std::int32_t tag, std::span<std::byte> buffer,
                       std::uint32_t timeout_ms, ReceivedMessage& received, Idle idle) {
  received = {};
  if (source != log::kAnySource) RK_TRY_VOID(check_peer(session, source, "receive from"));
  if (tag != log::kAnyTag && (tag < 0 || tag > RK_MAX_TAG))
    return fail(ErrorCode::kInvalidArgument,
                "tag " + std::to_string(tag) + " is never sent: use 0 to " + std::to_string(RK_MAX_TAG));
  const log::RecvSpec spec{kMessagesContext, source, tag, log::Reach::kOutside};
  Receive receive(session, spec, buffer, received, idle != nullptr ? idle : wait_for_a_bell);
  if (session.log().outcomes().replaying()) return receive.repeat();
  return receive.receive(timeout_ms);
}

}  // namespace rk::client

// SPDX-License-Identifier: Apache-2.0
// rk_send and rk_recv over a process's log session: logged messages to processes of other communities, without MPI.
// What a receive saw (a message, a time-out, a message that is too large) is an outcome on record, and its choice among
// sources a match on record, so that a restarted process sees the same again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "client/log_session.h"

namespace rk::client {

// Context of these messages; those of MPI communicators are counted from below.
inline constexpr std::uint64_t kMessagesContext = UINT64_MAX;

// Sleeps until something may have arrived, at most `bound_us`: LogSession::wait, or in an MPI program a loop that also
// gives the native library its turn.
using Idle = void (*)(LogSession& session, std::uint64_t bound_us);

// kUnsupported for a process of the own community; kNoMemory when the log is full.
Status send_message(LogSession& session, std::uint32_t dest, std::int32_t tag, ByteView data);

struct ReceivedMessage {
  std::uint32_t source = 0;
  std::int32_t tag = 0;
  std::uint64_t size = 0;
  std::uint64_t ssn = 0;
  std::uint64_t rsn = 0;
};

// The oldest message of `source` (log::kAnySource: of whichever) with `tag` (log::kAnyTag: any). kTimeout after
// `timeout_ms`. kInvalidArgument, the message left in place and `received.size` set, if it is larger than `buffer`.
Status receive_message(LogSession& session, std::uint32_t source, std::int32_t tag, std::span<std::byte> buffer,
                       std::uint32_t timeout_ms, ReceivedMessage& received, Idle idle = nullptr);

}  // namespace rk::client

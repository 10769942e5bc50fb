// SPDX-License-Identifier: Apache-2.0
// Messages of the log, server to server: records of one process's outbox carried to the node of their receiver, which
// reads outboxes of its own node in place. The layout is fixed by golden bytes; frames may be lost, duplicated and
// reordered, and the protocol (log/carrier.h) still hands every record to the receiver once and in order.
//
// One conversation is (job, source, dest). Records travel in ssn order; a record larger than kMaxCarriedPart travels
// in parts, in order of their offsets. The receiver begins a turn, which names the first record that it wants, when it
// starts and whenever it needs records again (a restore); turns rise. It repeats LogFrom until a frame of that turn
// comes, and acknowledges with the number up to which everything has arrived.
#pragma once

#include <cstdint>
#include <vector>

#include "wire/codec.h"

namespace rk::wire {

inline constexpr std::size_t kMaxCarriedPart = std::size_t{64} << 10U;  // payload bytes of one part
inline constexpr std::uint64_t kMaxCarriedRecord = std::uint64_t{1} << 30U;
inline constexpr std::size_t kMaxCarriedFrame = std::size_t{256} << 10U;  // payload bytes of one LogRecords

// One record of the outbox, or a part of it: payload bytes [offset, offset + part) of `length`.
struct CarriedRecord {
  Ssn ssn;
  std::uint64_t order = 0;
  std::uint64_t context = 0;
  std::int32_t tag = 0;
  Incarnation incarnation;  // of the sender's community when the record was written
  std::uint64_t length = 0;
  std::uint64_t offset = 0;
  Bytes part;
  RK_FIELDS(ssn, order, context, tag, incarnation, length, offset, part)
  bool operator==(const CarriedRecord&) const = default;
};

// Sender's node -> receiver's node.
struct LogRecords {
  static constexpr MessageType kType = MessageType::kLogRecords;
  JobId job;
  Rank source;
  Rank dest;
  std::uint64_t turn = 0;              // newest that the sender has heard of
  std::vector<CarriedRecord> records;  // none: only the turn is confirmed
  RK_FIELDS(job, source, dest, turn, records)
  bool operator==(const LogRecords&) const = default;
};

// Receiver's node -> sender's node: every ssn up to here has arrived.
struct LogArrived {
  static constexpr MessageType kType = MessageType::kLogArrived;
  JobId job;
  Rank source;
  Rank dest;
  std::uint64_t turn = 0;  // what an earlier turn said and arrives late changes nothing
  Ssn arrived;
  RK_FIELDS(job, source, dest, turn, arrived)
  bool operator==(const LogArrived&) const = default;
};

// Receiver's node -> sender's node: send from this ssn on, whatever was acknowledged before.
struct LogFrom {
  static constexpr MessageType kType = MessageType::kLogFrom;
  JobId job;
  Rank source;
  Rank dest;
  std::uint64_t turn = 0;
  Ssn first;
  RK_FIELDS(job, source, dest, turn, first)
  bool operator==(const LogFrom&) const = default;
};

}  // namespace rk::wire

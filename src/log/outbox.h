// SPDX-License-Identifier: Apache-2.0
// The sender's side: one stream per destination in the own segment. The channel is the log: a message is written once,
// here, and the receiver copies it out of here; nothing waits for a receiver.
//
// Re-execution: the n-th message to a destination whose ssn is published already is not written again. It is compared
// with the original, which stands. Another context, tag, length, destination or order is a divergence (an error);
// another payload is counted, and an error only under `strict`. Originals that every restart has passed may be trimmed;
// those are dropped without comparison.
//
//   RK_TRY(Slot slot, outbox.reserve(dest, {context, tag, length}));
//   pack into slot.space (both cases: for a message sent again it is private scratch memory);
//   RK_TRY_VOID(outbox.commit(slot));           // publishes, or compares with the original
//   if (slot.fresh) ring the bell of dest       // bells.h
//
// or, for contiguous data, send(). One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "log/log_state.h"
#include "log/stream.h"

namespace rk::log {

struct Envelope {
  std::uint64_t context = 0;
  std::int32_t tag = 0;
  std::uint64_t length = 0;
};

struct Slot {
  std::span<std::byte> space;      // `length` bytes to write the payload to
  RecordHeader* header = nullptr;  // in the log, without its number until commit(); null: sent before
  std::uint32_t dest = 0;
  std::uint64_t ssn = 0;
  bool fresh = true;     // false: sent before; the original stands
  bool trimmed = false;  // of those: the original is gone, every restart of the receiver has passed it
  ByteView original;     // of those: its payload
  std::uint64_t item_bytes = 0;
};

struct SendOutcome {
  std::uint64_t ssn = 0;
  bool fresh = true;  // ring the receiver's bell
};

struct OutboxCounts {
  std::uint64_t messages = 0;          // written
  std::uint64_t bytes = 0;             // payload of those
  std::uint64_t resent = 0;            // sent again and dropped
  std::uint64_t resent_verified = 0;   // of those, identical to the original
  std::uint64_t resent_differing = 0;  // of those, with another payload
};

class Outbox {
 public:
  struct Config {
    Incarnation incarnation;
    bool strict = false;  // another payload in a re-sent message is an error
  };
  // Walks what earlier incarnations published. `units` must have been rebuilt (rebuild_units).
  static Result<std::unique_ptr<Outbox>> open(Units& units, const Config& config);

  Result<Slot> reserve(std::uint32_t dest, const Envelope& envelope);
  // For a message sent again: kDivergence under `strict` if the payload differs.
  Status commit(const Slot& slot);
  Result<SendOutcome> send(std::uint32_t dest, const Envelope& envelope, ByteView payload);

  // Last ssn given to a message to `dest` in this life.
  std::uint64_t sent(std::uint32_t dest) const { return streams_[dest].sent; }
  // Last ssn to `dest` that is in the log; above sent() while re-executing.
  std::uint64_t published(std::uint32_t dest) const { return streams_[dest].writer.published(); }
  // True while a message that this process sends next to some destination is in the log already.
  bool re_executing() const { return order_ < highest_order_; }
  std::uint64_t logged_bytes() const;  // payload in the log, trimmed included
  const OutboxCounts& counts() const { return counts_; }

  // What has been sent so far belongs to the prologue and is kept for ever.
  void mark_prologue();
  // Frees what `dest` (its consumed table) says it never needs again. Returns units freed.
  Result<std::uint64_t> trim(std::uint32_t dest, std::uint64_t prologue, std::uint64_t trim_watermark);

  void snapshot(LogState& state) const;
  Status jump(const LogState& state);

 private:
  struct Stream {
    StreamWriter writer;
    std::uint64_t sent = 0;
    StreamCursor originals;   // while re-executing
    bool positioned = false;  // `originals` stands at ssn `sent` + 1, or above it where that is trimmed
  };

  Outbox(Units& units, const Config& config) : units_(units), config_(config) {}
  Status open_stream(std::uint32_t dest);
  Status compare(const Slot& slot, ByteView payload);
  Result<Slot> reserve_again(std::uint32_t dest, const Envelope& envelope);
  tl::unexpected<Error> divergence(std::uint32_t dest, std::uint64_t ssn, const std::string& what) const;
  RecordHeader* write_header(std::byte* at, std::uint32_t dest, const Envelope& envelope, std::uint64_t ssn) const;
  Status refuse(std::uint32_t dest, const Envelope& envelope) const;

  Units& units_;
  Config config_;
  std::vector<Stream> streams_;
  std::uint64_t order_ = 0;
  std::uint64_t highest_order_ = 0;  // in the log
  OutboxCounts counts_;
  Bytes scratch_;
};

}  // namespace rk::log

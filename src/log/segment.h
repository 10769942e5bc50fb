// SPDX-License-Identifier: Apache-2.0
// Access to the memory of a segment (layout.h). `Segment` is the owner's, writable; `SegmentView` another process's,
// read-only and not trusted: every offset and length that is read from it is checked before it is used, on each step,
// and a wrong one is an error (kCorrupt) that names the process.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "log/layout.h"

namespace rk::log {

struct SegmentIdentity {
  JobId job;
  Rank rank;
  std::uint32_t ranks = 0;
};

// Atomic loads of shared words. std::atomic_ref needs a mutable object; a load does not write.
inline std::uint64_t load_acquire(const std::uint64_t& word) {
  return std::atomic_ref(const_cast<std::uint64_t&>(word)).load(std::memory_order_acquire);  // NOLINT
}
inline std::uint64_t load_relaxed(const std::uint64_t& word) {
  return std::atomic_ref(const_cast<std::uint64_t&>(word)).load(std::memory_order_relaxed);  // NOLINT
}
inline void store_release(std::uint64_t& word, std::uint64_t value) {
  std::atomic_ref(word).store(value, std::memory_order_release);
}
inline std::uint32_t load_relaxed(const std::uint32_t& word) {
  return std::atomic_ref(const_cast<std::uint32_t&>(word)).load(std::memory_order_relaxed);  // NOLINT
}
// A count of the owner's, the word's only writer.
inline void count_one(std::uint64_t& word) {
  std::atomic_ref(word).store(load_relaxed(word) + 1, std::memory_order_relaxed);
}

// What all lives of a process did, as its segment counts it: the segment outlives a process that is killed, which can
// report nothing itself. At most one short for what it was doing at that moment, but never for what is in the log.
struct SegmentCounts {
  std::uint64_t messages_sent = 0;  // first time
  std::uint64_t bytes_sent = 0;     // payload of those
  std::uint64_t resent = 0;
  std::uint64_t resent_verified = 0;
  std::uint64_t resent_differing = 0;
  std::uint64_t received = 0;
  std::uint64_t replayed = 0;
  std::uint64_t determinants = 0;
  std::uint64_t determinants_replayed = 0;
};

class SegmentView {
 public:
  SegmentView() = default;
  // kUnavailable while its owner has not formatted it yet; kCorrupt or kVersionMismatch if it is not the segment of
  // `identity` in a format that we read. The memory must outlive the view.
  static Result<SegmentView> open(ByteView memory, const SegmentIdentity& identity);

  std::uint32_t rank() const { return rank_; }
  std::uint32_t ranks() const { return ranks_; }
  std::uint32_t matches_stream() const { return ranks_; }
  std::uint32_t outcomes_stream() const { return ranks_ + 1; }
  bool valid() const { return !memory_.empty(); }

  const StreamEntry& stream(std::uint32_t number) const {
    return *reinterpret_cast<const StreamEntry*>(memory_.data() + streams_offset_ + number * sizeof(StreamEntry));
  }
  const ConsumedEntry& consumed(std::uint32_t source) const {
    return *reinterpret_cast<const ConsumedEntry*>(memory_.data() + consumed_offset_ + source * sizeof(ConsumedEntry));
  }
  std::uint64_t usable_bytes() const;  // never above the mapping
  std::uint64_t incarnation() const;
  SegmentCounts counts() const;
  // Units that the owner may have used so far.
  std::uint64_t units() const { return (usable_bytes() - units_offset_) / kUnitBytes; }
  // Start of unit `unit`, which must be below units().
  const std::byte* unit(std::uint64_t unit) const { return memory_.data() + unit_offset(unit); }
  std::uint64_t unit_offset(std::uint64_t unit) const { return units_offset_ + unit * kUnitBytes; }
  ByteView memory() const { return memory_; }

 protected:
  ByteView memory_;
  std::uint64_t streams_offset_ = 0;
  std::uint64_t consumed_offset_ = 0;
  std::uint64_t units_offset_ = 0;
  std::uint32_t rank_ = 0;
  std::uint32_t ranks_ = 0;
};

class Segment : public SegmentView {
 public:
  Segment() = default;
  // True if the memory has never been formatted (a new memfd is zero).
  static bool is_blank(ByteView memory);
  // Smallest `usable` for a job of that many processes: tables and a few units.
  static std::uint64_t smallest_bytes(std::uint32_t ranks);
  // Writes the header into zeroed memory and opens it.
  static Result<Segment> format(std::span<std::byte> memory, const SegmentIdentity& identity, std::uint64_t usable);
  // Opens what an earlier incarnation left. `usable` is what the daemon says; the chains are checked by their users.
  static Result<Segment> open(std::span<std::byte> memory, const SegmentIdentity& identity, std::uint64_t usable);

  StreamEntry& stream_entry(std::uint32_t number) const { return const_cast<StreamEntry&>(stream(number)); }  // NOLINT
  ConsumedEntry& consumed_entry(std::uint32_t source) const {
    return const_cast<ConsumedEntry&>(consumed(source));
  }                                                                                                    // NOLINT
  std::byte* unit_memory(std::uint64_t number) const { return const_cast<std::byte*>(unit(number)); }  // NOLINT
  void set_usable(std::uint64_t bytes);
  void set_incarnation(Incarnation incarnation);
  OwnerState& owner() const;
};

}  // namespace rk::log

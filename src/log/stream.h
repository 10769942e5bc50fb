// SPDX-License-Identifier: Apache-2.0
// Streams: numbered items in a chain of chunks (layout.h). The writer appends and publishes one item at a time; readers
// in other processes follow with a cursor. Units are handed out by one `Units` a segment, which is private memory of
// the owner and is rebuilt from the chains when the owner starts again: a unit is free when no chain holds it.
//
// Trimming takes whole chunks out of the middle of a chain: those above the prologue (kept for ever) and below a
// number that no reader needs again. A chunk goes only when the first item of its successor may go too, so no reader
// still stands in it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "log/segment.h"

namespace rk::log {

// Where more usable memory comes from: the daemon (client/log_session) or a test.
class ArenaSource {
 public:
  virtual ~ArenaSource() = default;
  // `bytes` more, or a part of it; returns the new usable size from the segment's start, or kNoMemory. It may give
  // units back instead (trimming) and return the old size.
  virtual Result<std::uint64_t> grow(std::uint64_t bytes) = 0;
  // True while grow_ahead(bytes) would be in vain: about as much is on its way, or was refused.
  virtual bool coming(std::uint64_t bytes) const {
    static_cast<void>(bytes);
    return false;
  }
  // Space will be needed soon: start to get it without waiting. What came of it is told by grown().
  virtual void grow_ahead(std::uint64_t bytes) { static_cast<void>(bytes); }
  // New usable size if there is more since the last call of grow() or grown(), else 0.
  virtual std::uint64_t grown() { return 0; }
};

// Free units of the owner's segment.
class Units {
 public:
  Units(Segment segment, ArenaSource& arena);

  // `count` units in a row, or kNoMemory with the cure. Lowest address first, so that freed, warm memory is used again.
  Result<std::uint64_t> take(std::uint64_t count);
  void give_back(std::uint64_t first, std::uint64_t count);
  // While rebuilding: marks units of a chain as taken; kCorrupt if one is taken already or does not exist.
  Status mark_taken(std::uint64_t first, std::uint64_t count);
  std::uint64_t free_units() const { return free_; }
  std::uint64_t total_units() const { return taken_.size(); }
  const Segment& segment() const { return segment_; }

 private:
  void widen(std::uint64_t usable);
  std::uint64_t find(std::uint64_t count) const;
  Status grow(std::uint64_t count);
  std::uint64_t next_step() const;

  Segment segment_;
  ArenaSource& arena_;
  std::vector<bool> taken_;
  std::uint64_t free_ = 0;
  std::uint64_t low_ = 0;  // no free unit below
};

// A reader's place in a stream. Reads another process's memory with every check, or the owner's own.
class StreamCursor {
 public:
  StreamCursor() = default;
  StreamCursor(const SegmentView& segment, std::uint32_t stream) : segment_(segment), stream_(stream) {}

  // Memory of the next item up to the end of its chunk; empty if it is not published yet. number() says which item it
  // is: where items were trimmed, numbers jump. The caller checks the item and calls advance().
  Result<ByteView> peek();
  // Of a reader of messages: the next one is not there. It looks at the line that the message's header will fill, and
  // at `published` only where that line cannot be the next message's.
  bool no_message() {
    if (next_ <= seen_) return false;
    if (const RecordHeader* const header = next_header()) {
      if (load_acquire(header->ssn) == next_) return false;
      if (load_relaxed(header->magic) != kSkipMagic && ++looks_ % kLooksAtLine != 0) return true;
    }
    return at_end();
  }
  // As peek(), of a message that no_message() has told of: `published` may not count it yet.
  Result<ByteView> peek_message();
  // Passes the item that peek() showed. `bytes` is at most the span's size.
  void advance(std::uint64_t bytes) {
    offset_ += bytes;
    ++next_;
  }
  // Number of the next item.
  std::uint64_t number() const { return next_; }
  // Goes to item `number`, or to the first one above it that still exists, or to the end.
  Status seek(std::uint64_t number);
  // Nothing to read. One load of shared memory, and none while an earlier load told of more.
  bool at_end() {
    if (next_ <= seen_) return false;
    seen_ = load_acquire(segment_.stream(stream_).published);
    return next_ > seen_;
  }

  bool in_chunk() const { return chunk_ != nullptr; }
  std::uint64_t unit() const { return unit_; }
  std::uint64_t offset() const { return offset_; }
  std::uint64_t chunk_bytes() const { return end_; }
  // Where the chunk ends, from the segment's start.
  std::uint64_t segment_end() const { return segment_.unit_offset(unit_) + end_; }
  const SegmentView& segment() const { return segment_; }
  std::uint32_t stream() const { return stream_; }

 private:
  // Where the next message's header is or will be; null where the chunk has no room for one.
  const RecordHeader* next_header() const {
    if (chunk_ == nullptr || end_ - offset_ < sizeof(RecordHeader)) return nullptr;
    return reinterpret_cast<const RecordHeader*>(chunk_ + offset_);
  }
  Status enter(std::uint64_t unit_plus_1, std::uint64_t least_number);
  Status next_chunk();
  Result<ByteView> peek_here();
  Status walk_to(std::uint64_t number);
  tl::unexpected<Error> corrupt(const char* what) const;

  SegmentView segment_;
  std::uint32_t stream_ = 0;
  const std::byte* chunk_ = nullptr;
  std::uint64_t unit_ = 0;
  std::uint64_t offset_ = 0;  // of the next item, from the chunk's start
  std::uint64_t end_ = 0;     // bytes of the chunk
  std::uint64_t next_ = 1;
  std::uint64_t seen_ = 0;  // `published` when it was last loaded
  std::uint32_t looks_ = 0;

  static constexpr std::uint32_t kLooksAtLine = 8;  // then one at `published`
};

// Size of the item that starts there, from its own header; kCorrupt if it does not fit into `at`.
Result<std::uint64_t> item_bytes(const SegmentView& segment, std::uint32_t stream, ByteView at);

// The owner's end of a stream.
class StreamWriter {
 public:
  StreamWriter() = default;
  // Opens stream `stream` behind its last published item. What a killed writer left behind that is overwritten.
  static Result<StreamWriter> open(Units& units, std::uint32_t stream);

  // Space for one item of `bytes` (a multiple of 32) in a row. Reserving again without publishing gives the same place.
  Result<std::span<std::byte>> reserve(std::uint64_t bytes) {
    if (bytes <= end_ - offset_) [[likely]]
      return std::span<std::byte>(chunk_ + offset_, bytes);
    return reserve_in_new_chunk(bytes);
  }
  // Makes the reserved item of that size visible.
  void publish(std::uint64_t bytes, std::uint64_t payload_bytes) {
    offset_ += bytes;
    payload_bytes_ += payload_bytes;
    std::atomic_ref(entry_->published_bytes).store(payload_bytes_, std::memory_order_relaxed);
    std::atomic_ref(entry_->published).store(++published_, std::memory_order_release);
    // The next item's place has never been touched: fetch its lines while the caller does something else.
    __builtin_prefetch(chunk_ + offset_, 1);
    __builtin_prefetch(chunk_ + offset_ + kLine, 1);
  }
  std::uint64_t published() const { return published_; }
  std::uint64_t published_bytes() const { return payload_bytes_; }
  // Frees chunks with items in (keep_up_to, free_up_to] only. Returns the number of units freed.
  Result<std::uint64_t> trim(std::uint64_t keep_up_to, std::uint64_t free_up_to);

 private:
  Result<std::span<std::byte>> reserve_in_new_chunk(std::uint64_t bytes);
  void count_visible_message();

  Units* units_ = nullptr;
  StreamEntry* entry_ = nullptr;
  std::byte* chunk_ = nullptr;
  std::uint64_t offset_ = 0;
  std::uint64_t end_ = 0;
  std::uint64_t published_ = 0;
  std::uint64_t payload_bytes_ = 0;
  std::uint32_t stream_ = 0;
};

// Marks the units of every chain of the owner's segment as taken.
Status rebuild_units(Units& units);

}  // namespace rk::log

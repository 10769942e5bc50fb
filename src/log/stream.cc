// SPDX-License-Identifier: Apache-2.0
#include "log/stream.h"

#include <algorithm>
#include <cstring>

namespace rk::log {

namespace {

constexpr std::uint64_t kSmallestItem = 32;
constexpr std::uint64_t kLargestGrownChunk = 16;           // units of a chunk for small items
constexpr std::uint64_t kBytesPerChunkUnit = 512U << 10U;  // a busy stream gets larger chunks
constexpr std::uint64_t kLargeItemUnits = 4;               // above: a chunk of exactly the size

std::uint32_t first_word(const std::byte* at) {
  std::uint32_t word = 0;
  std::memcpy(&word, at, sizeof word);
  return word;
}

tl::unexpected<Error> damaged_chain(const Segment& segment, std::uint32_t stream) {
  return fail(ErrorCode::kCorrupt, "the log of process " + std::to_string(segment.rank()) +
                                       " has a damaged chunk in stream " + std::to_string(stream) +
                                       ": restart the job");
}

ChunkHeader& chunk_header(std::byte* chunk) { return *reinterpret_cast<ChunkHeader*>(chunk); }

}  // namespace

Result<std::uint64_t> item_bytes(const SegmentView& segment, std::uint32_t stream, ByteView at) {
  std::uint64_t bytes = 0;
  if (stream < segment.ranks() && at.size() >= sizeof(RecordHeader)) {
    RecordHeader header;
    std::memcpy(&header, at.data(), sizeof header);
    if (header.magic == kRecordMagic && header.length <= at.size() - sizeof header)
      bytes = round_up(sizeof header + header.length, kLine);
  } else if (stream == segment.matches_stream() && at.size() >= sizeof(MatchEntry)) {
    bytes = sizeof(MatchEntry);
  } else if (stream == segment.outcomes_stream() && at.size() >= sizeof(OutcomeEntry)) {
    OutcomeEntry entry;
    std::memcpy(&entry, at.data(), sizeof entry);
    if (entry.blob_bytes <= at.size() - sizeof entry) bytes = round_up(sizeof entry + entry.blob_bytes, kSmallestItem);
  }
  if (bytes == 0 || bytes > at.size())
    return fail(ErrorCode::kCorrupt, "the log of process " + std::to_string(segment.rank()) +
                                         " has a damaged item in stream " + std::to_string(stream) +
                                         ": restart the job");
  return bytes;
}

tl::unexpected<Error> StreamCursor::corrupt(const char* what) const {
  return fail(ErrorCode::kCorrupt, "the log of process " + std::to_string(segment_.rank()) + " is damaged in stream " +
                                       std::to_string(stream_) + " at item " + std::to_string(next_) + " (" + what +
                                       "): restart the job");
}

Status StreamCursor::enter(std::uint64_t unit_plus_1, std::uint64_t least_number) {
  const std::uint64_t units = segment_.units();
  if (unit_plus_1 == 0 || unit_plus_1 > units) return corrupt("a chunk outside of the segment");
  const std::uint64_t unit = unit_plus_1 - 1;
  ChunkHeader header;
  std::memcpy(&header, segment_.unit(unit), sizeof header);
  if (header.magic != kChunkMagic || header.stream != stream_) return corrupt("a chunk of another stream");
  if (header.units == 0 || header.units > units - unit) return corrupt("a chunk that ends outside of the segment");
  if (header.first_item < least_number || header.first_item == 0) return corrupt("a chunk that goes back");
  chunk_ = segment_.unit(unit);
  unit_ = unit;
  offset_ = sizeof(ChunkHeader);
  end_ = std::uint64_t{header.units} * kUnitBytes;
  next_ = header.first_item;
  return {};
}

Status StreamCursor::next_chunk() {
  if (chunk_ == nullptr) return enter(load_acquire(segment_.stream(stream_).first_unit_plus_1), 1);
  const auto& header = *reinterpret_cast<const ChunkHeader*>(chunk_);
  return enter(load_acquire(header.next_unit_plus_1), next_);
}

// The next item behind the cursor, across chunk ends; at_end() has said that there is one.
Result<ByteView> StreamCursor::peek_here() {
  for (std::uint64_t steps = 0; steps <= segment_.units(); ++steps) {
    if (chunk_ != nullptr && end_ - offset_ >= kSmallestItem &&
        (stream_ == segment_.matches_stream() || first_word(chunk_ + offset_) != kSkipMagic))
      return ByteView(chunk_ + offset_, end_ - offset_);
    RK_TRY_VOID(next_chunk());
    if (at_end()) return ByteView{};
  }
  return corrupt("a chain that goes in a circle");
}

Result<ByteView> StreamCursor::peek() {
  if (at_end()) return ByteView{};
  auto item = peek_here();
  if (item) [[likely]]
    return item;
  // A reader that lags far behind, in messages that it will never use again, can stand in a chunk that its owner has
  // freed meanwhile. The chain itself is always whole: look from its start.
  RK_TRY_VOID(walk_to(next_));
  if (at_end()) return ByteView{};
  return peek_here();
}

Result<ByteView> StreamCursor::peek_message() {
  const RecordHeader* const header = next_header();
  if (next_ > seen_ && header != nullptr && load_acquire(header->ssn) == next_)
    return ByteView(chunk_ + offset_, end_ - offset_);
  return peek();
}

Status StreamCursor::walk_to(std::uint64_t number) {
  chunk_ = nullptr;
  next_ = 1;
  const std::uint64_t first = load_acquire(segment_.stream(stream_).first_unit_plus_1);
  if (first == 0) {
    next_ = number;
    return {};
  }
  RK_TRY_VOID(enter(first, 1));
  for (std::uint64_t steps = 0; steps <= segment_.units(); ++steps) {
    const auto& header = *reinterpret_cast<const ChunkHeader*>(chunk_);
    const std::uint64_t next = load_acquire(header.next_unit_plus_1);
    if (next == 0) return {};
    StreamCursor after = *this;
    RK_TRY_VOID(after.enter(next, next_));
    if (after.next_ > number) return {};
    *this = after;
  }
  return corrupt("a chain that goes in a circle");
}

Status StreamCursor::seek(std::uint64_t number) {
  RK_TRY_VOID(walk_to(number));
  while (next_ < number && !at_end()) {
    RK_TRY(const ByteView at, peek_here());
    if (at.empty() || next_ >= number) break;
    RK_TRY(const std::uint64_t bytes, item_bytes(segment_, stream_, at));
    advance(bytes);
  }
  return {};
}

Result<StreamWriter> StreamWriter::open(Units& units, std::uint32_t stream) {
  const Segment& segment = units.segment();
  StreamWriter writer;
  writer.units_ = &units;
  writer.stream_ = stream;
  writer.entry_ = &segment.stream_entry(stream);
  writer.published_ = writer.entry_->published;
  writer.payload_bytes_ = writer.entry_->published_bytes;
  StreamCursor tail(segment, stream);
  RK_TRY_VOID(tail.seek(writer.published_ + 1));
  if (tail.number() != writer.published_ + 1)
    return fail(ErrorCode::kCorrupt, "the log of process " + std::to_string(segment.rank()) +
                                         " lacks items of stream " + std::to_string(stream) + ": restart the job");
  if (tail.in_chunk()) {
    writer.chunk_ = segment.unit_memory(tail.unit());
    writer.offset_ = tail.offset();
    writer.end_ = tail.chunk_bytes();
    writer.count_visible_message();
  }
  return writer;
}

// A message that its killed writer had made visible, and not counted yet: its receiver may have it.
void StreamWriter::count_visible_message() {
  if (stream_ >= units_->segment().ranks() || end_ - offset_ < sizeof(RecordHeader)) return;
  RecordHeader header;
  std::memcpy(&header, chunk_ + offset_, sizeof header);
  if (is_message(header, units_->segment().rank(), stream_, published_ + 1, end_ - offset_ - sizeof header))
    publish(round_up(sizeof header + header.length, kLine), header.length);
}

Result<std::span<std::byte>> StreamWriter::reserve_in_new_chunk(std::uint64_t bytes) {
  if (bytes > (std::uint64_t{1} << 48U))
    return fail(ErrorCode::kNoMemory,
                "a message of " + std::to_string(bytes) + " bytes is larger than any log: send less");
  const std::uint64_t needed = (sizeof(ChunkHeader) + bytes + kUnitBytes - 1) / kUnitBytes;
  std::uint64_t wanted = needed;
  if (needed <= kLargeItemUnits)
    wanted = std::max(needed, std::min(kLargestGrownChunk, 1 + payload_bytes_ / kBytesPerChunkUnit));
  auto unit = units_->take(wanted);
  if (!unit && wanted > needed) {
    wanted = needed;
    unit = units_->take(wanted);
  }
  if (!unit) return tl::unexpected(std::move(unit).error());

  std::byte* chunk = units_->segment().unit_memory(*unit);
  ChunkHeader header{};
  header.magic = kChunkMagic;
  header.stream = stream_;
  header.units = static_cast<std::uint32_t>(wanted);
  header.first_item = published_ + 1;
  std::memcpy(chunk, &header, sizeof header);
  if (chunk_ == nullptr) {
    store_release(entry_->first_unit_plus_1, *unit + 1);
  } else {
    if (end_ - offset_ >= kSmallestItem)
      std::atomic_ref(*reinterpret_cast<std::uint32_t*>(chunk_ + offset_)).store(kSkipMagic, std::memory_order_relaxed);
    store_release(chunk_header(chunk_).next_unit_plus_1, *unit + 1);
  }
  chunk_ = chunk;
  offset_ = sizeof(ChunkHeader);
  end_ = wanted * kUnitBytes;
  return std::span<std::byte>(chunk_ + offset_, bytes);
}

Result<std::uint64_t> StreamWriter::trim(std::uint64_t keep_up_to, std::uint64_t free_up_to) {
  const Segment& segment = units_->segment();
  std::uint64_t* link = &entry_->first_unit_plus_1;
  std::uint64_t freed = 0;
  while (*link != 0) {
    if (*link > segment.units()) return damaged_chain(segment, stream_);
    const std::uint64_t unit = *link - 1;
    ChunkHeader& header = chunk_header(segment.unit_memory(unit));
    if (header.next_unit_plus_1 == 0) break;
    if (header.next_unit_plus_1 > segment.units()) return damaged_chain(segment, stream_);
    const ChunkHeader& next = chunk_header(segment.unit_memory(header.next_unit_plus_1 - 1));
    if (next.first_item > free_up_to) break;
    if (header.first_item <= keep_up_to) {
      link = &header.next_unit_plus_1;
      continue;
    }
    store_release(entry_->freed, next.first_item - 1);
    store_release(*link, header.next_unit_plus_1);
    units_->give_back(unit, header.units);
    freed += header.units;
  }
  return freed;
}

Status rebuild_units(Units& units) {
  const Segment& segment = units.segment();
  for (std::uint32_t stream = 0; stream < segment.ranks() + 2; ++stream) {
    std::uint64_t next = segment.stream(stream).first_unit_plus_1;
    while (next != 0) {
      if (next > segment.units()) return damaged_chain(segment, stream);
      ChunkHeader header;
      std::memcpy(&header, segment.unit(next - 1), sizeof header);
      if (header.magic != kChunkMagic || header.stream != stream || header.units == 0)
        return damaged_chain(segment, stream);
      RK_TRY_VOID(units.mark_taken(next - 1, header.units));  // a circle is a unit taken twice
      next = header.next_unit_plus_1;
    }
  }
  return {};
}

}  // namespace rk::log

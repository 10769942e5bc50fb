// SPDX-License-Identifier: Apache-2.0
#include "log/segment.h"

#include <algorithm>
#include <cstring>

namespace rk::log {

namespace {

constexpr std::uint64_t kStreamsOffset = sizeof(SegmentHeader) + sizeof(OwnerState);
constexpr std::uint64_t kTablesAlign = 4096;
constexpr std::uint64_t kFewestUnits = 4;

struct Offsets {
  std::uint64_t streams;
  std::uint64_t consumed;
  std::uint64_t units;
};

constexpr Offsets offsets_for(std::uint64_t ranks) {
  const std::uint64_t consumed = kStreamsOffset + (ranks + 2) * sizeof(StreamEntry);
  return {kStreamsOffset, consumed, round_up(consumed + ranks * sizeof(ConsumedEntry), kTablesAlign)};
}

std::string name_of(const SegmentIdentity& identity) {
  return "log segment of process " + std::to_string(identity.rank.value);
}

// The magic is written last, so it says whether the rest is there.
std::uint32_t load_magic(ByteView memory) {
  auto& magic = const_cast<SegmentHeader*>(reinterpret_cast<const SegmentHeader*>(memory.data()))->magic;  // NOLINT
  return std::atomic_ref(magic).load(std::memory_order_acquire);
}

std::uint64_t mix(std::uint64_t state, std::uint64_t value) {
  state = (state ^ value) * 0x9e3779b97f4a7c15ULL;
  return state ^ (state >> 29U);
}

}  // namespace

std::uint64_t record_sum(const RecordHeader& header) {
  std::uint64_t words[7];
  std::memcpy(words, &header, sizeof words);
  // Two chains, so that the multiplications overlap.
  const std::uint64_t left = mix(mix(words[0], words[2]), words[4]);
  const std::uint64_t right = mix(mix(mix(~words[1], words[3]), words[5]), words[6]);
  return mix(left, right);
}

bool is_message(const RecordHeader& header, std::uint32_t source, std::uint32_t dest, std::uint64_t ssn,
                std::uint64_t room) {
  return header.magic == kRecordMagic && header.sum == record_sum(header) && header.source == source &&
         header.dest == dest && header.ssn == ssn && header.length <= room;
}

Result<SegmentView> SegmentView::open(ByteView memory, const SegmentIdentity& identity) {
  if (identity.ranks == 0 || identity.ranks > kMaxProcesses || identity.rank.value >= identity.ranks)
    return fail(ErrorCode::kInvalidArgument, "process " + std::to_string(identity.rank.value) + " of a job of " +
                                                 std::to_string(identity.ranks) +
                                                 " has no log segment: use a rank of the job");
  if (memory.size() < sizeof(SegmentHeader) + sizeof(OwnerState))
    return fail(ErrorCode::kCorrupt, name_of(identity) + " is too small for its header: restart the job");
  const std::uint32_t magic = load_magic(memory);
  if (magic == 0)
    return fail(ErrorCode::kUnavailable, name_of(identity) + " is not in use yet: try again when it has started");
  if (magic != kSegmentMagic)
    return fail(ErrorCode::kCorrupt, name_of(identity) + " does not start with a segment's magic: restart the job");
  SegmentHeader header;
  std::memcpy(&header, memory.data(), sizeof header);
  if (header.major != kLogFormatMajor || (header.features & kLogRequiredFeatures & ~kLogFeatures) != 0)
    return fail(ErrorCode::kVersionMismatch, name_of(identity) + " has format " + std::to_string(header.major) + "." +
                                                 std::to_string(header.minor) +
                                                 " with features that this release does not " +
                                                 "know: run all processes of a job with the same release");
  const Offsets offsets = offsets_for(identity.ranks);
  if (header.unit_bytes != kUnitBytes || header.job != identity.job.value || header.rank != identity.rank.value ||
      header.ranks != identity.ranks || header.segment_bytes != memory.size() ||
      header.streams_offset != offsets.streams || header.consumed_offset != offsets.consumed ||
      header.units_offset != offsets.units || offsets.units > memory.size())
    return fail(ErrorCode::kCorrupt, name_of(identity) + " describes another process, job or layout: restart the job");
  SegmentView view;
  view.memory_ = memory;
  view.streams_offset_ = offsets.streams;
  view.consumed_offset_ = offsets.consumed;
  view.units_offset_ = offsets.units;
  view.rank_ = identity.rank.value;
  view.ranks_ = identity.ranks;
  return view;
}

std::uint64_t SegmentView::usable_bytes() const {
  const auto& state = *reinterpret_cast<const OwnerState*>(memory_.data() + sizeof(SegmentHeader));
  return std::clamp<std::uint64_t>(load_acquire(state.usable_bytes), units_offset_, memory_.size());
}

std::uint64_t SegmentView::incarnation() const {
  return load_relaxed(reinterpret_cast<const OwnerState*>(memory_.data() + sizeof(SegmentHeader))->incarnation);
}

SegmentCounts SegmentView::counts() const {
  const auto& state = *reinterpret_cast<const OwnerState*>(memory_.data() + sizeof(SegmentHeader));
  SegmentCounts out;
  for (std::uint32_t rank = 0; rank < ranks_; ++rank) {
    const StreamEntry& sent = stream(rank);
    out.messages_sent += load_relaxed(sent.published);
    out.bytes_sent += load_relaxed(sent.published_bytes);
    out.resent += load_relaxed(sent.resent);
    out.resent_verified += load_relaxed(sent.resent_verified);
    out.resent_differing += load_relaxed(sent.resent_differing);
    out.received += load_relaxed(consumed(rank).received);
    out.replayed += load_relaxed(consumed(rank).replayed);
  }
  out.determinants = load_relaxed(stream(matches_stream()).published) + load_relaxed(state.outcomes_written);
  out.determinants_replayed = load_relaxed(state.determinants_repeated);
  return out;
}

bool Segment::is_blank(ByteView memory) { return memory.size() >= sizeof(SegmentHeader) && load_magic(memory) == 0; }

std::uint64_t Segment::smallest_bytes(std::uint32_t ranks) {
  return offsets_for(ranks).units + kFewestUnits * kUnitBytes;
}

Result<Segment> Segment::format(std::span<std::byte> memory, const SegmentIdentity& identity, std::uint64_t usable) {
  if (identity.ranks == 0 || identity.ranks > kMaxProcesses)
    return fail(ErrorCode::kInvalidArgument, "a job of " + std::to_string(identity.ranks) +
                                                 " processes has no log: use 1 to " + std::to_string(kMaxProcesses));
  if (memory.size() < smallest_bytes(identity.ranks))
    return fail(ErrorCode::kNoMemory, name_of(identity) + " has " + std::to_string(memory.size()) +
                                          " bytes: allow at least " + std::to_string(smallest_bytes(identity.ranks)));
  const Offsets offsets = offsets_for(identity.ranks);
  SegmentHeader header{};
  header.major = kLogFormatMajor;
  header.minor = kLogFormatMinor;
  header.features = kLogFeatures;
  header.unit_bytes = kUnitBytes;
  header.job = identity.job.value;
  header.rank = identity.rank.value;
  header.ranks = identity.ranks;
  header.segment_bytes = memory.size();
  header.streams_offset = offsets.streams;
  header.consumed_offset = offsets.consumed;
  header.units_offset = offsets.units;
  std::memcpy(memory.data(), &header, sizeof header);
  // The magic last: a reader sees a whole header or none.
  std::atomic_ref(reinterpret_cast<SegmentHeader*>(memory.data())->magic)
      .store(kSegmentMagic, std::memory_order_release);
  return open(memory, identity, usable);
}

Result<Segment> Segment::open(std::span<std::byte> memory, const SegmentIdentity& identity, std::uint64_t usable) {
  RK_TRY(SegmentView view, SegmentView::open(memory, identity));
  Segment segment;
  static_cast<SegmentView&>(segment) = view;
  if (usable > memory.size() || usable < segment.units_offset_)
    return fail(ErrorCode::kCorrupt, name_of(identity) + " is said to have " + std::to_string(usable) +
                                         " usable bytes, which is not inside it: restart the job");
  segment.set_usable(usable);
  return segment;
}

OwnerState& Segment::owner() const {
  return *reinterpret_cast<OwnerState*>(const_cast<std::byte*>(memory_.data()) + sizeof(SegmentHeader));  // NOLINT
}

void Segment::set_usable(std::uint64_t bytes) { store_release(owner().usable_bytes, bytes); }

void Segment::set_incarnation(Incarnation incarnation) { store_release(owner().incarnation, incarnation.value); }

}  // namespace rk::log

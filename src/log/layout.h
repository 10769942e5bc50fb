// SPDX-License-Identifier: Apache-2.0
// Bytes of a segment: the shared memory that is one process's log. Only that process writes it; every other process of
// the job maps it read-only. Little-endian; every table entry has a cache line of its own (64 B), so that the counters
// of two destinations never share one.
//
//  offset  size
//  +-----------------------------------------------------------------------------------------------------------+
//  |   0       4   magic "RKLG"                                                                                |
//  |   4       2   format major, 6: 2 format minor                                                             |
//  |   8       4   feature bits (0-15 must be known to a reader)     12: 4  unit bytes (65,536)                |
//  |  16       8   job               24: 4  rank                     28: 4  ranks                              |
//  |  32       8   segment bytes (size of the mapping)                                                         |
//  |  40       8   offset of the stream table      48: 8  of the consumed table      56: 8  of the units       |
//  +-----------------------------------------------------------------------------------------------------------+
//  |  64       8   usable bytes, from the segment's start; grows      72: 8  incarnation of the last writer    |
//  |  80       8   matches of the prologue, plus 1; 0: its end is not marked yet                                |
//  |  88      16   outcomes of the prologue: entries, and of the next one the run                              |
//  | 104      16   counts over all lives: outcomes written, outcomes and matches repeated     120: 8  zero     |
//  +-----------------------------------------------------------------------------------------------------------+
//  | stream table: ranks + 2 entries of 64 B, from offset 128                                                  |
//  |   stream d < ranks: the OUTBOX to process d; stream ranks: MATCHES; stream ranks + 1: OUTCOMES            |
//  |   0: 8  published: number of the last visible item, from 1      8: 8  first unit of the chain, plus 1     |
//  |  16: 8  published payload bytes                                24: 8  items freed (number of the last)    |
//  |  32: 8  last item of the owner's prologue (outboxes)                                                      |
//  |  40: 24 counts over all lives (outboxes): sent again; of those identical; with another payload            |
//  +-----------------------------------------------------------------------------------------------------------+
//  | consumed table: ranks entries of 64 B, one a source                                                       |
//  |   0: 8  watermark: every ssn up to here is consumed             8: 8  last ssn that the prologue consumed |
//  |  16: 8  trim: watermark of the oldest group version that a restart could still use                        |
//  |  24: 16 counts over all lives: messages consumed; of those consumed by an earlier life too                |
//  +-----------------------------------------------------------------------------------------------------------+
//  | units of 64 KiB, from the next multiple of 4,096. A stream is a chain of chunks, a chunk is one or more   |
//  | units in a row:                                                                                           |
//  |   0: 4  magic "RKch"   4: 4  stream   8: 4  units   12: 4 zero   16: 8  number of its first item          |
//  |  24: 8  next unit, plus 1; 0 at the end                                                                   |
//  |  32: 32 zero                                                                                              |
//  |  64:    items in a row; an item that says "skip" ends the chunk early                                     |
//  +-----------------------------------------------------------------------------------------------------------+
//
// Items:
//   message (outbox)  64 B header (RecordHeader), payload, zero to 31 B of space up to the next multiple of 64
//   match             32 B (MatchEntry)
//   outcome           32 B header (OutcomeEntry), bytes, space up to the next multiple of 32
//
// An item is visible when `published` counts it (release-store); what a killed writer left behind it is overwritten by
// its next incarnation. A message is visible a moment earlier: when its header carries its number, which the writer
// stores last (release), just before `published`; so a receiver that waits looks at the line that it is going to read.
// The next incarnation of a writer killed between the two counts that message. Hence a message's payload needs no
// checksum here; frames between nodes have their own.
//
// A segment of a higher minor version opens: such a version may give a meaning to bytes that are zero here and leaves
// everything else in its place. What a reader must know to be safe is a required feature bit.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace rk::log {

static_assert(std::endian::native == std::endian::little, "segments are little-endian and are read in place");

inline constexpr std::uint32_t kSegmentMagic = 0x474c4b52;  // "RKLG"
inline constexpr std::uint32_t kChunkMagic = 0x68634b52;    // "RKch"
inline constexpr std::uint32_t kSkipMagic = 0x70734b52;     // "RKsp": the rest of the chunk is unused
inline constexpr std::uint32_t kRecordMagic = 0x676d4b52;   // "RKmg"
inline constexpr std::uint16_t kLogFormatMajor = 1;
inline constexpr std::uint16_t kLogFormatMinor = 0;
inline constexpr std::uint32_t kLogFeatures = 0;
inline constexpr std::uint32_t kLogRequiredFeatures = 0xffff;
inline constexpr std::uint32_t kUnitBytes = 64U << 10U;
inline constexpr std::size_t kLine = 64;
inline constexpr std::uint32_t kMaxProcesses = 4096;  // of a job; wire::kMaxRanks

struct SegmentHeader {
  std::uint32_t magic;
  std::uint16_t major;
  std::uint16_t minor;
  std::uint32_t features;
  std::uint32_t unit_bytes;
  std::uint64_t job;
  std::uint32_t rank;
  std::uint32_t ranks;
  std::uint64_t segment_bytes;
  std::uint64_t streams_offset;
  std::uint64_t consumed_offset;
  std::uint64_t units_offset;
};
static_assert(sizeof(SegmentHeader) == 64 && std::is_trivially_copyable_v<SegmentHeader>);

struct OwnerState {
  std::uint64_t usable_bytes;
  std::uint64_t incarnation;
  std::uint64_t prologue_matches_plus_1;
  std::uint64_t prologue_outcome_item;
  std::uint64_t prologue_outcome_run;
  std::uint64_t outcomes_written;
  std::uint64_t determinants_repeated;
  std::uint64_t zero;
};
static_assert(sizeof(OwnerState) == 64);

struct StreamEntry {
  std::uint64_t published;
  std::uint64_t first_unit_plus_1;
  std::uint64_t published_bytes;
  std::uint64_t freed;
  std::uint64_t prologue;
  std::uint64_t resent;
  std::uint64_t resent_verified;
  std::uint64_t resent_differing;
};
static_assert(sizeof(StreamEntry) == 64);

struct ConsumedEntry {
  std::uint64_t watermark;
  std::uint64_t prologue;
  std::uint64_t trim;
  std::uint64_t received;
  std::uint64_t replayed;
  std::uint64_t zero[3];
};
static_assert(sizeof(ConsumedEntry) == 64);

struct ChunkHeader {
  std::uint32_t magic;
  std::uint32_t stream;
  std::uint32_t units;
  std::uint32_t zero0;
  std::uint64_t first_item;
  std::uint64_t next_unit_plus_1;
  std::uint64_t zero[4];
};
static_assert(sizeof(ChunkHeader) == 64);

// Header of a message. `order` counts the sender's logged messages to all destinations, from 1: a re-execution that
// sends to another destination shows at once. `sum` covers the fields before it (record_sum()).
struct RecordHeader {
  std::uint32_t magic;
  std::uint32_t source;
  std::uint32_t dest;
  std::int32_t tag;
  std::uint64_t ssn;
  std::uint64_t order;
  std::uint64_t context;
  std::uint64_t length;
  std::uint64_t incarnation;
  std::uint64_t sum;
};
static_assert(sizeof(RecordHeader) == 64);

// What a receive got. `key` is the posting number of the receive times 4, plus MatchKind.
enum class MatchKind : std::uint8_t {
  kOutside = 0,    // message `ssn` of `source`
  kInside = 1,     // the next message of `source` with `tag` inside the community; ssn 0
  kCancelled = 2,  // none: cancelled before it was matched
};
struct MatchEntry {
  std::uint64_t key;
  std::uint32_t source;
  std::int32_t tag;
  std::uint64_t ssn;
  std::uint64_t rsn;
};
static_assert(sizeof(MatchEntry) == 32);

// The next answer that the program saw, `run` times in a row.
struct OutcomeEntry {
  std::uint32_t kind;
  std::uint32_t blob_bytes;
  std::uint64_t run;
  std::uint64_t value;
  std::uint64_t detail;
};
static_assert(sizeof(OutcomeEntry) == 32);

// Cheap mix of the header's fields: finds scribbling of the owner, costs about a nanosecond.
std::uint64_t record_sum(const RecordHeader& header);
// The header is undamaged and that of message `ssn` of the stream; its payload fits into the `room` behind it.
bool is_message(const RecordHeader& header, std::uint32_t source, std::uint32_t dest, std::uint64_t ssn,
                std::uint64_t room);

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace rk::log

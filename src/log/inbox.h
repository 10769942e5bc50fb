// SPDX-License-Identifier: Apache-2.0
// The receiver's side of the channel: follows the stream that each other process keeps for this one, and judges every
// arrival by what has arrived and what has been consumed (MISSION.md C.13): a message whose ssn was passed is dropped.
// Messages come from two places, by the same rule:
//   - the sender's segment on this node: a record is referred to in place, never copied before it is received;
//   - frames from another node (wire/log_messages.h): accept() copies, and holds back what came too early.
// The inbox hands arrivals, in ssn order per source, to the matcher, and takes back what nobody has asked for yet.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "log/log_state.h"
#include "log/planted_bug.h"
#include "log/stream.h"

namespace rk::log {

// A message that has arrived. `payload` lies in the sender's segment and stays there until this process's oldest
// retained checkpoint has passed it; `owned` keeps a carried one alive.
struct Arrival {
  std::uint32_t source = 0;
  std::int32_t tag = 0;
  std::uint64_t context = 0;
  std::uint64_t ssn = 0;
  ByteView payload;
  std::shared_ptr<const Bytes> owned;
};

// Opens other processes' segments: the daemon (client/log_session) or a test.
class PeerSource {
 public:
  virtual ~PeerSource() = default;
  // kUnavailable: not formatted yet, ask again later.
  virtual Result<SegmentView> open(std::uint32_t rank) = 0;
  // Told before the first message of a chunk of that process's segment is read, `offset` bytes from its start: a place
  // to have its pages ready.
  virtual void reading(std::uint32_t rank, std::uint64_t offset, std::uint64_t bytes) {
    static_cast<void>(rank), static_cast<void>(offset), static_cast<void>(bytes);
  }
};

struct InboxCounts {
  std::uint64_t received = 0;    // consumed
  std::uint64_t replayed = 0;    // of those, consumed by an earlier life already
  std::uint64_t duplicates = 0;  // dropped at arrival
};

class Inbox {
 public:
  struct Config {
    std::vector<std::uint32_t> sources;  // processes of other communities on this node
    PlantedBug planted = PlantedBug::kNone;
  };
  Inbox(Segment own, PeerSource& peers, Config config);

  // The next new arrival of a source, in ssn order; nullptr if there is none. It is the caller's to consume() or
  // hold() before it asks again. Costs one load of shared memory if there is none.
  Result<const Arrival*> pull(std::uint32_t source) {
    Lane& lane = lanes_[source];
    if (lane.open && lane.carried.empty() && lane.cursor.no_message()) [[likely]]
      return nullptr;
    return pull_slow(source);
  }
  // Something has arrived that nobody has pulled yet, and that was not told by this call before: a caller that waits
  // for something else is not kept awake by a message that it does not want yet.
  bool has_new();
  const std::vector<std::uint32_t>& sources() const { return config_.sources; }

  // Keeps the pulled arrival until somebody asks for it.
  void hold(const Arrival& arrival) { lanes_[arrival.source].held.push_back(arrival); }
  // Arrivals of a source that nobody has asked for, in ssn order.
  const std::deque<Arrival>& held(std::uint32_t source) const { return lanes_[source].held; }
  Arrival take_held(std::uint32_t source, std::size_t index);

  // The message is matched: it counts as consumed from here on, and never arrives again.
  void consume(const Arrival& arrival);

  // A message carried from another node. Dropped if it was passed; kNoMemory if more than a window's worth is held
  // back (the carrier sends it again).
  Status accept(const RecordHeader& header, ByteView payload);
  // Every ssn of `source` up to here has arrived: what to acknowledge to the carrier.
  std::uint64_t arrived(std::uint32_t source) const { return lanes_[source].arrived; }

  void snapshot(LogState& state) const;
  // Goes to a checkpoint's state: forgets what is held, and reads again from the streams what it has not consumed.
  Status jump(const LogState& state);
  // What has been consumed so far belongs to the prologue.
  void mark_prologue();
  // Tells the senders what they may free: the state of the oldest retained version.
  void publish_trim(const LogState& oldest);
  const InboxCounts& counts() const { return counts_; }

 private:
  static constexpr std::size_t kMaxEarly = 4096;  // carried messages held back per source
  struct Early {
    RecordHeader header;
    std::shared_ptr<const Bytes> payload;
  };
  struct Lane {
    bool open = false;
    StreamCursor cursor;
    SequenceSet consumed;
    std::uint64_t arrived = 0;          // every ssn up to here has been pulled, is carried or was consumed
    std::uint64_t consumed_before = 0;  // watermark that an earlier life had published
    std::uint64_t chunk_end = 0;        // offset in the segment; 0: in no chunk yet
    std::uint64_t looked = 0;           // last ssn that has_new() told of
    std::deque<Arrival> held;
    std::vector<Early> early;     // sorted by ssn
    std::deque<Arrival> carried;  // in order, not pulled yet
  };

  Result<const Arrival*> pull_slow(std::uint32_t source);
  Status open_lane(std::uint32_t source);
  Result<bool> read_record(std::uint32_t source, Lane& lane);
  tl::unexpected<Error> damaged(std::uint32_t source, const Lane& lane) const;
  bool passed(const Lane& lane, std::uint64_t ssn) const;
  void deliver(Lane& lane, const RecordHeader& header, std::shared_ptr<const Bytes> payload);

  Segment own_;
  PeerSource& peers_;
  Config config_;
  std::vector<Lane> lanes_;  // by rank
  Arrival current_;
  InboxCounts counts_;
};

}  // namespace rk::log

// SPDX-License-Identifier: Apache-2.0
// What the keep's core hears and what it asks its shell to do (see keep.h for the protocol).
//
// Duties of the shell: carry effects out in order; before the next frame of any peer or client is given to the core,
// give it the events that the effects produced (SlotReady); never hold back Tick. Bytes do not pass through the core:
// it names a slot, the shell owns the slot's memory.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "keep/changed_pages.h"
#include "wire/client_messages.h"
#include "wire/keep_messages.h"

namespace rk::keep {

// A piece of shared memory that holds one version. Numbered by the core; never used twice in a life.
using SlotId = StrongId<struct SlotIdTag, std::uint64_t>;
using SessionId = StrongId<struct SessionIdTag, std::uint64_t>;

// A server in one life.
struct Member {
  NodeId node;
  Incarnation incarnation;
  auto operator<=>(const Member&) const = default;  // NOLINT(modernize-use-nullptr): false alarm
};

using PeerMessage =
    std::variant<wire::CopyOffer, wire::CopyAnswer, wire::CopyFetch, wire::CopyRetain, wire::KeepLookup,
                 wire::KeepLookupAnswer, wire::KeepRemove, wire::KeepRemoved, wire::KeepOutdate, wire::KeepOutdated,
                 wire::KeepNames, wire::KeepNamesHeard, wire::KeepList, wire::KeepListed, wire::KeepDamaged,
                 wire::KeepDamagedHeard, wire::KeepSuspect, wire::KeepVerify, wire::KeepVerified>;

// A wire::CheckpointPut without its bytes, which the shell keeps until FillSlot or the answer.
struct Put {
  std::string name;
  std::vector<wire::SectionSpec> sections;
  wire::CommitLevel level = wire::CommitLevel::kReplicated;
  std::uint32_t timeout_ms = 0;
};

using ClientMessage =
    std::variant<wire::CheckpointBegin, wire::CheckpointCommit, wire::CheckpointAbandon, wire::CheckpointOpen,
                 wire::CheckpointList, wire::CheckpointInspect, wire::CheckpointDelete, wire::CheckpointDamaged,
                 wire::CheckpointVerify, wire::GroupCommit, wire::GroupQuery, Put>;

// --- events ---

// The ring's state, also when only `serving` changed. The predecessor of members[i] is members[i-1], cyclic.
struct ViewInstalled {
  ViewNumber number;
  std::vector<Member> members;
  bool serving = false;
  std::string reason;  // why not
  Member succeeded{};  // life of this server that was a member of the view before; node 0: this one, or none
};
struct ClientRequest {
  SessionId session;
  OwnerId owner;
  std::uint64_t request = 0;
  Incarnation sender;  // of the frame: the community's incarnation, 0 outside of a job
  ClientMessage message;
};
struct ClientGone {
  SessionId session;
};
struct PeerFrame {
  Member from;
  PeerMessage message;
};
// The link broke: whatever was on it may be lost.
struct PeerDown {
  NodeId node;
};
// Answer to TakeSlot.
struct SlotReady {
  SlotId slot;
  Status status;
};
// Answer to SumSlot and FillSlot: the checksums of its sections, in order. Fewer: they could not be computed.
struct SlotSummed {
  SlotId slot;
  std::vector<std::uint64_t> sums;
  std::optional<PageRanges> changed = std::nullopt;  // against the base; none: there is none, or too much is changed
};
// Answer to CheckSlot, likewise; no sums: the slot could not be mapped.
struct SlotChecked {
  SlotId slot;
  std::vector<std::uint64_t> sums;
};
// Answer to ReceiveCopy: all bytes are in the slot, with these checksums; or the stream broke, or the base could not be
// read (`whole` false).
struct CopyArrived {
  SlotId slot;
  bool whole = false;
  std::vector<std::uint64_t> sums;
};
// Answer to SendCopy: all bytes have been handed to the link.
struct CopySent {
  NodeId to;
  std::uint64_t copy = 0;
};
// A job ended: its names ("job/ID/...") go, here and at the other servers.
struct PrefixRemoved {
  OwnerId owner;
  std::string prefix;
};
struct Tick {};

struct Event {
  std::uint64_t now_ms = 0;          // never goes back
  std::uint64_t lease_until_ms = 0;  // on the same clock: the ring lets this server act until then; 0: not now
  std::uint64_t fence_left_ms = 0;   // for so long servers that are not members any more may still act
  std::variant<ViewInstalled, ClientRequest, ClientGone, PeerFrame, PeerDown, SlotReady, SlotSummed, SlotChecked,
               CopyArrived, CopySent, PrefixRemoved, Tick>
      body;
};

// --- effects ---

struct Send {
  NodeId to;
  PeerMessage message;
};
// Take `bytes` of memory (above 0), touched, and answer with SlotReady.
struct TakeSlot {
  SlotId slot;
  OwnerId owner;
  std::uint64_t bytes = 0;
  bool writable = false;  // for a client, which may keep what it maps; no other slot lies in memory that was given so
};
// The core has done with the slot. The shell keeps it for as long as a session that opened it lives.
struct FreeSlot {
  SlotId slot;
  bool damaged = false;  // its memory is not used again
};
// `base`: a slot of as many bytes, to compare it with (changed_pages.h); 0: none. It is not freed before the answer.
struct SumSlot {
  SlotId slot;
  std::vector<wire::SectionPlace> sections;
  SlotId base{};
};
// Copy the bytes of that request's Put into the slot, and answer with SlotSummed.
struct FillSlot {
  SlotId slot;
  SessionId session;
  std::uint64_t request = 0;
  std::vector<wire::SectionPlace> sections;
  SlotId base{};
};
// Of the name, or of the view if the key is empty: to outlive this process before any later effect is carried out, in
// place of what was remembered under the key before; an empty value ends that (memory.h). The slots of the versions in
// it too.
struct Remember {
  Bytes key;
  Bytes value;
};
// Sum the slot of a version that is kept, behind every SumSlot and ReceiveCopy; the answer is SlotChecked. Again for a
// slot whose answer has not come: from its start, at the new rate, with one answer.
struct CheckSlot {
  SlotId slot;
  std::vector<wire::SectionPlace> sections;
  std::uint64_t bytes_per_s = 0;  // at most; 0: somebody waits for it
};
// For people: what has become of this server's copy of a version.
struct CopyNews {
  enum class Kind : std::uint8_t { kDamaged, kRepaired, kUnrepairable };
  Kind kind = Kind::kDamaged;
  wire::KeepKey key;
  Version version;
  std::uint64_t bytes = 0;
  NodeId from;  // of a repair: where the bytes came from
};
// Stream the slot as CopyChunks, then report CopySent.
struct SendCopy {
  NodeId to;
  std::uint64_t copy = 0;
  SlotId slot;
  std::uint64_t bytes = 0;
  std::optional<PageRanges> changed = std::nullopt;  // these pages only
};
// Fill the slot from the CopyChunks with that number from that server, then report CopyArrived. With a base: only the
// pages that are `changed` come, the sections' other bytes are those of that slot, which is not freed before the answer
// or StopCopy.
struct ReceiveCopy {
  NodeId from;
  std::uint64_t copy = 0;
  SlotId slot;
  std::uint64_t bytes = 0;
  std::vector<wire::SectionPlace> sections;  // to be summed
  SlotId base{};
  PageRanges changed{};
};
// Forget a stream in either direction; nothing is reported of it any more.
struct StopCopy {
  NodeId peer;
  std::uint64_t copy = 0;
};

enum class SlotAccess : std::uint8_t { kNone, kReadOnly, kWritable };
using AnswerMessage =
    std::variant<wire::CheckpointSlot, wire::CommitAnswer, wire::CheckpointContent, wire::CheckpointListAnswer,
                 wire::CheckpointInspected, wire::CheckpointVerified, wire::GroupAnswer, wire::Done, wire::Refusal>;
// Answer a client's request; with kReadOnly or kWritable a descriptor of the slot travels along.
struct Answer {
  SessionId session;
  std::uint64_t request = 0;
  AnswerMessage message;
  SlotId slot;
  SlotAccess access = SlotAccess::kNone;
};

using Effect = std::variant<Remember, Send, TakeSlot, FreeSlot, SumSlot, FillSlot, CheckSlot, CopyNews, SendCopy,
                            ReceiveCopy, StopCopy, Answer>;
using Effects = std::vector<Effect>;

}  // namespace rk::keep

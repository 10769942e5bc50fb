// SPDX-License-Identifier: Apache-2.0
// Frames: the unit of every conversation (server-server, client-server, launcher-process).
//
//  offset size
//   0     4   magic "RKf1"
//   4     2   format major (another major is refused), 6: 2 format minor of the sender's release
//   8     4   feature bits of the sender; one in kRequiredFeatures that we do not know is refused, others are ignored
//  12     4   message type (MessageType)
//  16     8   request: the asker's number, repeated in the answer; 0 for one-way messages
//  24     8   sender incarnation: server, writer or community; 0 where the conversation has none
//  32     4   payload length, at most kMaxPayload
//  36     4   number of file descriptors that travel with the frame (local sockets only), at most kMaxDescriptors
//  40     8   checksum (XXH3-64) of bytes 0..39 and the payload
//  48         payload
// All integers little-endian. Golden bytes: tests/unit/wire/message_golden_test.cc.
//
// Neighbouring minor versions work together. A minor version may append fields to a message and nothing else: a reader
// ignores bytes behind the fields that it knows if, and only if, the frame says a higher minor than its own; a field
// that was appended later than the frame's minor keeps its default (codec.h, Since). This is decided frame by frame, so
// it holds for the hello itself. The minor version that the hellos agree on bounds what may be sent unasked on that
// connection: no message type and no meaning that is newer. A receiver treats an unknown type as malformed.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"

namespace rk::wire {

inline constexpr std::uint32_t kMagic = 0x31664b52;  // "RKf1"
inline constexpr std::uint16_t kFormatMajor = 1;
inline constexpr std::uint16_t kFormatMinor = 0;
inline constexpr std::uint16_t kLowestMinor = kFormatMinor == 0 ? 0 : kFormatMinor - 1;  // that a hello offers
inline constexpr std::uint32_t kFeatures = 0;                                            // bits that this build sends
inline constexpr std::uint32_t kRequiredFeatures = 0xffff;  // bits 0-15: a receiver must know them; 16-31: it may not
inline constexpr std::size_t kHeaderSize = 48;
inline constexpr std::size_t kMaxPayload = std::size_t{2} << 20U;
inline constexpr std::size_t kMaxDescriptors = 16;

// The message numbers of one conversation family start at a multiple of 0x100; append-only.
enum class MessageType : std::uint32_t {
  kNone = 0,
  kRefusal = 1,  // any conversation: the request failed; payload is an Error

  // client-server (client_messages.h)
  kClientHello = 0x100,
  kServerHello,
  kStatusQuery,
  kStatusAnswer,
  kEventsSubscribe,
  kServerEvent,
  kRingQuery,
  kRingAnswer,
  kOverrideRequest,
  kOverrideAnswer,
  kCheckpointBegin = 0x110,
  kCheckpointSlot,
  kCheckpointCommit,
  kCommitAnswer,
  kCheckpointAbandon,
  kCheckpointOpen,
  kCheckpointContent,
  kCheckpointList,
  kCheckpointListAnswer,
  kCheckpointDelete,
  kGroupCommit,
  kGroupQuery,
  kGroupAnswer,
  kDone,
  kCheckpointRelease,
  kCheckpointInspect,
  kCheckpointInspected,
  kCheckpointPut,
  kCheckpointDamaged,
  kCheckpointVerify,
  kCheckpointVerified,
  kJobCreate = 0x130,
  kJobAttach,
  kJobAttached,
  kSegmentOpen,
  kSegmentOpened,
  kLogGrow,
  kLogGrown,
  kJobFence,
  kJobRemove,
  kServerNotice,

  // server-server: handshake (peer_messages.h), ring (ring_messages.h), keep (keep_messages.h), log carried between
  // nodes (log_messages.h)
  kPeerHello = 0x200,
  kPeerChallenge,
  kPeerProof,
  kPeerLeaving,
  kRingFirst = 0x210,
  kRingHeartbeat = kRingFirst,
  kRingAccuse,
  kRingProbeRequest,
  kRingPropose,
  kRingAck,
  kRingCommit,
  kRingJoin,
  kRingLeave,
  kRingPrepare,
  kRingPromise,
  kKeepFirst = 0x240,
  kCopyOffer = kKeepFirst,
  kCopyChunk,
  kCopyAnswer,
  kCopyFetch,
  kCopyRetain,
  kKeepLookup,
  kKeepLookupAnswer,
  kKeepRemove,
  kKeepRemoved,
  kKeepOutdate,
  kKeepOutdated,
  kKeepNames,
  kKeepNamesHeard,
  kKeepList,
  kKeepListed,
  kKeepDamaged,
  kKeepDamagedHeard,
  kKeepSuspect,
  kKeepVerify,
  kKeepVerified,
  kLogFirst = 0x270,
  kLogRecords = kLogFirst,
  kLogArrived,
  kLogFrom,

  // launcher-process (control_messages.h)
  kProcessHello = 0x300,
  kProcessStart,
  kLayerReady,
  kOutputPosition,
  kOutputPositionAnswer,
  kOutputResume,
  kPhaseReport,
  kLayerStats,
  kJobAbort,
  kLayerFinished,
  kOutputSuspend,
};

struct FrameHeader {
  MessageType type = MessageType::kNone;
  std::uint64_t request = 0;
  Incarnation sender;
  std::uint32_t payload_size = 0;
  std::uint32_t descriptors = 0;
  std::uint64_t sum = 0;
  std::uint16_t minor = kFormatMinor;
  bool operator==(const FrameHeader&) const = default;
};

struct Frame {
  MessageType type = MessageType::kNone;
  std::uint64_t request = 0;
  Incarnation sender;
  std::uint32_t descriptors = 0;
  Bytes payload;
  std::uint16_t minor = kFormatMinor;  // of the release that wrote it
};

// Whole frame, header and payload, ready for the wire. The payload must be within kMaxPayload (checked).
Bytes encode_frame(const Frame& frame);
// The same where the payload stands in `bytes` already, behind room for the header: writes the header. Of `header` only
// type, request, sender, descriptors and minor count.
void write_header(Bytes& bytes, FrameHeader header);

// A frame as bytes.
struct Packet {
  std::uint64_t request = 0;
  Bytes bytes;
};

// `head` is at least kHeaderSize bytes. kCorrupt for a wrong magic or a broken limit, kVersionMismatch for another
// major or a required feature that we lack.
Result<FrameHeader> decode_header(ByteView head);

// Cuts frames out of a byte stream. One per connection; an error is final: close the connection.
class FrameCutter {
 public:
  void feed(ByteView bytes);
  // Where the next bytes may be read to instead of feed(), then placed(): the payload of a large frame goes to its
  // place at once. Empty: none has begun.
  std::span<std::byte> place() { return std::span(payload_).subspan(filled_); }
  void placed(std::size_t bytes) { filled_ += bytes; }
  // The next whole frame, nullopt if more bytes are needed, or the error that ends the connection.
  Result<std::optional<Frame>> next();
  // Of the frame that is not whole yet. A large one counts as whole: its memory is taken.
  std::size_t buffered() const { return buffer_.size() - start_ + payload_.size(); }
  // No memory is taken for a frame with more bytes, header included; it stays unfinished.
  void limit(std::size_t frame_bytes) { limit_ = frame_bytes; }

 private:
  void drop(std::size_t bytes);
  void begin_large(const FrameHeader& header);
  Result<std::optional<Frame>> finish_large();

  Bytes buffer_;
  std::size_t start_ = 0;
  std::size_t limit_ = kHeaderSize + kMaxPayload;
  // The large frame that has begun; empty: none has.
  Bytes head_;
  Bytes payload_;
  std::size_t filled_ = 0;
};

}  // namespace rk::wire

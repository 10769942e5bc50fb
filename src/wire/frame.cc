// SPDX-License-Identifier: Apache-2.0
#include "wire/frame.h"

#include <algorithm>

#include "base/check.h"
#include "base/checksum.h"
#include "wire/codec.h"

namespace rk::wire {
namespace {

constexpr std::size_t kSumOffset = 40;
constexpr std::uint32_t kTlsHandshake = 0x0316;  // how a TLS connection begins, as the low half of a magic

std::uint64_t frame_sum(ByteView head, ByteView payload) {
  StreamingChecksum sum;
  sum.update(head.first(kSumOffset));
  sum.update(payload);
  return sum.digest();
}

}  // namespace

Bytes encode_frame(const Frame& frame) {
  RK_CHECK(frame.payload.size() <= kMaxPayload);
  RK_CHECK(frame.descriptors <= kMaxDescriptors);
  Bytes out;
  out.reserve(kHeaderSize + frame.payload.size());
  ByteWriter writer(out);
  writer.integer(kMagic);
  writer.integer(kFormatMajor);
  writer.integer(frame.minor);
  writer.integer(kFeatures);
  writer.integer(static_cast<std::uint32_t>(frame.type));
  writer.integer(frame.request);
  writer.integer(frame.sender.value);
  writer.integer(static_cast<std::uint32_t>(frame.payload.size()));
  writer.integer(frame.descriptors);
  writer.integer(frame_sum(out, frame.payload));
  writer.raw(frame.payload);
  return out;
}

Result<FrameHeader> decode_header(ByteView head) {
  RK_CHECK(head.size() >= kHeaderSize);
  ByteReader reader(head.first(kHeaderSize));
  const auto magic = reader.integer<std::uint32_t>();
  if ((magic & 0xffffU) == kTlsHandshake)
    return fail(ErrorCode::kCorrupt,
                "the other side encrypts its links and this server does not: set 'encrypt' alike on all servers");
  if (magic != kMagic)
    return fail(ErrorCode::kCorrupt, "not a ringkeep frame: something else is talking to this socket");
  const auto major = reader.integer<std::uint16_t>();
  const auto minor = reader.integer<std::uint16_t>();
  if (major != kFormatMajor)
    return fail(ErrorCode::kVersionMismatch, "the other side speaks frame format " + std::to_string(major) + "." +
                                                 std::to_string(minor) + ", this side " + std::to_string(kFormatMajor) +
                                                 "." + std::to_string(kFormatMinor) +
                                                 ": install the same release of ringkeep on both sides");
  const auto features = reader.integer<std::uint32_t>();
  if ((features & kRequiredFeatures & ~kFeatures) != 0)
    return fail(ErrorCode::kVersionMismatch,
                "the other side needs a feature that this release does not know: upgrade this side");
  FrameHeader header;
  header.minor = minor;
  header.type = static_cast<MessageType>(reader.integer<std::uint32_t>());
  header.request = reader.integer<std::uint64_t>();
  header.sender = Incarnation(reader.integer<std::uint64_t>());
  header.payload_size = reader.integer<std::uint32_t>();
  header.descriptors = reader.integer<std::uint32_t>();
  header.sum = reader.integer<std::uint64_t>();
  if (header.payload_size > kMaxPayload || header.descriptors > kMaxDescriptors)
    return fail(ErrorCode::kCorrupt, "a frame breaks the limit of " + std::to_string(kMaxPayload) + " bytes or " +
                                         std::to_string(kMaxDescriptors) + " descriptors");
  return header;
}

Result<std::optional<Frame>> FrameCutter::next() {
  const ByteView rest = ByteView(buffer_).subspan(start_);
  if (rest.size() < kHeaderSize) return std::nullopt;
  RK_TRY(const FrameHeader header, decode_header(rest));
  const std::size_t whole = kHeaderSize + header.payload_size;
  if (rest.size() < whole) return std::nullopt;
  const ByteView payload = rest.subspan(kHeaderSize, header.payload_size);
  if (frame_sum(rest, payload) != header.sum)
    return fail(ErrorCode::kCorrupt, "a frame's checksum does not match: damaged on the way or not ours");
  Frame frame{header.type, header.request, header.sender, header.descriptors, Bytes(payload.begin(), payload.end()),
              header.minor};
  start_ += whole;
  // Move the tail down only when the consumed part dominates, so that cutting many small frames stays linear.
  if (start_ == buffer_.size() || start_ > kMaxPayload) {
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(start_));
    start_ = 0;
  }
  return frame;
}

Result<std::uint16_t> agree(const VersionRange& ours, const VersionRange& theirs) {
  const std::uint16_t lowest = std::max(ours.lowest, theirs.lowest);
  const std::uint16_t highest = std::min(ours.highest, theirs.highest);
  if (lowest <= highest) return highest;
  const auto range = [](const VersionRange& r) {
    return std::to_string(r.lowest) + " to " + std::to_string(r.highest);
  };
  return fail(ErrorCode::kVersionMismatch, "the other side speaks protocol minor versions " + range(theirs) +
                                               ", this side " + range(ours) +
                                               ": upgrade the older side by one release at a time");
}

}  // namespace rk::wire

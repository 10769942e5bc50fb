// SPDX-License-Identifier: Apache-2.0
#include "wire/frame.h"

#include <algorithm>
#include <utility>

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

constexpr std::size_t kLargePayload = std::size_t{32} << 10U;
constexpr std::size_t kKeptBytes = std::size_t{8} << 10U;  // of an empty buffer

tl::unexpected<Error> damaged() {
  return fail(ErrorCode::kCorrupt, "a frame's checksum does not match: damaged on the way or not ours");
}

std::optional<Frame> frame_of(const FrameHeader& header, Bytes payload) {
  return Frame{header.type, header.request, header.sender, header.descriptors, std::move(payload), header.minor};
}

}  // namespace

Bytes encode_frame(const Frame& frame) {
  Bytes out(kHeaderSize);
  out.reserve(kHeaderSize + frame.payload.size());
  out.insert(out.end(), frame.payload.begin(), frame.payload.end());
  write_header(out, {frame.type, frame.request, frame.sender, 0, frame.descriptors, 0, frame.minor});
  return out;
}

void write_header(Bytes& bytes, FrameHeader header) {
  RK_CHECK(bytes.size() >= kHeaderSize && bytes.size() - kHeaderSize <= kMaxPayload);
  RK_CHECK(header.descriptors <= kMaxDescriptors);
  Bytes head;
  head.reserve(kHeaderSize);
  ByteWriter writer(head);
  writer.integer(kMagic);
  writer.integer(kFormatMajor);
  writer.integer(header.minor);
  writer.integer(kFeatures);
  writer.integer(static_cast<std::uint32_t>(header.type));
  writer.integer(header.request);
  writer.integer(header.sender.value);
  writer.integer(static_cast<std::uint32_t>(bytes.size() - kHeaderSize));
  writer.integer(header.descriptors);
  writer.integer(frame_sum(head, ByteView(bytes).subspan(kHeaderSize)));
  std::copy(head.begin(), head.end(), bytes.begin());
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

void FrameCutter::feed(ByteView bytes) {
  const std::size_t large = std::min(bytes.size(), payload_.size() - filled_);
  std::copy_n(bytes.begin(), large, payload_.begin() + static_cast<std::ptrdiff_t>(filled_));
  filled_ += large;
  buffer_.insert(buffer_.end(), bytes.begin() + static_cast<std::ptrdiff_t>(large), bytes.end());
}

Result<std::optional<Frame>> FrameCutter::next() {
  if (!payload_.empty()) return finish_large();
  const ByteView rest = ByteView(buffer_).subspan(start_);
  if (rest.size() < kHeaderSize) return std::nullopt;
  RK_TRY(const FrameHeader header, decode_header(rest));
  const std::size_t whole = kHeaderSize + header.payload_size;
  if (rest.size() < whole) {
    if (header.payload_size >= kLargePayload && whole <= limit_) begin_large(header);
    return std::nullopt;
  }
  const ByteView payload = rest.subspan(kHeaderSize, header.payload_size);
  if (frame_sum(rest, payload) != header.sum) return damaged();
  auto frame = frame_of(header, Bytes(payload.begin(), payload.end()));
  drop(whole);
  return frame;
}

void FrameCutter::drop(std::size_t bytes) {
  start_ += bytes;
  // Move the tail down only when the consumed part dominates, so that cutting many small frames stays linear.
  if (start_ == buffer_.size()) {
    // Thousands of connections that say nothing more must not each keep what one burst took.
    if (buffer_.capacity() > kKeptBytes) Bytes().swap(buffer_);
    buffer_.clear();
    start_ = 0;
  } else if (start_ > kMaxPayload) {
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(start_));
    start_ = 0;
  }
}

void FrameCutter::begin_large(const FrameHeader& header) {
  const auto head = buffer_.begin() + static_cast<std::ptrdiff_t>(start_);
  head_.assign(head, head + kHeaderSize);
  payload_.resize(header.payload_size);
  filled_ = buffer_.size() - start_ - kHeaderSize;
  std::copy(head + kHeaderSize, buffer_.end(), payload_.begin());
  drop(buffer_.size() - start_);
}

Result<std::optional<Frame>> FrameCutter::finish_large() {
  if (filled_ < payload_.size()) return std::nullopt;
  RK_TRY(const FrameHeader header, decode_header(head_));
  if (frame_sum(head_, payload_) != header.sum) return damaged();
  filled_ = 0;
  return frame_of(header, std::exchange(payload_, {}));
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

// SPDX-License-Identifier: Apache-2.0
// Another process's segment is shared memory that it may have damaged: reading it ends in messages or in an error, and
// never outside of the mapping. The input is a list of changes to a sound segment: 4 bytes of place, 8 of value.
#include <cstring>
#include <vector>

#include "base/check.h"
#include "log/inbox.h"
#include "log/outbox.h"
#include "tests/fuzz/fuzz_target.h"

namespace rk::fuzz {
namespace {

constexpr std::uint64_t kWords = (std::uint64_t{1} << 20U) / 8;
constexpr log::SegmentIdentity kReceiver{JobId(7), Rank(0), 2};
constexpr log::SegmentIdentity kSender{JobId(7), Rank(1), 2};

using Memory = std::vector<std::uint64_t>;

std::span<std::byte> bytes_of(Memory& memory) { return std::as_writable_bytes(std::span(memory)); }

class NoMore : public log::ArenaSource {
 public:
  Result<std::uint64_t> grow(std::uint64_t) override {
    return fail(ErrorCode::kNoMemory, "the segment is all there is");
  }
};

class OnePeer : public log::PeerSource {
 public:
  explicit OnePeer(ByteView memory) : memory_(memory) {}
  Result<log::SegmentView> open(std::uint32_t) override { return log::SegmentView::open(memory_, kSender); }

 private:
  ByteView memory_;
};

// Some messages of several lengths to rank 0.
Memory sound_segment() {
  Memory memory(kWords);
  auto segment = log::Segment::format(bytes_of(memory), kSender, kWords * 8);
  RK_CHECK(segment.has_value());
  NoMore arena;
  log::Units units(*segment, arena);
  auto outbox = log::Outbox::open(units, {Incarnation(1), false});
  RK_CHECK(outbox.has_value());
  const Bytes payload(70000, std::byte{42});
  for (const std::size_t length : {0U, 8U, 200U, 70000U, 64U, 4000U, 1U})
    RK_CHECK((*outbox)->send(0, {1, 5, length}, ByteView(payload).first(length)).has_value());
  return memory;
}

}  // namespace

void run(ByteView input) {
  static const Memory sound = sound_segment();
  static Memory damaged = sound;
  static std::vector<std::size_t> changed;
  for (const std::size_t at : changed) damaged[at] = sound[at];
  changed.clear();
  for (std::size_t i = 0; i + 12 <= input.size() && i < 12 * 64; i += 12) {
    std::uint32_t place = 0;
    std::memcpy(&place, input.data() + i, sizeof place);
    // The tables and the head of each unit are where the structure is.
    const std::size_t at = (place >> 16U) % 16 * (log::kUnitBytes / 8) + place % 256;
    if (at >= damaged.size()) continue;
    std::memcpy(&damaged[at], input.data() + i + 4, sizeof damaged[at]);
    changed.push_back(at);
  }
  Memory own(log::Segment::smallest_bytes(2) / 8);
  auto segment = log::Segment::format(bytes_of(own), kReceiver, own.size() * 8);
  RK_CHECK(segment.has_value());
  OnePeer peer(std::as_bytes(std::span(damaged)));
  log::Inbox inbox(*segment, peer, {{1}, {}});
  std::uint64_t sum = 0;
  for (int i = 0; i < 64; ++i) {
    const auto arrival = inbox.pull(1);
    if (!arrival || *arrival == nullptr) break;
    for (const std::byte byte : (*arrival)->payload) sum += static_cast<std::uint64_t>(byte);
    inbox.consume(**arrival);
  }
  volatile std::uint64_t sink = sum;
  static_cast<void>(sink);
}

}  // namespace rk::fuzz

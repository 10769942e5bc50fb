// SPDX-License-Identifier: Apache-2.0
// Any payload as an offer of a copy, or as the answer to one: decoded or refused, what is decoded encodes to the same
// bytes, and what counts as possible describes pages that lie inside of the version, each once.
#include "base/check.h"
#include "keep/possible.h"
#include "tests/fuzz/fuzz_target.h"

namespace rk::fuzz {
namespace {

constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 20U;

template <class Message>
std::optional<Message> decode(ByteView payload) {
  const auto message = wire::decode<Message>(payload, "message");
  if (!message) return std::nullopt;
  RK_CHECK(wire::encode(*message) == Bytes(payload.begin(), payload.end()));
  return *message;
}

// Every byte of the version comes from the stream or from the base, and none from both.
void check_pages(const keep::PageRanges& changed, std::uint64_t total) {
  Bytes version(total);
  keep::copy_unchanged(changed, Bytes(total, std::byte{1}), version, 0, total);
  keep::PageStream stream(changed, total);
  while (stream.left() > 0) {
    const auto piece = stream.next(10'000);
    RK_CHECK(piece.size > 0 && piece.offset <= total && piece.size <= total - piece.offset);
    for (std::uint64_t at = piece.offset; at < piece.offset + piece.size; ++at)
      RK_CHECK(std::exchange(version[at], std::byte{2}) == std::byte{0});
  }
  RK_CHECK(std::find(version.begin(), version.end(), std::byte{0}) == version.end());
}

}  // namespace

void run(ByteView input) {
  if (input.empty()) return;
  const ByteView payload = input.subspan(1);
  if (std::to_integer<int>(input[0]) % 2 == 1) {
    static_cast<void>(decode<wire::CopyAnswer>(payload));
    return;
  }
  const auto offer = decode<wire::CopyOffer>(payload);
  if (!offer || !keep::possible(offer->content) || !keep::possible(offer->delta, offer->content.total)) return;
  RK_CHECK(keep::bytes_in(offer->delta.changed, offer->content.total) <= offer->content.total);
  if (offer->delta.base && offer->content.total <= kMostBytes) check_pages(offer->delta.changed, offer->content.total);
}

}  // namespace rk::fuzz

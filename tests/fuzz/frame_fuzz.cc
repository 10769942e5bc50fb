// SPDX-License-Identifier: Apache-2.0
// Any bytes, in any pieces, into the cutter that stands behind every socket: it gives frames or an error, and a frame
// that it gives is one that encodes to the same bytes.
#include <algorithm>

#include "base/check.h"
#include "tests/fuzz/fuzz_target.h"
#include "wire/frame.h"

namespace rk::fuzz {

void run(ByteView input) {
  if (input.empty()) return;
  const std::size_t piece = 1 + std::to_integer<std::size_t>(input[0]);
  input = input.subspan(1);
  wire::FrameCutter cutter;
  // A good frame first, so that what follows is cut at a place that is not the start.
  const auto payload = input.first(std::min(input.size(), std::size_t{100}));
  cutter.feed(wire::encode_frame({wire::MessageType::kDone, 1, {}, 0, Bytes(payload.begin(), payload.end())}));
  while (!input.empty()) {
    std::size_t size = std::min(piece, input.size());
    const std::span<std::byte> place = piece % 2 == 0 ? cutter.place() : std::span<std::byte>();
    if (place.empty()) {
      cutter.feed(input.first(size));
    } else {
      size = std::min(size, place.size());
      std::copy_n(input.begin(), size, place.begin());
      cutter.placed(size);
    }
    input = input.subspan(size);
    for (;;) {
      const auto frame = cutter.next();
      if (!frame) return;
      if (!*frame) break;
      RK_CHECK((*frame)->payload.size() <= wire::kMaxPayload);
      wire::FrameCutter again;
      again.feed(wire::encode_frame(**frame));
      const auto same = again.next();
      RK_CHECK(same && *same && (*same)->payload == (*frame)->payload && (*same)->type == (*frame)->type);
    }
  }
}

}  // namespace rk::fuzz

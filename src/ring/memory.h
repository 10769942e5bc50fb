// SPDX-License-Identifier: Apache-2.0
// A voter's memory: what must be durable before an acknowledgement, and survives a restart.
//
//  offset size
//   0     4   magic "RKRS"
//   4     2   format major, 6: 2 format minor
//   8     4   feature bits (as in frames: bits 0-15 must be known to the reader, others are ignored)
//  12     8   incarnation since which the memory is unbroken (0: always)
//  20         committed view, then accepted view (number 0: none), as wire::RingView;
//             then the promised and the accepted ballot (u32 round, u32 node each);
//             then what a higher minor version appended, which a reader ignores
//  end   8   checksum (XXH3-64) of everything before
#pragma once

#include "base/bytes.h"
#include "ring/view.h"

namespace rk::ring {

struct Memory {
  Incarnation since;
  View committed;  // view 0, the roster, before the first
  View accepted;   // number committed + 1, or 0: none
  // For the number committed + 1:
  Ballot promised;         // no lower one is accepted
  Ballot accepted_ballot;  // of `accepted`
  bool operator==(const Memory&) const = default;
};

Bytes encode_memory(const Memory& memory);
// kCorrupt or kVersionMismatch, with what the operator can do.
Result<Memory> decode_memory(ByteView bytes);

}  // namespace rk::ring

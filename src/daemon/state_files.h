// SPDX-License-Identifier: Apache-2.0
// What a server must not forget when it ends: its incarnation, and the ring's memory. Each is one small file in the
// state directory that is replaced whole (write, fsync, rename, fsync of the directory), so that a crash leaves the old
// one or the new one. Layout, little-endian:
//
//  offset size
//   0     4   magic "RKst"
//   4     2   format major, 6: 2 format minor
//   8     4   feature bits (0-15 must be known to the reader, others are ignored)
//  12     4   kind of the payload (StateKind)     16: 4  payload length
//  20     8   checksum (XXH3-64) of bytes 0..19 and the payload
//  28         payload; a higher minor version may append to it, which a reader ignores
//
// One server at a time: the directory has a lock that ends with the process.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "shm/descriptor.h"

namespace rk::daemon {

enum class StateKind : std::uint32_t { kIncarnation = 1, kRing = 2 };

Bytes encode_state(StateKind kind, ByteView payload);
struct State {
  Bytes payload;
  bool newer = false;  // written by a higher minor version: the payload may have more fields than this release knows
};
Result<State> decode_state(StateKind kind, ByteView file);

class StateFiles {
 public:
  // Makes the directory (0700) and locks it; kExists if another server has it. Before the first life it writes an empty
  // ring memory, so that a missing one later means that it was lost.
  static Result<StateFiles> open(const std::string& directory);

  // Of the last life; 0 before the first.
  Result<Incarnation> last_incarnation() const;

  // Higher than in every life before and durable when it returns. It follows the clock, so that a server whose state
  // was lost still comes back with a higher one.
  Result<Incarnation> next_incarnation(std::uint64_t clock_ms);

  // nullopt if none was ever written.
  Result<std::optional<Bytes>> read(StateKind kind) const;
  // Durable when it returns.
  Status write(StateKind kind, ByteView payload) const;

 private:
  std::string path_of(StateKind kind) const;
  Result<std::optional<State>> load(StateKind kind) const;

  std::string directory_;
  shm::Descriptor lock_;
};

}  // namespace rk::daemon

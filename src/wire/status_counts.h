// SPDX-License-Identifier: Apache-2.0
// What a server counts since it started, as its status tells it: docs/checkpoints.md.
#pragma once

#include <cstdint>

#include "wire/codec.h"

namespace rk::wire {

// Of the copies that it holds.
struct IntegrityStatus {
  std::uint64_t checked = 0;  // slots that were summed again
  std::uint64_t checked_bytes = 0;
  std::uint64_t damaged = 0;     // copies that did not have their checksums
  std::uint64_t repaired = 0;    // of them, those that another server's copy has replaced
  std::uint64_t unrepaired = 0;  // of them, those that are still kept and have no good bytes here
  RK_FIELDS(checked, checked_bytes, damaged, repaired, unrepaired)
};

// Checkpoints on the links to other servers.
struct ReplicationStatus {
  std::uint64_t sent_bytes = 0;      // in whole frames: offers of copies, and bytes
  std::uint64_t saved_bytes = 0;     // that did not travel, because the receiver had them in an older version
  std::uint64_t deltas = 0;          // copies that were offered as changed pages
  std::uint64_t deltas_refused = 0;  // of them, those whose receiver needed the whole
  RK_FIELDS(sent_bytes, saved_bytes, deltas, deltas_refused)
};

// The clients of a server.
struct ClientStatus {
  std::uint64_t connected = 0;     // now; those in operators' places are not counted
  std::uint64_t limit = 0;         // limits.clients
  std::uint64_t turned_away = 0;   // connections for which there was no place
  std::uint64_t disconnected = 0;  // for malformed or unfinished requests, or because they did not read
  RK_FIELDS(connected, limit, turned_away, disconnected)
};

}  // namespace rk::wire

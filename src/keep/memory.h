// SPDX-License-Identifier: Apache-2.0
// What outlives a server that is killed, for its next life in the same place: records of its names, and the slots that
// they speak of (remembering.cc). The shell keeps the records where the end of the process does not reach them, newest
// of each key, and gives them back with the slots whose bytes it has proved.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "keep/events.h"

namespace rk::keep {

struct RememberedMember {
  NodeId node;
  Incarnation incarnation;
  RK_FIELDS(node, incarnation)
};

// A complete copy.
struct RememberedVersion {
  wire::VersionContent content;
  wire::CommitLevel level = wire::CommitLevel::kReplicated;
  bool committed = false;
  SlotId slot;  // 0: it has no bytes
  RK_FIELDS(content, level, committed, slot)
};

// The fields have the meaning that they have in keep::Entry.
struct RememberedEntry {
  wire::KeepKey key;
  bool home = false;
  bool home_heard = false;
  bool current = false;
  bool shared = false;
  bool orphaned = false;
  RememberedMember home_member;
  Version highest;
  Version floor;
  Version committed;
  Version owed;
  Incarnation fence;
  std::vector<RememberedMember> claimants;
  std::vector<RememberedVersion> versions;
  RK_FIELDS(key, home, home_heard, current, shared, orphaned, home_member, highest, floor, committed, owed, fence,
            claimants, versions)
};

// The ring as that life saw it last.
struct RememberedView {
  RememberedMember self;
  ViewNumber number;
  bool since_first = false;
  std::vector<RememberedMember> members;
  RK_FIELDS(self, number, since_first, members)
};

struct Memory {
  RememberedView view;
  std::vector<RememberedEntry> entries;
};

// Newest value of each key, as the Remember effects gave them. kCorrupt if they are not that.
using Records = std::vector<std::pair<Bytes, Bytes>>;
Result<Memory> read_memory(const Records& records);

// The version's bytes are gone, or are not what they were. What the entry knows besides stays true.
void forget_version(RememberedEntry& entry, Version version);

}  // namespace rk::keep

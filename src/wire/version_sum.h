// SPDX-License-Identifier: Apache-2.0
// The one number that identifies the content of a version: XXH3-64 over its section table (names, sizes, checksums), or
// over the part list of a group record. Servers compare it between copies, clients verify it after reading.
#pragma once

#include <cstdint>
#include <vector>

#include "base/checksum.h"
#include "wire/client_messages.h"

namespace rk::wire {

inline std::uint64_t version_sum(const std::vector<SectionPlace>& sections) {
  Bytes table;
  ByteWriter writer(table);
  for (const SectionPlace& section : sections) {
    writer.text(section.name);
    writer.integer(section.size);
    writer.integer(section.sum);
  }
  return checksum(table);
}

inline std::uint64_t version_sum(const std::vector<GroupPart>& parts) {
  Bytes table;
  ByteWriter writer(table);
  for (const GroupPart& part : parts) {
    writer.text(part.name);
    writer.integer(part.version.value);
    writer.integer(part.sum);
  }
  return checksum(table);
}

}  // namespace rk::wire

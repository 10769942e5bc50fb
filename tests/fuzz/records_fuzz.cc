// SPDX-License-Identifier: Apache-2.0
// Any bytes as the records that a killed server left: a memory that is read back the same when it is written anew, or
// an error.
#include <algorithm>

#include "base/check.h"
#include "daemon/kept_memory.h"
#include "tests/fuzz/fuzz_target.h"

namespace rk::fuzz {

void run(ByteView input) {
  const auto contents = shm::RecordMemory::read(input);
  if (!contents) return;
  std::uint64_t bytes = 0;
  keep::Records records;
  for (const auto& [key, value] : contents->records) {
    bytes += key.size() + value.size();
    RK_CHECK(!value.empty());
    records.emplace_back(key, value);
  }
  RK_CHECK(bytes <= input.size());
  auto memory = keep::read_memory(records);
  if (!memory) return;
  for (keep::RememberedEntry& entry : memory->entries) {
    std::vector<Version> versions;
    for (const keep::RememberedVersion& version : entry.versions) versions.push_back(version.content.version);
    for (const Version version : versions) keep::forget_version(entry, version);
    RK_CHECK(entry.versions.empty());
  }
}

}  // namespace rk::fuzz

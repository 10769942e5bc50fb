// SPDX-License-Identifier: Apache-2.0
// Any bytes as the records that a killed server left, and as one record of them: what is read is what was written, and
// can be forgotten version by version; or there is an error.
#include <vector>

#include "base/check.h"
#include "keep/memory.h"
#include "shm/record_memory.h"
#include "tests/fuzz/fuzz_target.h"

namespace rk::fuzz {
namespace {

void read_memory(const keep::Records& records) {
  auto memory = keep::read_memory(records);
  if (!memory) return;
  for (keep::RememberedEntry& entry : memory->entries) {
    std::vector<Version> versions;
    for (const keep::RememberedVersion& version : entry.versions) versions.push_back(version.content.version);
    for (const Version version : versions) keep::forget_version(entry, version);
    RK_CHECK(entry.versions.empty());
  }
}

}  // namespace

void run(ByteView input) {
  const Bytes whole(input.begin(), input.end());
  read_memory({{{}, whole}});
  if (const auto entry = wire::decode<keep::RememberedEntry>(input, "a record"))
    read_memory({{wire::encode(entry->key), whole}});
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
  read_memory(records);
}

}  // namespace rk::fuzz

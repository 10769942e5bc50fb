// SPDX-License-Identifier: Apache-2.0
#include "keep/memory.h"

#include <algorithm>

#include "keep/possible.h"
#include "keep/remembering.h"

namespace rk::keep {
namespace {

bool possible(const RememberedEntry& entry) {
  return keep::possible(entry.highest) && keep::possible(entry.floor) && keep::possible(entry.committed) &&
         keep::possible(entry.owed) &&
         std::all_of(entry.versions.begin(), entry.versions.end(), [](const RememberedVersion& version) {
           return keep::possible(version.content) && static_cast<bool>(version.slot) == (version.content.total > 0);
         });
}

}  // namespace

Result<Memory> read_memory(const Records& records) {
  Memory out;
  for (const auto& [key, value] : records) {
    if (key.empty()) {
      RK_TRY(out.view, wire::decode<RememberedView>(value, "the remembered view"));
      continue;
    }
    RK_TRY(auto entry, wire::decode<RememberedEntry>(value, "a remembered name"));
    if (wire::encode(entry.key) != key || !possible(entry))
      return fail(ErrorCode::kCorrupt, "what is remembered of \"" + entry.key.name + "\" is not possible");
    out.entries.push_back(std::move(entry));
  }
  return out;
}

void forget_version(RememberedEntry& entry, Version version) {
  if (std::erase_if(entry.versions, [&](const RememberedVersion& one) { return one.content.version == version; }) == 0)
    return;
  // The home knows by itself what is owed; whoever holds a copy for it, by that copy.
  if (!entry.home && version > entry.owed) entry.current = false;
}

}  // namespace rk::keep

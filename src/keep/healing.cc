// SPDX-License-Identifier: Apache-2.0
// Copies in the background: after a change of the ring or of a home, until each retained version is here and at the
// predecessor.
#include <algorithm>

#include "keep/keep.h"

namespace rk::keep {
namespace {

constexpr std::size_t kBackgroundCopies = 4;
constexpr unsigned kMostDoublings = 4;

}  // namespace

std::size_t Keep::background_copies() const {
  std::size_t count = 0;
  for (const auto& [copy, outgoing] : outgoing_)
    if (!pending_.contains(outgoing.version)) ++count;
  for (const auto& [slot, item] : fetches_)
    if (item.install) ++count;
  return count;
}

void Keep::heal() {
  if (!view_.serving || to_heal_.empty()) return;
  std::vector<wire::KeepKey> done;
  for (const wire::KeepKey& key : to_heal_) {
    if (background_copies() >= kBackgroundCopies) break;
    Entry* entry = catalogue_.find(key);
    if (entry == nullptr || !entry->home) {
      done.push_back(key);
      continue;
    }
    if (now_ms_ < entry->heal_at_ms) continue;
    if (heal_entry(*entry)) done.push_back(key);
  }
  for (const wire::KeepKey& key : done) to_heal_.erase(key);
}

// A copy that cannot be made now: others of the places in the background are for other names meanwhile.
void Keep::heal_later(const wire::KeepKey& key) {
  Entry* entry = catalogue_.find(key);
  if (entry == nullptr) return;
  entry->heal_at_ms = now_ms_ + ((5 * config_.retry_ms) << std::min(entry->refused_heals++, kMostDoublings));
}

// Starts what is missing; true if nothing is.
bool Keep::heal_entry(Entry& entry) {
  const auto second = predecessor();
  bool complete = true;
  std::vector<Version> versions;
  for (auto at = entry.versions.rbegin(); at != entry.versions.rend(); ++at) versions.push_back(at->first);
  for (const Version version : versions) {
    VersionRecord& record = entry.versions.at(version);
    if (!record.committed) continue;
    if (!record.here && record.content.total == 0) record.here = true;
    if (!record.here) {
      if (record.holders.empty()) continue;  // lost, and a read says so; or damaged, and sought (scrubbing.cc)
      complete = false;
      fetch(entry.key, record.content, {record.holders.begin(), record.holders.end()}, true, nullptr);
    } else if (second && record.level == wire::CommitLevel::kReplicated &&
               !(record.holders.contains(*second) && entry.surely_current.contains(*second))) {
      complete = false;
      replicate({entry.key, version});
    }
  }
  if (complete) tell_retained(entry);
  return complete;
}

}  // namespace rk::keep

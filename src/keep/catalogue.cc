// SPDX-License-Identifier: Apache-2.0
#include "keep/catalogue.h"

#include <algorithm>
#include <utility>

namespace rk::keep {
namespace {

constexpr std::size_t kKeptVersions = 2;

}  // namespace

const VersionRecord* Entry::newest_committed() const {
  for (auto at = versions.rbegin(); at != versions.rend(); ++at)
    if (at->second.committed) return &at->second;
  return nullptr;
}

bool Entry::lost() const {
  const VersionRecord* newest = newest_committed();
  return owed > floor && (newest == nullptr || newest->content.version < owed);
}

Version Entry::reach() const {
  for (auto at = versions.rbegin(); at != versions.rend(); ++at)
    if ((at->second.here || at->second.damaged) && at->second.level != wire::CommitLevel::kLocal)
      return std::max(owed, at->first);
  return owed;
}

Entry* Catalogue::peek(const wire::KeepKey& key) {
  const auto at = entries_.find(key);
  return at == entries_.end() ? nullptr : &at->second;
}

Entry* Catalogue::find(const wire::KeepKey& key) {
  Entry* const entry = peek(key);
  if (entry != nullptr) touch(*entry);
  return entry;
}

void Catalogue::touch(Entry& entry) {
  if (std::exchange(entry.touched, true)) return;
  touched_.push_back(entry.key);
}

std::vector<wire::KeepKey> Catalogue::take_touched() {
  for (const wire::KeepKey& key : touched_)
    if (Entry* entry = peek(key); entry != nullptr) entry->touched = false;
  return std::exchange(touched_, {});
}

const Entry* Catalogue::find(const wire::KeepKey& key) const {
  const auto at = entries_.find(key);
  return at == entries_.end() ? nullptr : &at->second;
}

Entry* Catalogue::obtain(const wire::KeepKey& key, std::size_t limit) {
  if (Entry* entry = find(key)) return entry;
  std::size_t& names = names_[key.owner];
  if (names >= limit) return nullptr;
  ++names;
  Entry& entry = entries_[key];
  entry.key = key;
  touch(entry);
  return &entry;
}

void Catalogue::erase(const wire::KeepKey& key) {
  if (entries_.erase(key) == 0) return;
  touched_.push_back(key);
  if (--names_[key.owner] == 0) names_.erase(key.owner);
  if (key.kind == wire::KeepKind::kGroup) {
    Entry gone;
    gone.key = key;
    refresh_holds(gone);
  }
}

std::set<Version> Catalogue::retained(const Entry& entry, const std::set<Version>& open) const {
  std::set<Version> out = open;
  std::size_t newest = 0;
  for (auto at = entry.versions.rbegin(); at != entry.versions.rend() && newest < kKeptVersions; ++at) {
    if (!at->second.committed) continue;
    out.insert(at->first);
    ++newest;
  }
  if (const auto held = held_.find(entry.key); held != held_.end())
    for (const auto& [group, versions] : held->second) out.insert(versions.begin(), versions.end());
  return out;
}

void Catalogue::refresh_holds(const Entry& group) {
  for (const wire::KeepKey& part : parts_of_[group.key]) {
    auto& by_group = held_[part];
    by_group.erase(group.key);
    if (by_group.empty()) held_.erase(part);
  }
  parts_of_.erase(group.key);
  if (!group.home) return;
  for (const auto& [version, record] : group.versions) {
    for (const wire::GroupPart& part : record.content.parts) {
      const wire::KeepKey key{group.key.owner, wire::KeepKind::kCheckpoint, part.name};
      held_[key][group.key].insert(part.version);
      parts_of_[group.key].insert(key);
    }
  }
}

}  // namespace rk::keep

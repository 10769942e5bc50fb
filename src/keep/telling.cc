// SPDX-License-Identifier: Apache-2.0
// Every member knows every name, so that none is forgotten with those that know it: what nobody has heard of is
// answered with "not found", and must never have been confirmed.
//
// - While a name has a home, the home tells each member that joins, and awaits its answer (KeepLookup, round 0).
// - Without one, whoever knows the name tells the others (KeepNames), until each has said so. Nobody can tell who else
//   would: two members tell each other at most once.
// - A claim asks all members, and so tells them; what was still to be said is obsolete then.
//
// After a name's prefix was removed, a KeepNames from before may bring the name back as one that is lost. Such names
// are never used again (PrefixRemoved).
#include <algorithm>

#include "keep/keep.h"
#include "keep/possible.h"

namespace rk::keep {
namespace {

constexpr std::size_t kToldAtOnce = 1024;  // questions of one home in config.retry_ms
constexpr std::size_t kBatchBytes = std::size_t{256} << 10U;

std::size_t bytes_of(const wire::KeepKey& key) { return key.name.size() + 64; }

}  // namespace

// Somebody has claimed it, and nobody that is there answers for it.
bool Keep::homeless(const Entry& entry) const {
  const bool known =
      entry.shared || entry.orphaned || entry.highest || !entry.versions.empty() || entry.home_member.node;
  return !entry.home && known && (!in_view(entry.home_member) || entry.home_member == config_.self);
}

// To be called when the members or the home have changed.
void Keep::note_untold(Entry& entry) {
  if (entry.home) {
    if (!told_all(entry)) to_tell_.insert(entry.key);
  } else if (homeless(entry) && config_.planted_bug != PlantedBug::kNotPassedOn) {
    to_pass_on_.insert(entry.key);
  }
}

void Keep::tell() {
  if (!view_.serving) return;
  pass_on();
  if (to_tell_.empty() || now_ms_ < tell_at_ms_) return;
  tell_at_ms_ = now_ms_ + config_.retry_ms;
  std::size_t asked = 0;
  auto at = to_tell_.upper_bound(told_up_to_);  // a member that never answers holds up nobody else's names
  while (at != to_tell_.end() && asked < kToldAtOnce) {
    told_up_to_ = *at;
    const Entry* entry = catalogue_.find(*at);
    const std::size_t untold = entry != nullptr && entry->home ? tell_home(*entry) : 0;
    asked += untold;
    at = untold == 0 ? to_tell_.erase(at) : std::next(at);
  }
  if (at == to_tell_.end()) told_up_to_ = {};
}

// How many members have not said yet that they know.
std::size_t Keep::tell_home(const Entry& entry) {
  std::size_t untold = 0;
  for (const Member& member : view_.members) {
    if (member == config_.self || entry.told.contains(member)) continue;
    ++untold;
    emit(Send{member.node, wire::KeepLookup{view_.number, 0, true, entry.key, entry.keeps}});
  }
  return untold;
}

// One batch to each member at a time.
void Keep::pass_on() {
  if (to_pass_on_.empty()) return;
  std::set<wire::KeepKey> waiting;
  bool cut = false;  // not all were looked at
  for (const Member& member : view_.members) {
    if (member == config_.self) continue;
    const auto under_way = tellings_.find(member.node);
    if (under_way != tellings_.end() && now_ms_ < under_way->second.retry_at_ms) {
      cut = true;
      continue;
    }
    Telling telling{++last_batch_, {}, now_ms_ + config_.retry_ms};
    wire::KeepNames message{view_.number, telling.batch, {}};
    std::size_t bytes = 0;
    for (const wire::KeepKey& key : to_pass_on_) {
      const Entry* entry = catalogue_.find(key);
      if (entry == nullptr || !homeless(*entry) || entry->aware.contains(member)) continue;
      waiting.insert(key);
      bytes += bytes_of(key);
      if (bytes > kBatchBytes) {
        cut = true;
        break;
      }
      telling.keys.push_back(key);
      message.names.push_back({key, entry->floor, entry->highest, entry->committed, entry->reach(),
                               !entry->orphaned && in_view(entry->home_member)});
    }
    if (message.names.empty()) {
      tellings_.erase(member.node);
      continue;
    }
    tellings_[member.node] = std::move(telling);
    emit(Send{member.node, std::move(message)});
  }
  if (!cut) to_pass_on_ = std::move(waiting);
}

void Keep::handle(const Member& from, const wire::KeepNames& message) {
  for (const wire::KeepName& name : message.names) {
    Entry* entry = possible(name) ? catalogue_.obtain(name.key, config_.max_names_per_owner) : nullptr;
    if (entry == nullptr) continue;
    entry->aware.insert(from);
    if (entry->home) continue;  // it has heard all of them
    // What the sender knows has been removed since, as far as versions tell.
    const bool removed = name.highest && name.highest <= entry->floor;
    entry->orphaned = entry->orphaned || (!removed && !name.claimants_live);
    entry->shared = true;
    entry->floor = std::max(entry->floor, name.floor);
    entry->highest = std::max(entry->highest, name.highest);
    entry->committed = std::max(entry->committed, name.committed);
    if (!entry->current) entry->owed = std::max(entry->owed, name.owed);
  }
  emit(Send{from.node, wire::KeepNamesHeard{view_.number, message.batch}});
}

void Keep::handle(const Member& from, const wire::KeepNamesHeard& message) {
  const auto at = tellings_.find(from.node);
  if (at == tellings_.end() || at->second.batch != message.batch) return;
  for (const wire::KeepKey& key : at->second.keys)
    if (Entry* entry = catalogue_.find(key); entry != nullptr) entry->aware.insert(from);
  tellings_.erase(at);
  pass_on();
}

}  // namespace rk::keep

// SPDX-License-Identifier: Apache-2.0
// A server that is killed and started again in place, as a new life: what it takes back of the life before.
//
//  life before                      shell                               this life
//    | step                            |                                   |
//    |-- Remember, before all else --->| records, slots: outlive the life  |
//    |-- Send, Answer, ... ----------->|                                   |
//    X killed                          | slots proved ---- Memory -------->| waits for its first view
//
// - What a step changes of a name is remembered before anything that it says leaves the server. So nobody knows more
//   of this server than its memory.
// - If this life took the place of the life before (a life that was removed never returns, so that one was a member of
//   each view until then), nobody can have confirmed anything meanwhile that it did not know: no name had another home,
//   for a claim needs the answer of each member. This life is current for what the life before was the home of, and for
//   what it was current for, unless a claimant is still there: that one counts on this node no more, and is the
//   authority anyhow. It does not become the home by itself, but claims names as anybody does (adopting.cc).
// - If a view between had neither, others may have confirmed newer versions, or removed what is here. Nothing of it is
//   trusted, whatever its checksums, but that there are such names: a copy counts when a home offers just this version
//   with just these bytes, which then need not travel, or names it as what is to be fetched. What nobody asks for in
//   `returned_ms` goes.
// - A version at level local has no other copy. It counts again if this server becomes the home of its name, and
//   nobody has used a higher number meanwhile; to find out, the name is claimed as for a writer.
#include "keep/remembering.h"

#include <algorithm>

#include "base/checksum.h"
#include "keep/keep.h"

namespace rk::keep {
Bytes memory_key(const wire::KeepKey& key) { return wire::encode(key); }
Member to_member(const RememberedMember& member) { return {member.node, member.incarnation}; }
RememberedMember remembered(const Member& member) { return {member.node, member.incarnation}; }

RememberedEntry remembered(const Entry& entry) {
  RememberedEntry out{entry.key,
                      entry.home,
                      entry.home_heard,
                      entry.current,
                      entry.shared,
                      entry.orphaned,
                      remembered(entry.home_member),
                      entry.highest,
                      entry.floor,
                      entry.committed,
                      entry.owed,
                      entry.fence,
                      {},
                      {}};
  for (const Member& member : entry.claimants) out.claimants.push_back(remembered(member));
  for (const auto& [version, record] : entry.versions) {
    if (record.here) out.versions.push_back({record.content, record.level, record.committed, record.slot});
    // The next life will not know what this one could have confirmed.
    if (record.damaged && !entry.home && version > entry.owed) out.current = false;
  }
  return out;
}

// To the front of this step's effects, which begin at `first`.
void Keep::remember(std::size_t first) {
  const std::vector<wire::KeepKey> touched = catalogue_.take_touched();
  if (!config_.remembers) return;
  Effects records;
  for (const wire::KeepKey& key : touched) {
    Entry* entry = catalogue_.peek(key);
    Bytes value = entry != nullptr ? wire::encode(remembered(*entry)) : Bytes();
    if (entry != nullptr && std::exchange(entry->remembered_sum, checksum(value)) == checksum(value)) continue;
    records.emplace_back(Remember{memory_key(key), std::move(value)});
  }
  // Last: with the view before, what is remembered of a name is at worst no longer trusted.
  if (std::exchange(view_changed_, false)) {
    RememberedView view{remembered(config_.self), view_.number, since_first_, {}};
    for (const Member& member : view_.members) view.members.push_back(remembered(member));
    records.emplace_back(Remember{{}, wire::encode(view)});
  }
  out_->insert(out_->begin() + static_cast<std::ptrdiff_t>(first), std::make_move_iterator(records.begin()),
               std::make_move_iterator(records.end()));
}

void Keep::await_first_view(Memory memory) {
  for (const RememberedEntry& entry : memory.entries)
    for (const RememberedVersion& version : entry.versions) {
      if (!version.slot) continue;
      slots_[version.slot] = {entry.key.owner, version.content.total};
      owner_bytes_[entry.key.owner] += version.content.total;
      last_slot_ = std::max(last_slot_, version.slot.value);
    }
  memory_ = std::move(memory);
}

// The first view of this life.
void Keep::take_back() {
  const Memory memory = *std::exchange(memory_, std::nullopt);
  const Member self = to_member(memory.view.self);
  const auto& members = memory.view.members;
  const bool directly =
      (view_.succeeded == self &&
       std::any_of(members.begin(), members.end(), [&](const auto& member) { return to_member(member) == self; })) ||
      config_.planted_bug == PlantedBug::kReturnedTrusted;
  if (directly) since_first_ = memory.view.since_first;
  for (const RememberedEntry& entry : memory.entries) {
    if (directly)
      restore(entry, self);
    else
      set_aside(entry);
  }
  returned_until_ms_ = now_ms_ + config_.returned_ms;
}

void Keep::restore(const RememberedEntry& from, const Member& self) {
  Entry* entry = catalogue_.obtain(from.key, SIZE_MAX);
  for (const RememberedMember& claimant : from.claimants) entry->claimants.insert(to_member(claimant));
  const bool another = std::any_of(entry->claimants.begin(), entry->claimants.end(),
                                   [&](const Member& claimant) { return in_view(claimant); });
  entry->current = from.home || (from.current && !another) || config_.planted_bug == PlantedBug::kReturnedTrusted;
  entry->shared = from.shared;
  entry->orphaned = from.orphaned;
  entry->home_member = from.home ? self : to_member(from.home_member);
  entry->home_heard = from.home || from.home_heard;
  entry->highest = from.highest;
  entry->floor = from.floor;
  entry->committed = from.committed;
  entry->owed = from.owed;
  entry->fence = from.fence;
  for (const RememberedVersion& version : from.versions)
    entry->versions[version.content.version] =
        VersionRecord{version.content, version.level, version.committed, true, false, version.slot, {}};
}

void Keep::set_aside(const RememberedEntry& from) {
  catalogue_.touch_missing(from.key);  // what was remembered of it was true in the view before
  know_of(from);
  Version newest;  // that is replicated
  for (const RememberedVersion& version : from.versions)
    if (version.level != wire::CommitLevel::kLocal) newest = std::max(newest, version.content.version);
  for (const RememberedVersion& version : from.versions) {
    const bool local = version.level == wire::CommitLevel::kLocal;
    const bool worth = local ? version.committed && version.content.version > newest : static_cast<bool>(version.slot);
    if (!worth) {
      if (version.slot) free_slot(version.slot);
      continue;
    }
    returned_[{from.key, version.content.version}] = {version.content, version.slot, local, from.highest};
    if (local) to_reclaim_.insert(from.key);
  }
}

// That there is such a name, and what is surely true of it. Names of a job end with it, and nobody may know of that.
void Keep::know_of(const RememberedEntry& from) {
  if (from.key.kind == wire::KeepKind::kGroup || from.key.name.starts_with("job/")) return;
  Entry* entry = catalogue_.obtain(from.key, config_.max_names_per_owner);
  if (entry == nullptr) return;
  entry->shared = true;
  // Whoever is still there since then knows who else claimed the name meanwhile.
  entry->orphaned = entry->orphaned || from.orphaned || from.home;
  for (const RememberedMember& claimant : from.claimants) {
    if (in_view(to_member(claimant)))
      entry->claimants.insert(to_member(claimant));
    else
      entry->orphaned = true;
  }
  if (in_view(to_member(from.home_member))) entry->home_member = to_member(from.home_member);
  entry->highest = std::max(entry->highest, from.highest);
  entry->floor = std::max(entry->floor, from.floor);
  entry->committed = std::max(entry->committed, from.committed);
  entry->owed = std::max(entry->owed, from.owed);
  entry->fence = std::max(entry->fence, from.fence);
}

// The slot with just that version, proved; none: its bytes must travel.
std::optional<SlotId> Keep::take_returned(const wire::KeepKey& key, const wire::VersionContent& content) {
  const auto at = returned_.find({key, content.version});
  if (at == returned_.end() || at->second.content != content || content.total == 0) return std::nullopt;
  const SlotId slot = at->second.slot;
  returned_.erase(at);
  ++returned_used_;
  return slot;
}

// This server becomes the home of the name, and knows what exists.
void Keep::take_back_copies(Entry& entry) {
  for (auto& [version, record] : entry.versions) {
    if (record.here) continue;
    if (const auto slot = take_returned(entry.key, record.content)) {
      record.here = true;
      record.slot = *slot;
    }
  }
  for (auto at = returned_.lower_bound({entry.key, Version()});
       at != returned_.end() && at->first.first == entry.key;) {
    const Returned& item = at->second;
    if (!item.local || item.content.version <= entry.floor || entry.highest > item.highest) {
      ++at;
      continue;
    }
    entry.versions[item.content.version] =
        VersionRecord{item.content, wire::CommitLevel::kLocal, true, true, false, item.slot, {}};
    at = returned_.erase(at);
  }
  to_reclaim_.erase(entry.key);
}

void Keep::reclaim() {
  if (to_reclaim_.empty() || !view_.serving) return;
  for (const wire::KeepKey& key : std::exchange(to_reclaim_, {})) {
    Round round;
    round.kind = Round::Kind::kClaim;
    round.key = key;
    start_round(std::move(round));
  }
}

// What came back and nobody asks for, or nobody may ask for any more. No owner: of all.
void Keep::drop_returned(std::optional<OwnerId> owner, const std::string& prefix) {
  for (auto at = returned_.begin(); at != returned_.end();) {
    const auto& [version, item] = *at;
    if (owner && (version.first.owner != *owner || !version.first.name.starts_with(prefix))) {
      ++at;
      continue;
    }
    if (item.slot) free_slot(item.slot);
    to_reclaim_.erase(version.first);
    at = returned_.erase(at);
  }
}

}  // namespace rk::keep

// SPDX-License-Identifier: Apache-2.0
// Who knows the newest version of a name, so that its loss is noticed and nothing older is given in its place.
//
//  home                 predecessor                   a server that was the predecessor before, or heard a removal
//    |-- CopyOffer ------->| current: knows what is       current: knows what was confirmed before
//    |<------- complete ---| owed, and has the version       |
//    |-- KeepOutdate --------------------------------------->| current no more
//    |<-------------------------------------- KeepOutdated --|
//    | OK                  |                                 |
//
// - The home knows who may be current: whoever it sent a CopyOffer or a KeepRemove, and, when it claimed the name,
//   whoever said so. It confirms a version when each of them has a copy of it or of a newer one, has answered a
//   KeepOutdate, or is a member no more. So the first commit after a change of the predecessor costs a round trip more,
//   and nothing else.
// - That goes out when the predecessor is current, not before: there is always one besides the home.
// - Each member that is current knows a version above which none was confirmed. If the home is gone, the lowest of
//   these is what exists: found, or lost. Versions above it were not confirmed, and are not shown.
// - If no member is current, two servers failed before the second could be replaced. A version above all that are
//   found may have been confirmed: nothing but LOST can be said.
// - A version at level local makes nobody current or outdated: it goes with its server.
//
// A server that is removed from the ring comes back in another life, with no memory; so no member missed a KeepOutdate.
#include <algorithm>

#include "keep/keep.h"
#include "keep/possible.h"

namespace rk::keep {

Keep::Standing Keep::standing_of(const Round& round) const {
  Standing out;
  const bool claim_is_loss = config_.planted_bug == PlantedBug::kClaimIsLoss;
  const bool trust_checksum = config_.planted_bug == PlantedBug::kTrustChecksum;
  bool orphaned = false;
  Version owed;
  const auto reach = [&](Version version) { out.reach = out.reach ? std::min(*out.reach, version) : version; };
  out.sure = since_first_;
  if (const Entry* own = catalogue_.find(round.key); own != nullptr) {
    out.known = own->shared || !own->versions.empty() || own->highest || own->home_member.node;
    out.committed = own->committed;
    out.floor = own->floor;
    out.highest = own->highest;
    owed = own->reach();
    orphaned = own->orphaned || (claim_is_loss && own->home_member.node);
    if (own->current) reach(own->reach());
  }
  for (const auto& [node, answer] : round.answers) {
    out.known = out.known || answer.known;
    out.sure = out.sure || answer.since_first;
    out.committed = std::max(out.committed, answer.committed);
    out.floor = std::max(out.floor, answer.floor);
    out.highest = std::max(out.highest, answer.highest);
    owed = std::max(owed, answer.owed);
    orphaned = orphaned || (answer.known && (!answer.claimants_live || claim_is_loss));
    if (answer.current || (trust_checksum && !answer.versions.empty())) reach(answer.owed);
    // It alone says what exists.
    if (answer.home) out.home_owes = answer.owed;
  }
  out.may_be_lost = orphaned || std::max(owed, out.committed) > out.floor;
  return out;
}

std::vector<Member> Keep::to_outdate(const Entry& entry, const VersionRecord& record) const {
  std::vector<Member> out;
  // What is older than a confirmed version changes nothing for those that know this one.
  if (record.level == wire::CommitLevel::kLocal || record.content.version < entry.owed) return out;
  if (config_.planted_bug == PlantedBug::kNotOutdated) return out;
  const auto second = predecessor();
  const auto first = entry.versions.lower_bound(record.content.version);
  const auto has_it_or_newer = [&](const Member& member) {
    return std::any_of(first, entry.versions.end(),
                       [&](const auto& version) { return version.second.holders.contains(member); });
  };
  for (const auto& [member, told] : entry.informed)
    if (member != second && !has_it_or_newer(member)) out.push_back(member);
  return out;
}

// Whether nobody had to be told.
bool Keep::outdate_others(Entry& entry, const VersionRecord& record, Pending& pending) {
  pending.outdate_at_ms = now_ms_ + config_.retry_ms;
  const std::vector<Member> others = to_outdate(entry, record);
  for (const Member& member : others) {
    entry.surely_current.erase(member);
    wire::KeepOutdate outdate{view_.number, entry.key, record.content.version, {}};
    for (const auto& [before, last_copy] : entry.former) outdate.fences.push_back({before.node, last_copy});
    emit(Send{member.node, std::move(outdate)});
  }
  return others.empty();
}

void Keep::retry_outdating() {
  for (auto& [version, pending] : pending_) {
    if (pending.complete_in != view_.number || now_ms_ < pending.outdate_at_ms) continue;
    Entry& entry = *catalogue_.find(version.first);
    outdate_others(entry, entry.versions.at(version.second), pending);
  }
}

void Keep::handle(const Member& from, const wire::KeepOutdate& message) {
  if (!possible(message.version)) return;
  // Also of a name that is new here: a removal from before may come once more.
  Entry* entry = catalogue_.obtain(message.key, config_.max_names_per_owner);
  Version has;
  if (entry != nullptr && !entry->home) {
    for (const wire::CopyFence& fence : message.fences)
      if (const Member* before = member_of(fence.node); before != nullptr)
        entry->last_copy[*before] = std::max(entry->last_copy[*before], fence.last_copy);
    for (auto at = entry->versions.lower_bound(message.version); at != entry->versions.end(); ++at)
      if (at->second.here) has = at->first;
    entry->current = entry->current && has;
    if (!entry->current) has = Version();
    entry->highest = std::max(entry->highest, message.version);
    entry->home_member = from;
    entry->home_heard = true;
    entry->claimants.insert(from);
  }
  emit(Send{from.node, wire::KeepOutdated{view_.number, message.key, message.version, has}});
}

// What waits for it is confirmed at the end of this step (leases.cc). An answer from before a removal says nothing of
// what the removal made known.
void Keep::handle(const Member& from, const wire::KeepOutdated& message) {
  Entry* entry = catalogue_.find(message.key);
  if (entry == nullptr || !entry->home) return;
  if (message.has) {
    if (const auto record = entry->versions.find(message.has); record != entry->versions.end()) {
      record->second.holders.insert(from);
    } else {
      // It was given up here: with it goes what the other one rests on, and it is told of `version` once more.
      entry->offered.insert(from);
      tell_retained(*entry);
    }
  } else if (const auto at = entry->informed.find(from); at != entry->informed.end() && message.version > at->second) {
    entry->informed.erase(at);
  }
}

}  // namespace rk::keep

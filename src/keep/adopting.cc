// SPDX-License-Identifier: Apache-2.0
// Names whose home a view has removed: whoever is current and has a copy of what is owed, as a rule the predecessor of
// that home, becomes their home by itself, so that each has two copies again (healing.cc).
//
//  this server (current, has the copy)         others                           a writer's server
//    | claim, `keeps` -------------------------->|                                |
//    |<------------------------------- answers --|                                |
//    | home for safety: second copy made         |                                |
//    |<---------------------------------------------------------------- claim ----|
//    | home no more, current ------------------------------------------ answer -->| home
//
// - A home for safety never confirms a version: it has no writers. So it can leave the name to the next server that
//   claims it for a writer, and is then a member that is current, as it was before. With a writer of its own it is a
//   home like any other.
// - Two that claim at once: one that has a writer goes first; else the lower node id, as everywhere.
// - Who has claimed a name and not been heard as its home may have given up: claiming it finds that out.
// - Until the fence is over, nothing is claimed (leases.cc).
#include "keep/keep.h"

namespace rk::keep {
namespace {

constexpr std::size_t kClaimsAtOnce = 64;

}  // namespace

bool Keep::may_adopt(const Entry& entry) const {
  if (!entry.current || entry.home || (!homeless(entry) && entry.home_heard)) return false;
  for (auto at = entry.versions.rbegin(); at != entry.versions.rend(); ++at)
    if (at->second.here) return at->first >= entry.owed && at->first > entry.floor;
  return false;
}

// To be called when the members have changed.
void Keep::note_orphan(const Entry& entry) {
  if (may_adopt(entry) && config_.planted_bug != PlantedBug::kNotAdopted) to_adopt_.insert(entry.key);
}

void Keep::adopt_orphans() {
  if (to_adopt_.empty() || !view_.serving || now_ms_ < adopt_at_ms_) return;
  adopt_at_ms_ = now_ms_ + config_.retry_ms;
  std::set<wire::KeepKey> claimed;
  for (const auto& [id, round] : rounds_)
    if (round.kind == Round::Kind::kClaim) claimed.insert(round.key);
  for (auto at = to_adopt_.begin(); at != to_adopt_.end() && claimed.size() < kClaimsAtOnce;) {
    const Entry* entry = catalogue_.find(*at);
    if (entry == nullptr || !may_adopt(*entry)) {
      at = to_adopt_.erase(at);
      continue;
    }
    if (claimed.insert(*at).second) {
      Round round;
      round.kind = Round::Kind::kClaim;
      round.keeps = true;
      round.key = *at;
      start_round(std::move(round));  // may finish at once, and changes nothing here
    }
    ++at;
  }
}

// A member that says that it is the home.
void Keep::note_home(const wire::KeepKey& key, NodeId node) {
  Entry* entry = catalogue_.find(key);
  const Member* member = member_of(node);
  if (entry == nullptr || member == nullptr) return;
  entry->home_member = *member;
  entry->home_heard = true;
}

// A writer is here: the name is no longer kept for its safety only.
bool Keep::is_home(Entry* entry) {
  if (entry == nullptr || !entry->home) return false;
  entry->keeps = false;
  return true;
}

// Another server has a writer for it. Whom this one may have made current is told with every answer until the view
// ends: an offer may still be on its way.
void Keep::leave_home(Entry& entry) {
  for (const auto& [version, record] : entry.versions) stop_copies_of({entry.key, version});
  entry.home = entry.keeps = false;
  entry.current = true;
  entry.told.clear();
  entry.surely_current.clear();
  to_heal_.erase(entry.key);
  to_tell_.erase(entry.key);
}

}  // namespace rk::keep

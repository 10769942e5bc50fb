// SPDX-License-Identifier: Apache-2.0
// What needs the ring's lease: to say OK, and to say what exists. Without one, both wait.
#include <algorithm>

#include "keep/keep.h"

namespace rk::keep {

bool Keep::leased() const {
  return now_ms_ < lease_until_ms_ || config_.planted_bug == PlantedBug::kNoLease ||
         config_.planted_bug == PlantedBug::kNoLeaseNoEpoch;
}

// A question whose answer could be older than what another server has confirmed by now: asked again under a lease.
void Keep::park(const ClientRequest& request) {
  if (parked_.size() >= config_.max_parked)
    return refuse(request, ErrorCode::kUnavailable,
                  "too many requests wait for this server's lease from the ring: nothing was changed, try again later");
  parked_.push_back({request, now_ms_ + config_.answer_timeout_ms});
}

// Commits that wait for nothing else, in this view.
void Keep::confirm_commits() {
  std::vector<VersionKey> complete;
  for (const auto& [version, pending] : pending_)
    if (pending.complete_in == view_.number) complete.push_back(version);
  for (const VersionKey& version : complete) {
    Entry* entry = catalogue_.find(version.first);
    if (entry == nullptr) continue;
    if (const auto at = entry->versions.find(version.second);
        at != entry->versions.end() && to_outdate(*entry, at->second).empty())
      commit(*entry, at->second);
  }
}

void Keep::confirm_removal(const ClientRequest& request) {
  if (leased()) return emit(Answer{request.session, request.request, wire::Done{}, SlotId(), SlotAccess::kNone});
  removed_.push_back({request, now_ms_ + config_.answer_timeout_ms});
}

void Keep::settle_leases() {
  if (leased()) {
    confirm_commits();
    for (const Parked& item : std::exchange(removed_, {})) confirm_removal(item.request);
    for (const Parked& item : std::exchange(parked_, {})) on(item.request);
    return;
  }
  const std::string why = "the ring gave this server no lease in time: ";
  const auto late = [this](const Parked& item) { return now_ms_ >= item.deadline_ms; };
  for (const Parked& item : removed_)
    if (late(item))
      refuse(item.request, ErrorCode::kTimeout, why + "whether the checkpoint is removed is unknown, remove it again");
  std::erase_if(removed_, late);
  for (const Parked& item : parked_)
    if (late(item)) refuse(item.request, ErrorCode::kUnavailable, why + "nothing was changed, try again later");
  std::erase_if(parked_, late);
}

// May the question be put now? The home of a name that a view has removed may confirm commits while its lease lasts:
// nobody claims the name before that, nor looks it up if the home's second copy went with it.
bool Keep::held_back(Round::Kind kind) const {
  if (fence_left_ms_ == 0 || config_.planted_bug == PlantedBug::kNoFence) return false;
  return kind == Round::Kind::kClaim || (kind == Round::Kind::kLookup && lost_behind_fence_ > 1);
}

// Members that are not in the new view, while the fence for them or for others before them lasts.
void Keep::note_lost(const std::vector<Member>& before) {
  if (fence_left_ms_ == 0) {
    lost_behind_fence_ = 0;
    return;
  }
  for (const Member& member : before) lost_behind_fence_ += in_view(member) ? 0U : 1U;
}

}  // namespace rk::keep

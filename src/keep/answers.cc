// SPDX-License-Identifier: Apache-2.0
// Answers to clients, and slots' accounts.
#include "keep/keep.h"

#include "base/check.h"

namespace rk::keep {

void Keep::refuse(const ClientRequest& to, ErrorCode code, std::string message) {
  emit(Answer{to.session, to.request, wire::Refusal{static_cast<std::int32_t>(code), std::move(message)}, SlotId(),
              SlotAccess::kNone});
}

void Keep::refuse_all(const std::vector<ClientRequest>& waiting, ErrorCode code, const std::string& message) {
  for (const ClientRequest& request : waiting) refuse(request, code, message);
}

void Keep::answer_commit(SessionId session, std::uint64_t request, wire::CommitAnswer answer) {
  emit(Answer{session, request, std::move(answer), SlotId(), SlotAccess::kNone});
}

void Keep::resume(const std::vector<ClientRequest>& waiting) {
  for (const ClientRequest& request : waiting) on(request);
}

// Within the owner's quota; copies of the life before that nobody has asked for yet give way.
bool Keep::fits(OwnerId owner, std::uint64_t bytes) {
  const auto room = [&] {
    const auto used = owner_bytes_.find(owner);
    return bytes <= config_.owner_quota_bytes &&
           (used == owner_bytes_.end() || used->second <= config_.owner_quota_bytes - bytes);
  };
  if (!room() && !returned_.empty()) drop_returned(owner, "");
  return room();
}

SlotId Keep::take_slot(OwnerId owner, std::uint64_t bytes, bool writable) {
  const SlotId slot(++last_slot_);
  if (bytes == 0) return slot;
  slots_[slot] = {owner, bytes};
  owner_bytes_[owner] += bytes;
  emit(TakeSlot{slot, owner, bytes, writable});
  return slot;
}

void Keep::free_slot(SlotId slot, bool damaged) {
  checks_.erase(slot);
  if (scrubbing_ == slot) scrubbing_ = {};
  const auto at = slots_.find(slot);
  if (at == slots_.end()) return;
  if (const auto pinned = pins_.find(slot); pinned != pins_.end()) {
    pinned->second.freed = true;
    pinned->second.damaged = damaged;
    return;
  }
  const auto [owner, bytes] = at->second;
  slots_.erase(at);
  const auto account = owner_bytes_.find(owner);
  RK_CHECK(account != owner_bytes_.end() && account->second >= bytes);
  account->second -= bytes;
  if (account->second == 0) owner_bytes_.erase(account);
  emit(FreeSlot{slot, damaged});
}

}  // namespace rk::keep

// SPDX-License-Identifier: Apache-2.0
// Bytes that are not here, fetched from a server that holds them.
#include <algorithm>

#include "keep/keep.h"
#include "wire/version_sum.h"

namespace rk::keep {

void Keep::fetch(const wire::KeepKey& key, const wire::VersionContent& content, std::vector<Member> holders,
                 bool install, const ClientRequest* waiting, bool confirming) {
  for (auto& [slot, item] : fetches_) {
    if (item.key != key || item.content != content || item.install != install) continue;
    item.confirming = item.confirming || confirming;
    if (waiting != nullptr) item.waiting.push_back(*waiting);
    return;
  }
  Fetch item;
  item.key = key;
  item.content = content;
  item.candidates = std::move(holders);
  item.install = install;
  item.confirming = confirming;
  if (waiting != nullptr) item.waiting.push_back(*waiting);
  item.deadline_ms = now_ms_ + config_.answer_timeout_ms + content.total / config_.copy_bytes_per_ms;
  if (content.total == 0) {
    for (const ClientRequest& request : item.waiting)
      answer_content(request, content, SlotId(),
                     item.candidates.empty() ? config_.self.node : item.candidates.front().node);
    return;
  }
  const SlotId slot(last_slot_ + 1);
  fetches_[slot] = std::move(item);
  take_slot(key.owner, content.total);
}

void Keep::fetch_from_next(SlotId slot) {
  Fetch& item = fetches_.at(slot);
  if (item.copy != 0) emit(StopCopy{item.from.node, item.copy});
  std::erase_if(item.candidates, [this](const Member& member) { return !in_view(member); });
  if (item.candidates.empty() && sought_in_vain(item)) {
    Entry& entry = *catalogue_.find(item.key);
    return give_up(entry, entry.versions.at(item.content.version));
  }
  if (item.candidates.empty() && item.damaged && !item.install && !item.confirming) return look_again(slot);
  if (item.candidates.empty())
    return end_fetch(slot, ErrorCode::kUnavailable,
                     "no server that held version " + std::to_string(item.content.version.value) + " of \"" +
                         item.key.name + "\" gives its bytes: it may have been replaced by a newer one, try again");
  item.from = item.candidates.front();
  item.candidates.erase(item.candidates.begin());
  item.copy = ++last_copy_ | wire::kFetchBit;
  item.retry_at_ms = now_ms_ + config_.retry_ms + item.content.total / config_.copy_bytes_per_ms;
  emit(ReceiveCopy{item.from.node, item.copy, slot, item.content.total, item.content.sections});
  emit(Send{item.from.node, wire::CopyFetch{view_.number, item.copy, item.key, item.content.version}});
}

void Keep::fetch_arrived(SlotId slot, bool whole, const std::vector<std::uint64_t>& sums) {
  Fetch& item = fetches_.at(slot);
  if (!whole || !proven(item.key, item.content, sums)) {
    item.damaged = item.damaged || whole;
    if (whole) emit(Send{item.from.node, wire::KeepSuspect{view_.number, item.key, item.content.version}});
    // The last one may have a good copy again in a moment, or know then that it has none.
    if (whole && item.candidates.empty()) {
      item.retry_at_ms = now_ms_ + config_.retry_ms;
    } else {
      item.copy = 0;
      fetch_from_next(slot);
    }
    return;
  }
  item.copy = 0;
  const Fetch done = std::move(item);
  fetches_.erase(slot);
  for (const ClientRequest& request : done.waiting) answer_content(request, done.content, slot, done.from.node);
  Entry* entry = catalogue_.find(done.key);
  const auto record =
      entry != nullptr ? entry->versions.find(done.content.version) : std::map<Version, VersionRecord>::iterator();
  if (!done.install || entry == nullptr || record == entry->versions.end() || record->second.here)
    return free_slot(slot);
  record->second.here = true;
  record->second.slot = slot;
  mended(*entry, done.content.version, done.from.node);
  to_heal_.insert(done.key);
  heal();
}

// Nobody had good bytes for a reader: who is said to hold the version now?
void Keep::look_again(SlotId slot) {
  const auto at = fetches_.find(slot);
  const Fetch item = std::move(at->second);
  fetches_.erase(at);
  free_slot(slot);
  for (const ClientRequest& request : item.waiting) look_up(item.key, request, true);
}

void Keep::end_fetch(SlotId slot, ErrorCode code, const std::string& reason) {
  const auto at = fetches_.find(slot);
  const Fetch item = std::move(at->second);
  fetches_.erase(at);
  if (item.copy != 0) emit(StopCopy{item.from.node, item.copy});
  free_slot(slot);
  refuse_all(item.waiting, code, reason);
  if (item.install) heal_later(item.key);
}

void Keep::restart_fetches() {
  std::vector<SlotId> slots;
  for (auto& [slot, item] : fetches_) {
    if (item.copy == 0) continue;  // its memory is not ready yet
    item.candidates.insert(item.candidates.begin(), item.from);
    slots.push_back(slot);
  }
  for (const SlotId slot : slots) fetch_from_next(slot);
}

void Keep::retry_fetches() {
  std::vector<SlotId> late;
  std::vector<SlotId> dead;
  for (auto& [slot, item] : fetches_) {
    if (now_ms_ >= item.deadline_ms) {
      dead.push_back(slot);
    } else if (item.copy != 0 && now_ms_ >= item.retry_at_ms) {
      item.candidates.push_back(item.from);  // it may have been the network
      late.push_back(slot);
    }
  }
  for (const SlotId slot : dead)
    end_fetch(slot, ErrorCode::kUnavailable, "the server that holds the bytes did not send them in time: try again");
  for (const SlotId slot : late) fetch_from_next(slot);
}

}  // namespace rk::keep

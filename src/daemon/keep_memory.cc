// SPDX-License-Identifier: Apache-2.0
// The memory of the keep driver's slots.
#include "base/check.h"
#include "daemon/descriptor_room.h"
#include "daemon/keep_driver.h"
#include "daemon/logger.h"

namespace rk::daemon {
namespace {

// Of the budget: memory kept warm while nothing uses it.
constexpr std::uint64_t kWarmShare = 4;
// So long memory of a size that no version has any more is kept warm, and so often that is looked at.
constexpr std::uint64_t kWarmMs = 10'000;
constexpr std::uint64_t kCoolEveryMs = 1000;

}  // namespace

Result<KeepDriver::Warm> KeepDriver::memory_for(OwnerId owner, std::uint64_t bytes, bool writable) {
  const std::uint64_t size = shm::round_up_to_page(bytes);
  const WarmKey key{owner, size, writable};
  for (auto warm = warm_.find(key); warm != warm_.end(); warm = warm_.find(key)) {
    Warm memory = take_warm(warm);
    if (memory.file.whole()) return memory;
    // A client has given pages back: their next writer would be the first to learn that the system has none left.
    give_back(std::move(memory.file), memory.number);
  }
  RK_TRY_VOID(take_room(size));
  auto file = shm::MemoryFile::create("ringkeep-slot", size);
  Status touched;
  if (file) touched = check_room_beside(file->descriptor(), descriptor_limit());
  if (file && touched) touched = file->touch(0, size);
  if (file && touched) {
    const std::uint64_t number = kept_ ? kept_->hold(*file) : 0;
    return Warm{*std::move(file), {}, number};
  }
  budget_.give(size);
  return tl::unexpected(file ? touched.error() : file.error());
}

KeepDriver::Warm KeepDriver::take_warm(WarmFiles::iterator at) {
  Warm memory = std::move(at->second.back());
  warm_bytes_ -= at->first.bytes;
  at->second.pop_back();
  if (at->second.empty()) warm_.erase(at);
  return memory;
}

// Memory that is only warm gives way.
Status KeepDriver::take_room(std::uint64_t bytes) {
  Status taken = budget_.take(bytes);
  while (!taken && !warm_.empty()) {
    Warm memory = take_warm(warm_.begin());
    give_back(std::move(memory.file), memory.number);
    taken = budget_.take(bytes);
  }
  return taken;
}

// Memory that is gone here goes everywhere: clients may have it mapped for their next version (client/idle_mappings.h).
void KeepDriver::give_back(shm::MemoryFile file, std::uint64_t number) {
  if (const Status discarded = file.discard(0, file.size()); !discarded)
    logger::warn("memory of a checkpoint stays with whoever has it mapped: " + discarded.error().message);
  forget(file.size(), number);
}

void KeepDriver::forget(std::uint64_t bytes, std::uint64_t number) {
  if (kept_) kept_->drop(number);
  budget_.give(bytes);
}

// What is warm of a kind that nobody has asked for.
void KeepDriver::cool() {
  if (now_ms_ < cooled_ms_ + kCoolEveryMs) return;
  cooled_ms_ = now_ms_;
  for (auto at = unused_since_.begin(); at != unused_since_.end();) {
    const auto& [key, since_ms] = *at;
    if (now_ms_ < since_ms + kWarmMs) {
      ++at;
      continue;
    }
    for (auto warm = warm_.find(key); warm != warm_.end(); warm = warm_.find(key)) {
      Warm memory = take_warm(warm);
      give_back(std::move(memory.file), memory.number);
    }
    at = unused_since_.erase(at);
  }
}

void KeepDriver::unpin(std::uint64_t session, keep::SlotId id) {
  Slot& slot = slots_.at(id);
  const auto pins = slot.pinned.find(session);
  RK_CHECK(pins != slot.pinned.end());
  if (--pins->second > 0) return;
  slot.pinned.erase(pins);
  const auto open = opened_.find(session);
  open->second.erase(id);
  if (open->second.empty()) opened_.erase(open);
  drop_if_unused(id);
}

void KeepDriver::drop_if_unused(keep::SlotId id) {
  const auto at = slots_.find(id);
  Slot& slot = at->second;
  if (!slot.freed || !slot.pinned.empty()) return;
  Slot gone = std::move(slot);
  slots_.erase(at);
  const WarmKey key{gone.owner, gone.file.size(), gone.writable};
  const auto same = in_use_.find(key);
  if (--same->second == 0) {
    in_use_.erase(same);
    unused_since_[key] = now_ms_;
  }
  if (gone.left_mapped) {
    // It stays as it is for who reads it.
    forget(gone.file.size(), gone.number);
  } else if (!gone.damaged && warm_bytes_ + key.bytes <= budget_.budget_bytes() / kWarmShare) {
    warm_[key].push_back({std::move(gone.file), std::move(gone.mapping), gone.number});
    warm_bytes_ += key.bytes;
  } else {
    give_back(std::move(gone.file), gone.number);
  }
}

Status KeepDriver::map_slot(Slot& slot) {
  if (slot.mapping) return {};
  RK_TRY(slot.mapping, shm::Mapping::map(slot.file, shm::Access::kReadWrite));
  return {};
}

}  // namespace rk::daemon

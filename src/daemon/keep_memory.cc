// SPDX-License-Identifier: Apache-2.0
// The memory of the keep driver's slots.
#include "base/check.h"
#include "daemon/keep_driver.h"

namespace rk::daemon {
namespace {

// Of the budget: memory kept warm while nothing uses it.
constexpr std::uint64_t kWarmShare = 4;

}  // namespace

Result<KeepDriver::Warm> KeepDriver::memory_for(OwnerId owner, std::uint64_t bytes, bool writable) {
  const std::uint64_t size = shm::round_up_to_page(bytes);
  if (const auto warm = warm_.find({owner, size, writable}); warm != warm_.end()) {
    Warm memory = std::move(warm->second.back());
    warm->second.pop_back();
    if (warm->second.empty()) warm_.erase(warm);
    warm_bytes_ -= size;
    return memory;
  }
  RK_TRY_VOID(take_room(size));
  auto file = shm::MemoryFile::create("ringkeep-slot", size);
  Status touched;
  if (file) touched = file->touch(0, size);
  if (file && touched) {
    const std::uint64_t number = kept_ ? kept_->hold(*file) : 0;
    return Warm{*std::move(file), {}, number};
  }
  budget_.give(size);
  return tl::unexpected(file ? touched.error() : file.error());
}

// Memory that is only warm gives way.
Status KeepDriver::take_room(std::uint64_t bytes) {
  Status taken = budget_.take(bytes);
  while (!taken && !warm_.empty()) {
    auto& [key, files] = *warm_.begin();
    const std::uint64_t size = key.bytes;
    const std::uint64_t number = files.back().number;
    files.pop_back();
    if (files.empty()) warm_.erase(warm_.begin());
    warm_bytes_ -= size;
    give_back(size, number);
    taken = budget_.take(bytes);
  }
  return taken;
}

// Memory that is gone here goes everywhere.
void KeepDriver::give_back(std::uint64_t bytes, std::uint64_t number) {
  if (kept_) kept_->drop(number);
  budget_.give(bytes);
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
  const std::uint64_t size = slot.file.size();
  if (!slot.damaged && !slot.of_life_before && warm_bytes_ + size <= budget_.budget_bytes() / kWarmShare) {
    warm_[{slot.owner, size, slot.writable}].push_back({std::move(slot.file), std::move(slot.mapping), slot.number});
    warm_bytes_ += size;
    slots_.erase(at);
    return;
  }
  const std::uint64_t number = slot.number;
  slots_.erase(at);
  give_back(size, number);
}

Status KeepDriver::map_slot(Slot& slot) {
  if (slot.mapping) return {};
  RK_TRY(slot.mapping, shm::Mapping::map(slot.file, shm::Access::kReadWrite));
  return {};
}

}  // namespace rk::daemon

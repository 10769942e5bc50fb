// SPDX-License-Identifier: Apache-2.0
#include "mpi/request_table.h"

namespace rk::mpi {
namespace {
constexpr std::size_t kFirstSlots = 256;  // a power of two
}

RequestTable::RequestTable() : slots_(kFirstSlots) {}

std::size_t RequestTable::home(MPI_Request handle) const {
  const auto bits = reinterpret_cast<std::uintptr_t>(handle) >> 4U;
  return (bits * 0x9e3779b97f4a7c15ULL >> 32U) & (slots_.size() - 1);
}

RequestEntry* RequestTable::find(MPI_Request handle) {
  for (std::size_t at = home(handle);; at = (at + 1) & (slots_.size() - 1)) {
    RequestEntry& slot = slots_[at];
    if (slot.kind == RequestKind::kNone) return nullptr;
    if (slot.handle == handle) return &slot;
  }
}

RequestEntry& RequestTable::add(MPI_Request handle, RequestKind kind) {
  if (used_ * 2 >= slots_.size()) grow();
  std::size_t at = home(handle);
  while (slots_[at].kind != RequestKind::kNone && slots_[at].handle != handle) at = (at + 1) & (slots_.size() - 1);
  if (slots_[at].kind == RequestKind::kNone) ++used_;
  slots_[at] = RequestEntry{};
  slots_[at].handle = handle;
  slots_[at].kind = kind;
  return slots_[at];
}

void RequestTable::remove(MPI_Request handle) {
  const RequestEntry* found = find(handle);
  if (found == nullptr) return;
  // Backward shift: no tombstones, so that lookups stay short however many requests come and go.
  const std::size_t mask = slots_.size() - 1;
  auto hole = static_cast<std::size_t>(found - slots_.data());
  for (std::size_t at = (hole + 1) & mask; slots_[at].kind != RequestKind::kNone; at = (at + 1) & mask) {
    const std::size_t wanted = home(slots_[at].handle);
    if (((at - wanted) & mask) < ((at - hole) & mask)) continue;
    slots_[hole] = slots_[at];
    hole = at;
  }
  slots_[hole] = RequestEntry{};
  --used_;
}

void RequestTable::grow() {
  std::vector<RequestEntry> old(slots_.size() * 2);
  old.swap(slots_);
  used_ = 0;
  for (const RequestEntry& entry : old)
    if (entry.kind != RequestKind::kNone) add(entry.handle, entry.kind) = entry;
}

}  // namespace rk::mpi

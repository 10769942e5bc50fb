// SPDX-License-Identifier: Apache-2.0
// Checksums, a bounded piece at a time: of what clients commit and servers send, and behind that of copies at rest.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "daemon/event_log.h"
#include "daemon/keep_driver.h"

namespace rk::daemon {
namespace {

// Of copies at rest, in one go: some 2 ms, in which nothing else happens.
constexpr std::uint64_t kCheckPieceBytes = std::uint64_t{16} << 20U;
// Summed, and compared with the base or filled from it, while they are in the processor's cache.
constexpr std::uint64_t kTogetherBytes = std::uint64_t{128} << 10U;

}  // namespace

// Maps what it reads, and decides whether it is compared.
Status KeepDriver::begin_sum(Summing& item) {
  Slot& slot = slots_.at(item.slot);
  RK_TRY_VOID(map_slot(slot));
  if (!item.base) return {};
  Slot& base = slots_.at(item.base);
  Status mapped = map_slot(base);
  if (item.arrival || item.compared) return mapped;
  const auto bytes = [](const Slot& of) { return of.mapping.bytes().first(of.bytes); };
  if (mapped && keep::ChangedPages::worth_comparing(bytes(slot), bytes(base)))
    item.compared.emplace(slot.bytes);
  else
    item.base = {};
  return {};
}

// Of a slot that is mapped, as its base is. At most `left` bytes, which it takes from it; true when all sections are
// summed.
bool KeepDriver::sum_piece(Summing& item, std::uint64_t& left) {
  const Slot& slot = slots_.at(item.slot);
  const Slot* const base = item.base ? &slots_.at(item.base) : nullptr;
  while (left > 0 && item.sums.size() < item.sections.size()) {
    const wire::SectionPlace& section = item.sections[item.sums.size()];
    RK_CHECK(section.offset + section.size <= slot.bytes);
    const bool both = item.arrival ? base != nullptr : item.compared && !item.compared->given_up();
    const std::uint64_t piece = std::min({left, section.size - item.offset, both ? kTogetherBytes : UINT64_MAX});
    const std::uint64_t at = section.offset + item.offset;
    if (both && item.arrival)
      keep::copy_unchanged(item.changed, base->mapping.bytes().first(base->bytes),
                           slot.mapping.writable().first(slot.bytes), at, piece);
    const ByteView bytes = slot.mapping.bytes().subspan(at, piece);
    item.current.update(bytes);
    if (both && !item.arrival) item.compared->compare(at, bytes, base->mapping.bytes().subspan(at, piece));
    item.offset += piece;
    left -= std::min(left, both ? 2 * piece : piece);
    if (item.offset < section.size) continue;
    item.sums.push_back(item.current.digest());
    item.current = StreamingChecksum();
    item.offset = 0;
  }
  return item.sums.size() == item.sections.size();
}

void KeepDriver::carry(keep::CheckSlot& effect) {
  std::erase_if(checking_, [&](const Checking& item) { return item.sum.slot == effect.slot; });
  Checking item;
  item.sum.slot = effect.slot;
  item.sum.sections = std::move(effect.sections);
  item.bytes_per_s = effect.bytes_per_s;
  // Who waits goes first, in order.
  const auto behind = std::find_if(checking_.begin(), checking_.end(), [&](const Checking& other) {
    return item.bytes_per_s == 0 && other.bytes_per_s != 0;
  });
  checking_.insert(behind, std::move(item));
  if (effect.bytes_per_s == 0 && checking_.size() == 1) check_some(0);
}

// `elapsed_ms`: since the last time that the rate was used.
void KeepDriver::check_some(std::uint64_t elapsed_ms) {
  std::uint64_t used = 0;
  while (summing_.empty() && !checking_.empty() && used < kCheckPieceBytes) {
    Checking& item = checking_.front();
    const std::uint64_t allowed =
        item.bytes_per_s == 0
            ? kCheckPieceBytes
            : std::min(kCheckPieceBytes, item.bytes_per_s * std::min<std::uint64_t>(elapsed_ms, 1000) / 1000);
    if (allowed <= used) break;
    const bool mapped = static_cast<bool>(map_slot(slots_.at(item.sum.slot)));
    std::uint64_t left = allowed - used;
    const bool done = !mapped || sum_piece(item.sum, left);
    used = allowed - left;
    if (!done) break;
    events_.emplace_back(keep::SlotChecked{item.sum.slot, std::move(item.sum.sums)});
    checking_.pop_front();
    drain();
  }
}

void KeepDriver::carry(keep::CopyNews& effect) {
  using Kind = keep::CopyNews::Kind;
  wire::ServerEvent event;
  event.event = effect.kind == Kind::kDamaged    ? events::kCopyDamaged
                : effect.kind == Kind::kRepaired ? events::kCopyRepaired
                                                 : events::kCopyUnrepaired;
  event.owner = effect.key.owner;
  event.checkpoint = printable(effect.key.name, wire::kMaxNameBytes);
  event.version = effect.version;
  event.bytes = effect.bytes;
  event.node = effect.from;
  if (effect.kind == Kind::kUnrepairable)
    event.reason = "no server has a good copy: commit a new version, or read another one by its number";
  tell_(std::move(event));
}

}  // namespace rk::daemon

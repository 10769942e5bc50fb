// SPDX-License-Identifier: Apache-2.0
// Only changed pages travel: a version that a client commits is compared with an older one, its base, while it is
// summed.
//
//  home                                               predecessor
//    | SumSlot with the base's slot                     |
//    |-- CopyOffer: base, its sum, changed pages ------>| has just this base: ReceiveCopy over its slot
//    |-- CopyChunk... of these pages ------------------>| the rest from the base, then all is summed
//    |<------------------------------- CopyAnswer ------| complete
//    |<----------------------------- or kNeedsWhole ----| no such base, or the result has not its checksums
//    |-- CopyOffer, CopyChunk... of all bytes --------->|
//
// - The base is the newest version that the predecessor is known to have complete, confirmed or not: a commit that ends
//   as FAILED or UNKNOWN leaves bytes with a sum. What names it is its number together with its sum.
// - Nothing rests on the base being right: what is put together is summed as every copy is, against the version's own
//   table. Bytes of a base that are not what its table says cost a second, whole copy, and both sides sum theirs.
// - Both have the same sections at the same places: what lies between sections belongs to no version, and differs.
// - A slot that is compared with or copied from is pinned: whoever lets go of it meanwhile frees it in the end. Only if
//   it is found damaged is the delta given up.
// - Copies in the background and fetches travel whole.
#include <algorithm>
#include <utility>

#include "keep/keep.h"

namespace rk::keep {
namespace {

bool same_places(const std::vector<wire::SectionPlace>& one, const std::vector<wire::SectionPlace>& other) {
  return std::equal(one.begin(), one.end(), other.begin(), other.end(),
                    [](const auto& a, const auto& b) { return a.offset == b.offset && a.size == b.size; });
}

}  // namespace

// --- the home -------------------------------------------------------------------------------------------------------

void Keep::choose_base(Writing& writing) {
  const auto to = predecessor();
  const Entry* entry = std::as_const(catalogue_).find(writing.key);
  if (!to || entry == nullptr || writing.level == wire::CommitLevel::kLocal || writing.total < config_.delta_from_bytes)
    return;
  const auto base = std::find_if(entry->versions.rbegin(), entry->versions.rend(), [&](const auto& item) {
    const VersionRecord& record = item.second;
    return record.here && record.holders.contains(*to) && record.content.total == writing.total &&
           same_places(record.content.sections, writing.sections);
  });
  if (base == entry->versions.rend()) return;
  writing.delta.base = base->first;
  writing.delta.base_sum = base->second.content.sum;
  pin(writing.base = base->second.slot);
}

void Keep::compared(Writing& writing, std::optional<PageRanges> changed) {
  if (!writing.base) return;
  unpin(std::exchange(writing.base, {}));
  if (changed && possible(*changed, writing.total))
    writing.delta.changed = *std::move(changed);
  else
    writing.delta = {};
}

// What its receiver has of it; no base: nothing, as far as this home knows.
wire::CopyDelta Keep::delta_for(const Outgoing& outgoing) const {
  const auto pending = pending_.find(outgoing.version);
  if (pending == pending_.end() || !pending->second.delta.base) return {};
  const wire::CopyDelta& delta = pending->second.delta;
  const Entry& entry = *catalogue_.find(outgoing.version.first);
  const auto base = entry.versions.find(delta.base);
  const bool has_it = base != entry.versions.end() && base->second.here && base->second.content.sum == delta.base_sum &&
                      base->second.holders.contains(outgoing.to);
  return has_it ? delta : wire::CopyDelta{};
}

std::uint64_t Keep::saved_by(const Outgoing& outgoing) const {
  const Entry& entry = *catalogue_.find(outgoing.version.first);
  const std::uint64_t total = entry.versions.at(outgoing.version.second).content.total;
  return total - bytes_in(outgoing.delta.changed, total);
}

// Its receiver has nothing of the version, and not what a delta needs.
void Keep::send_whole(std::uint64_t copy) {
  const Outgoing before = outgoing_.at(copy);
  stop_outgoing(copy);
  ++deltas_.refused;
  if (const auto pending = pending_.find(before.version); pending != pending_.end()) pending->second.delta = {};
  const std::uint64_t again = ++last_copy_;
  offer(again, outgoing_[again] = Outgoing{before.version, before.to, false, 0, {}}, true);
}

// --- the predecessor ------------------------------------------------------------------------------------------------

// The version that the offer is a delta of.
const VersionRecord* Keep::base_here(const Entry& entry, const wire::CopyOffer& offer) const {
  const auto fits = [&](const VersionRecord& record) {
    return record.here && record.slot && record.content.total == offer.content.total;
  };
  if (config_.planted_bug == PlantedBug::kDeltaOnWrongBase) {
    const auto any = std::find_if(entry.versions.rbegin(), entry.versions.rend(),
                                  [&](const auto& item) { return fits(item.second); });
    return any == entry.versions.rend() ? nullptr : &any->second;
  }
  const auto base = entry.versions.find(offer.delta.base);
  if (base == entry.versions.end() || !fits(base->second)) return nullptr;
  const wire::VersionContent& content = base->second.content;
  return content.sum == offer.delta.base_sum && same_places(content.sections, offer.content.sections) ? &base->second
                                                                                                      : nullptr;
}

// The base, here or at the home, or the version itself: what came of them has not its checksums.
void Keep::delta_spoilt(const Incoming& item) {
  ++deltas_.spoilt;
  emit(Send{item.from.node, wire::KeepSuspect{view_.number, item.key, item.delta.base}});
  const Entry* entry = std::as_const(catalogue_).find(item.key);
  if (entry == nullptr) return;
  const auto base = entry->versions.find(item.delta.base);
  if (base != entry->versions.end() && checkable(item.key, base->second)) check(item.key, base->second, true);
}

// What rests on it is asked for anew.
void Keep::base_damaged(const VersionKey& base) {
  std::vector<SlotId> slots;
  for (const auto& [slot, item] : incoming_)
    if (item.base && item.key == base.first && item.delta.base == base.second) slots.push_back(slot);
  for (const SlotId slot : slots) {
    ++deltas_.spoilt;
    const Incoming& item = incoming_.at(slot);
    answer_copy(item.from, item.copy, wire::CopyResult::kNeedsWhole);
    drop_incoming(slot);
  }
}

// --- pins -----------------------------------------------------------------------------------------------------------

void Keep::pin(SlotId slot) { ++pins_[slot].count; }

void Keep::unpin(SlotId slot) {
  const auto at = pins_.find(slot);
  if (at == pins_.end() || --at->second.count > 0) return;
  const Pin last = at->second;
  pins_.erase(at);
  if (!last.freed) return;
  ++deltas_.outlived;
  free_slot(slot, last.damaged);
}

}  // namespace rk::keep

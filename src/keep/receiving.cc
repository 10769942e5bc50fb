// SPDX-License-Identifier: Apache-2.0
// This server as the holder of other homes' second copies.
#include <algorithm>

#include "keep/keep.h"
#include "keep/possible.h"
#include "wire/version_sum.h"

namespace rk::keep {
namespace {

constexpr std::size_t kMaxVersionsHeld = 16;

}  // namespace

void Keep::answer_copy(const Member& to, std::uint64_t copy, wire::CopyResult result, std::string reason) {
  emit(Send{to.node, wire::CopyAnswer{view_.number, copy, result, std::move(reason)}});
}

// It has no copy of the version: `result` says that it has nothing of it. Of one that was complete here before it was
// damaged that is not true: it is known here, and its home must not call it FAILED.
void Keep::answer_without(const Member& to, std::uint64_t copy, const VersionKey& version, wire::CopyResult result,
                          std::string reason) {
  const Entry* entry = catalogue_.find(version.first);
  const bool had = damaged_.contains(version) && !entry->home && version.second > entry->committed;
  answer_copy(to, copy, had ? wire::CopyResult::kHadIt : result, std::move(reason));
}

void Keep::handle(const Member& from, const wire::CopyOffer& message) {
  const auto refused = [&](std::string reason) {
    answer_without(from, message.copy, {message.key, message.content.version}, wire::CopyResult::kRefused,
                   std::move(reason));
  };
  if (!possible(message.content) || !possible(message.committed) || !possible(message.owed) ||
      !possible(message.delta, message.content.total))
    return refused("the offer is damaged");
  Entry* entry = catalogue_.obtain(message.key, config_.max_names_per_owner);
  if (entry == nullptr) return refused("the user has too many names in the keep");
  std::uint64_t& last = entry->last_copy[from];
  if (message.copy <= last) return;  // an attempt that was given up meanwhile
  last = message.copy;
  const wire::VersionContent& content = message.content;
  std::vector<SlotId> earlier;
  for (const auto& [slot, item] : incoming_)
    if (item.key == message.key && item.content.version == content.version) earlier.push_back(slot);
  for (const SlotId slot : earlier) drop_incoming(slot);
  if (entry->home) return refused("it is the home of the name itself");
  entry->current = true;
  entry->committed = std::max(entry->committed, message.committed);
  entry->owed = std::max(entry->owed, message.owed);
  if (content.version <= entry->floor) return refused("the version was removed");
  const auto held = entry->versions.find(content.version);
  if (held != entry->versions.end() && held->second.here) {
    if (held->second.content == content) return answer_copy(from, message.copy, wire::CopyResult::kComplete);
    return refused("it holds other bytes under the same version number");
  }
  if (held == entry->versions.end() && entry->versions.size() >= kMaxVersionsHeld)
    return refused("it holds too many versions of the name");
  if (const auto returned = take_returned(message.key, content)) {
    entry->home_member = from;
    entry->home_heard = true;
    hold(*entry, content, *returned);
    return answer_copy(from, message.copy, wire::CopyResult::kComplete);
  }
  if (!fits(message.key.owner, content.total)) return refused("the user's quota is used up there");
  entry->home_member = from;
  entry->home_heard = true;
  const VersionRecord* const base = message.delta.base ? base_here(*entry, message) : nullptr;
  if (message.delta.base && base == nullptr) {
    ++deltas_.baseless;
    return answer_copy(from, message.copy, wire::CopyResult::kNeedsWhole);
  }
  const SlotId overwritten = overwritten_slot(*entry, content);
  const SlotId slot = overwritten ? overwritten : take_slot(message.key.owner, content.total);
  const std::uint64_t deadline_ms = now_ms_ + config_.answer_timeout_ms + content.total / config_.copy_bytes_per_ms;
  Incoming& item = incoming_[slot] =
      Incoming{from, message.copy, message.eager, message.key, content, false, deadline_ms, message.delta, {}};
  if (base != nullptr) pin(item.base = base->slot);
  if (content.total == 0) incoming_arrived(slot, true, {});
  if (overwritten) incoming_ready(slot, {});
}

// A planted bug: the slot of the version before, which a copy of the same size is written over.
SlotId Keep::overwritten_slot(const Entry& entry, const wire::VersionContent& content) const {
  if (config_.planted_bug != PlantedBug::kOverwriteShadow || content.total == 0) return {};
  for (auto at = entry.versions.rbegin(); at != entry.versions.rend(); ++at)
    if (at->second.here && at->second.slot && at->second.content.total == content.total &&
        !incoming_.contains(at->second.slot) && !checks_.contains(at->second.slot))
      return at->second.slot;
  return {};
}

void Keep::end_overwriting(const wire::KeepKey& key, SlotId slot) {
  Entry* entry = catalogue_.find(key);
  if (config_.planted_bug != PlantedBug::kOverwriteShadow || entry == nullptr || !slots_.contains(slot)) return;
  for (auto& [version, record] : entry->versions) {
    if (record.slot != slot) continue;
    record.slot = {};
    record.here = false;
    checks_.erase(slot);
    if (scrubbing_ == slot) scrubbing_ = {};
  }
}

void Keep::incoming_ready(SlotId slot, const Status& status) {
  Incoming& item = incoming_.at(slot);
  if (!status) {
    answer_without(item.from, item.copy, {item.key, item.content.version}, wire::CopyResult::kRefused,
                   status.error().message);
    return drop_incoming(slot);
  }
  item.ready = true;
  emit(ReceiveCopy{item.from.node, item.copy, slot, item.content.total, item.content.sections, item.base,
                   item.delta.changed});
  if (!item.eager) answer_copy(item.from, item.copy, wire::CopyResult::kWanted);
}

// For a version without bytes `sums` is empty: its table says all.
void Keep::incoming_arrived(SlotId slot, bool whole, const std::vector<std::uint64_t>& sums) {
  const Incoming item = incoming_.at(slot);
  bool equal = whole && (item.content.total == 0 || proven(item.key, item.content, sums) ||
                         (item.base && config_.planted_bug == PlantedBug::kDeltaOnWrongBase));
  equal =
      equal && item.content.sum == (item.key.kind == wire::KeepKind::kGroup ? wire::version_sum(item.content.parts)
                                                                            : wire::version_sum(item.content.sections));
  Entry* entry = catalogue_.find(item.key);
  if (!equal && item.base) {
    if (whole) delta_spoilt(item);
    answer_copy(item.from, item.copy, wire::CopyResult::kNeedsWhole);
    return drop_incoming(slot);
  }
  if (!equal || entry == nullptr) {
    answer_without(item.from, item.copy, {item.key, item.content.version}, wire::CopyResult::kDamaged);
    return drop_incoming(slot);
  }
  incoming_.erase(slot);
  unpin(item.base);
  if (const auto held = entry->versions.find(item.content.version);
      held != entry->versions.end() && held->second.here) {
    // It was fetched meanwhile.
    const bool same = held->second.content == item.content;
    free_slot(slot);
    return answer_copy(item.from, item.copy, same ? wire::CopyResult::kComplete : wire::CopyResult::kRefused);
  }
  end_overwriting(item.key, slot);
  hold(*entry, item.content, slot);
  mended(*entry, item.content.version, item.from.node);
  answer_copy(item.from, item.copy, wire::CopyResult::kComplete);
}

// Complete, for another home.
void Keep::hold(Entry& entry, const wire::VersionContent& content, SlotId slot) {
  VersionRecord record;
  record.content = content;
  record.here = true;
  if (content.total > 0) record.slot = slot;
  if (const auto known = entry.versions.find(content.version); known != entry.versions.end())
    record.committed = known->second.committed;
  entry.versions[content.version] = std::move(record);
  entry.highest = std::max(entry.highest, content.version);
  entry.fence = std::max(entry.fence, content.incarnation);
}

void Keep::drop_incoming(SlotId slot) {
  const auto at = incoming_.find(slot);
  if (at->second.ready) emit(StopCopy{at->second.from.node, at->second.copy});
  end_overwriting(at->second.key, slot);
  const SlotId base = at->second.base;
  incoming_.erase(at);
  free_slot(slot);
  unpin(base);
}

// What its sender neither finishes nor offers again.
void Keep::expire_incoming() {
  std::vector<SlotId> late;
  for (const auto& [slot, item] : incoming_)
    if (now_ms_ >= item.deadline_ms) late.push_back(slot);
  for (const SlotId slot : late) drop_incoming(slot);
}

void Keep::handle(const Member& from, const wire::CopyRetain& message) {
  if (!possible(message.up_to) || !possible(message.committed) || !possible(message.owed)) return;
  Entry* entry = catalogue_.find(message.key);
  if (entry == nullptr || entry->home) return;
  entry->home_member = from;
  entry->home_heard = true;
  entry->committed = std::max(entry->committed, message.committed);
  entry->owed = std::max(entry->owed, message.owed);
  entry->highest = std::max(entry->highest, message.up_to);
  const auto goes = [&](Version version) {
    return version <= message.up_to &&
           std::find(message.retained.begin(), message.retained.end(), version) == message.retained.end();
  };
  std::vector<SlotId> given_up;
  for (const auto& [slot, item] : incoming_)
    if (item.key == message.key && goes(item.content.version)) given_up.push_back(slot);
  for (const SlotId slot : given_up) drop_incoming(slot);
  std::vector<Version> old;
  for (auto& [version, record] : entry->versions) {
    if (version <= message.committed) record.committed = true;
    if (goes(version)) old.push_back(version);
  }
  for (const Version version : old) drop_version(*entry, version);
}

void Keep::handle(const Member& from, const wire::CopyFetch& message) {
  const Entry* entry = catalogue_.find(message.key);
  if (entry != nullptr)
    if (const auto at = entry->versions.find(message.version);
        at != entry->versions.end() && at->second.here && at->second.content.total > 0) {
      emit(SendCopy{from.node, message.copy, at->second.slot, at->second.content.total});
      return;
    }
  answer_copy(from, message.copy, wire::CopyResult::kRefused, "it does not hold the version");
}

}  // namespace rk::keep

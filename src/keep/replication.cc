// SPDX-License-Identifier: Apache-2.0
// Copies to the predecessor, and the results of commits.
#include <algorithm>
#include <iterator>

#include "base/check.h"
#include "keep/keep.h"

namespace rk::keep {

// Sees to it that the version is on its way to the predecessor of the current view.
void Keep::replicate(const VersionKey& version) {
  const auto pending = pending_.find(version);
  if (!view_.serving) return;  // offered again when a view serves, or the deadline passes
  if (pending != pending_.end()) {
    Entry& entry = *catalogue_.find(version.first);
    VersionRecord& record = entry.versions.at(version.second);
    if (record.level == wire::CommitLevel::kLocal) return complete(entry, record, pending->second);
  }
  const auto to = predecessor();
  if (!to) {
    if (pending == pending_.end() || pending->second.answered) return;
    const bool offered = !pending->second.offered.empty();
    return finish_pending(version, offered ? wire::CommitResult::kUnknown : wire::CommitResult::kFailed,
                          "this server is alone in its ring, so that there is no place for a second copy: start more "
                          "servers or commit at level local");
  }
  for (const auto& [copy, outgoing] : outgoing_)
    if (outgoing.version == version && outgoing.to == *to) return;
  const auto* entry = catalogue_.find(version.first);
  const bool has_it = entry->versions.at(version.second).holders.contains(*to);  // it shall know that it is current
  const bool first = !has_it && (pending == pending_.end() || pending->second.offered.empty());
  const std::uint64_t copy = ++last_copy_;
  Outgoing& outgoing = outgoing_[copy] = Outgoing{version, *to, false, 0};
  outgoing.delta = delta_for(outgoing);
  offer(copy, outgoing, first);
}

void Keep::offer(std::uint64_t copy, Outgoing& outgoing, bool eager) {
  Entry* entry = catalogue_.find(outgoing.version.first);
  RK_CHECK(entry != nullptr);
  const VersionRecord& record = entry->versions.at(outgoing.version.second);
  if (const auto pending = pending_.find(outgoing.version); pending != pending_.end())
    pending->second.offered.insert(outgoing.to);
  entry->offered.insert(outgoing.to);
  entry->informed.try_emplace(outgoing.to);
  if (config_.planted_bug == PlantedBug::kCountIncomplete && !pending_.contains(outgoing.version))
    entry->versions.at(outgoing.version.second).holders.insert(outgoing.to);
  if (to_heal_.contains(entry->key)) tell_retained(*entry);  // before the next one comes, so that not all are there
  emit(Send{outgoing.to.node, wire::CopyOffer{view_.number, copy, eager, outgoing.version.first, record.content,
                                              entry->committed, entry->owed, outgoing.delta}});
  if (outgoing.delta.base) ++deltas_.offered;
  outgoing.retry_at_ms = now_ms_ + config_.retry_ms;
  if (eager) stream(copy, outgoing);
}

void Keep::stream(std::uint64_t copy, Outgoing& outgoing) {
  const VersionRecord& record = catalogue_.find(outgoing.version.first)->versions.at(outgoing.version.second);
  if (outgoing.streaming || record.content.total == 0) return;
  outgoing.streaming = true;
  outgoing.retry_at_ms = now_ms_ + config_.retry_ms + record.content.total / config_.copy_bytes_per_ms;
  emit(SendCopy{outgoing.to.node, copy, record.slot, record.content.total,
                outgoing.delta.base ? std::optional(outgoing.delta.changed) : std::nullopt});
}

void Keep::stop_outgoing(std::uint64_t copy) {
  const auto at = outgoing_.find(copy);
  if (at->second.streaming) emit(StopCopy{at->second.to.node, copy});
  outgoing_.erase(at);
}

void Keep::stop_copies_of(const VersionKey& version) {
  std::vector<std::uint64_t> copies;
  for (const auto& [copy, outgoing] : outgoing_)
    if (outgoing.version == version) copies.push_back(copy);
  for (const std::uint64_t copy : copies) stop_outgoing(copy);
}

void Keep::retry_outgoing() {
  std::vector<std::uint64_t> late;
  for (const auto& [copy, outgoing] : outgoing_)
    if (now_ms_ >= outgoing.retry_at_ms) late.push_back(copy);
  for (const std::uint64_t copy : late) {
    const Outgoing before = outgoing_.at(copy);
    stop_outgoing(copy);
    const std::uint64_t again = ++last_copy_;
    Outgoing& outgoing = outgoing_[again] = Outgoing{before.version, before.to, false, 0};
    outgoing.delta = delta_for(outgoing);
    offer(again, outgoing, false);
  }
}

void Keep::handle(const Member& from, const wire::CopyAnswer& message) {
  if ((message.copy & wire::kFetchBit) != 0) {
    for (auto& [slot, item] : fetches_) {
      if (item.copy != message.copy || item.from != from) continue;
      return message.result == wire::CopyResult::kOtherView ? void() : fetch_from_next(SlotId(slot));
    }
    return;
  }
  const auto at = outgoing_.find(message.copy);
  if (at == outgoing_.end() || at->second.to != from) return;
  Outgoing& outgoing = at->second;
  const VersionKey version = outgoing.version;
  switch (message.result) {
    case wire::CopyResult::kComplete:
      if (outgoing.delta.base) deltas_.saved_bytes += saved_by(outgoing);
      stop_outgoing(message.copy);
      return copy_complete(version, from);
    case wire::CopyResult::kWanted:
      return stream(message.copy, outgoing);
    case wire::CopyResult::kRefused:
      stop_outgoing(message.copy);
      return copy_refused(version, from, message.reason);
    case wire::CopyResult::kHadIt:
      if (const auto pending = pending_.find(version); pending != pending_.end()) pending->second.had_elsewhere = true;
      [[fallthrough]];
    case wire::CopyResult::kDamaged:
      return copy_damaged(message.copy, outgoing);
    case wire::CopyResult::kNeedsWhole:
      return outgoing.delta.base ? send_whole(message.copy) : copy_damaged(message.copy, outgoing);
    case wire::CopyResult::kOtherView:
      if (outgoing.streaming) emit(StopCopy{from.node, message.copy});
      outgoing.streaming = false;
      outgoing.retry_at_ms = now_ms_ + config_.retry_ms / 4;
      return;
  }
}

void Keep::copy_complete(const VersionKey& version, const Member& holder) {
  Entry* entry = catalogue_.find(version.first);
  if (entry == nullptr) return;
  const auto at = entry->versions.find(version.second);
  if (at == entry->versions.end()) return;
  at->second.holders.insert(holder);
  entry->surely_current.insert(holder);
  if (const auto pending = pending_.find(version); pending != pending_.end()) {
    complete(*entry, at->second, pending->second);
  } else {
    to_heal_.insert(version.first);
    heal();
  }
}

void Keep::copy_refused(const VersionKey& version, const Member& by, const std::string& reason) {
  const auto pending = pending_.find(version);
  if (pending == pending_.end()) return heal_later(version.first);  // a copy in the background
  const bool only = pending->second.offered.size() == 1;
  finish_pending(version, only ? wire::CommitResult::kFailed : wire::CommitResult::kUnknown,
                 "server " + std::to_string(by.node.value) + " cannot hold the second copy: " + reason);
  end_pending(version);
  Entry* entry = catalogue_.find(version.first);
  if (entry == nullptr) return;
  drop_version(*entry, version.second);
  if (config_.planted_bug == PlantedBug::kReuseFailedNumber && entry->highest == version.second)
    entry->highest = Version(entry->highest.value - 1);
}

// Its copy is made. Nothing but a lease is missing, and the word of those that must know that it comes.
void Keep::complete(Entry& entry, VersionRecord& record, Pending& pending) {
  pending.complete_in = view_.number;
  if (outdate_others(entry, record, pending) && leased()) commit(entry, record);
}

// The version is decided: visible from now on.
void Keep::commit(Entry& entry, VersionRecord& record) {
  const VersionKey version{entry.key, record.content.version};
  record.committed = true;
  if (record.level != wire::CommitLevel::kLocal) {
    entry.committed = std::max(entry.committed, record.content.version);
    entry.owed = std::max(entry.owed, record.content.version);
  }
  const auto pending = pending_.find(version);
  if (pending != pending_.end()) {
    if (!pending->second.answered)
      answer_commit(pending->second.session, pending->second.request,
                    {wire::CommitResult::kOk, record.content.version, record.content.sum, {}, lease_until_ms_});
    end_pending(version);
  }
  if (entry.key.kind == wire::KeepKind::kGroup) {
    std::set<std::string> parts;
    for (const auto& [number, other] : entry.versions)
      for (const wire::GroupPart& part : other.content.parts) parts.insert(part.name);
    retire(entry);
    for (const std::string& name : parts)
      if (Entry* part = catalogue_.find({entry.key.owner, wire::KeepKind::kCheckpoint, name}); part && part->home)
        retire(*part);
  } else {
    retire(entry);
  }
}

void Keep::finish_pending(const VersionKey& version, wire::CommitResult result, const std::string& reason) {
  Pending& pending = pending_.at(version);
  if (!pending.answered) answer_commit(pending.session, pending.request, {result, {}, 0, reason, 0});
  pending.answered = true;
  if (result != wire::CommitResult::kFailed) return;
  end_pending(version);
  if (Entry* entry = catalogue_.find(version.first)) drop_version(*entry, version.second);
}

void Keep::expire_pending() {
  std::vector<VersionKey> late;
  for (const auto& [version, pending] : pending_)
    if (!pending.answered && now_ms_ >= pending.deadline_ms) late.push_back(version);
  for (const VersionKey& version : late) {
    const bool offered = !pending_.at(version).offered.empty();
    const bool complete = pending_.at(version).complete_in == view_.number;
    const Entry& entry = *catalogue_.find(version.first);
    const auto silent = to_outdate(entry, entry.versions.at(version.second));
    const std::string why = complete && !silent.empty()
                                ? "server " + std::to_string(silent.front().node.value) + " did not answer in time"
                            : complete ? "the ring gave this server no lease in time"
                            : offered  ? "the second copy was not acknowledged in time"
                                       : "no server could be offered the second copy in time (" +
                                            (view_.reason.empty() ? "no predecessor" : view_.reason) + ")";
    finish_pending(version, offered ? wire::CommitResult::kUnknown : wire::CommitResult::kFailed,
                   why + (offered ? ": read the checkpoint to learn its version" : ": nothing was committed"));
  }
}

void Keep::end_pending(const VersionKey& version) {
  if (pending_.erase(version) > 0 && turns_.contains(version.first)) turns_due_.insert(version.first);
}

void Keep::drop_version(Entry& entry, Version version) {
  const auto at = entry.versions.find(version);
  if (at == entry.versions.end()) return;
  stop_copies_of({entry.key, version});
  end_pending({entry.key, version});
  std::vector<SlotId> fetching;
  for (const auto& [slot, item] : fetches_)
    if (item.install && item.key == entry.key && item.content.version == version) fetching.push_back(slot);
  for (const SlotId slot : fetching)
    end_fetch(slot, ErrorCode::kUnavailable, "the version was replaced by newer ones: try again");
  damaged_.erase({entry.key, version});
  free_slot(at->second.slot);
  entry.versions.erase(version);
  if (entry.home && entry.key.kind == wire::KeepKind::kGroup) catalogue_.refresh_holds(entry);
}

// An UNKNOWN commit that a newer version has overtaken is no longer waited for.
std::set<Version> Keep::open_versions(const wire::KeepKey& key) const {
  std::set<Version> out;
  const Entry* entry = catalogue_.find(key);
  const VersionRecord* newest = entry != nullptr ? entry->newest_committed() : nullptr;
  for (auto at = pending_.lower_bound({key, Version()}); at != pending_.end() && at->first.first == key; ++at)
    if (!at->second.answered || newest == nullptr || newest->content.version < at->first.second)
      out.insert(at->first.second);
  return out;
}

// Holders are told with the next version or at the next tick (healing.cc): nobody waits for it.
void Keep::retire(Entry& entry) {
  const std::set<Version> retained = catalogue_.retained(entry, open_versions(entry.key));
  std::vector<Version> old;
  for (const auto& [version, record] : entry.versions)
    if (!retained.contains(version)) old.push_back(version);
  for (const Version version : old) drop_version(entry, version);
  to_heal_.insert(entry.key);
}

// A planted bug: only the newest record holds parts, confirmed or not.
void Keep::retire_parts_before(const Entry& group) {
  Entry newest = group;
  newest.versions.erase(newest.versions.begin(), std::prev(newest.versions.end()));
  catalogue_.refresh_holds(newest);
  for (const auto& [version, record] : group.versions)
    for (const wire::GroupPart& named : record.content.parts)
      if (Entry* part = catalogue_.find({group.key.owner, wire::KeepKind::kCheckpoint, named.name}); part && part->home)
        retire(*part);
}

// The predecessor keeps what is retained, others only what the predecessor does not have yet.
void Keep::tell_retained(Entry& entry) {
  const auto second = predecessor();
  if (!second) return;
  std::vector<Version> retained;
  std::vector<Version> unsafe;
  std::set<Member> needed;
  for (const auto& [version, record] : entry.versions) {
    retained.push_back(version);
    const bool safe = record.here && (record.holders.contains(*second) || record.level == wire::CommitLevel::kLocal);
    if (!safe || record.damaged) unsafe.push_back(version);
    if (!safe) needed.insert(record.holders.begin(), record.holders.end());
    if (record.damaged) needed.insert(entry.offered.begin(), entry.offered.end());  // one may have it unheard
  }
  std::vector<Member> released;
  for (const Member& member : entry.offered) {
    if (!entry.told.contains(member)) continue;  // it may hold what this home has not heard of yet
    const bool keeps = member == *second || needed.contains(member);
    const std::vector<Version> kept = member == *second ? retained : keeps ? unsafe : std::vector<Version>();
    emit(
        Send{member.node, wire::CopyRetain{view_.number, entry.key, entry.highest, entry.committed, entry.owed, kept}});
    for (auto& [version, record] : entry.versions)
      if (!std::binary_search(kept.begin(), kept.end(), version)) record.holders.erase(member);
    if (!keeps) released.push_back(member);
  }
  for (const Member& member : released) entry.offered.erase(member);
}

}  // namespace rk::keep

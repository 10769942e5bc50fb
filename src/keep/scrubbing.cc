// SPDX-License-Identifier: Apache-2.0
// Copies at rest are summed again: slowly and one at a time by the scrub, at once when somebody has a reason: a reader
// that found damage, another server that got damaged bytes, `ringkeep verify` (verifying.cc).
//
//  holder                              home                               another holder
//    | its copy is damaged               | its copy is damaged                |
//    |-- KeepDamaged ------------------->|-- CopyFetch ---------------------->|
//    |<--------------- KeepDamagedHeard -|<----------------- CopyChunk... ----|
//    |<------ CopyOffer, CopyChunk... ---| checksums compared, slot replaced  |
//
// - A damaged copy is let go of as soon as it is known: it is given to no reader and no server and counts nowhere, and
//   only who has it mapped keeps it. Its version stays known (VersionRecord::damaged), so that what a reader is owed
//   does not sink with it: without a good copy that is lost, never older data.
// - The home fetches, as it does for whatever it lacks; a holder tells the home, which then lacks a second copy and
//   makes one. So nobody who has a good copy is told to drop it before there are two. A holder of a name without a home
//   asks the other members for the bytes.
// - Nothing is taken that does not have the checksums of the version's table. Who sends such bytes is told, and sums
//   its own copy: so two damaged copies find each other out, and the version is told as lost.
// - A commit whose copy arrives damaged makes the home sum its own slot: a writer that went on writing after its commit
//   has spoilt it. It is FAILED if nobody can have it.
#include <algorithm>
#include <utility>

#include "keep/keep.h"
#include "keep/names.h"
#include "keep/possible.h"

namespace rk::keep {
namespace {

// Beside its bytes, what a small slot costs.
constexpr std::uint64_t kScrubOverheadBytes = std::uint64_t{16} << 10U;
// What was not used of the rate for so long is lost.
constexpr std::uint64_t kScrubSlackUs = 100'000;
// Names that a Tick looks at in vain.
constexpr std::size_t kNamesLookedAt = 1024;
// Times retry_ms: what nobody could repair is tried again.
constexpr std::uint64_t kSlowly = 25;
// Times that the others are asked for it before that becomes rare.
constexpr std::uint32_t kSoughtOften = 3;
// Times that the home is told in vain before everybody is.
constexpr std::uint32_t kUnheard = 5;

}  // namespace

wire::IntegrityStatus Keep::integrity() const {
  wire::IntegrityStatus out = integrity_;
  out.unrepaired = damaged_.size();
  return out;
}

void Keep::tell_news(CopyNews::Kind kind, const wire::KeepKey& key, const VersionRecord& record, NodeId from) {
  emit(CopyNews{kind, key, record.content.version, record.content.total, from});
}

// --- checks ---------------------------------------------------------------------------------------------------------

// What an open commit has written is its own business: copy_damaged().
bool Keep::checkable(const wire::KeepKey& key, const VersionRecord& record) const {
  return record.here && record.slot && !pending_.contains({key, record.content.version});
}

void Keep::check(const wire::KeepKey& key, const VersionRecord& record, bool urgent, std::uint64_t refused_copy) {
  const auto [at, begun] = checks_.try_emplace(record.slot, Check{{key, record.content.version}, urgent, 0});
  if (refused_copy != 0) at->second.refused_copy = refused_copy;
  if (!begun && (at->second.urgent || !urgent)) return;
  at->second.urgent = urgent;
  emit(CheckSlot{record.slot, record.content.sections, urgent ? 0 : config_.scrub_bytes_per_s});
}

bool Keep::proven(const wire::KeepKey& key, const wire::VersionContent& content,
                  const std::vector<std::uint64_t>& sums) const {
  if (config_.planted_bug == PlantedBug::kRepairNotVerified && damaged_.contains({key, content.version})) return true;
  return std::equal(sums.begin(), sums.end(), content.sections.begin(), content.sections.end(),
                    [](std::uint64_t sum, const wire::SectionPlace& section) { return sum == section.sum; });
}

void Keep::on(const SlotChecked& event) {
  const auto at = checks_.find(event.slot);
  if (at == checks_.end()) return;
  const Check check = std::move(at->second);
  checks_.erase(at);
  if (scrubbing_ == event.slot) scrubbing_ = {};
  Entry* entry = catalogue_.find(check.version.first);  // its slot would be free otherwise
  VersionRecord& record = entry->versions.at(check.version.second);
  const bool readable = event.sums.size() == record.content.sections.size();
  const bool damaged = readable && !proven(entry->key, record.content, event.sums);
  if (readable) {
    ++integrity_.checked;
    integrity_.checked_bytes += record.content.total;
  }
  for (Inquiry& inquiry : inquiries_) {
    const auto asked = inquiry.versions.find(check.version.second);
    if (inquiry.key != entry->key || asked == inquiry.versions.end()) continue;
    asked->second = {true, asked->second.damaged || damaged, !readable};
  }
  if (const auto outgoing = outgoing_.find(check.refused_copy); outgoing != outgoing_.end() && !damaged)
    outgoing->second.retry_at_ms = now_ms_ + config_.retry_ms / 4;
  if (damaged && pending_.contains(check.version)) {
    spoil_commit(*entry, record, check.refused_copy);
  } else if (damaged) {
    found_damaged(*entry, record);
  }
  if (!check.urgent) scrub();
}

bool Keep::scrub_due(std::uint64_t now_ms) const {
  return config_.scrub_bytes_per_s > 0 && view_.serving && !scrubbing_ && now_ms * 1000 >= scrub_us_ &&
         (scrubbed_ != VersionKey() || now_ms >= pass_ms_);
}

// The next copy, if the rate allows for it. Commits go first.
void Keep::scrub() {
  if (!scrub_due(now_ms_)) return;
  if (std::any_of(writings_.begin(), writings_.end(), [](const auto& item) { return item.second.commit.has_value(); }))
    return;
  if (scrubbed_ == VersionKey()) pass_ms_ = now_ms_ + config_.scrub_pass_ms;
  const auto& entries = catalogue_.entries();
  std::size_t looked_at = 0;
  for (auto at = entries.lower_bound(scrubbed_.first); at != entries.end(); ++at) {
    const auto& [key, entry] = *at;
    auto version = key == scrubbed_.first ? entry.versions.upper_bound(scrubbed_.second) : entry.versions.begin();
    for (; version != entry.versions.end(); ++version) {
      const VersionRecord& record = version->second;
      if (!checkable(key, record) || checks_.contains(record.slot)) continue;
      scrubbed_ = {key, version->first};
      scrubbing_ = record.slot;
      const std::uint64_t now_us = now_ms_ * 1000;
      scrub_us_ = std::max(scrub_us_, now_us - std::min(now_us, kScrubSlackUs)) +
                  (record.content.total + kScrubOverheadBytes) * 1'000'000 / config_.scrub_bytes_per_s;
      return check(key, record, false);
    }
    scrubbed_ = {key, Version(UINT64_MAX)};
    if (++looked_at >= kNamesLookedAt) return;
  }
  scrubbed_ = {};
}

// --- damage ---------------------------------------------------------------------------------------------------------

void Keep::found_damaged(Entry& entry, VersionRecord& record) {
  const VersionKey version{entry.key, record.content.version};
  ++integrity_.damaged;
  tell_news(CopyNews::Kind::kDamaged, entry.key, record);
  if (config_.planted_bug == PlantedBug::kServeDamaged) return;
  stop_copies_of(version);
  base_damaged(version);
  free_slot(std::exchange(record.slot, {}), true);
  record.here = false;
  record.damaged = true;
  damaged_[version].since_ms = now_ms_;
  if (entry.home) {
    to_heal_.insert(entry.key);
    heal();
  }
  repair_copies();
}

// The bytes of an open commit are not those that were summed.
void Keep::spoil_commit(Entry& entry, VersionRecord& record, std::uint64_t refused_copy) {
  const VersionKey version{entry.key, record.content.version};
  ++integrity_.damaged;
  tell_news(CopyNews::Kind::kDamaged, entry.key, record);
  // The one server that was offered it has nothing of it, and was not offered it again since it said so.
  const Pending& pending = pending_.at(version);
  const bool nobody_has_it = pending.offered.size() == 1 && !pending.had_elsewhere && outgoing_.contains(refused_copy);
  free_slot(std::exchange(record.slot, {}), true);
  finish_pending(version, nobody_has_it ? wire::CommitResult::kFailed : wire::CommitResult::kUnknown,
                 "the bytes of \"" + entry.key.name +
                     "\" were changed after they had been handed over by the commit: end whoever still writes to that "
                     "memory, then write the checkpoint again");
  drop_version(entry, version.second);
}

// The other server got bytes without their checksums. Nothing is offered to it again before the slot here is summed.
void Keep::copy_damaged(std::uint64_t copy, Outgoing& outgoing) {
  if (outgoing.streaming) emit(StopCopy{outgoing.to.node, copy});
  outgoing.streaming = false;
  outgoing.retry_at_ms = now_ms_ + config_.retry_ms / 4;
  const Entry* entry = catalogue_.find(outgoing.version.first);
  const VersionRecord& record = entry->versions.at(outgoing.version.second);
  if (!record.slot) return;
  outgoing.retry_at_ms = UINT64_MAX;
  check(entry->key, record, true, copy);
}

// A copy is complete here: if it replaces a damaged one, that is over.
void Keep::mended(Entry& entry, Version version, NodeId from) {
  if (damaged_.erase({entry.key, version}) == 0) return;
  VersionRecord& record = entry.versions.at(version);
  record.damaged = false;
  ++integrity_.repaired;
  tell_news(CopyNews::Kind::kRepaired, entry.key, record, from);
  if (!entry.home) note_orphan(entry);
}

// It is damaged here, and the others are being asked for it.
bool Keep::sought(const wire::KeepKey& key, const VersionRecord& record) const {
  return std::any_of(fetches_.begin(), fetches_.end(), [&](const auto& item) {
    return item.second.install && item.second.key == key && item.second.content == record.content;
  });
}

// Nobody is left to be asked for a copy that replaces a damaged one.
bool Keep::sought_in_vain(const Fetch& item) const {
  const auto damage = damaged_.find({item.key, item.content.version});
  if (!item.install || damage == damaged_.end() || damage->second.sought == 0) return false;
  return catalogue_.find(item.key)->versions.at(item.content.version).holders.empty();
}

// Nobody has a good copy. Who waits for the bytes is told.
void Keep::give_up(Entry& entry, const VersionRecord& record) {
  const Version version = record.content.version;
  std::vector<SlotId> waiting;
  for (const auto& [slot, item] : fetches_)
    if (item.install && item.key == entry.key && item.content.version == version) waiting.push_back(slot);
  for (const SlotId slot : waiting) end_fetch(slot, ErrorCode::kLost, gone_text(entry.key.name, version));
  const auto damage = damaged_.find({entry.key, version});
  if (damage == damaged_.end() || damage->second.unrepairable) return;
  damage->second.unrepairable = true;
  tell_news(CopyNews::Kind::kUnrepairable, entry.key, record);
}

// What is damaged here; what a home knows another holder of is healed.
void Keep::repair_copies() {
  if (!view_.serving) return;
  for (auto& [version, damage] : damaged_) {
    Entry& entry = *catalogue_.find(version.first);
    const VersionRecord& record = entry.versions.at(version.second);
    if (now_ms_ < damage.next_ms || (entry.home && !record.holders.empty())) continue;
    if (entry.home || homeless(entry)) {
      seek(entry, record, damage);
    } else {
      tell_home_of(version, entry, damage);
    }
  }
}

// Who claimed a name last need not have become its home: when that one says nothing, all are told.
void Keep::tell_home_of(const VersionKey& version, const Entry& entry, Damage& damage) {
  if (config_.planted_bug == PlantedBug::kDamageNotTold) return;
  const bool to_all = damage.unheard >= kUnheard;
  damage.unheard = to_all ? 0 : damage.unheard + 1;
  damage.next_ms = now_ms_ + config_.retry_ms;
  for (const Member& member : view_.members)
    if (member != config_.self && (to_all || member == entry.home_member))
      emit(Send{member.node, wire::KeepDamaged{view_.number, version.first, version.second}});
}

// Nobody is known to hold it, and somebody may all the same: a copy whose completion was not heard.
void Keep::seek(Entry& entry, const VersionRecord& record, Damage& damage) {
  const auto running = std::find_if(fetches_.begin(), fetches_.end(), [&](const auto& item) {
    return item.second.install && item.second.key == entry.key && item.second.content == record.content;
  });
  if (running != fetches_.end() && damage.sought > 0) return;
  // Each time takes memory for a version that is most likely lost.
  damage.next_ms = now_ms_ + kSlowly * config_.retry_ms * (++damage.sought < kSoughtOften ? 1 : kSlowly);
  std::vector<Member> others;
  for (const Member& member : view_.members)
    if (member != config_.self) others.push_back(member);
  if (others.empty()) return give_up(entry, record);
  if (running == fetches_.end()) return fetch(entry.key, record.content, std::move(others), true, nullptr);
  running->second.candidates = std::move(others);
  if (running->second.copy != 0) fetch_from_next(running->first);
}

void Keep::handle(const Member& from, const wire::KeepDamaged& message) {
  Entry* entry = catalogue_.find(message.key);
  // What it said before this home heard it may still be on its way, and say the contrary.
  if (!possible(message.version) || entry == nullptr || !entry->home || !entry->told.contains(from)) return;
  const VersionKey version{message.key, message.version};
  bool lost = false;
  entry->offered.insert(from);  // it is told what it may forget
  const auto record = entry->versions.find(message.version);
  if (record == entry->versions.end()) {
    to_heal_.insert(message.key);
    heal();
  } else {
    // An answer to what was offered before would count it again.
    std::vector<std::uint64_t> before;
    for (const auto& [copy, outgoing] : outgoing_)
      if (outgoing.version == version && outgoing.to == from) before.push_back(copy);
    for (const std::uint64_t copy : before) stop_outgoing(copy);
    record->second.holders.erase(from);
    if (const auto pending = pending_.find(version); pending != pending_.end()) {
      pending->second.complete_in = {};
      pending->second.had_elsewhere = true;
      replicate(version);
    } else {
      to_heal_.insert(message.key);
      heal();
      repair_copies();
      const auto damage = damaged_.find(version);
      lost = !record->second.here && record->second.holders.empty() &&
             (damage == damaged_.end() || damage->second.unrepairable);
    }
  }
  emit(Send{from.node, wire::KeepDamagedHeard{view_.number, message.key, message.version, lost}});
}

void Keep::handle(const Member& from, const wire::KeepDamagedHeard& message) {
  const auto at = damaged_.find({message.key, message.version});
  if (at == damaged_.end()) return;
  Damage& damage = at->second;
  Entry& entry = *catalogue_.find(message.key);
  if (entry.home) return;
  entry.home_member = from;
  entry.home_heard = true;
  damage.unheard = 0;
  damage.next_ms = now_ms_ + (message.lost ? kSlowly : kUnheard) * config_.retry_ms;
  if (!message.lost || damage.unrepairable) return;
  damage.unrepairable = true;
  tell_news(CopyNews::Kind::kUnrepairable, entry.key, entry.versions.at(message.version));
}

void Keep::handle(const Member&, const wire::KeepSuspect& message) {
  const Entry* entry = catalogue_.find(message.key);
  if (entry == nullptr) return;
  const auto record = entry->versions.find(message.version);
  if (record != entry->versions.end() && checkable(message.key, record->second))
    check(message.key, record->second, true);
}

}  // namespace rk::keep

// SPDX-License-Identifier: Apache-2.0
// Questions to all members of the view: who knows a name, who is its home, who has removed it.
#include <algorithm>

#include "keep/keep.h"
#include "keep/possible.h"

namespace rk::keep {
namespace {

// Numbers of a home that follows another one, or an earlier life of itself, start at the view's number times this.
constexpr unsigned kViewShift = 32;
// An answer stays within one frame.
constexpr std::size_t kAnswerTableBytes = std::size_t{1} << 20U;

std::size_t table_bytes(const wire::VersionContent& content) {
  std::size_t bytes = 64;
  for (const auto& section : content.sections) bytes += section.name.size() + 28;
  for (const auto& part : content.parts) bytes += part.name.size() + 20;
  return bytes;
}

}  // namespace

void Keep::start_round(Round round) {
  // Only a claim is shared: a reader that joined an older lookup would get answers from before its own question.
  for (auto& [id, running] : rounds_) {
    if (round.kind != Round::Kind::kClaim || running.kind != round.kind || running.key != round.key) continue;
    running.waiting.insert(running.waiting.end(), round.waiting.begin(), round.waiting.end());
    running.keeps = running.keeps && round.keeps;
    if (running.deadline_ms == 0) running.deadline_ms = round.deadline_ms;
    return;
  }
  address(round);
  const std::uint64_t id = ++last_round_;
  put(id, rounds_[id] = std::move(round));
}

void Keep::address(Round& round) const {
  round.answers.clear();
  round.listed.clear();
  round.verified.clear();
  round.awaited.clear();
  for (const Member& member : view_.members)
    if (member != config_.self || round.kind == Round::Kind::kVerify) round.awaited.insert(member.node);
  const Entry* entry = catalogue_.find(round.key);
  round.tells = round.kind == Round::Kind::kClaim || (entry != nullptr && entry->home);
}

// Asks everybody, now or when it may.
void Keep::put(std::uint64_t id, Round& round) {
  if (held_back(round.kind)) {
    round.retry_at_ms = now_ms_;
    return;
  }
  round.retry_at_ms = now_ms_ + config_.retry_ms;
  if (view_.serving)
    for (const NodeId node : round.awaited) ask(id, round, node);
  if (round.awaited.empty()) finish_round(id);
}

void Keep::ask(std::uint64_t id, const Round& round, NodeId node) {
  if (round.kind == Round::Kind::kRemove || round.kind == Round::Kind::kRemovePrefix) {
    const bool prefix = round.kind == Round::Kind::kRemovePrefix;
    Entry* entry = catalogue_.find(round.key);
    if (const Member* member = member_of(node); entry != nullptr && entry->home && !prefix && member != nullptr)
      entry->informed[*member] = std::max(entry->informed[*member], round.up_to);
    emit(Send{node, wire::KeepRemove{view_.number, id, prefix, round.key, round.up_to}});
  } else if (round.kind == Round::Kind::kVerify) {
    if (node == config_.self.node) return inquire(config_.self, id, round.key, round.up_to);
    emit(Send{node, wire::KeepVerify{view_.number, id, round.key, round.up_to}});
  } else if (round.kind == Round::Kind::kList) {
    emit(Send{node, wire::KeepList{view_.number, id, round.key.owner, round.key.name, round.after}});
  } else {
    const Entry* entry = catalogue_.find(round.key);
    const bool keeps = round.kind == Round::Kind::kClaim ? round.keeps : entry != nullptr && entry->keeps;
    emit(Send{node, wire::KeepLookup{view_.number, id, round.tells, round.key, keeps}});
  }
}

void Keep::restart_rounds() {
  std::vector<std::uint64_t> all;
  std::vector<ClientRequest> anew;  // removals that the home began, which this server is no more
  for (auto at = rounds_.begin(); at != rounds_.end();) {
    auto& [id, round] = *at;
    const Entry* entry = catalogue_.find(round.key);
    if (round.kind == Round::Kind::kRemove && (entry == nullptr || !entry->home)) {
      anew.insert(anew.end(), round.waiting.begin(), round.waiting.end());
      at = rounds_.erase(at);
      continue;
    }
    ++at;
    address(round);
    all.push_back(id);
  }
  for (const std::uint64_t id : all)
    if (rounds_.contains(id)) put(id, rounds_.at(id));
  resume(anew);
}

void Keep::retry_rounds() {
  std::vector<std::uint64_t> late;
  std::vector<std::uint64_t> again;
  for (auto& [id, round] : rounds_) {
    if (round.deadline_ms != 0 && now_ms_ >= round.deadline_ms)
      late.push_back(id);
    else if (view_.serving && now_ms_ >= round.retry_at_ms)
      again.push_back(id);
  }
  for (const std::uint64_t id : again)
    if (rounds_.contains(id)) put(id, rounds_.at(id));
  for (const std::uint64_t id : late) {
    const Round round = std::move(rounds_.at(id));
    rounds_.erase(id);
    std::string silent = "no view of the ring is serving";
    if (!round.awaited.empty()) silent = "server " + std::to_string(round.awaited.begin()->value) + " does not answer";
    if (round.kind == Round::Kind::kRemove) {
      refuse_all(round.waiting, ErrorCode::kTimeout,
                 silent + ": whether the checkpoint is removed is unknown, remove it again");
    } else {
      refuse_all(round.waiting, ErrorCode::kUnavailable, silent + ": nothing was changed, try again");
    }
  }
}

void Keep::finish_round(std::uint64_t id) {
  Round round = std::move(rounds_.at(id));
  rounds_.erase(id);
  switch (round.kind) {
    case Round::Kind::kLookup:
      return finish_lookup(round);
    case Round::Kind::kClaim:
      return finish_claim(round);
    case Round::Kind::kRemovePrefix:
      return;
    case Round::Kind::kList:
      return finish_list(round);
    case Round::Kind::kVerify:
      return finish_verify(round);
    case Round::Kind::kRemove:
      remove_here(round.key, false, round.up_to, config_.self);
      for (const ClientRequest& request : round.waiting) confirm_removal(request);
      return;
  }
}

void Keep::wait_for_claim(const wire::KeepKey& key, const ClientRequest& request) {
  Round round;
  round.kind = Round::Kind::kClaim;
  round.key = key;
  round.waiting.push_back(request);
  round.deadline_ms = now_ms_ + config_.answer_timeout_ms;
  start_round(std::move(round));
}

void Keep::finish_claim(Round& round) {
  for (const auto& [node, answer] : round.answers) {
    if (!answer.home) continue;
    if (!answer.claiming) note_home(round.key, node);
    std::vector<ClientRequest> others;
    for (const ClientRequest& request : round.waiting) {
      if (std::holds_alternative<wire::GroupQuery>(request.message)) {
        others.push_back(request);  // a question needs no home here: the other one's answer will do
        continue;
      }
      refuse(request, ErrorCode::kExists,
             "\"" + round.key.name + "\" is written at server " + std::to_string(node.value) +
                 ": write it there, or use another name here");
    }
    // The one that says so may only be about to become it, and not know yet what exists.
    for (const ClientRequest& request : others) look_up(round.key, request);
    return;
  }
  Entry* entry = catalogue_.obtain(round.key, config_.max_names_per_owner);
  if (entry == nullptr)
    return refuse_all(round.waiting, ErrorCode::kNoMemory, "this user has too many names in the keep: use fewer names");
  adopt(*entry, round);
  entry->keeps = round.keeps;
  resume(round.waiting);
}

// This server becomes the home: what the members hold is what exists, and what can have been confirmed is visible.
void Keep::adopt(Entry& entry, const Round& round) {
  const Standing standing = standing_of(round);
  entry.floor = standing.floor;
  entry.highest = standing.highest;
  entry.committed = standing.committed;
  std::vector<Version> hidden;
  for (const auto& [version, record] : entry.versions)
    if (!standing.shows(version, record.committed)) hidden.push_back(version);
  for (const Version version : hidden) drop_version(entry, version);
  // What this server knew in an earlier time as the home: all members say what they have now.
  entry.told.clear();
  entry.offered.clear();
  for (auto& [version, record] : entry.versions) record.holders.clear();
  for (const auto& [node, answer] : round.answers) {
    for (const wire::HeldVersion& held : answer.versions) {
      if (!standing.shows(held.content.version, held.committed)) continue;
      VersionRecord& record = entry.versions[held.content.version];
      if (!record.content.version) record.content = held.content;
    }
    if (const Member* member = member_of(node); member != nullptr) learn(entry, *member, answer);
  }
  take_back_copies(entry);
  for (auto& [version, record] : entry.versions) {
    record.committed = true;
    if (record.content.total == 0) record.here = true;
    entry.highest = std::max(entry.highest, version);
    if (record.level != wire::CommitLevel::kLocal) entry.committed = std::max(entry.committed, version);
  }
  // Only a name that surely nobody has claimed before starts at 1.
  if (standing.known || !standing.sure)
    entry.highest = std::max(entry.highest, Version(view_.number.value << kViewShift));
  const bool older_will_do = config_.planted_bug == PlantedBug::kOlderAfterLoss && !entry.versions.empty();
  if (standing.reach) {
    entry.owed = *standing.reach;
  } else if (standing.may_be_lost && !older_will_do) {
    // A number that no version has, until a newer one is committed.
    entry.highest = entry.owed = Version(entry.highest.value + 1);
  }
  entry.current = false;
  entry.home = true;
  entry.home_member = config_.self;
  if (entry.key.kind == wire::KeepKind::kGroup) catalogue_.refresh_holds(entry);
  to_heal_.insert(entry.key);
  note_untold(entry);
}

// What a member has of the versions that are known here.
void Keep::learn(Entry& entry, const Member& from, const wire::KeepLookupAnswer& answer) {
  entry.fence = std::max(entry.fence, answer.fence);
  if (!entry.told.insert(from).second) return;  // it may have let go since of what it says
  if (!answer.versions.empty()) entry.offered.insert(from);
  if (answer.current) {
    entry.informed.try_emplace(from);
    entry.surely_current.insert(from);
  }
  for (const NodeId node : answer.informed)
    if (const Member* member = member_of(node); member != nullptr && *member != config_.self)
      entry.informed.try_emplace(*member);
  if (answer.last_copy > 0) entry.former[from] = answer.last_copy;
  for (const wire::HeldVersion& held : answer.versions) {
    const auto at = entry.versions.find(held.content.version);
    if (at == entry.versions.end()) continue;
    if (held.here && at->second.content == held.content) at->second.holders.insert(from);
  }
}

bool Keep::told_all(const Entry& entry) const {
  return std::all_of(view_.members.begin(), view_.members.end(),
                     [&](const Member& member) { return member == config_.self || entry.told.contains(member); });
}

void Keep::look_up(const wire::KeepKey& key, const ClientRequest& request, bool confirming) {
  Round round;
  round.kind = Round::Kind::kLookup;
  round.confirming = confirming;
  round.key = key;
  round.waiting.push_back(request);
  round.deadline_ms = now_ms_ + config_.answer_timeout_ms;
  start_round(std::move(round));
}

bool Keep::claims(const wire::KeepKey& key) const {
  return std::any_of(rounds_.begin(), rounds_.end(), [&](const auto& item) {
    return item.second.kind == Round::Kind::kClaim && item.second.key == key;
  });
}

void Keep::handle(const Member& from, const wire::KeepLookup& message) {
  wire::KeepLookupAnswer answer;
  answer.view = view_.number;
  answer.round = message.round;
  answer.key = message.key;
  answer.since_first = since_first_;
  Entry* entry =
      message.claim ? catalogue_.obtain(message.key, config_.max_names_per_owner) : catalogue_.find(message.key);
  // A home that has not heard everybody cannot say yet what exists: the asker asks again.
  if (!message.claim && entry != nullptr && entry->home && !told_all(*entry)) return;
  // Nor can one that is about to become the home.
  if (!message.claim && claims(message.key)) return;
  if (message.claim) {
    if (entry != nullptr && entry->home && entry->keeps && !message.keeps) leave_home(*entry);
    ask_anew(message.key);
    // Two servers claim at once: one with a writer wins, else the lower node id; the other one's writers are told to
    // try again.
    std::vector<std::uint64_t> losing;
    for (const auto& [id, round] : rounds_) {
      if (round.kind != Round::Kind::kClaim || round.key != message.key) continue;
      if (round.keeps != message.keeps ? round.keeps : from.node < config_.self.node) {
        losing.push_back(id);
      } else {
        answer.home = answer.claiming = true;
      }
    }
    for (const std::uint64_t id : losing) {
      const Round round = std::move(rounds_.at(id));
      rounds_.erase(id);
      refuse_all(round.waiting, ErrorCode::kExists,
                 "server " + std::to_string(from.node.value) + " starts to write \"" + message.key.name +
                     "\" at the same time: use another name, or try again");
    }
  }
  if (entry != nullptr) {
    answer.home = answer.home || entry->home;
    answer.claiming = answer.claiming && !entry->home;
    answer.known = entry->shared || !entry->versions.empty() || entry->highest ||
                   (entry->home_member.node && entry->home_member != from);
    answer.current = entry->current;
    answer.owed = entry->home ? entry->owed : entry->reach();
    answer.claimants_live = !entry->orphaned;
    answer.floor = entry->floor;
    answer.highest = std::max(entry->highest, entry->floor);
    answer.committed = entry->committed;
    answer.fence = entry->fence;
    if (!entry->home && !entry->informed.empty()) {
      for (const auto& [member, told] : entry->informed) answer.informed.push_back(member.node);
      answer.last_copy = last_copy_;
    }
    std::size_t bytes = 0;
    for (auto at = entry->versions.rbegin(); at != entry->versions.rend(); ++at) {
      const VersionRecord& record = at->second;
      if (entry->home ? !record.committed : !record.here) continue;
      bytes += table_bytes(record.content);
      if (bytes > kAnswerTableBytes) break;
      answer.versions.push_back({record.content, record.committed, record.here});
    }
    if (message.claim && !answer.home) {
      if (entry->home_member.node && entry->home_member != from) entry->shared = true;
      // Round 0: the home tells of itself (telling.cc).
      entry->home_heard = message.round == 0 || (entry->home_heard && entry->home_member == from);
      entry->home_member = from;
    }
    if (message.claim) entry->claimants.insert(from);
  }
  emit(Send{from.node, std::move(answer)});
}

// Answers from before and after another server became the home say together what was never true: it may not confirm
// anything before this server has answered it.
void Keep::ask_anew(const wire::KeepKey& key) {
  std::vector<std::uint64_t> mixed;
  for (const auto& [id, round] : rounds_)
    if (round.kind == Round::Kind::kLookup && round.key == key) mixed.push_back(id);
  for (const std::uint64_t id : mixed) {
    Round round = std::move(rounds_.at(id));
    rounds_.erase(id);
    start_round(std::move(round));
  }
}

void Keep::handle(const Member& from, const wire::KeepLookupAnswer& message) {
  if (!possible(message)) return;
  if (message.round == 0) {
    Entry* entry = catalogue_.find(message.key);
    if (entry != nullptr && entry->home && !message.home) {
      learn(*entry, from, message);
      // It may hold more than it need: until it had answered, nothing could be taken from it.
      to_heal_.insert(message.key);
    }
    return;
  }
  const auto at = rounds_.find(message.round);
  if (at == rounds_.end() || at->second.key != message.key || at->second.awaited.erase(from.node) == 0) return;
  at->second.answers[from.node] = message;
  if (at->second.awaited.empty()) finish_round(message.round);
}

void Keep::handle(const Member& from, const wire::KeepRemove& message) {
  if (!possible(message.up_to)) return;
  remove_here(message.key, message.prefix, message.up_to, from);
  emit(Send{from.node, wire::KeepRemoved{view_.number, message.round}});
}

void Keep::handle(const Member& from, const wire::KeepRemoved& message) {
  const auto at = rounds_.find(message.round);
  const auto removes = [](Round::Kind kind) {
    return kind == Round::Kind::kRemove || kind == Round::Kind::kRemovePrefix;
  };
  if (at == rounds_.end() || !removes(at->second.kind)) return;
  if (at->second.awaited.erase(from.node) != 0 && at->second.awaited.empty()) finish_round(message.round);
}

// `by`: whose wish it is. A prefix removed by another server leaves alone what this server is the home of.
void Keep::remove_here(const wire::KeepKey& key, bool prefix, Version up_to, const Member& by) {
  const auto empty_entry = [this](Entry& entry, Version limit) {
    std::vector<SlotId> slots;
    for (const auto& [slot, item] : incoming_)
      if (item.key == entry.key && item.content.version <= limit) slots.push_back(slot);
    for (const SlotId slot : slots) drop_incoming(slot);
    std::vector<Version> versions;
    for (const auto& [version, record] : entry.versions)
      if (version <= limit) versions.push_back(version);
    for (const Version version : versions) {
      if (pending_.contains({entry.key, version}))
        finish_pending({entry.key, version}, wire::CommitResult::kUnknown, "the checkpoint was removed meanwhile");
      drop_version(entry, version);
    }
  };
  if (!prefix) {
    // Also of a name that is new here: a copy from before may come yet.
    Entry* entry = catalogue_.obtain(key, config_.max_names_per_owner);
    if (entry == nullptr) return;
    empty_entry(*entry, up_to);
    entry->floor = std::max(entry->floor, up_to);
    // Its home counts with what it makes known; nobody else's removal does.
    entry->current = entry->current || (entry->home_member == by && !entry->home && entry->highest <= up_to);
    entry->highest = std::max(entry->highest, up_to);
    entry->orphaned = false;  // whatever it was, it has been removed
    return;
  }
  drop_returned(key.owner, key.name);
  std::vector<wire::KeepKey> keys;
  for (const auto& [each, entry] : catalogue_.entries())
    if (each.owner == key.owner && each.name.starts_with(key.name) && (by == config_.self || !entry.home))
      keys.push_back(each);
  for (const wire::KeepKey& each : keys) {
    empty_entry(*catalogue_.find(each), Version(UINT64_MAX));
    catalogue_.erase(each);
    to_heal_.erase(each);
    to_tell_.erase(each);
    to_pass_on_.erase(each);
    to_adopt_.erase(each);
  }
}

}  // namespace rk::keep

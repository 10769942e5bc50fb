// SPDX-License-Identifier: Apache-2.0
// A client opens, lists and removes checkpoints.
#include <algorithm>

#include "keep/keep.h"
#include "keep/names.h"

namespace rk::keep {
namespace {

constexpr std::size_t kListBytes = std::size_t{1} << 20U;

const VersionRecord* choose(const Entry& entry, Version version) {
  if (!version) return entry.newest_committed();
  const auto at = entry.versions.find(version);
  return at != entry.versions.end() && at->second.committed ? &at->second : nullptr;
}

std::string quoted(const std::string& name) { return "\"" + name + "\""; }

std::string missing(const std::string& name, Version version) {
  if (!version) return "there is no checkpoint " + quoted(name) + " of this user";
  return "version " + std::to_string(version.value) + " of " + quoted(name) + " is not kept: the newest two are";
}

// Version 0: only servers that are gone knew the number.
std::string lost(const std::string& name, Version committed) {
  if (!committed)
    return "every copy of " + quoted(name) + " is gone with the server that wrote it; its last version is unknown";
  return "every copy of " + quoted(name) + " is gone; its last known version is " + std::to_string(committed.value);
}

}  // namespace

void Keep::handle(const ClientRequest& request, const wire::CheckpointOpen& message) {
  if (const Status named = check_name("checkpoint", message.name); !named)
    return refuse(request, named.error().code, named.error().message);
  const wire::KeepKey key{request.owner, wire::KeepKind::kCheckpoint, message.name};
  const Entry* entry = catalogue_.find(key);
  // A member that this home has not heard yet, because it just came, may hold something newer than what is known here.
  if (entry == nullptr || !entry->home || !told_all(*entry)) return look_up(key, request);
  if (!leased()) return park(request);
  const VersionRecord* record = choose(*entry, message.version);
  const bool had_some = entry->lost || entry->committed > entry->floor;
  if (record == nullptr && had_some && entry->newest_committed() == nullptr)
    return refuse(request, ErrorCode::kLost, lost(message.name, entry->committed));
  if (record == nullptr) return refuse(request, ErrorCode::kNotFound, missing(message.name, message.version));
  if (!record->here && record->holders.empty())
    return refuse(request, ErrorCode::kLost,
                  "every copy of version " + std::to_string(record->content.version.value) + " of " +
                      quoted(message.name) + " is gone: ask for another version");
  if (record->here) return answer_content(request, record->content, record->slot, config_.self.node);
  fetch(key, record->content, {record->holders.begin(), record->holders.end()}, true, &request);
}

void Keep::answer_content(const ClientRequest& request, const wire::VersionContent& content, SlotId slot,
                          NodeId holder) {
  if (!leased()) return park(request);
  Answer answer{request.session, request.request,
                wire::CheckpointContent{content.version, content.total, content.sum, content.sections, holder, 0,
                                        lease_until_ms_},
                SlotId(), SlotAccess::kNone};
  if (content.total > 0) {
    answer.slot = slot;
    answer.access = SlotAccess::kReadOnly;
  }
  emit(std::move(answer));
}

// What the answers of a round, and this server, know of a name.
struct Keep::Findings {
  struct Found {
    wire::VersionContent content;
    std::vector<Member> holders;
  };
  std::map<Version, Found> found;
  Version committed;
  Version floor;  // versions up to here were let go of
  bool removed = false;
  bool has_home = false;
  bool lost = false;         // the home says so
  bool may_be_lost = false;  // nobody is the home, and a server that was it is gone

  void add(const Member& member, const wire::VersionContent& content, bool here) {
    if (content.version <= floor) return;
    Found& at = found[content.version];
    if (!at.content.version) at.content = content;
    if (here && at.content == content) at.holders.push_back(member);
  }
};

// If a member is the home, it alone says what exists; else every complete copy counts.
Keep::Findings Keep::findings_of(const Round& round) const {
  Findings out;
  const Entry* own = catalogue_.find(round.key);
  for (const auto& [node, answer] : round.answers) {
    out.floor = std::max(out.floor, answer.floor);
    out.has_home = out.has_home || answer.home;
    out.lost = out.lost || (answer.home && answer.lost);
  }
  if (own != nullptr) {
    out.floor = std::max(out.floor, own->floor);
    out.may_be_lost = may_be_lost(*own) || (config_.planted_bug == PlantedBug::kClaimIsLoss && own->home_member.node);
    out.removed = own->removed;
    out.committed = own->committed;
    for (const auto& [version, record] : own->versions)
      if (record.here) out.add(config_.self, record.content, true);
  }
  std::set<Version> visible;
  for (const auto& [answering, answer] : round.answers) {
    const NodeId node = answering;
    out.may_be_lost = out.may_be_lost || may_be_lost(answer);
    out.removed = out.removed || answer.removed;
    out.committed = std::max(out.committed, answer.committed);
    const auto member =
        std::find_if(view_.members.begin(), view_.members.end(), [&](const Member& item) { return item.node == node; });
    for (const wire::HeldVersion& held : answer.versions) {
      out.add(*member, held.content, held.here);
      if (answer.home) visible.insert(held.content.version);
    }
  }
  if (out.has_home) std::erase_if(out.found, [&](const auto& item) { return !visible.contains(item.first); });
  return out;
}

// Nobody here is the home: answers from what the round found.
void Keep::finish_lookup(Round& round) {
  if (Entry* entry = catalogue_.find(round.key); entry != nullptr && entry->home) {
    for (const auto& [node, answer] : round.answers)
      for (const Member& member : view_.members)
        if (member.node == node) learn(*entry, member, answer);
    to_heal_.insert(round.key);
    return resume(round.waiting);
  }
  const Findings all = findings_of(round);
  for (const ClientRequest& request : round.waiting) {
    if (!leased()) {
      park(request);
    } else if (std::holds_alternative<wire::GroupQuery>(request.message)) {
      std::vector<const wire::VersionContent*> newest_first;
      for (auto at = all.found.rbegin(); at != all.found.rend(); ++at) newest_first.push_back(&at->second.content);
      Answer answer;
      answer.session = request.session;
      answer.request = request.request;
      answer.message = group_answer(newest_first);
      emit(std::move(answer));
    } else {
      answer_open(round, all, request);
    }
  }
}

void Keep::answer_open(const Round& round, const Findings& all, const ClientRequest& request) {
  const auto& message = std::get<wire::CheckpointOpen>(request.message);
  const auto at = message.version ? all.found.find(message.version)
                                  : (all.found.empty() ? all.found.end() : std::prev(all.found.end()));
  if (at != all.found.end()) {
    const auto& [content, holders] = at->second;
    if (holders.empty() && !round.confirming) {
      look_up(round.key, request, true);
    } else if (holders.empty()) {
      refuse(request, ErrorCode::kLost,
             "every copy of version " + std::to_string(at->first.value) + " of " + quoted(message.name) +
                 " is gone: ask for another version");
    } else if (std::find(holders.begin(), holders.end(), config_.self) != holders.end()) {
      const Entry* own = catalogue_.find(round.key);
      answer_content(request, content, own->versions.at(at->first).slot, config_.self.node);
    } else {
      fetch(round.key, content, holders, false, &request);
    }
    return;
  }
  const bool gone = all.found.empty() && !all.removed && (all.has_home ? all.lost : all.may_be_lost);
  if (gone && !round.confirming) {
    // The answers are of different moments: copies may have moved from one member to another between them.
    look_up(round.key, request, true);
  } else if (gone) {
    refuse(request, ErrorCode::kLost, lost(message.name, all.committed));
  } else {
    refuse(request, ErrorCode::kNotFound, missing(message.name, message.version));
  }
}

void Keep::handle(const ClientRequest& request, const wire::CheckpointList& message) {
  wire::CheckpointListAnswer answer;
  std::size_t bytes = 0;
  for (const auto& [key, entry] : catalogue_.entries()) {
    if (key.owner != request.owner || key.kind != wire::KeepKind::kCheckpoint || !key.name.starts_with(message.prefix))
      continue;
    const VersionRecord* newest = entry.newest_committed();
    if (newest == nullptr) continue;
    wire::CheckpointEntry item{key.name, key.owner, newest->content.version, {}, newest->content.total, {}};
    for (const auto& [version, record] : entry.versions)
      if (record.committed) item.kept.push_back(version);
    if (newest->here) item.holders.push_back(config_.self.node);
    for (const Member& holder : newest->holders) item.holders.push_back(holder.node);
    bytes += key.name.size() + 64;
    if (bytes > kListBytes)
      return refuse(request, ErrorCode::kInvalidArgument,
                    "the list is longer than one answer: ask for the names with a longer prefix");
    answer.entries.push_back(std::move(item));
  }
  emit(Answer{request.session, request.request, std::move(answer), SlotId(), SlotAccess::kNone});
}

void Keep::handle(const ClientRequest& request, const wire::CheckpointDelete& message) {
  if (const Status named = check_name("checkpoint", message.name); !named)
    return refuse(request, named.error().code, named.error().message);
  const wire::KeepKey key{request.owner, wire::KeepKind::kCheckpoint, message.name};
  const Entry* entry = catalogue_.find(key);
  if (entry == nullptr || !entry->home) return wait_for_claim(key, request);
  if (entry->versions.empty()) return refuse(request, ErrorCode::kNotFound, missing(message.name, Version()));
  for (const auto& [version, record] : entry->versions)
    if (const auto at = pending_.find({key, version}); at != pending_.end() && !at->second.answered)
      return refuse(request, ErrorCode::kUnavailable,
                    "a commit of " + quoted(message.name) + " is under way: nothing was removed, try again");
  Round round;
  round.kind = Round::Kind::kRemove;
  round.key = key;
  round.up_to = entry->highest;
  round.waiting.push_back(request);
  round.deadline_ms = now_ms_ + config_.answer_timeout_ms;
  start_round(std::move(round));
}

}  // namespace rk::keep

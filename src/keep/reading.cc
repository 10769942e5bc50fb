// SPDX-License-Identifier: Apache-2.0
// A client opens, inspects and removes checkpoints.
#include <algorithm>

#include "keep/keep.h"
#include "keep/names.h"

namespace rk::keep {
namespace {

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

}  // namespace

std::string gone_text(const std::string& name, Version version) {
  return "every copy of version " + std::to_string(version.value) + " of " + quoted(name) +
         " is gone or damaged: ask for another version by its number, or commit a new one";
}

std::string lost_text(const std::string& name, Version committed, Version older) {
  const std::string last = committed ? "its last known version is " + std::to_string(committed.value)
                                     : std::string("its last version is unknown");
  if (!older) return "every copy of " + quoted(name) + " is gone with the servers that held it; " + last;
  return "the newest version of " + quoted(name) + " is gone with the servers that held it; " + last + "; version " +
         std::to_string(older.value) + " is left: ask for it by its number, or commit a new one";
}

void Keep::handle(const ClientRequest& request, const wire::CheckpointOpen& message) {
  if (const Status named = check_name("checkpoint", message.name); !named)
    return refuse(request, named.error().code, named.error().message);
  const wire::KeepKey key{request.owner, wire::KeepKind::kCheckpoint, message.name};
  const Entry* entry = catalogue_.find(key);
  // A member that this home has not heard yet, because it just came, may hold something newer than what is known here.
  if (entry == nullptr || !entry->home || !told_all(*entry)) return look_up(key, request);
  if (!leased()) return park(request);
  const VersionRecord* record = choose(*entry, message.version);
  const VersionRecord* newest = entry->newest_committed();
  if (entry->lost() && (!message.version || newest == nullptr))
    return refuse(request, ErrorCode::kLost,
                  lost_text(message.name, entry->committed, newest != nullptr ? newest->content.version : Version()));
  if (record == nullptr) return refuse(request, ErrorCode::kNotFound, missing(message.name, message.version));
  if (!record->here && record->holders.empty() && !sought(key, *record))
    return refuse(request, ErrorCode::kLost, gone_text(message.name, record->content.version));
  if (record->here) return answer_content(request, record->content, record->slot, config_.self.node);
  // What is sought has its candidates already.
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

// What the answers of a round, and this server, have of a name.
struct Keep::Findings {
  struct Found {
    wire::VersionContent content;
    std::vector<Member> holders;
  };
  Standing standing;
  std::map<Version, Found> found;
  bool lost = false;  // what a reader is owed is not among them

  void add(const Member& member, const wire::HeldVersion& held) {
    if (!standing.shows(held.content.version, held.committed)) return;
    Found& at = found[held.content.version];
    if (!at.content.version) at.content = held.content;
    if (held.here && at.content == held.content) at.holders.push_back(member);
  }
};

// If a member is the home, it alone says what exists; else every complete copy counts.
Keep::Findings Keep::findings_of(const Round& round) const {
  Findings out;
  out.standing = standing_of(round);
  if (const Entry* own = catalogue_.find(round.key); own != nullptr)
    for (const auto& [version, record] : own->versions)
      if (record.here) out.add(config_.self, {record.content, record.committed, true});
  std::set<Version> visible;
  for (const auto& [node, answer] : round.answers) {
    const Member* member = member_of(node);  // questions are put anew in each view
    for (const wire::HeldVersion& held : answer.versions) {
      out.add(*member, held);
      if (answer.home) visible.insert(held.content.version);
    }
  }
  if (out.standing.home_owes) std::erase_if(out.found, [&](const auto& item) { return !visible.contains(item.first); });
  const Version newest = out.found.empty() ? Version() : out.found.rbegin()->first;
  const auto owed = out.standing.home_owes ? out.standing.home_owes : out.standing.reach;
  const bool older_will_do = config_.planted_bug == PlantedBug::kOlderAfterLoss && newest;
  out.lost = owed ? *owed > std::max(newest, out.standing.floor) : out.standing.may_be_lost && !older_will_do;
  return out;
}

// Nobody here is the home: answers from what the round found.
void Keep::finish_lookup(Round& round) {
  if (Entry* entry = catalogue_.find(round.key); entry != nullptr && entry->home) {
    for (const auto& [node, answer] : round.answers)
      if (const Member* member = member_of(node); member != nullptr && round.tells) learn(*entry, *member, answer);
    to_heal_.insert(round.key);
    return resume(round.waiting);
  }
  const Findings all = findings_of(round);
  for (const ClientRequest& request : round.waiting) {
    if (!leased()) {
      park(request);
    } else if (all.lost && !round.confirming) {
      // The answers are of different moments: copies may have moved from one member to another between them.
      look_up(round.key, request, true);
    } else if (std::holds_alternative<wire::GroupQuery>(request.message)) {
      if (all.lost) {
        refuse(request, ErrorCode::kLost, lost_text(round.key.name, all.standing.committed, Version()));
        continue;
      }
      std::vector<const wire::VersionContent*> newest_first;
      for (auto at = all.found.rbegin(); at != all.found.rend(); ++at) newest_first.push_back(&at->second.content);
      Answer answer;
      answer.session = request.session;
      answer.request = request.request;
      answer.message = group_answer(newest_first);
      emit(std::move(answer));
    } else if (std::holds_alternative<wire::CheckpointInspect>(request.message)) {
      answer_inspect(round, all, request);
    } else {
      answer_open(round, all, request);
    }
  }
}

void Keep::answer_open(const Round& round, const Findings& all, const ClientRequest& request) {
  const auto& message = std::get<wire::CheckpointOpen>(request.message);
  const auto newest = all.found.empty() ? all.found.end() : std::prev(all.found.end());
  const auto at = message.version ? all.found.find(message.version) : newest;
  if (all.lost && (!message.version || all.found.empty())) {
    refuse(request, ErrorCode::kLost,
           lost_text(message.name, all.standing.committed, newest != all.found.end() ? newest->first : Version()));
  } else if (at == all.found.end()) {
    refuse(request, ErrorCode::kNotFound, missing(message.name, message.version));
  } else if (const auto& [content, holders] = at->second; holders.empty() && !round.confirming) {
    look_up(round.key, request, true);
  } else if (holders.empty()) {
    refuse(request, ErrorCode::kLost, gone_text(message.name, at->first));
  } else if (std::find(holders.begin(), holders.end(), config_.self) != holders.end()) {
    const Entry* own = catalogue_.find(round.key);
    answer_content(request, content, own->versions.at(at->first).slot, config_.self.node);
  } else {
    fetch(round.key, content, holders, false, &request, round.confirming);
  }
}

void Keep::handle(const ClientRequest& request, const wire::CheckpointInspect& message) {
  if (const Status named = check_name("checkpoint", message.name); !named)
    return refuse(request, named.error().code, named.error().message);
  const wire::KeepKey key{request.owner, wire::KeepKind::kCheckpoint, message.name};
  const Entry* entry = catalogue_.find(key);
  if (entry == nullptr || !entry->home || !told_all(*entry)) return look_up(key, request);
  if (!leased()) return park(request);
  wire::CheckpointInspected answer;
  answer.home = config_.self.node;
  for (const auto& [version, record] : entry->versions) {
    if (!record.committed) continue;
    const wire::VersionContent& content = record.content;
    wire::InspectedVersion& item = answer.versions.emplace_back(
        wire::InspectedVersion{version, content.incarnation, content.total, content.sum, content.sections, {}});
    if (record.here) item.holders.push_back(config_.self.node);
    for (const Member& holder : record.holders) item.holders.push_back(holder.node);
  }
  const VersionRecord* newest = entry->newest_committed();
  if (entry->lost())
    answer.lost = lost_text(message.name, entry->committed, newest != nullptr ? newest->content.version : Version());
  answer_inspected(request, std::move(answer));
}

void Keep::answer_inspect(const Round& round, const Findings& all, const ClientRequest& request) {
  wire::CheckpointInspected answer;
  for (const auto& [node, said] : round.answers)
    if (said.home) answer.home = node;
  for (const auto& [version, item] : all.found) {
    const wire::VersionContent& content = item.content;
    wire::InspectedVersion& version_of = answer.versions.emplace_back(
        wire::InspectedVersion{version, content.incarnation, content.total, content.sum, content.sections, {}});
    for (const Member& holder : item.holders) version_of.holders.push_back(holder.node);
  }
  const Version newest = all.found.empty() ? Version() : all.found.rbegin()->first;
  if (all.lost) answer.lost = lost_text(round.key.name, all.standing.committed, newest);
  answer_inspected(request, std::move(answer));
}

void Keep::answer_inspected(const ClientRequest& request, wire::CheckpointInspected answer) {
  if (answer.versions.empty() && answer.lost.empty())
    return refuse(request, ErrorCode::kNotFound,
                  missing(std::get<wire::CheckpointInspect>(request.message).name, Version()));
  answer.lease_until_ms = lease_until_ms_;
  emit(Answer{request.session, request.request, std::move(answer), SlotId(), SlotAccess::kNone});
}

void Keep::handle(const ClientRequest& request, const wire::CheckpointDelete& message) {
  if (const Status named = check_name("checkpoint", message.name); !named)
    return refuse(request, named.error().code, named.error().message);
  const wire::KeepKey key{request.owner, wire::KeepKind::kCheckpoint, message.name};
  Entry* entry = catalogue_.find(key);
  if (!is_home(entry)) return wait_for_claim(key, request);
  if (entry->versions.empty() && !entry->lost())
    return refuse(request, ErrorCode::kNotFound, missing(message.name, Version()));
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

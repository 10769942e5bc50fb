// SPDX-License-Identifier: Apache-2.0
// The names of an owner in the whole ring, in pages: every member tells of those that it is the home of, has copies of,
// or that have no home, and the server that was asked joins what it hears. The home's word counts; who holds the newest
// version is each holder's own word. A page ends where the shortest of the members' pages ends.
#include <algorithm>

#include "keep/keep.h"

namespace rk::keep {
namespace {

// Of one answer; a frame takes more.
constexpr std::size_t kPageBytes = std::size_t{512} << 10U;

std::size_t bytes_of(const wire::ListedName& item) {
  return item.name.size() + 64 + 8 * (item.here.size() + item.kept.size());
}

// In order, of that page, and not endless.
bool possible(const wire::KeepListed& page, const std::string& prefix, const std::string& after) {
  const std::string* last = &after;
  for (const wire::ListedName& item : page.names) {
    if (item.name <= *last || !item.name.starts_with(prefix)) return false;
    last = &item.name;
  }
  return !page.more || !page.names.empty();
}

std::uint64_t bytes_of(const wire::VersionContent& content) {
  std::uint64_t bytes = 0;
  for (const wire::SectionPlace& section : content.sections) bytes += section.size;
  return bytes;
}

struct Said {
  NodeId by;
  const wire::ListedName* what;
};

// Nothing to show: it was only begun, or removed.
bool is_nothing(const wire::CheckpointEntry& entry) { return !entry.newest && !entry.lost; }

void add_home(wire::CheckpointEntry& out, const Said& said) {
  out.home = said.by;
  out.lost = said.what->lost;
  out.kept = said.what->kept;
  out.bytes = said.what->bytes;
  if (!out.kept.empty()) out.newest = out.kept.back();
}

// Without a home every complete copy counts.
void add_copies(wire::CheckpointEntry& out, const std::vector<Said>& all) {
  std::set<Version> kept;
  Version owed;
  for (const Said& said : all) {
    kept.insert(said.what->here.begin(), said.what->here.end());
    owed = std::max(owed, said.what->owed);
  }
  out.kept.assign(kept.begin(), kept.end());
  if (!kept.empty()) out.newest = *kept.rbegin();
  out.lost = owed > out.newest;
  for (const Said& said : all)
    if (!said.what->here.empty() && said.what->here.back() == out.newest) out.bytes = said.what->bytes;
}

wire::CheckpointEntry join(const std::string& name, const std::vector<Said>& all) {
  wire::CheckpointEntry out;
  out.name = name;
  const auto home = std::find_if(all.begin(), all.end(), [](const Said& said) { return said.what->home; });
  if (home != all.end())
    add_home(out, *home);
  else
    add_copies(out, all);
  for (const Said& said : all)
    if (std::find(said.what->here.begin(), said.what->here.end(), out.newest) != said.what->here.end())
      out.holders.push_back(said.by);
  return out;
}

}  // namespace

void Keep::handle(const ClientRequest& request, const wire::CheckpointList& message) {
  if (message.prefix.size() > wire::kMaxNameBytes || message.after.size() > wire::kMaxNameBytes)
    return refuse(request, ErrorCode::kInvalidArgument,
                  "a name has at most " + std::to_string(wire::kMaxNameBytes) + " bytes: ask for a shorter prefix");
  Round round;
  round.kind = Round::Kind::kList;
  round.key = {request.owner, wire::KeepKind::kCheckpoint, message.prefix};
  round.after = message.after;
  round.waiting.push_back(request);
  round.deadline_ms = now_ms_ + config_.answer_timeout_ms;
  start_round(std::move(round));
}

void Keep::handle(const Member& from, const wire::KeepList& message) {
  wire::KeepListed page = page_of(message.owner, message.prefix, message.after);
  page.view = view_.number;
  page.round = message.round;
  emit(Send{from.node, std::move(page)});
}

void Keep::handle(const Member& from, const wire::KeepListed& message) {
  const auto at = rounds_.find(message.round);
  if (at == rounds_.end() || at->second.kind != Round::Kind::kList) return;
  if (!possible(message, at->second.key.name, at->second.after)) return;
  if (at->second.awaited.erase(from.node) == 0) return;
  at->second.listed[from.node] = message;
  if (at->second.awaited.empty()) finish_round(message.round);
}

// What this server has to say of the names behind `after`.
wire::KeepListed Keep::page_of(OwnerId owner, const std::string& prefix, const std::string& after) const {
  wire::KeepListed out;
  const auto used = owner_bytes_.find(owner);
  out.usage = {config_.self.node, used != owner_bytes_.end() ? used->second : 0, config_.owner_quota_bytes};
  std::size_t bytes = 0;
  const auto& entries = catalogue_.entries();
  const auto in_order = [&](const std::string& name) {
    return wire::KeepKey{owner, wire::KeepKind::kCheckpoint, name};
  };
  auto at = after < prefix ? entries.lower_bound(in_order(prefix)) : entries.upper_bound(in_order(after));
  for (; at != entries.end(); ++at) {
    const auto& [key, entry] = *at;
    if (key.owner != owner || key.kind != wire::KeepKind::kCheckpoint || !key.name.starts_with(prefix)) break;
    wire::ListedName item;
    item.name = key.name;
    item.home = entry.home;
    for (const auto& [version, record] : entry.versions) {
      if (record.here && (record.committed || !entry.home)) item.here.push_back(version);
      if (entry.home && record.committed) item.kept.push_back(version);
      if (entry.home ? record.committed : record.here) item.bytes = bytes_of(record.content);
    }
    if (!entry.home && item.here.empty() && !homeless(entry)) continue;
    item.lost = entry.home && entry.lost();
    item.owed = entry.home ? entry.owed : entry.reach();
    if (item.owed <= entry.floor) item.owed = Version();
    bytes += bytes_of(item);
    if (!out.names.empty() && bytes > kPageBytes) {
      out.more = true;
      break;
    }
    out.names.push_back(std::move(item));
  }
  return out;
}

void Keep::finish_list(Round& round) {
  round.listed[config_.self.node] = page_of(round.key.owner, round.key.name, round.after);
  wire::CheckpointListAnswer answer;
  const std::string* end = nullptr;
  for (const auto& [node, page] : round.listed) {
    answer.servers.push_back(page.usage);
    if (page.more && (end == nullptr || page.names.back().name < *end)) end = &page.names.back().name;
  }
  if (end != nullptr) answer.next = *end;
  std::map<std::string, std::vector<Said>> by_name;
  for (const auto& [node, page] : round.listed)
    for (const wire::ListedName& item : page.names)
      if (end == nullptr || item.name <= *end) by_name[item.name].push_back({node, &item});
  std::size_t bytes = 0;
  for (const auto& [name, said] : by_name) {
    wire::CheckpointEntry entry = join(name, said);
    if (is_nothing(entry)) continue;
    bytes += name.size() + 64 + 8 * entry.kept.size() + 4 * entry.holders.size();
    if (!answer.entries.empty() && bytes > kPageBytes) {
      answer.next = answer.entries.back().name;
      break;
    }
    answer.entries.push_back(std::move(entry));
  }
  for (const ClientRequest& request : round.waiting)
    emit(Answer{request.session, request.request, answer, SlotId(), SlotAccess::kNone});
}

}  // namespace rk::keep

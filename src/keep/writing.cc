// SPDX-License-Identifier: Apache-2.0
// A client writes a version: begin takes memory, commit sums and numbers it; a put is both.
#include <algorithm>

#include "keep/keep.h"
#include "keep/names.h"
#include "wire/version_sum.h"

namespace rk::keep {
namespace {

constexpr std::uint64_t kPageAlignment = 4096;  // of what a client writes in place

// Places the sections one after the other; kInvalidArgument if they break a limit.
Result<std::uint64_t> place(const std::vector<wire::SectionSpec>& specs, std::uint64_t alignment,
                            std::vector<wire::SectionPlace>& places) {
  if (specs.empty() || specs.size() > wire::kMaxSections)
    return fail(ErrorCode::kInvalidArgument, "a checkpoint has 1 to " + std::to_string(wire::kMaxSections) +
                                                 " sections, not " + std::to_string(specs.size()));
  std::set<std::string> seen;
  std::uint64_t total = 0;
  for (const wire::SectionSpec& spec : specs) {
    RK_TRY_VOID(check_name("section", spec.name));
    if (!seen.insert(spec.name).second)
      return fail(ErrorCode::kInvalidArgument, "section \"" + spec.name + "\" is named twice: give each its own name");
    if (spec.size > wire::kMaxVersionBytes - total)
      return fail(ErrorCode::kInvalidArgument, "a version has at most " + std::to_string(wire::kMaxVersionBytes) +
                                                   " bytes: split it into several checkpoints");
    places.push_back({spec.name, total, spec.size, 0});
    total = (total + spec.size + alignment - 1) / alignment * alignment;
  }
  return total;
}

Status check_level(wire::CommitLevel level) {
  if (level == wire::CommitLevel::kLocal || level == wire::CommitLevel::kReplicated) return {};
  return fail(ErrorCode::kInvalidArgument, "there is no commit level " + std::to_string(static_cast<unsigned>(level)) +
                                               ": use 0 (local) or 1 (replicated)");
}

}  // namespace

bool Keep::fenced(Entry& entry, const ClientRequest& request) {
  if (!request.sender) return false;
  if (request.sender < entry.fence) return config_.planted_bug != PlantedBug::kNoWriterFence;
  entry.fence = request.sender;
  return false;
}

void Keep::handle(const ClientRequest& request, const wire::CheckpointBegin& message) {
  begin(request, message.name, message.sections, nullptr);
}

void Keep::handle(const ClientRequest& request, const Put& message) {
  if (const Status level = check_level(message.level); !level)
    return refuse(request, level.error().code, level.error().message);
  begin(request, message.name, message.sections, &message);
}

// `put`: commit it as soon as its bytes are in the slot.
void Keep::begin(const ClientRequest& request, const std::string& name, const std::vector<wire::SectionSpec>& sections,
                 const Put* put) {
  if (const Status named = check_name("checkpoint", name); !named)
    return refuse(request, named.error().code, named.error().message);
  Writing writing;
  const auto total = place(sections, put != nullptr ? wire::kPutAlignment : kPageAlignment, writing.sections);
  if (!total) return refuse(request, total.error().code, total.error().message);
  const auto open = static_cast<std::size_t>(std::count_if(
      writings_.begin(), writings_.end(), [&](const auto& item) { return item.second.session == request.session; }));
  if (open >= config_.max_open_writes_per_session)
    return refuse(
        request, ErrorCode::kNoMemory,
        "this connection writes " + std::to_string(open) + " checkpoints already: commit or abandon some first");
  if (!fits(request.owner, *total))
    return refuse(request, ErrorCode::kNoMemory,
                  std::to_string(*total) + " bytes are asked for and this user holds " +
                      std::to_string(owner_bytes_.contains(request.owner) ? owner_bytes_.at(request.owner) : 0) +
                      " of a quota of " + std::to_string(config_.owner_quota_bytes) +
                      " bytes: delete checkpoints first");
  const wire::KeepKey key{request.owner, wire::KeepKind::kCheckpoint, name};
  Entry* entry = catalogue_.obtain(key, config_.max_names_per_owner);
  if (entry == nullptr)
    return refuse(request, ErrorCode::kNoMemory,
                  "this user has " + std::to_string(config_.max_names_per_owner) +
                      " names in the keep, which is the limit: use fewer names");
  if (!is_home(entry)) return wait_for_claim(key, request);
  if (fenced(*entry, request))
    return refuse(
        request, ErrorCode::kFenced,
        "a newer life of this community writes \"" + name + "\": this process belongs to an older one and must end");
  writing.session = request.session;
  writing.key = key;
  writing.incarnation = request.sender;
  writing.begin_request = request.request;
  writing.total = *total;
  if (put != nullptr) order_commit(writing, request, put->level, put->timeout_ms);
  const SlotId slot = take_slot(request.owner, *total, put == nullptr);
  Writing& placed = writings_[slot] = std::move(writing);
  if (put != nullptr) take_turn(slot, placed);
  if (*total == 0) give_slot(slot, placed, {});
}

void Keep::order_commit(Writing& writing, const ClientRequest& request, wire::CommitLevel level,
                        std::uint32_t timeout_ms) const {
  writing.commit = request;
  writing.level = level;
  const std::uint64_t timeout = timeout_ms == 0 ? config_.answer_timeout_ms : timeout_ms;
  writing.deadline_ms = now_ms_ + std::min(timeout, config_.max_commit_timeout_ms);
}

void Keep::give_slot(SlotId slot, Writing& writing, const Status& status) {
  const Answer head{writing.session, writing.begin_request, wire::Done{}, SlotId(), SlotAccess::kNone};
  if (!status) {
    if (writing.commit) leave_turn(slot, writing.key);
    writings_.erase(slot);
    free_slot(slot);
    Answer answer = head;
    answer.message = wire::Refusal{static_cast<std::int32_t>(status.error().code), status.error().message};
    emit(std::move(answer));
    return;
  }
  writing.ready = true;
  if (writing.commit) return sum(slot, writing);
  Answer answer = head;
  answer.message = wire::CheckpointSlot{slot.value, writing.total, writing.sections};
  if (writing.total > 0) {
    answer.slot = slot;
    answer.access = SlotAccess::kWritable;
  }
  emit(std::move(answer));
}

void Keep::handle(const ClientRequest& request, const wire::CheckpointAbandon& message) {
  const auto at = writings_.find(SlotId(message.slot));
  if (at == writings_.end() || at->second.session != request.session || !at->second.ready || at->second.commit)
    return refuse(request, ErrorCode::kNotFound, "this connection writes no such version");
  const SlotId slot = at->first;
  writings_.erase(at);
  free_slot(slot);
  emit(Answer{request.session, request.request, wire::Done{}, SlotId(), SlotAccess::kNone});
}

void Keep::handle(const ClientRequest& request, const wire::CheckpointCommit& message) {
  const auto at = writings_.find(SlotId(message.slot));
  if (at == writings_.end() || at->second.session != request.session || !at->second.ready || at->second.commit)
    return refuse(request, ErrorCode::kNotFound, "this connection writes no such version");
  if (const Status level = check_level(message.level); !level)
    return refuse(request, level.error().code, level.error().message);
  Writing& writing = at->second;
  const auto failed = [&](ErrorCode code, std::string reason) {
    const SlotId slot = at->first;
    writings_.erase(at);
    free_slot(slot);
    refuse(request, code, std::move(reason));
  };
  if (!view_.serving)
    return failed(ErrorCode::kUnavailable, "this server is not serving (" + view_.reason + "): nothing was committed");
  Entry* entry = catalogue_.find(writing.key);
  if (entry != nullptr && fenced(*entry, request))
    return failed(ErrorCode::kFenced, "a newer life of this community writes \"" + writing.key.name +
                                          "\": this process belongs to an older one and must end");
  order_commit(writing, request, message.level, message.timeout_ms);
  take_turn(at->first, writing);
  sum(at->first, writing);
}

void Keep::sum(SlotId slot, Writing& writing) {
  if (writing.total == 0) return summed(slot, std::vector(writing.sections.size(), checksum({})), std::nullopt);
  choose_base(writing);
  if (std::holds_alternative<Put>(writing.commit->message))
    emit(FillSlot{slot, writing.session, writing.begin_request, writing.sections, writing.base});
  else
    emit(SumSlot{slot, writing.sections, writing.base});
}

// Commits of one name get rising numbers in the order in which they were asked for, however long their checksums take.
void Keep::take_turn(SlotId slot, const Writing& writing) { turns_[writing.key].push_back(slot); }

void Keep::leave_turn(SlotId slot, const wire::KeepKey& key) {
  const auto at = turns_.find(key);
  std::erase(at->second, slot);
  if (at->second.empty())
    turns_.erase(at);
  else
    turns_due_.insert(key);
}

// Fewer sums than sections: they could not be computed.
void Keep::summed(SlotId slot, std::vector<std::uint64_t> sums, std::optional<PageRanges> changed) {
  Writing& writing = writings_.at(slot);
  compared(writing, std::move(changed));
  writing.sums = std::move(sums);
  turns_due_.insert(writing.key);
}

// Those whose outcome is UNKNOWN count too: the predecessor may have them.
bool Keep::may_open(const wire::KeepKey& key) const {
  std::size_t open = 0;
  for (auto at = pending_.lower_bound({key, Version()}); at != pending_.end() && at->first.first == key; ++at)
    if (++open >= config_.max_open_commits_per_name) return false;
  return true;
}

void Keep::settle_turns() {
  while (!turns_due_.empty()) {
    const wire::KeepKey key = *turns_due_.begin();
    turns_due_.erase(turns_due_.begin());
    for (auto at = turns_.find(key); at != turns_.end(); at = turns_.find(key)) {
      const SlotId slot = at->second.front();
      if (!writings_.at(slot).sums || !may_open(key)) break;
      leave_turn(slot, key);
      number_version(slot);
    }
  }
}

void Keep::expire_turns() {
  std::vector<SlotId> late;
  for (const auto& [key, slots] : turns_)
    for (const SlotId slot : slots)
      if (const Writing& writing = writings_.at(slot); writing.sums && now_ms_ >= writing.deadline_ms)
        late.push_back(slot);
  for (const SlotId slot : late) {
    const Writing writing = std::move(writings_.at(slot));
    leave_turn(slot, writing.key);
    writings_.erase(slot);
    free_slot(slot);
    answer_commit(writing.session, writing.commit->request,
                  {wire::CommitResult::kFailed,
                   {},
                   0,
                   "earlier commits of the name were not decided in time: nothing was committed",
                   0});
  }
}

void Keep::number_version(SlotId slot) {
  const auto at = writings_.find(slot);
  Writing writing = std::move(at->second);
  writings_.erase(at);
  const ClientRequest& request = *writing.commit;
  const std::vector<std::uint64_t>& sums = *writing.sums;
  if (sums.size() != writing.sections.size()) {
    free_slot(slot);
    answer_commit(request.session, request.request,
                  {wire::CommitResult::kFailed,
                   {},
                   0,
                   "the server could not read the version's memory: is it short of "
                   "memory? Write it again",
                   0});
    return;
  }
  Entry* entry = catalogue_.find(writing.key);
  if (entry == nullptr || !entry->home || !view_.serving) {
    free_slot(slot);
    answer_commit(request.session, request.request,
                  {wire::CommitResult::kFailed, {}, 0, "the ring or the checkpoint's home changed: write it again", 0});
    return;
  }
  VersionRecord record;
  for (std::size_t i = 0; i < sums.size(); ++i) writing.sections[i].sum = sums[i];
  record.content = {{}, writing.incarnation, writing.total, wire::version_sum(writing.sections), writing.sections, {}};
  record.level = writing.level;
  record.here = true;
  if (writing.total > 0) record.slot = slot;
  open_commit(*entry, std::move(record), request, writing.deadline_ms, std::move(writing.delta));
}

void Keep::open_commit(Entry& entry, VersionRecord record, const ClientRequest& request, std::uint64_t deadline_ms,
                       wire::CopyDelta delta) {
  entry.highest = Version(entry.highest.value + 1);
  const VersionKey version{entry.key, entry.highest};
  record.content.version = entry.highest;
  VersionRecord& placed = entry.versions[entry.highest] = std::move(record);
  if (entry.key.kind == wire::KeepKind::kGroup) catalogue_.refresh_holds(entry);
  if (config_.planted_bug == PlantedBug::kRetireBeforeCommit && entry.key.kind == wire::KeepKind::kGroup)
    retire_parts_before(entry);
  pending_[version] = {request.session, request.request, deadline_ms, false, {}, {}, 0, false, std::move(delta)};
  if (config_.planted_bug == PlantedBug::kAcknowledgeBeforeCopy && predecessor())
    return commit(entry, placed), replicate(version);
  replicate(version);
}

}  // namespace rk::keep

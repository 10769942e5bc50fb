// SPDX-License-Identifier: Apache-2.0
// The group record of a community's version: it lists the parts, and it is what makes them one version.
#include <algorithm>

#include "keep/keep.h"
#include "keep/names.h"
#include "wire/version_sum.h"

namespace rk::keep {
namespace {

// A record travels in one frame, and two of them in an answer.
constexpr std::size_t kMaxRecordBytes = std::size_t{256} << 10U;

Status check_record(const wire::GroupCommit& message) {
  RK_TRY_VOID(check_name("group", message.group));
  if (message.parts.empty())
    return fail(ErrorCode::kInvalidArgument, "a group version needs at least one part: list the parts");
  std::size_t bytes = 0;
  std::set<std::string> names;
  for (const wire::GroupPart& part : message.parts) {
    RK_TRY_VOID(check_name("part", part.name));
    if (!names.insert(part.name).second)
      return fail(ErrorCode::kInvalidArgument, "part \"" + part.name + "\" is listed twice: list each part once");
    bytes += part.name.size() + 20;
  }
  if (bytes > kMaxRecordBytes)
    return fail(ErrorCode::kInvalidArgument, "a group record has at most " + std::to_string(kMaxRecordBytes) +
                                                 " bytes of parts: use shorter names or fewer parts");
  return {};
}

}  // namespace

// Every part is committed at this server with the content that the caller saw, and has a second copy.
Status Keep::check_parts(OwnerId owner, const std::vector<wire::GroupPart>& parts) const {
  for (const wire::GroupPart& part : parts) {
    const std::string what = "part \"" + part.name + "\" version " + std::to_string(part.version.value);
    const Entry* entry = catalogue_.find({owner, wire::KeepKind::kCheckpoint, part.name});
    if (entry == nullptr || !entry->home)
      return fail(ErrorCode::kNotFound, what + " is not kept at this server: commit it here first");
    const auto at = entry->versions.find(part.version);
    if (at == entry->versions.end() || !at->second.committed)
      return fail(ErrorCode::kNotFound, what + " is not committed: commit it before the group");
    if (at->second.content.sum != part.sum)
      return fail(ErrorCode::kCorrupt, what + " has another checksum than the one given: commit the part again");
    if (at->second.level != wire::CommitLevel::kReplicated)
      return fail(ErrorCode::kInvalidArgument, what + " is only local: commit the parts of a group replicated");
  }
  return {};
}

void Keep::handle(const ClientRequest& request, const wire::GroupCommit& message) {
  if (const Status valid = check_record(message); !valid)
    return refuse(request, valid.error().code, valid.error().message);
  const wire::KeepKey key{request.owner, wire::KeepKind::kGroup, message.group};
  Entry* entry = catalogue_.obtain(key, config_.max_names_per_owner);
  if (entry == nullptr)
    return refuse(request, ErrorCode::kNoMemory, "this user has too many names in the keep: use fewer names");
  if (!is_home(entry)) return wait_for_claim(key, request);
  if (fenced(*entry, request))
    return refuse(request, ErrorCode::kFenced,
                  "a newer life of this community commits \"" + message.group +
                      "\": this process belongs to an older one and must end");
  if (const Status parts = check_parts(request.owner, message.parts); !parts)
    return answer_commit(request.session, request.request,
                         {wire::CommitResult::kFailed, {}, 0, parts.error().message, 0});
  VersionRecord record;
  record.content = {{}, request.sender, 0, wire::version_sum(message.parts), {}, message.parts};
  record.here = true;
  const std::uint64_t timeout = message.timeout_ms == 0 ? config_.answer_timeout_ms : message.timeout_ms;
  open_commit(*entry, std::move(record), request, now_ms_ + std::min(timeout, config_.max_commit_timeout_ms));
}

// The question makes this server the group's home, so that parts of a version that a restart needs are held from then
// on, whatever the restarted processes commit before their next group version.
void Keep::handle(const ClientRequest& request, const wire::GroupQuery& message) {
  if (const Status named = check_name("group", message.group); !named)
    return refuse(request, named.error().code, named.error().message);
  const wire::KeepKey key{request.owner, wire::KeepKind::kGroup, message.group};
  Entry* entry = catalogue_.find(key);
  if (!is_home(entry)) return wait_for_claim(key, request);
  if (!told_all(*entry)) return look_up(key, request);
  if (!leased()) return park(request);
  if (entry->lost()) return refuse(request, ErrorCode::kLost, lost_text(message.group, entry->committed, Version()));
  std::vector<const wire::VersionContent*> newest_first;
  for (auto at = entry->versions.rbegin(); at != entry->versions.rend(); ++at)
    if (at->second.committed) newest_first.push_back(&at->second.content);
  emit(Answer{request.session, request.request, group_answer(newest_first), SlotId(), SlotAccess::kNone});
}

wire::GroupAnswer Keep::group_answer(const std::vector<const wire::VersionContent*>& newest_first) const {
  wire::GroupAnswer answer;
  answer.lease_until_ms = lease_until_ms_;
  if (newest_first.empty()) return answer;
  answer.version = newest_first.front()->version;
  answer.oldest_retained = newest_first[std::min<std::size_t>(1, newest_first.size() - 1)]->version;
  answer.parts = newest_first.front()->parts;
  return answer;
}

}  // namespace rk::keep

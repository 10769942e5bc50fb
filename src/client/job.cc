// SPDX-License-Identifier: Apache-2.0
#include "client/job.h"

#include <dlfcn.h>

#include <algorithm>

#include "client/error.h"
#include "client/marked_stores.h"
#include "log/log_state.h"

namespace rk::client {

Result<std::unique_ptr<Job>> Job::open() {
  RK_TRY(const JobEnvironment environment, JobEnvironment::read());
  RK_TRY(auto session, LogSession::attach(environment, nullptr));
  std::unique_ptr<Job> job(new Job(std::move(session)));
  const CommunityId community(job->community());
  job->group_ = group_name(environment.job, community);
  job->part_ = part_name(environment.job, community, environment.rank);
  return job;
}

std::uint32_t Job::community() const { return environment().community_of.at(rank()).value; }

Status Job::alone() const {
  const auto& all = environment().community_of;
  const auto members = std::count(all.begin(), all.end(), CommunityId(community()));
  if (members == 1) return {};
  return fail(ErrorCode::kUnsupported, "community " + std::to_string(community()) + " has " + std::to_string(members) +
                                           " processes, and checkpoints of more than one need libringkeep-mpi: call "
                                           "rk_job_open after MPI_Init, or run one process a community");
}

Status Job::protect(const std::string& section, void* data, std::size_t size) {
  if (asked_) return fail(ErrorCode::kInvalidArgument, "memory is protected before the restart question, not after it");
  return protected_.add(section, data, size);
}

Result<Version> Job::restart_version() {
  RK_TRY_VOID(alone());
  if (asked_) return fail(ErrorCode::kInvalidArgument, "the restart question is asked once a life");
  RK_TRY(auto answer, query_group(session_->connection(), group_));
  if (!answer.version) {
    session_->log().mark_prologue();
  } else {
    session_->log().outcomes().suspend();
  }
  asked_ = std::move(answer);
  return asked_->version;
}

Status Job::restore() {
  if (!asked_ || !asked_->version || restored_)
    return fail(ErrorCode::kInvalidArgument,
                "there is nothing to restore: call it once, after rk_job_restart_version gave a version above 0");
  const auto part =
      std::find_if(asked_->parts.begin(), asked_->parts.end(), [this](const auto& item) { return item.name == part_; });
  if (part == asked_->parts.end())
    return fail(ErrorCode::kCorrupt,
                "the group version has no part of this process: restart with the same communities");
  RK_TRY(const Reader reader, Reader::open(session_->connection(), part->name, part->version));
  if (reader.sum() != part->sum)
    return fail(ErrorCode::kCorrupt, "the part of this process is not the one that the group version names");
  RK_TRY_VOID(protected_.check(reader));
  RK_TRY(const ByteView state_bytes, reader.section(kLogSection));
  RK_TRY(auto state, log::decode_log_state(state_bytes));
  RK_TRY_VOID(protected_.load(reader));
  RK_TRY_VOID(session_->log().jump(state));
  newest_ = asked_->version;
  states_[newest_] = std::move(state);
  restored_ = true;
  return {};
}

Result<Version> Job::checkpoint() {
  RK_TRY_VOID(alone());
  if (!asked_) return fail(ErrorCode::kInvalidArgument, "call rk_job_restart_version before the first checkpoint");
  if (asked_->version && !restored_)
    return fail(ErrorCode::kInvalidArgument, "call rk_job_restore before the first checkpoint of a restarted life");
  log::LogState state = session_->log().snapshot();
  const Bytes state_bytes = log::encode(state);
  std::vector<NamedBytes> sections;
  protected_.append_to(sections);
  sections.push_back({kLogSection, state_bytes});
  const Incarnation incarnation = environment().incarnation;
  RK_TRY(const wire::GroupPart part, write_part(session_->connection(), part_, sections, incarnation));
  RK_TRY(const Version version, commit_group(session_->connection(), group_, {part}, incarnation));
  states_[version] = std::move(state);
  // The keep retains the newest two group versions; before there are two, a restart could still use the start.
  const Version oldest = newest_;
  newest_ = version;
  if (oldest) RK_TRY_VOID(trim_to(oldest));
  return version;
}

Status Job::trim_to(Version oldest) {
  states_.erase(states_.begin(), states_.lower_bound(oldest));
  const auto state = states_.find(oldest);
  if (state != states_.end()) RK_TRY_VOID(session_->log().trim(state->second));
  RK_MARK(log_trimmed);
  return {};
}

const rk_layer_hooks* layer_hooks() {
  static const rk_layer_hooks* const hooks = [] {
    const auto* found = static_cast<const rk_layer_hooks*>(::dlsym(RTLD_DEFAULT, kLayerHooksSymbol));
    return found != nullptr && found->version == kLayerHooksVersion ? found : nullptr;
  }();
  return hooks;
}

int from_layer(const rk_layer_hooks& hooks, int code) noexcept {
  clear_last_error();
  return code == RK_OK ? RK_OK : set_last_error(static_cast<ErrorCode>(code), hooks.last_error());
}

}  // namespace rk::client

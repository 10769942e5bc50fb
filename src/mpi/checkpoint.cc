// SPDX-License-Identifier: Apache-2.0
#include "mpi/checkpoint.h"

#include <algorithm>

#include "client/job.h"
#include "mpi/agreement.h"
#include "mpi/layer.h"
#include "mpi/layer_state.h"
#include "mpi/native.h"
#include "wire/control_messages.h"

namespace rk::mpi {
namespace {

bool already_open = false;

// Every inside message that was sent has been received: else a restart would lose it, because it has no log.
Status check_drained(MPI_Comm comm) {
  Layer& all = layer();
  const std::vector<int>& members = all.comms.find(MPI_COMM_WORLD)->ranks.own().members;
  std::vector<std::uint64_t> sent;
  sent.reserve(members.size());
  for (const int rank : members) sent.push_back(all.sent_inside[static_cast<std::size_t>(rank)]);
  std::vector<std::uint64_t> to_us(members.size());
  native.Alltoall(sent.data(), 1, MPI_UINT64_T, to_us.data(), 1, MPI_UINT64_T, comm);
  for (std::size_t i = 0; i < members.size(); ++i) {
    const std::uint64_t received = all.received_inside[static_cast<std::size_t>(members[i])];
    if (to_us[i] == received) continue;
    return fail(ErrorCode::kInvalidArgument,
                "rank " + std::to_string(members[i]) + " has sent " + std::to_string(to_us[i]) + " messages to rank " +
                    std::to_string(all.env.rank.value) + ", which has received " + std::to_string(received) +
                    "; receive all messages of the community before rk_job_checkpoint");
  }
  return {};
}

}  // namespace

CommunityJob::CommunityJob() { already_open = true; }
CommunityJob::~CommunityJob() { already_open = false; }

Result<std::unique_ptr<CommunityJob>> CommunityJob::open() {
  const Layer& all = layer();
  if (all.session == nullptr)
    return fail(ErrorCode::kUnavailable, all.in_job ? "rk_job_open comes before MPI_Init; call it after"
                                                    : "this process is not in a job; start it by `ringkeep run`");
  if (already_open) return fail(ErrorCode::kExists, "the job is open already; a process has one job handle");
  std::unique_ptr<CommunityJob> job(new CommunityJob);
  const CommunityId community = all.env.community_of[all.env.rank.value];
  job->group_ = client::group_name(all.env.job, community);
  job->part_ = client::part_name(all.env.job, community, all.env.rank);
  return job;
}

Status CommunityJob::protect(const std::string& section, void* data, std::size_t size) {
  if (asked_) return fail(ErrorCode::kInvalidArgument, "memory is protected before the restart question, not after it");
  return protected_.add(section, data, size);
}

// The leader asks, all get its answer: a record that is committed between two questions must not split them.
Result<wire::GroupAnswer> CommunityJob::ask_group() {
  Layer& all = layer();
  int rank = 0;
  native.Comm_rank(comm_, &rank);
  wire::GroupAnswer answer;
  Status asked;
  if (rank == 0) {
    auto found = client::query_group(all.session->connection(), group_);
    if (found)
      answer = *std::move(found);
    else
      asked = tl::unexpected(std::move(found).error());
  }
  RK_TRY_VOID(agree(comm_, asked));
  const Bytes bytes = from_leader(comm_, wire::encode(answer));
  return wire::decode<wire::GroupAnswer>(bytes, "the answer to the restart question");
}

Result<Version> CommunityJob::restart_version() {
  Layer& all = layer();
  if (asked_) return fail(ErrorCode::kInvalidArgument, "the restart question is asked once a life");
  if (comm_ == MPI_COMM_NULL) native.Comm_dup(MPI_COMM_WORLD, &comm_);
  RK_TRY(asked_, ask_group());
  all.comms.question_asked();
  if (asked_->version) {
    // What follows, up to the restore, the first life did differently.
    all.log().outcomes().suspend();
    all.restoring = true;
    RK_TRY_VOID(agree(comm_, suspend_output()));
  } else {
    all.log().mark_prologue();
  }
  return asked_->version;
}

Status CommunityJob::load_part() {
  Layer& all = layer();
  const auto part =
      std::find_if(asked_->parts.begin(), asked_->parts.end(), [this](const auto& item) { return item.name == part_; });
  if (part == asked_->parts.end())
    return fail(ErrorCode::kCorrupt, "the group version has no part of rank " + std::to_string(all.env.rank.value) +
                                         "; restart with the same communities");
  RK_TRY(const client::Reader reader, client::Reader::open(all.session->connection(), part->name, part->version));
  if (reader.sum() != part->sum)
    return fail(ErrorCode::kCorrupt, "the part of rank " + std::to_string(all.env.rank.value) +
                                         " is not the one that the group version names");
  RK_TRY_VOID(protected_.check(reader));
  RK_TRY(const ByteView log_bytes, reader.section(client::kLogSection));
  RK_TRY(auto log_state, log::decode_log_state(log_bytes));
  RK_TRY(const ByteView layer_bytes, reader.section(kLayerSection));
  RK_TRY(const LayerState layer_state, decode_layer_state(layer_bytes));
  RK_TRY_VOID(resume_layer_state(layer_state));
  RK_TRY_VOID(protected_.load(reader));
  RK_TRY_VOID(all.log().jump(log_state));
  states_[asked_->version] = std::move(log_state);
  return {};
}

Status CommunityJob::restore() {
  Layer& all = layer();
  if (!asked_ || !asked_->version || restored_)
    return fail(ErrorCode::kInvalidArgument,
                "there is nothing to restore; call it once, after rk_job_restart_version gave a version above 0");
  Status own = check_drained(comm_);
  if (all.receives.any()) own = fail(ErrorCode::kInvalidArgument, "a receive is open at rk_job_restore; complete it");
  RK_TRY_VOID(agree(comm_, own));
  own = load_part();
  RK_TRY_VOID(agree(comm_, own));
  newest_ = asked_->version;
  all.restored = newest_;
  restored_ = true;
  all.restoring = false;
  all.replaying = true;  // until what was done behind the checkpoint is repeated
  all.control.send(wire::PhaseReport{wire::Phase::kRestored, newest_});
  watch_replay();
  return {};
}

Result<wire::GroupPart> CommunityJob::commit_part(log::LogState& state) {
  Layer& all = layer();
  RK_TRY(const LayerState layer_state, take_layer_state());
  state = all.log().snapshot();
  const Bytes log_bytes = log::encode(state);
  const Bytes layer_bytes = encode(layer_state);
  std::vector<client::NamedBytes> sections;
  protected_.append_to(sections);
  sections.push_back({client::kLogSection, log_bytes});
  sections.push_back({kLayerSection, layer_bytes});
  return client::write_part(all.session->connection(), part_, sections, all.env.incarnation);
}

Result<Version> CommunityJob::commit_record(const wire::GroupPart& part) {
  Layer& all = layer();
  const std::vector<int>& members = all.comms.find(MPI_COMM_WORLD)->ranks.own().members;
  const std::uint64_t own[2] = {part.version.value, part.sum};
  std::vector<std::uint64_t> gathered(members.size() * 2);
  native.Gather(own, 2, MPI_UINT64_T, gathered.data(), 2, MPI_UINT64_T, 0, comm_);
  int rank = 0;
  native.Comm_rank(comm_, &rank);
  Status committed;
  std::uint64_t version = 0;
  if (rank == 0) {
    const CommunityId community = all.env.community_of[all.env.rank.value];
    std::vector<wire::GroupPart> parts;
    for (std::size_t i = 0; i < members.size(); ++i)
      parts.push_back({client::part_name(all.env.job, community, Rank(static_cast<std::uint32_t>(members[i]))),
                       Version(gathered[2 * i]), gathered[2 * i + 1]});
    const auto record = client::commit_group(all.session->connection(), group_, parts, all.env.incarnation);
    if (record)
      version = record->value;
    else
      committed = tl::unexpected(record.error());
  }
  RK_TRY_VOID(agree(comm_, committed));
  native.Bcast(&version, 1, MPI_UINT64_T, 0, comm_);
  return Version(version);
}

Result<Version> CommunityJob::checkpoint() {
  Layer& all = layer();
  if (!asked_) return fail(ErrorCode::kInvalidArgument, "call rk_job_restart_version before the first checkpoint");
  if (asked_->version && !restored_)
    return fail(ErrorCode::kInvalidArgument, "call rk_job_restore before the first checkpoint of a restarted life");
  native.Barrier(comm_);
  const Status drained = check_drained(comm_);
  const Status open = check_nothing_open();
  RK_TRY_VOID(agree(comm_, open ? drained : open));
  log::LogState state;
  const Result<wire::GroupPart> part = commit_part(state);
  RK_TRY_VOID(agree(comm_, part ? Status() : Status(tl::unexpected(part.error()))));
  RK_TRY(const Version version, commit_record(*part));
  states_[version] = std::move(state);
  // Two group versions are retained; before there are two, a restart could still use the start.
  const Version oldest = newest_;
  newest_ = version;
  if (oldest) RK_TRY_VOID(agree(comm_, trim_to(oldest)));
  all.control.send(wire::PhaseReport{wire::Phase::kCheckpointed, version});
  return version;
}

Status CommunityJob::trim_to(Version oldest) {
  states_.erase(states_.begin(), states_.lower_bound(oldest));
  const auto state = states_.find(oldest);
  return state == states_.end() ? Status() : layer().log().trim(state->second);
}

}  // namespace rk::mpi

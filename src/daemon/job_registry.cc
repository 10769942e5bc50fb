// SPDX-License-Identifier: Apache-2.0
#include "daemon/job_registry.h"

#include <algorithm>
#include <utility>

#include "daemon/descriptor_room.h"
#include "log/bells.h"
#include "log/segment.h"
#include "shm/mapping.h"

namespace rk::daemon {
namespace {

std::string job_name(JobId id) {
  Bytes bytes;
  for (unsigned i = 0; i < 8; ++i) bytes.push_back(static_cast<std::byte>((id.value >> (56U - 8U * i)) & 0xffU));
  return "job " + to_hex(bytes);
}

std::string rank_name(Rank rank) { return "process " + std::to_string(rank.value); }

}  // namespace

JobRegistry::~JobRegistry() {
  for (auto& [id, job] : jobs_) give_back(job);
}

Status JobRegistry::create(const ClientIdentity& client, const wire::JobCreate& request) {
  RK_TRY_VOID(check_create(request));
  Job job;
  job.owner = client.owner;
  job.creator = client.session;
  job.community_of = request.community_of;
  for (const CommunityId community : job.community_of) job.incarnations[community] = Incarnation();
  if (auto status = make_memory(request.job, job, shm::round_up_to_page(request.log_limit_bytes)); !status) {
    give_back(job);
    return status;
  }
  jobs_.emplace(request.job, std::move(job));
  return {};
}

Status JobRegistry::check_create(const wire::JobCreate& request) const {
  if (!request.job) return fail(ErrorCode::kInvalidArgument, "a job needs an id other than 0: choose one at random");
  if (jobs_.contains(request.job))
    return fail(ErrorCode::kExists, job_name(request.job) + " exists already: choose another id");
  const std::size_t ranks = request.community_of.size();
  if (ranks == 0 || ranks > wire::kMaxRanks)
    return fail(ErrorCode::kInvalidArgument, "a job has 1 to " + std::to_string(wire::kMaxRanks) + " processes, not " +
                                                 std::to_string(ranks) + ": start it with fewer");
  std::uint64_t others = 0;
  for (const auto& [id, job] : jobs_) others += job.segments.size();
  if (jobs_.size() >= limits_.jobs || others + ranks > limits_.ranks)
    return fail(ErrorCode::kNoMemory, "this server has " + std::to_string(jobs_.size()) + " of " +
                                          std::to_string(limits_.jobs) + " jobs with " + std::to_string(others) +
                                          " of " + std::to_string(limits_.ranks) +
                                          " processes: wait for one to end, or raise 'limits' in its configuration");
  const std::uint64_t smallest = log::Segment::smallest_bytes(static_cast<std::uint32_t>(ranks));
  if (request.log_limit_bytes < smallest || request.log_limit_bytes > limits_.log_bytes)
    return fail(ErrorCode::kInvalidArgument, "a log limit of " + std::to_string(request.log_limit_bytes) +
                                                 " bytes does not do: choose " + std::to_string(smallest) + " to " +
                                                 std::to_string(limits_.log_bytes));
  return {};
}

Status JobRegistry::make_memory(JobId id, Job& job, std::uint64_t limit_bytes) {
  const auto ranks = static_cast<std::uint32_t>(job.community_of.size());
  RK_TRY(job.bells, shm::MemoryFile::create("ringkeep-bells", shm::round_up_to_page(log::Bells::bytes_for(ranks))));
  RK_TRY_VOID(take(job, job.bells, 0, job.bells.size()));
  const std::uint64_t arena =
      std::min(limit_bytes, shm::round_up_to_page(log::Segment::smallest_bytes(ranks)) + limits_.first_arena_bytes);
  for (std::uint32_t rank = 0; rank < ranks; ++rank) RK_TRY_VOID(make_segment(id, job, Rank(rank), limit_bytes, arena));
  return {};
}

Status JobRegistry::make_segment(JobId id, Job& job, Rank rank, std::uint64_t limit_bytes, std::uint64_t arena_bytes) {
  Segment segment;
  RK_TRY(segment.file, shm::MemoryFile::create("ringkeep-segment", limit_bytes));
  RK_TRY_VOID(check_room_beside(segment.file.descriptor(), descriptor_limit()));
  RK_TRY_VOID(take(job, segment.file, 0, arena_bytes));
  segment.usable_bytes = arena_bytes;
  RK_TRY(const shm::Mapping mapping, shm::Mapping::map(segment.file, shm::Access::kReadWrite));
  const log::SegmentIdentity identity{id, rank, static_cast<std::uint32_t>(job.community_of.size())};
  RK_TRY_VOID(log::Segment::format(mapping.writable(), identity, arena_bytes).map([](const auto&) {}));
  job.segments.push_back(std::move(segment));
  return {};
}

Status JobRegistry::take(Job& job, shm::MemoryFile& file, std::uint64_t from, std::uint64_t to) {
  RK_TRY_VOID(check_owner_quota(job, to - from));
  RK_TRY_VOID(budget_.take(to - from));
  if (auto status = file.touch(from, to - from); !status) {
    budget_.give(to - from);
    return status;
  }
  job.charged_bytes += to - from;
  return {};
}

Status JobRegistry::check_owner_quota(const Job& job, std::uint64_t more) const {
  std::uint64_t used = job.charged_bytes;
  for (const auto& [id, other] : jobs_)
    if (&other != &job && other.owner == job.owner) used += other.charged_bytes;
  if (more <= limits_.owner_bytes && used <= limits_.owner_bytes - more) return {};
  return fail(ErrorCode::kNoMemory, "the jobs of user " + std::to_string(job.owner.value) + " use " +
                                        std::to_string(used) + " of " + std::to_string(limits_.owner_bytes) +
                                        " bytes: end one, or raise limits.owner_memory in the server's configuration");
}

void JobRegistry::give_back(Job& job) {
  job.segments.clear();
  job.bells = {};
  budget_.give(std::exchange(job.charged_bytes, 0));
}

Result<JobRegistry::Attached> JobRegistry::attach(const ClientIdentity& client, Incarnation incarnation,
                                                  const wire::JobAttach& request) {
  RK_TRY(Job* const job, find(client, request.job));
  RK_TRY_VOID(check_rank(*job, request.rank));
  Incarnation& newest = job->incarnations.at(job->community_of.at(request.rank.value));
  if (incarnation < newest)
    return fail(ErrorCode::kFenced, "incarnation " + std::to_string(incarnation.value) + " of " +
                                        rank_name(request.rank) + " was replaced by incarnation " +
                                        std::to_string(newest.value) + ": this process must end");
  for (const auto& [session, other] : job->attached)
    if (other.rank == request.rank && other.incarnation == incarnation && other.pid != client.pid)
      return fail(ErrorCode::kExists, rank_name(request.rank) + " is attached already, with pid " +
                                          std::to_string(other.pid) + ": end that process first");
  if (job->attached.contains(client.session))
    return fail(ErrorCode::kExists, "this connection is attached already: open another one");
  newest = incarnation;
  job->attached.emplace(client.session, Attachment{request.rank, incarnation, client.pid});
  const Segment& segment = job->segments.at(request.rank.value);
  return Attached{{job->community_of, job->bells.size(), segment.file.size(), segment.usable_bytes},
                  job->bells.descriptor(),
                  segment.file.descriptor()};
}

Result<JobRegistry::Opened> JobRegistry::open_segment(const ClientIdentity& client,
                                                      const wire::SegmentOpen& request) const {
  RK_TRY(const Job* const job, find(client, request.job));
  RK_TRY_VOID(check_rank(*job, request.rank));
  const Segment& segment = job->segments.at(request.rank.value);
  RK_TRY(shm::Descriptor descriptor, segment.file.open_read_only());
  return Opened{{segment.file.size()}, std::move(descriptor)};
}

Status JobRegistry::grow(const ClientIdentity& client, std::uint64_t request, const wire::LogGrow& message) {
  RK_TRY(Job* const job, find(client, message.job));
  RK_TRY_VOID(check_rank(*job, message.rank));
  const auto attachment = job->attached.find(client.session);
  if (attachment == job->attached.end() || attachment->second.rank != message.rank)
    return fail(ErrorCode::kPermission,
                "only " + rank_name(message.rank) + " itself may grow its segment: attach as that process first");
  RK_TRY_VOID(check_not_fenced(client.session));
  Segment& segment = job->segments.at(message.rank.value);
  if (segment.growing) {
    // Asked for by an earlier life of the process: this one gets the answer.
    const auto pending = std::find_if(grows_.begin(), grows_.end(), [&](const PendingGrow& grow) {
      return grow.job == message.job && grow.rank == message.rank;
    });
    if (pending != grows_.end() && pending->session != client.session) {
      pending->session = client.session;
      pending->request = request;
      return {};
    }
    return fail(ErrorCode::kUnavailable,
                "the segment of " + rank_name(message.rank) + " is growing already: wait for the first answer");
  }
  const std::uint64_t room = segment.file.size() - segment.usable_bytes;
  if (room == 0)
    return fail(ErrorCode::kNoMemory, "the log of " + rank_name(message.rank) + " has reached its limit of " +
                                          std::to_string(segment.file.size()) +
                                          " bytes: run the job with a higher log limit, or checkpoint more often");
  if (message.bytes == 0) return fail(ErrorCode::kInvalidArgument, "a grow by 0 bytes: ask for some");
  const std::uint64_t more = std::min(room, message.bytes > room ? room : shm::round_up_to_page(message.bytes));
  segment.growing = true;
  grows_.push_back(
      {client.session, request, message.job, message.rank, segment.usable_bytes + more, segment.usable_bytes});
  return {};
}

std::optional<JobRegistry::Grown> JobRegistry::run_grows() {
  if (grows_.empty()) return std::nullopt;
  // Round robin: a large grow does not hold up a small one.
  PendingGrow grow = grows_.front();
  grows_.erase(grows_.begin());
  Grown grown{grow.session, grow.request, std::uint64_t{0}};
  const auto at = jobs_.find(grow.job);
  if (at == jobs_.end()) {
    grown.usable_bytes = fail(ErrorCode::kNotFound, job_name(grow.job) + " has ended meanwhile");
    return grown;
  }
  Segment& segment = at->second.segments.at(grow.rank.value);
  const std::uint64_t next = std::min(grow.target_bytes, segment.usable_bytes + limits_.slice_bytes);
  const auto taken = take(at->second, segment.file, segment.usable_bytes, next);
  if (taken) segment.usable_bytes = next;
  if (taken && next < grow.target_bytes) {
    grows_.push_back(grow);
    return std::nullopt;
  }
  segment.growing = false;
  // Less than was asked for is an answer too, as long as it is more than there was.
  if (!taken && segment.usable_bytes == grow.start_bytes)
    grown.usable_bytes = tl::unexpected(taken.error());
  else
    grown.usable_bytes = segment.usable_bytes;
  return grown;
}

Status JobRegistry::fence(const ClientIdentity& client, Incarnation incarnation, const wire::JobFence& request) {
  RK_TRY(Job* const job, find(client, request.job));
  const auto at = job->incarnations.find(request.community);
  if (at == job->incarnations.end())
    return fail(ErrorCode::kNotFound, job_name(request.job) + " has no community " +
                                          std::to_string(request.community.value) + ": name one of its own");
  if (incarnation < at->second)
    return fail(ErrorCode::kFenced, "community " + std::to_string(request.community.value) + " has incarnation " +
                                        std::to_string(at->second.value) + " already: give a newer one");
  at->second = incarnation;
  return {};
}

Status JobRegistry::remove(const ClientIdentity& client, const wire::JobRemove& request, std::uint64_t now_ms) {
  RK_TRY(Job* const job, find(client, request.job));
  end(request.job, *job, now_ms);
  on_tick(now_ms);
  return {};
}

void JobRegistry::on_session_closed(std::uint64_t session, std::uint64_t now_ms) {
  for (auto& [id, job] : jobs_) {
    job.attached.erase(session);
    if (job.creator == session) end(id, job, now_ms);
  }
  on_tick(now_ms);
}

void JobRegistry::end(JobId id, Job& job, std::uint64_t now_ms) {
  if (job.ended_ms) return;
  job.ended_ms = now_ms;
  ended_.push_back({id, job.owner});
}

void JobRegistry::on_tick(std::uint64_t now_ms) {
  for (auto at = jobs_.begin(); at != jobs_.end();) {
    Job& job = at->second;
    const bool drained = job.ended_ms && (job.attached.empty() || now_ms >= *job.ended_ms + kDrainMs);
    if (!drained) {
      ++at;
      continue;
    }
    give_back(job);
    at = jobs_.erase(at);
  }
}

Status JobRegistry::check_not_fenced(std::uint64_t session) const {
  for (const auto& [id, job] : jobs_) {
    const auto at = job.attached.find(session);
    if (at == job.attached.end()) continue;
    const Incarnation newest = job.incarnations.at(job.community_of.at(at->second.rank.value));
    if (at->second.incarnation < newest)
      return fail(ErrorCode::kFenced,
                  rank_name(at->second.rank) + " of incarnation " + std::to_string(at->second.incarnation.value) +
                      " was replaced by incarnation " + std::to_string(newest.value) + ": this process must end");
  }
  return {};
}

std::vector<JobRegistry::Ended> JobRegistry::take_ended() { return std::exchange(ended_, {}); }

std::set<std::uint64_t> JobRegistry::creators() const {
  std::set<std::uint64_t> sessions;
  for (const auto& [id, job] : jobs_)
    if (!job.ended_ms) sessions.insert(job.creator);
  return sessions;
}

std::vector<wire::JobStatus> JobRegistry::status() const {
  std::vector<wire::JobStatus> all;
  for (const auto& [id, job] : jobs_) {
    std::set<Rank> ranks;
    for (const auto& [session, attachment] : job.attached) ranks.insert(attachment.rank);
    all.push_back({id, job.owner, static_cast<std::uint32_t>(job.community_of.size()),
                   static_cast<std::uint32_t>(ranks.size()), job.charged_bytes});
  }
  return all;
}

Result<const JobRegistry::Job*> JobRegistry::find(const ClientIdentity& client, JobId id) const {
  const auto at = jobs_.find(id);
  if (at == jobs_.end() || at->second.ended_ms)
    return fail(ErrorCode::kNotFound, "there is no " + job_name(id) + " on this server: it ended, or runs elsewhere");
  if (at->second.owner != client.owner)
    return fail(ErrorCode::kPermission, job_name(id) + " belongs to user " + std::to_string(at->second.owner.value) +
                                            ": only that user's processes may use it");
  return &at->second;
}

Result<JobRegistry::Job*> JobRegistry::find(const ClientIdentity& client, JobId id) {
  RK_TRY(const Job* const job, std::as_const(*this).find(client, id));
  return const_cast<Job*>(job);  // NOLINT(cppcoreguidelines-pro-type-const-cast): it is ours
}

Status JobRegistry::check_rank(const Job& job, Rank rank) {
  if (rank.value < job.community_of.size()) return {};
  return fail(ErrorCode::kInvalidArgument, "there is no " + rank_name(rank) + " in a job of " +
                                               std::to_string(job.community_of.size()) + ": use a rank of the job");
}

}  // namespace rk::daemon

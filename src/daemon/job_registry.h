// SPDX-License-Identifier: Apache-2.0
// The jobs of this node: who owns them, the log segments of their processes and the job's bells, which process is
// attached where, and which incarnation of each community counts. Makes memory, but knows no sockets and no clock.
//
// A segment is a sealed memfd of the job's limit; only what was granted is touched and charged to the budget: one arena
// at first, more by grow(), in slices, so that the loop is never held up for long. A job that is removed, or whose
// creator is gone, is refused at once, but its memory counts as used until its processes are gone or kDrainMs passed.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "daemon/ports.h"
#include "shm/memory_budget.h"
#include "shm/memory_file.h"
#include "wire/client_messages.h"

namespace rk::daemon {

class JobRegistry {
 public:
  struct Limits {
    std::uint64_t jobs = 64;
    std::uint64_t ranks = 4096;                                 // of all jobs together
    std::uint64_t owner_bytes = UINT64_MAX;                     // charged for all jobs of one owner
    std::uint64_t log_bytes = std::uint64_t{1} << 40U;          // of one segment's mapping
    std::uint64_t first_arena_bytes = std::uint64_t{1} << 20U;  // beside the segment's tables
    std::uint64_t slice_bytes = std::uint64_t{16} << 20U;       // touched at a time
  };
  static constexpr std::uint64_t kDrainMs = 5000;

  // The budget outlives the registry.
  JobRegistry(shm::MemoryBudget& budget, Limits limits) : budget_(budget), limits_(limits) {}
  ~JobRegistry();
  JobRegistry(const JobRegistry&) = delete;
  JobRegistry& operator=(const JobRegistry&) = delete;

  Status create(const ClientIdentity& client, const wire::JobCreate& request);

  struct Attached {
    wire::JobAttached message;
    int bells = -1;  // the registry's: duplicate to pass
    int segment = -1;
  };
  Result<Attached> attach(const ClientIdentity& client, Incarnation incarnation, const wire::JobAttach& request);

  struct Opened {
    wire::SegmentOpened message;
    shm::Descriptor segment;  // read-only
  };
  Result<Opened> open_segment(const ClientIdentity& client, const wire::SegmentOpen& request) const;

  // Starts a grow; its end comes from run_grows(). One at a time for a segment.
  Status grow(const ClientIdentity& client, std::uint64_t request, const wire::LogGrow& message);
  struct Grown {
    std::uint64_t session = 0;
    std::uint64_t request = 0;
    Result<std::uint64_t> usable_bytes;
  };
  // Touches one slice of one pending grow; its end, if that was the last.
  std::optional<Grown> run_grows();
  bool has_grows() const { return !grows_.empty(); }

  Status fence(const ClientIdentity& client, Incarnation incarnation, const wire::JobFence& request);
  Status remove(const ClientIdentity& client, const wire::JobRemove& request, std::uint64_t now_ms);
  void on_session_closed(std::uint64_t session, std::uint64_t now_ms);
  // Frees what has drained.
  void on_tick(std::uint64_t now_ms);

  // kFenced if the session is attached to a job as an incarnation that a newer one has replaced.
  Status check_not_fenced(std::uint64_t session) const;
  // Jobs that ended since the last call: their checkpoints go too.
  struct Ended {
    JobId job;
    OwnerId owner;
  };
  std::vector<Ended> take_ended();
  // Sessions that created a job which lives.
  std::set<std::uint64_t> creators() const;
  std::vector<wire::JobStatus> status() const;

 private:
  struct Segment {
    shm::MemoryFile file;
    std::uint64_t usable_bytes = 0;
    bool growing = false;
  };
  struct Attachment {
    Rank rank;
    Incarnation incarnation;
    std::uint32_t pid = 0;
  };
  struct Job {
    OwnerId owner;
    std::uint64_t creator = 0;  // session
    std::vector<CommunityId> community_of;
    std::map<CommunityId, Incarnation> incarnations;
    shm::MemoryFile bells;
    std::vector<Segment> segments;
    std::map<std::uint64_t, Attachment> attached;  // by session
    std::uint64_t charged_bytes = 0;
    std::optional<std::uint64_t> ended_ms;
  };
  struct PendingGrow {
    std::uint64_t session = 0;
    std::uint64_t request = 0;
    JobId job;
    Rank rank;
    std::uint64_t target_bytes = 0;
    std::uint64_t start_bytes = 0;
  };

  Status check_create(const wire::JobCreate& request) const;
  Status make_memory(JobId id, Job& job, std::uint64_t limit_bytes);
  Status make_segment(JobId id, Job& job, Rank rank, std::uint64_t limit_bytes, std::uint64_t arena_bytes);
  // Charges and touches [from, to) of a file of the job.
  Status take(Job& job, shm::MemoryFile& file, std::uint64_t from, std::uint64_t to);
  Status check_owner_quota(const Job& job, std::uint64_t more) const;
  void give_back(Job& job);
  void end(JobId id, Job& job, std::uint64_t now_ms);
  // The job if it lives and is the client's.
  Result<Job*> find(const ClientIdentity& client, JobId id);
  Result<const Job*> find(const ClientIdentity& client, JobId id) const;
  static Status check_rank(const Job& job, Rank rank);

  shm::MemoryBudget& budget_;
  Limits limits_;
  std::map<JobId, Job> jobs_;
  std::vector<PendingGrow> grows_;
  std::vector<Ended> ended_;
};

}  // namespace rk::daemon

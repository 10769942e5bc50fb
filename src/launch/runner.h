// SPDX-License-Identifier: Apache-2.0
// Runs one job: carries the effects of recovery::Job out and feeds what happens back in. One thread, one loop.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "client/connection.h"
#include "client/log_counts.h"
#include "launch/binding.h"
#include "launch/directories.h"
#include "launch/guard.h"
#include "launch/loop.h"
#include "launch/mpirun.h"
#include "launch/options.h"
#include "launch/private_ring.h"
#include "launch/process_table.h"
#include "launch/processes.h"
#include "launch/programs.h"
#include "launch/rank_output.h"
#include "launch/screen.h"
#include "launch/signals.h"
#include "launch/standard_input.h"
#include "recovery/job.h"
#include "recovery/run_record.h"

namespace rk::launch {

// Everything that is checked, made and started before the job.
struct JobSetup {
  RunOptions options;
  std::vector<CommunityId> community_of;
  Program program;
  std::string mpirun;
  std::string self;
  std::optional<std::string> layer;  // libringkeep-mpi.so
  BindingPlan binding;
  JobId job;
  // In the order of their making: the guard ends after all that it watches over.
  std::unique_ptr<Guard> guard;
  std::unique_ptr<JobDirectories> directories;
  std::unique_ptr<PrivateRing> ring;  // null: servers that were running
  std::unique_ptr<client::Connection> link;
  std::string server;      // for people
  std::string instead_of;  // as ReachedServer
};

// Fails before any process of the program was started; nothing is left behind then.
Result<JobSetup> set_up(RunOptions options);
std::string job_text(JobId job);  // 16 hex digits

class Runner final : public ProcessHandler {
 public:
  explicit Runner(JobSetup setup);
  ~Runner() override;
  // The job's record; its exit_code is the program's. The error is for failures of the launcher itself.
  Result<recovery::RunRecord> run();

 private:
  // One community's current incarnation.
  struct CommunityRun {
    Incarnation incarnation;
    std::unique_ptr<Mpirun> mpirun;
    std::unique_ptr<Killer> killer;
    std::string directory;  // of this incarnation
    std::string said;       // by its mpirun, at the end
  };

  // ProcessHandler
  Result<Admission> admit(const wire::ProcessHello& hello, pid_t pid) override;
  Status on_frame(Rank rank, Incarnation incarnation, const wire::Frame& frame) override;
  void on_gone(Rank rank, Incarnation incarnation) override;
  Status on_output_request(Rank rank, const wire::Frame& frame);

  void on_child(pid_t pid, int status);
  void on_signal(int number);
  void on_server();
  void on_tick();
  void on_dead(CommunityId community, Incarnation incarnation);
  std::optional<recovery::DeathPlace> place_of_death(CommunityId community);

  template <class What>
  void feed(What what) {
    events_.push_back(recovery::Event{loop_.now_ms(), std::move(what)});
    work();
  }
  void work();
  void carry_out(const recovery::Effect& effect);
  void carry_out(const recovery::StartCommunity& effect);
  void carry_out(const recovery::KillCommunity& effect);
  void carry_out(const recovery::FenceCommunity& effect);
  void carry_out(const recovery::SignalProcesses& effect);
  void carry_out(const recovery::Note& effect);
  void carry_out(const recovery::EndJob& effect);

  Status create_job();
  Status start_community(CommunityId community, Incarnation incarnation);
  wire::ProcessStart start_message(Rank rank, Incarnation incarnation);
  std::optional<std::size_t> message_kill(Rank rank, Incarnation incarnation) const;
  std::string layer_options(Rank rank, Incarnation incarnation) const;
  void plan_kills();
  void kill_now(std::size_t request);
  void forget_late_kills(CommunityId community);
  void show_progress();
  void show_mpirun_words();
  recovery::LifeRecord* life(Rank rank, Incarnation incarnation);
  void read_log_counts();
  void finish_record();

  JobSetup setup_;
  Loop loop_;
  Screen screen_;
  RankOutput output_;
  StandardInput input_;
  recovery::Job job_;
  recovery::RunRecord record_;
  std::optional<Signals> signals_;
  std::unique_ptr<ProcessTable> table_;
  std::vector<CommunityRun> runs_;
  std::map<pid_t, CommunityId> mpiruns_;
  int told_to_end_by_ = 0;                       // signal
  std::vector<bool> kill_waits_;                 // by request: due, but its process was not there
  std::vector<Incarnation> killed_life_;         // by request: the life that --kill RANK@TIME ended
  std::map<Rank, log::SegmentCounts> at_death_;  // of the process that was lost first, at its last death
  std::deque<recovery::Event> events_;
  bool working_ = false;
  std::optional<recovery::EndJob> end_;
};

}  // namespace rk::launch

// SPDX-License-Identifier: Apache-2.0
// The life of a parallel job: which community runs as which incarnation, who rolls back when a process is lost, and
// when and how the job ends. Pure: the launcher feeds events in and carries the effects out in order.
//
//   community:  idle -> running -> stopping -> fencing -> running (next incarnation)
//                          |           |
//                          |           +-> finished   (mpirun said 0 and nothing of it lives any more)
//                          |           +-> over       (the job is ending)
//
// Rules:
// - A community is judged by its mpirun's exit status: 0 is success, a death by signal (of a process or of mpirun
//   itself) is a crash and only that community rolls back, any other status is the program's own and ends the job with
//   it. A process whose connection broke before it finalized gives mpirun `verdict_wait_ms` to say so.
// - The next incarnation starts only after every process of the old one is known dead and the server has fenced it.
// - A finished community is finished only when the job is: nothing of the job is released before EndJob.
// - Restarts without progress are capped. Progress is a new checkpoint, or `progress_ms` of life after the replay.
// - A process that dies twice in a row of the same fault of its own (SIGSEGV, SIGABRT and the like, which nobody sends
//   from outside) at the same place of two lives from the same version would do so again: the job ends at once.
// - The first reason to end the job stands; EndJob is the last effect, once, when no process lives.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.h"

namespace rk::recovery {

// Milliseconds since the job's start.
using TimeMs = std::uint64_t;

struct JobConfig {
  std::vector<CommunityId> community_of;  // one entry a rank; communities are numbered 0..n-1, none empty
  std::uint32_t max_idle_restarts = 5;    // of one community in a row without progress
  std::uint32_t max_restarts = 100;       // of one community in all
  TimeMs verdict_wait_ms = 5000;
  TimeMs signal_grace_ms = 3000;  // after a passed-on INT, TERM, HUP or QUIT, before what still lives is killed
  TimeMs progress_ms = 10000;
};

// --- events ---------------------------------------------------------------------------------------------------------

struct Start {};
struct ProcessConnected {
  Rank rank;
  Incarnation incarnation;
  std::uint32_t pid = 0;
};
struct LayerReady {  // the process has left MPI_Init
  Rank rank;
  Incarnation incarnation;
  bool replaying = true;  // an earlier life left it something to repeat; if not, it never says that it has caught up
};
struct PhaseReached {
  enum class Kind : std::uint8_t { kRestored, kReplayed, kCheckpointed };
  Rank rank;
  Incarnation incarnation;
  Kind kind = Kind::kReplayed;
  Version version;
};
struct LayerFinished {  // the process has left MPI_Finalize
  Rank rank;
  Incarnation incarnation;
};
struct ProcessGone {
  Rank rank;
  Incarnation incarnation;
  bool first = true;  // false: others of its community were gone at the same look, so who came first is unknown
};
struct MpirunExited {
  CommunityId community;
  Incarnation incarnation;
  std::int32_t status = 0;  // exit status; 128 + n if mpirun itself died by signal n, or says that a process did
};
// How far one life of a process came: what it logged or repeated from the log, and the lines that it printed. Not those
// on standard error: there the MPI library reports the fault itself, never twice the same.
struct DeathPlace {
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  std::uint64_t determinants = 0;
  std::uint64_t stdout_lines = 0;
  bool operator==(const DeathPlace&) const = default;
};
struct AllDead {  // no process of that incarnation lives
  CommunityId community;
  Incarnation incarnation;
  std::optional<DeathPlace> place = std::nullopt;  // of the process that was lost first, if both are known
};
struct Fenced {  // the server refuses incarnations older than this one
  CommunityId community;
  Incarnation incarnation;
};
// End the job: MPI_Abort, a divergence, a lost server, a failed fence.
struct AbortRequested {
  std::int32_t exit_code = 1;
  std::string text;
};
struct SignalReceived {
  enum class Kind : std::uint8_t { kTerminate, kOther };  // kTerminate: INT, TERM, HUP, QUIT
  Kind kind = Kind::kOther;
  std::int32_t number = 0;
};
struct Tick {};

struct Event {
  TimeMs at = 0;
  std::variant<Start, ProcessConnected, LayerReady, PhaseReached, LayerFinished, ProcessGone, MpirunExited, AllDead,
               Fenced, AbortRequested, SignalReceived, Tick>
      what;
};

// --- effects --------------------------------------------------------------------------------------------------------

struct StartCommunity {
  CommunityId community;
  Incarnation incarnation;
};
// Kill every process of it and its mpirun, and report AllDead when none lives.
struct KillCommunity {
  CommunityId community;
  Incarnation incarnation;
};
// Register the new incarnation with the server, and report Fenced.
struct FenceCommunity {
  CommunityId community;
  Incarnation incarnation;
};
struct SignalProcesses {  // to every living process of the program
  std::int32_t number = 0;
};

// One line of the job's history.
struct Note {
  enum class Kind : std::uint8_t {
    kStarted,       // mpirun of the community was started
    kConnected,     // all its processes are there
    kReady,         // all have left MPI_Init
    kLost,          // first sign of its failure; `rank` if a process's connection broke first
    kKilled,        // everything of it was told to die
    kDead,          // nothing of it lives
    kRestored,      // all have restored `version`
    kReplayed,      // all have caught up
    kCheckpointed,  // `version` was committed
    kFinished,      // ended with status 0
    kEnding,        // the job is being ended: `text`
  };
  TimeMs at = 0;
  Kind kind = Kind::kStarted;
  CommunityId community;
  Incarnation incarnation;
  std::optional<Rank> rank;
  Version version;
  std::string text;
};

// The job is over, nothing of it lives.
struct EndJob {
  std::int32_t exit_code = 0;
  std::string text;  // empty on success and for the program's own exit status
};

using Effect = std::variant<StartCommunity, KillCommunity, FenceCommunity, SignalProcesses, Note, EndJob>;
using Effects = std::vector<Effect>;

// --- the core -------------------------------------------------------------------------------------------------------

enum class CommunityState : std::uint8_t { kIdle, kRunning, kStopping, kFencing, kFinished, kOver };
enum class ProcessState : std::uint8_t { kAbsent, kStarting, kReady, kFinished, kGone };
const char* to_string(CommunityState state);

struct CommunityInfo {
  CommunityState state = CommunityState::kIdle;
  Incarnation incarnation;
  std::uint32_t restarts = 0;
  bool ready = false;              // all its processes have left MPI_Init
  bool replaying = false;          // a later life that has not caught up yet
  std::optional<Rank> lost_first;  // of this incarnation, if it was seen
};

class Job {
 public:
  explicit Job(JobConfig config);
  void step(const Event& event, Effects& out);

  std::uint32_t communities() const { return static_cast<std::uint32_t>(communities_.size()); }
  const std::vector<Rank>& members(CommunityId community) const;
  CommunityInfo community(CommunityId community) const;
  // A process of this incarnation is welcome; of any other it must be sent away.
  bool expects(CommunityId community, Incarnation incarnation) const;
  bool ended() const { return ended_; }
  bool ending() const { return end_.has_value(); }

 private:
  struct Process {
    ProcessState state = ProcessState::kAbsent;
    bool restored = false;
    bool replayed = false;
    bool nothing_to_replay = false;
  };
  enum class Verdict : std::uint8_t { kNone, kSuccess, kCrash };
  // How a life ended.
  struct Death {
    Rank rank;
    std::int32_t status = 0;
    Version restored;  // where that life began
    DeathPlace place;
    bool operator==(const Death&) const = default;
  };
  struct Community {
    CommunityInfo info;
    Verdict verdict = Verdict::kNone;  // of the incarnation that is stopping
    std::int32_t status = 0;           // mpirun's, of the newest crash
    bool lost_noted = false;
    std::vector<Rank> ranks;
    std::uint32_t idle_restarts = 0;
    std::optional<TimeMs> verdict_due;
    std::optional<TimeMs> replayed_at;  // or started_at of the first life
    Version checkpoint;
    Version restored;            // by this incarnation
    std::optional<Death> death;  // of the newest incarnation that died, if all of it is known
  };

  void on(TimeMs at, const Start&, Effects& out);
  // All have caught up, if at least one had something to catch up with.
  void look_for_end_of_replay(TimeMs at, Community& community, Effects& out);
  void on(TimeMs at, const ProcessConnected& event, Effects& out);
  void on(TimeMs at, const LayerReady& event, Effects& out);
  void on(TimeMs at, const PhaseReached& event, Effects& out);
  void on(TimeMs at, const LayerFinished& event, Effects& out);
  void on(TimeMs at, const ProcessGone& event, Effects& out);
  void on(TimeMs at, const MpirunExited& event, Effects& out);
  void on(TimeMs at, const AllDead& event, Effects& out);
  void on(TimeMs at, const Fenced& event, Effects& out);
  void on(TimeMs at, const AbortRequested& event, Effects& out);
  void on(TimeMs at, const SignalReceived& event, Effects& out);
  void on(TimeMs at, const Tick&, Effects& out);

  // The process if the event is about its current life in a running or stopping community, else nullptr.
  Process* current(Rank rank, Incarnation incarnation);
  Community& of(Rank rank);
  bool all_in(const Community& community, bool (*holds)(const Process&)) const;
  void note(TimeMs at, const Community& community, Note::Kind kind, Effects& out, Version version = {});
  void note_lost(TimeMs at, Community& community, std::optional<Rank> rank, Effects& out);
  void start(TimeMs at, Community& community, Effects& out);
  void stop(TimeMs at, Community& community, Verdict verdict, Effects& out);
  void restart(TimeMs at, Community& community, const std::optional<DeathPlace>& place, Effects& out);
  void end(TimeMs at, std::int32_t exit_code, std::string text, Effects& out);
  void kill_all(TimeMs at, Effects& out);
  void end_if_over(Effects& out);
  CommunityId id_of(const Community& community) const;

  JobConfig config_;
  std::vector<Process> processes_;
  std::vector<Community> communities_;
  std::optional<EndJob> end_;           // why and how the job is ending
  std::optional<std::int32_t> signal_;  // a terminating signal was passed on
  std::optional<TimeMs> signal_due_;
  bool ended_ = false;
};

}  // namespace rk::recovery

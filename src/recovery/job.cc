// SPDX-License-Identifier: Apache-2.0
#include "recovery/job.h"

#include <algorithm>
#include <array>
#include <csignal>

#include "base/check.h"

namespace rk::recovery {
namespace {

constexpr std::int32_t kSignalBase = 128;
constexpr std::int32_t kMaxSignal = 64;
constexpr std::int32_t kKilledStatus = kSignalBase + 9;  // of a process that vanished without a word from mpirun

bool is_crash(std::int32_t status) { return status > kSignalBase && status <= kSignalBase + kMaxSignal; }

// Signals that a process gets for what it did itself.
bool is_own_fault(std::int32_t status) {
  constexpr std::array kFaults = {SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS};
  return std::find(kFaults.begin(), kFaults.end(), status - kSignalBase) != kFaults.end();
}

std::string name_of(CommunityId community) { return "community " + std::to_string(community.value); }

}  // namespace

const char* to_string(CommunityState state) {
  switch (state) {
    case CommunityState::kIdle:
      return "idle";
    case CommunityState::kRunning:
      return "running";
    case CommunityState::kStopping:
      return "stopping";
    case CommunityState::kFencing:
      return "restarting";
    case CommunityState::kFinished:
      return "finished";
    case CommunityState::kOver:
      return "ended";
  }
  return "unknown";
}

Job::Job(JobConfig config) : config_(std::move(config)), processes_(config_.community_of.size()) {
  for (std::uint32_t rank = 0; rank < config_.community_of.size(); ++rank) {
    const std::uint32_t number = config_.community_of[rank].value;
    RK_CHECK(number < config_.community_of.size());
    if (number >= communities_.size()) communities_.resize(number + 1);
    communities_[number].ranks.push_back(Rank(rank));
  }
  for (const Community& community : communities_) RK_CHECK(!community.ranks.empty());
}

const std::vector<Rank>& Job::members(CommunityId community) const {
  RK_CHECK(community.value < communities_.size());
  return communities_[community.value].ranks;
}

CommunityInfo Job::community(CommunityId community) const {
  RK_CHECK(community.value < communities_.size());
  const Community& one = communities_[community.value];
  CommunityInfo info = one.info;
  info.ready = all_in(one, [](const Process& process) {
    return process.state == ProcessState::kReady || process.state == ProcessState::kFinished;
  });
  info.replaying = info.state == CommunityState::kRunning && !one.replayed_at;
  return info;
}

bool Job::expects(CommunityId community, Incarnation incarnation) const {
  if (community.value >= communities_.size()) return false;
  const CommunityInfo& info = communities_[community.value].info;
  return info.state == CommunityState::kRunning && info.incarnation == incarnation;
}

void Job::step(const Event& event, Effects& out) {
  if (ended_) return;
  std::visit([&](const auto& what) { on(event.at, what, out); }, event.what);
  if (end_) end_if_over(out);
}

void Job::on(TimeMs at, const Start&, Effects& out) {
  for (Community& community : communities_)
    if (community.info.state == CommunityState::kIdle) start(at, community, out);
}

void Job::on(TimeMs at, const ProcessConnected& event, Effects& out) {
  Process* process = current(event.rank, event.incarnation);
  if (process == nullptr || process->state != ProcessState::kAbsent) return;
  process->state = ProcessState::kStarting;
  const Community& community = of(event.rank);
  if (all_in(community, [](const Process& p) { return p.state != ProcessState::kAbsent; }))
    note(at, community, Note::Kind::kConnected, out);
}

void Job::on(TimeMs at, const LayerReady& event, Effects& out) {
  Process* process = current(event.rank, event.incarnation);
  if (process == nullptr || process->state != ProcessState::kStarting) return;
  process->state = ProcessState::kReady;
  process->nothing_to_replay = event.incarnation.value > 1 && !event.replaying;
  Community& community = of(event.rank);
  if (all_in(community, [](const Process& p) { return p.state == ProcessState::kReady; }))
    note(at, community, Note::Kind::kReady, out);
  if (process->nothing_to_replay) look_for_end_of_replay(at, community, out);
}

void Job::look_for_end_of_replay(TimeMs at, Community& community, Effects& out) {
  if (community.replayed_at && community.info.incarnation.value > 1) return;
  if (!all_in(community, [](const Process& p) { return p.replayed || p.nothing_to_replay; })) return;
  if (all_in(community, [](const Process& p) { return !p.replayed; })) return;
  community.replayed_at = at;
  note(at, community, Note::Kind::kReplayed, out);
}

void Job::on(TimeMs at, const PhaseReached& event, Effects& out) {
  Process* process = current(event.rank, event.incarnation);
  if (process == nullptr) return;
  Community& community = of(event.rank);
  switch (event.kind) {
    case PhaseReached::Kind::kRestored:
      if (process->restored) return;
      process->restored = true;
      community.restored = event.version;
      if (all_in(community, [](const Process& p) { return p.restored; }))
        note(at, community, Note::Kind::kRestored, out, event.version);
      return;
    case PhaseReached::Kind::kReplayed:
      if (process->replayed) return;
      process->replayed = true;
      look_for_end_of_replay(at, community, out);
      return;
    case PhaseReached::Kind::kCheckpointed:
      if (event.version <= community.checkpoint) return;  // the first process to say it speaks for all
      community.checkpoint = event.version;
      community.idle_restarts = 0;
      note(at, community, Note::Kind::kCheckpointed, out, event.version);
      return;
  }
}

void Job::on(TimeMs /*at*/, const LayerFinished& event, Effects& /*out*/) {
  Process* process = current(event.rank, event.incarnation);
  if (process == nullptr || process->state == ProcessState::kGone) return;
  process->state = ProcessState::kFinished;
}

void Job::on(TimeMs at, const ProcessGone& event, Effects& out) {
  Process* process = current(event.rank, event.incarnation);
  if (process == nullptr) return;
  const ProcessState before = process->state;
  process->state = ProcessState::kGone;
  Community& community = of(event.rank);
  // A program that does not use MPI ends without a word, each process when it likes: mpirun's status tells.
  if (before != ProcessState::kReady || community.info.state != CommunityState::kRunning) return;
  note_lost(at, community, event.first ? std::optional(event.rank) : std::nullopt, out);
  if (!community.verdict_due) community.verdict_due = at + config_.verdict_wait_ms;
}

void Job::on(TimeMs at, const MpirunExited& event, Effects& out) {
  RK_CHECK(event.community.value < communities_.size());
  Community& community = communities_[event.community.value];
  if (community.info.state != CommunityState::kRunning || community.info.incarnation != event.incarnation) return;
  community.status = event.status;
  if (event.status == 0) return stop(at, community, Verdict::kSuccess, out);
  if (is_crash(event.status)) {
    note_lost(at, community, std::nullopt, out);
    return stop(at, community, Verdict::kCrash, out);
  }
  end(at, event.status, "", out);
}

void Job::on(TimeMs at, const AllDead& event, Effects& out) {
  RK_CHECK(event.community.value < communities_.size());
  Community& community = communities_[event.community.value];
  if (community.info.state != CommunityState::kStopping || community.info.incarnation != event.incarnation) return;
  for (const Rank rank : community.ranks) processes_[rank.value] = Process{};
  if (community.verdict == Verdict::kSuccess) {
    community.info.state = CommunityState::kFinished;
    note(at, community, Note::Kind::kFinished, out);
    const bool all = std::all_of(communities_.begin(), communities_.end(),
                                 [](const Community& c) { return c.info.state == CommunityState::kFinished; });
    if (all && !end_) end_ = EndJob{0, ""};
    return;
  }
  note(at, community, Note::Kind::kDead, out);
  if (end_) {
    community.info.state = CommunityState::kOver;
    return;
  }
  restart(at, community, event.place, out);
}

void Job::on(TimeMs at, const Fenced& event, Effects& out) {
  RK_CHECK(event.community.value < communities_.size());
  Community& community = communities_[event.community.value];
  if (community.info.state != CommunityState::kFencing || community.info.incarnation != event.incarnation) return;
  start(at, community, out);
}

void Job::on(TimeMs at, const AbortRequested& event, Effects& out) { end(at, event.exit_code, event.text, out); }

void Job::on(TimeMs at, const SignalReceived& event, Effects& out) {
  if (event.kind == SignalReceived::Kind::kOther) {
    out.emplace_back(SignalProcesses{event.number});
    return;
  }
  const bool nobody_to_tell = std::any_of(communities_.begin(), communities_.end(), [&](const Community& c) {
    return c.info.state != CommunityState::kFinished &&
           all_in(c, [](const Process& p) { return p.state == ProcessState::kAbsent; });
  });
  if (signal_ || nobody_to_tell) return end(at, kSignalBase + event.number, "", out);
  signal_ = event.number;
  signal_due_ = at + config_.signal_grace_ms;
  out.emplace_back(SignalProcesses{event.number});
}

void Job::on(TimeMs at, const Tick&, Effects& out) {
  if (signal_due_ && at >= *signal_due_) end(at, kSignalBase + *signal_, "", out);
  for (Community& community : communities_) {
    if (community.info.state != CommunityState::kRunning || !community.verdict_due || at < *community.verdict_due)
      continue;
    community.status = kKilledStatus;
    stop(at, community, Verdict::kCrash, out);
  }
}

Job::Process* Job::current(Rank rank, Incarnation incarnation) {
  RK_CHECK(rank.value < processes_.size());
  const CommunityInfo& info = of(rank).info;
  const bool lives = info.state == CommunityState::kRunning || info.state == CommunityState::kStopping;
  return lives && info.incarnation == incarnation ? &processes_[rank.value] : nullptr;
}

Job::Community& Job::of(Rank rank) { return communities_[config_.community_of[rank.value].value]; }

bool Job::all_in(const Community& community, bool (*holds)(const Process&)) const {
  return std::all_of(community.ranks.begin(), community.ranks.end(),
                     [&](Rank rank) { return holds(processes_[rank.value]); });
}

CommunityId Job::id_of(const Community& community) const { return config_.community_of[community.ranks[0].value]; }

void Job::note(TimeMs at, const Community& community, Note::Kind kind, Effects& out, Version version) {
  out.emplace_back(Note{at, kind, id_of(community), community.info.incarnation, std::nullopt, version, ""});
}

void Job::note_lost(TimeMs at, Community& community, std::optional<Rank> rank, Effects& out) {
  if (community.lost_noted) return;
  community.lost_noted = true;
  community.info.lost_first = rank;
  out.emplace_back(Note{at, Note::Kind::kLost, id_of(community), community.info.incarnation, rank, {}, ""});
}

void Job::start(TimeMs at, Community& community, Effects& out) {
  const bool first = community.info.incarnation == Incarnation{};
  if (first) community.info.incarnation = Incarnation(1);
  community.info.state = CommunityState::kRunning;
  community.verdict = Verdict::kNone;
  community.verdict_due.reset();
  community.lost_noted = false;
  community.info.lost_first.reset();
  community.restored = {};
  // A first life has nothing to replay; a later one is measured from the end of its replay.
  community.replayed_at = first ? std::optional<TimeMs>(at) : std::nullopt;
  out.emplace_back(StartCommunity{id_of(community), community.info.incarnation});
  note(at, community, Note::Kind::kStarted, out);
}

void Job::stop(TimeMs at, Community& community, Verdict verdict, Effects& out) {
  community.info.state = CommunityState::kStopping;
  community.verdict = verdict;
  community.verdict_due.reset();
  if (community.replayed_at && at >= *community.replayed_at + config_.progress_ms) community.idle_restarts = 0;
  out.emplace_back(KillCommunity{id_of(community), community.info.incarnation});
  if (verdict != Verdict::kSuccess) note(at, community, Note::Kind::kKilled, out);
}

void Job::restart(TimeMs at, Community& community, const std::optional<DeathPlace>& place, Effects& out) {
  community.info.state = CommunityState::kOver;  // unless it gets another life below
  if (signal_) return end(at, kSignalBase + *signal_, "", out);
  std::optional<Death> death;
  if (place && community.info.lost_first && is_own_fault(community.status))
    death = Death{*community.info.lost_first, community.status, community.restored, *place};
  if (death && death == community.death)
    return end(at, community.status,
               "rank " + std::to_string(death->rank.value) + " died of signal " +
                   std::to_string(community.status - kSignalBase) + " twice at the same place, after " +
                   std::to_string(place->sent) + " messages to other communities and " +
                   std::to_string(place->stdout_lines) +
                   " lines of output: the program repeats this fault, so look for it there",
               out);
  community.death = death;
  if (community.idle_restarts >= config_.max_idle_restarts)
    return end(at, community.status,
               name_of(id_of(community)) + " was lost again after " + std::to_string(community.idle_restarts) +
                   " restarts without progress: look for a fault that the program repeats, or take checkpoints",
               out);
  if (community.info.restarts >= config_.max_restarts)
    return end(at, community.status,
               name_of(id_of(community)) + " was restarted " + std::to_string(community.info.restarts) +
                   " times, which is the limit of a job: look for the cause of the failures",
               out);
  ++community.idle_restarts;
  ++community.info.restarts;
  ++community.info.incarnation.value;
  community.info.state = CommunityState::kFencing;
  out.emplace_back(FenceCommunity{id_of(community), community.info.incarnation});
}

void Job::end(TimeMs at, std::int32_t exit_code, std::string text, Effects& out) {
  if (end_) return kill_all(at, out);
  end_ = EndJob{exit_code, text};
  out.emplace_back(Note{at, Note::Kind::kEnding, {}, {}, std::nullopt, {}, std::move(text)});
  kill_all(at, out);
}

void Job::kill_all(TimeMs at, Effects& out) {
  for (Community& community : communities_) {
    switch (community.info.state) {
      case CommunityState::kRunning:
        stop(at, community, Verdict::kNone, out);
        break;
      case CommunityState::kIdle:
      case CommunityState::kFencing:
        community.info.state = CommunityState::kOver;
        break;
      case CommunityState::kStopping:
      case CommunityState::kFinished:
      case CommunityState::kOver:
        break;
    }
  }
}

void Job::end_if_over(Effects& out) {
  const bool over = std::all_of(communities_.begin(), communities_.end(), [](const Community& c) {
    return c.info.state == CommunityState::kFinished || c.info.state == CommunityState::kOver;
  });
  if (!over) return;
  ended_ = true;
  out.emplace_back(*end_);
}

}  // namespace rk::recovery

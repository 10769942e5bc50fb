// SPDX-License-Identifier: Apache-2.0
#include "launch/runner.h"

#include <poll.h>
#include <sys/stat.h>

#include <cerrno>
#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "launch/exec_rank.h"

namespace rk::launch {
namespace {

constexpr std::uint64_t kTickMs = 100;
constexpr int kServerFailed = 69;  // EX_UNAVAILABLE
constexpr int kSystemFailed = 71;  // EX_OSERR
constexpr int kOutputClosed = 128 + SIGPIPE;

// For the progress line.
std::string what_it_does(const recovery::CommunityInfo& info) {
  if (info.state != recovery::CommunityState::kRunning) return recovery::to_string(info.state);
  if (!info.ready) return "starting";
  return info.replaying ? "replaying" : "working";
}

}  // namespace

Runner::Runner(JobSetup setup)
    : setup_(std::move(setup)),
      screen_(loop_, setup_.options.quiet),
      output_(loop_, screen_, setup_.options.ranks),
      input_(loop_, 0),
      job_([&] {
        recovery::JobConfig config;
        config.community_of = setup_.community_of;
        config.max_idle_restarts = setup_.options.max_restarts;
        return config;
      }()),
      runs_(setup_.options.communities),
      kill_waits_(setup_.options.kills.size(), false),
      killed_life_(setup_.options.kills.size()) {
  record_.program = setup_.options.program[0];
  record_.job = setup_.job;
  record_.server = setup_.server;
  record_.communities = setup_.options.communities;
  record_.processes.resize(setup_.options.ranks);
  for (std::uint32_t rank = 0; rank < setup_.options.ranks; ++rank)
    record_.processes[rank].community = setup_.community_of[rank];
  for (const KillRequest& kill : setup_.options.kills)
    record_.kills.push_back(recovery::KillRecord{kill.text, std::nullopt});
}

Runner::~Runner() = default;

Result<recovery::RunRecord> Runner::run() {
  RK_TRY(Signals signals, Signals::start(
                              loop_, [this](pid_t pid, int status) { on_child(pid, status); },
                              [this](int number) { on_signal(number); }));
  signals_.emplace(std::move(signals));
  RK_TRY(shm::Descriptor listener, listen_at(setup_.directories->root() + "/control"));
  table_ = std::make_unique<ProcessTable>(loop_, std::move(listener), *this, setup_.options.ranks * 2 + 16);
  RK_TRY_VOID(create_job());
  loop_.watch(setup_.link->descriptor(), POLLIN, [this](short) { on_server(); });
  plan_kills();
  loop_.after(kTickMs, [this] { on_tick(); });
  feed(recovery::Start{});
  while (!end_) loop_.turn();
  loop_.unwatch(setup_.link->descriptor());
  for (std::uint32_t rank = 0; rank < setup_.options.ranks; ++rank) output_.finish(Rank(rank));
  show_mpirun_words();
  if (const int number = screen_.flush(&*signals_, told_to_end_by_); number != 0)
    end_ = recovery::EndJob{128 + number, ""};
  read_log_counts();
  // The server forgets the job when the connection closes, too; a server that is gone needs no farewell.
  if (const auto removed = setup_.link->call<wire::Done>(wire::JobRemove{setup_.job}); !removed && end_->exit_code == 0)
    screen_.say("the server did not release the job's memory (" + removed.error().message + ")");
  finish_record();
  return record_;
}

Status Runner::create_job() {
  wire::JobCreate create;
  create.job = setup_.job;
  create.community_of = setup_.community_of;
  create.log_limit_bytes = setup_.options.log_limit_bytes;
  RK_TRY(const wire::Done done, setup_.link->call<wire::Done>(create));
  static_cast<void>(done);
  return {};
}

void Runner::work() {
  if (working_) return;  // an effect's own event waits for its turn
  working_ = true;
  while (!events_.empty()) {
    const recovery::Event event = std::move(events_.front());
    events_.pop_front();
    recovery::Effects effects;
    job_.step(event, effects);
    for (const recovery::Effect& effect : effects) carry_out(effect);
  }
  working_ = false;
  show_progress();
}

void Runner::carry_out(const recovery::Effect& effect) {
  std::visit([this](const auto& one) { carry_out(one); }, effect);
}

void Runner::carry_out(const recovery::StartCommunity& effect) {
  if (effect.incarnation.value > 1)
    for (const Rank rank : job_.members(effect.community)) output_.restart(rank);
  if (const Status started = start_community(effect.community, effect.incarnation); !started)
    feed(recovery::AbortRequested{kSystemFailed, started.error().message});
}

Status Runner::start_community(CommunityId community, Incarnation incarnation) {
  CommunityRun& run = runs_[community.value];
  const std::string name = "c" + std::to_string(community.value) + "-" + std::to_string(incarnation.value);
  run.incarnation = incarnation;
  run.directory = setup_.directories->root() + "/" + name;
  const std::string memory = setup_.directories->memory() + "/" + name;
  for (const std::string& directory : {run.directory, memory}) RK_TRY_VOID(make_private_directory(directory));
  MpirunRequest request;
  request.mpirun = setup_.mpirun;
  request.self = setup_.self;
  request.program = setup_.options.program;
  request.processes = static_cast<std::uint32_t>(job_.members(community).size());
  request.oversubscribed = setup_.binding.oversubscribed;
  request.session_directory = run.directory;
  request.memory_directory = memory;
  request.environment = {{wire::kEnvJob, job_text(setup_.job)},
                         {kEnvCommunity, std::to_string(community.value)},
                         {wire::kEnvIncarnation, std::to_string(incarnation.value)},
                         {kEnvControlSocket, setup_.directories->root() + "/control"},
                         {"TMPDIR", run.directory}};
  RK_TRY(Mpirun started, Mpirun::start(loop_, request));
  run.mpirun = std::make_unique<Mpirun>(std::move(started));
  mpiruns_[run.mpirun->pid()] = community;
  return {};
}

void Runner::carry_out(const recovery::KillCommunity& effect) {
  CommunityRun& run = runs_[effect.community.value];
  run.killer = std::make_unique<Killer>(
      loop_,
      std::vector<std::string>{std::string(wire::kEnvJob) + "=" + job_text(setup_.job),
                               std::string(kEnvCommunity) + "=" + std::to_string(effect.community.value)},
      [this, effect] { on_dead(effect.community, effect.incarnation); });
}

void Runner::on_dead(CommunityId community, Incarnation incarnation) {
  CommunityRun& run = runs_[community.value];
  table_->pump();  // their last words, and the ends of their connections
  const auto place = place_of_death(community);
  for (const Rank rank : job_.members(community)) {
    output_.close(rank);
    if (rank == Rank(0)) input_.end_life();
  }
  if (run.mpirun) {
    run.said = run.mpirun->said();
    mpiruns_.erase(run.mpirun->pid());
  }
  run.mpirun.reset();
  run.killer.reset();
  remove_tree(run.directory);
  if (setup_.directories->memory() != setup_.directories->root())
    remove_tree(setup_.directories->memory() + run.directory.substr(run.directory.rfind('/')));
  feed(recovery::AllDead{community, incarnation, place});
}

// The counts in the log are of all lives: the difference to the last death is this life's. If the process also died
// without being the first in between, it is that of more than one life, and equal to none.
std::optional<recovery::DeathPlace> Runner::place_of_death(CommunityId community) {
  const auto rank = job_.community(community).lost_first;
  if (!rank) return std::nullopt;
  output_.drain(*rank);
  const auto counts = client::read_log_counts_of(*setup_.link, {setup_.job, *rank, setup_.options.ranks});
  if (!counts) return std::nullopt;  // without its server the job ends anyway
  const log::SegmentCounts before = std::exchange(at_death_[*rank], *counts);
  recovery::DeathPlace place;
  place.sent = counts->messages_sent + counts->resent - before.messages_sent - before.resent;
  place.received = counts->received - before.received;
  place.determinants =
      counts->determinants + counts->determinants_replayed - before.determinants - before.determinants_replayed;
  place.stdout_lines = output_.position(*rank)[0];
  return place;
}

void Runner::carry_out(const recovery::FenceCommunity& effect) {
  client::CallOptions call;
  call.incarnation = effect.incarnation;
  const auto done = setup_.link->call<wire::Done>(wire::JobFence{setup_.job, effect.community}, call);
  if (done)
    feed(recovery::Fenced{effect.community, effect.incarnation});
  else
    feed(recovery::AbortRequested{kServerFailed, done.error().message});
}

void Runner::carry_out(const recovery::SignalProcesses& effect) { table_->signal_all(effect.number); }

void Runner::carry_out(const recovery::Note& effect) {
  record_.notes.push_back(effect);
  if (effect.kind == recovery::Note::Kind::kFinished)
    for (const Rank rank : job_.members(effect.community)) output_.finish(rank);
}

void Runner::carry_out(const recovery::EndJob& effect) { end_ = effect; }

void Runner::on_child(pid_t pid, int status) {
  if (setup_.ring) {
    if (const std::string name = setup_.ring->name_of(pid); !name.empty())
      return feed(recovery::AbortRequested{kServerFailed, name +
                                                              " of the embedded ring has ended: what the job "
                                                              "committed is no longer safe, so start the job again"});
  }
  const auto found = mpiruns_.find(pid);
  if (found == mpiruns_.end()) return;
  const CommunityId community = found->second;
  mpiruns_.erase(found);
  table_->pump();  // what its processes said before they ended comes first
  const std::int32_t code = exit_status_of(status);
  if (code == 0) forget_late_kills(community);
  feed(recovery::MpirunExited{community, runs_[community.value].incarnation, code});
}

// A signal can be sent to a process that is ending already. All of this community's have ended well, so it was late.
void Runner::forget_late_kills(CommunityId community) {
  for (std::size_t i = 0; i < setup_.options.kills.size(); ++i) {
    const KillRequest& kill = setup_.options.kills[i];
    const bool of_this_life = killed_life_[i] == runs_[community.value].incarnation;
    if (kill.at_ms && setup_.community_of[kill.rank.value] == community && of_this_life)
      record_.kills[i].done_at.reset();
  }
}

void Runner::on_signal(int number) {
  using Kind = recovery::SignalReceived::Kind;
  switch (number) {
    case SIGINT:
    case SIGTERM:
    case SIGHUP:
    case SIGQUIT:
      told_to_end_by_ = number;
      return feed(recovery::SignalReceived{Kind::kTerminate, number});
    case SIGTSTP:
      // The processes have process groups of their own without a shell above them, where SIGTSTP does nothing.
      feed(recovery::SignalReceived{Kind::kOther, SIGSTOP});
      ::raise(SIGSTOP);
      return;
    default:
      return feed(recovery::SignalReceived{Kind::kOther, number});
  }
}

void Runner::on_server() {
  const auto notices = setup_.link->take_notices();
  if (!notices) {
    loop_.unwatch(setup_.link->descriptor());
    return feed(recovery::AbortRequested{kServerFailed, notices.error().message});
  }
  for (const wire::ServerNotice& notice : *notices) {
    if (notice.fatal)
      feed(recovery::AbortRequested{kServerFailed, notice.text});
    else
      screen_.say(notice.text);
  }
}

void Runner::on_tick() {
  if (screen_.broken() && !job_.ending()) feed(recovery::AbortRequested{kOutputClosed, ""});
  feed(recovery::Tick{});
  if (!end_) loop_.after(kTickMs, [this] { on_tick(); });
}

void Runner::plan_kills() {
  for (std::size_t i = 0; i < setup_.options.kills.size(); ++i)
    if (const auto at = setup_.options.kills[i].at_ms) loop_.after(*at, [this, i] { kill_now(i); });
}

// A kill that comes due while its process is not there, or was told to die by an earlier one, is meant for its next
// life.
void Runner::kill_now(std::size_t request) {
  const Rank rank = setup_.options.kills[request].rank;
  const auto& lives = record_.processes[rank.value].lives;
  const Incarnation current = lives.empty() ? Incarnation{} : lives.back().incarnation;
  bool told = false;
  for (std::size_t i = 0; i < setup_.options.kills.size(); ++i)
    told = told || (setup_.options.kills[i].rank == rank && killed_life_[i] == current);
  const bool done = !told && table_->signal(rank, SIGKILL);
  kill_waits_[request] = !done;
  if (!done) return;
  killed_life_[request] = current;
  record_.kills[request].done_at = loop_.now_ms();
}

void Runner::show_mpirun_words() {
  // After a failure the user wants to know what mpirun said; a crash that was recovered from is our business.
  if (end_->exit_code == 0) return;
  for (const CommunityRun& run : runs_)
    if (!run.said.empty()) screen_.show(2, run.said);
}

recovery::LifeRecord* Runner::life(Rank rank, Incarnation incarnation) {
  for (recovery::LifeRecord& one : record_.processes[rank.value].lives)
    if (one.incarnation == incarnation) return &one;
  return nullptr;
}

void Runner::show_progress() {
  if (!screen_.has_progress()) return;
  char clock[32];
  const std::uint64_t tenths = loop_.now_ms() / 100;
  std::snprintf(clock, sizeof clock, "[%4" PRIu64 ".%u s] ", tenths / 10, static_cast<unsigned>(tenths % 10));
  std::string line = clock + std::to_string(setup_.options.ranks) + " processes";
  for (std::uint32_t i = 0; i < job_.communities(); ++i) {
    const recovery::CommunityInfo info = job_.community(CommunityId(i));
    line += std::string(i == 0 ? ": " : ", ") + "community " + std::to_string(i) + " " + what_it_does(info);
    if (info.restarts > 0) line += " (restart " + std::to_string(info.restarts) + ")";
  }
  screen_.progress(line.substr(0, 160));
}

// Before the server forgets the job. Without the server, the report has what the processes said themselves.
void Runner::read_log_counts() {
  const auto counts = client::read_log_counts(*setup_.link, setup_.job, setup_.options.ranks);
  if (!counts) {
    if (end_->exit_code == 0)
      screen_.say("the report lacks the counts of processes that were killed (" + counts.error().message + ")");
    return;
  }
  for (std::size_t rank = 0; rank < counts->size(); ++rank) {
    const log::SegmentCounts& from = (*counts)[rank];
    wire::LayerStats& to = record_.processes[rank].logged.emplace();
    to.messages_sent = from.messages_sent;
    to.bytes_logged = from.bytes_sent;
    to.messages_received = from.received;
    to.messages_replayed = from.replayed;
    to.messages_resent = from.resent;
    to.resent_verified = from.resent_verified;
    to.resent_differing = from.resent_differing;
    to.determinants = from.determinants;
    to.determinants_replayed = from.determinants_replayed;
  }
}

void Runner::finish_record() {
  record_.elapsed = loop_.now_ms();
  record_.exit_code = end_->exit_code;
  record_.text = end_->text;
  record_.output = output_.totals();
  record_.malformed_frames = table_->malformed();
  if (const auto difference = output_.first_difference())
    record_.difference = "rank " + std::to_string(difference->rank.value) + ", line " +
                         std::to_string(difference->line.number + 1) + " of standard " +
                         (difference->stream == 1 ? "output" : "error") + ": " + difference->line.text;
}

}  // namespace rk::launch

// SPDX-License-Identifier: Apache-2.0
// The runner's side of the control conversation: admission of processes and their frames.
#include <algorithm>
#include <cstdlib>

#include "base/check.h"
#include "launch/runner.h"

namespace rk::launch {
namespace {

#ifndef RINGKEEP_PRELOAD_FIRST
#define RINGKEEP_PRELOAD_FIRST ""  // what a sanitized build loads in front of the layer, with the colon after it
#endif
constexpr int kLimitReached = 75;  // EX_TEMPFAIL
constexpr const char* kPreloadFirst = RINGKEEP_PRELOAD_FIRST;

recovery::PhaseReached::Kind phase_of(wire::Phase phase) {
  switch (phase) {
    case wire::Phase::kRestored:
      return recovery::PhaseReached::Kind::kRestored;
    case wire::Phase::kReplayed:
      return recovery::PhaseReached::Kind::kReplayed;
    case wire::Phase::kCheckpointed:
      return recovery::PhaseReached::Kind::kCheckpointed;
  }
  return recovery::PhaseReached::Kind::kReplayed;
}

}  // namespace

Result<Admission> Runner::admit(const wire::ProcessHello& hello, pid_t pid) {
  RK_TRY(const std::uint16_t version, wire::agree(wire::VersionRange{}, hello.versions));
  static_cast<void>(version);
  if (hello.job != setup_.job || !job_.expects(hello.community, hello.incarnation))
    return fail(ErrorCode::kFenced, "a process of an older incarnation comes too late: it ends");
  const std::vector<Rank>& members = job_.members(hello.community);
  if (hello.local_rank >= members.size())
    return fail(ErrorCode::kInvalidArgument, "the community has no native rank " + std::to_string(hello.local_rank));
  const Rank rank = members[hello.local_rank];
  if (life(rank, hello.incarnation) != nullptr)
    return fail(ErrorCode::kExists, "rank " + std::to_string(rank.value) + " has introduced itself already");
  Admission admission;
  admission.rank = rank;
  RK_TRY(auto streams, output_.open(rank));
  for (shm::Descriptor& stream : streams) admission.descriptors.push_back(std::move(stream));
  admission.start = start_message(rank, hello.incarnation);
  if (rank == Rank(0) && input_.open()) {
    auto input = input_.begin_life();
    if (!input) {
      feed(recovery::AbortRequested{kLimitReached, input.error().message});
      return tl::unexpected(input.error());
    }
    admission.start.has_stdin = true;
    admission.descriptors.push_back(std::move(*input));
  }
  recovery::LifeRecord life;
  life.incarnation = hello.incarnation;
  life.pid = static_cast<std::uint32_t>(pid);
  life.connected_at = loop_.now_ms();
  record_.processes[rank.value].lives.push_back(life);
  // A kill that was due while the process was not there: as soon as it is.
  for (std::size_t i = 0; i < kill_waits_.size(); ++i)
    if (kill_waits_[i] && setup_.options.kills[i].rank == rank) loop_.after(0, [this, i] { kill_now(i); });
  feed(recovery::ProcessConnected{rank, hello.incarnation, life.pid});
  return admission;
}

wire::ProcessStart Runner::start_message(Rank rank, Incarnation incarnation) {
  wire::ProcessStart start;
  start.rank = rank;
  start.cpus = setup_.binding.cpus_of[rank.value];
  std::string communities;
  for (const CommunityId community : setup_.community_of)
    communities += (communities.empty() ? "" : ",") + std::to_string(community.value);
  const auto set = [&](const char* name, const std::string& value) { start.environment.push_back({name, value}); };
  set(wire::kEnvSocket, setup_.link->socket_path());
  set(wire::kEnvJob, job_text(setup_.job));
  set(wire::kEnvRank, std::to_string(rank.value));
  set(wire::kEnvCommunities, communities);
  set(wire::kEnvIncarnation, std::to_string(incarnation.value));
  set(wire::kEnvOptions, layer_options(rank, incarnation));
  const char* temporary = std::getenv("TMPDIR");
  set("TMPDIR", temporary != nullptr ? temporary : "");  // mpirun's own was ours
  if (setup_.layer) {
    const char* preload = std::getenv("LD_PRELOAD");
    set("LD_PRELOAD",
        kPreloadFirst + *setup_.layer + (preload != nullptr && *preload != '\0' ? ":" + std::string(preload) : ""));
  }
  return start;
}

// Each request for a rank by messages belongs to one life of it, in the order of the command line.
std::optional<std::size_t> Runner::message_kill(Rank rank, Incarnation incarnation) const {
  std::uint64_t life_number = 0;
  for (std::size_t i = 0; i < setup_.options.kills.size(); ++i) {
    const KillRequest& kill = setup_.options.kills[i];
    if (kill.rank == rank && kill.at_message && ++life_number == incarnation.value) return i;
  }
  return std::nullopt;
}

std::string Runner::layer_options(Rank rank, Incarnation incarnation) const {
  std::string options = setup_.binding.oversubscribed ? "spin=0" : "spin=1";
  options += setup_.options.strict_divergence ? ",on_divergence=strict" : ",on_divergence=keep";
  if (const auto kill = message_kill(rank, incarnation))
    options += ",kill_at_message=" + std::to_string(*setup_.options.kills[*kill].at_message);
  return options;
}

Status Runner::on_frame(Rank rank, Incarnation incarnation, const wire::Frame& frame) {
  recovery::LifeRecord* const record = life(rank, incarnation);
  RK_CHECK(record != nullptr);
  switch (frame.type) {
    case wire::MessageType::kLayerReady: {
      RK_TRY(const wire::LayerReady ready, wire::from_frame<wire::LayerReady>(frame));
      record->ready_at = loop_.now_ms();
      record_.mpi_library = ready.mpi_library;
      feed(recovery::LayerReady{rank, incarnation, ready.replaying});
      return {};
    }
    case wire::MessageType::kOutputPosition:
    case wire::MessageType::kOutputSuspend:
    case wire::MessageType::kOutputResume:
      return on_output_request(rank, frame);
    case wire::MessageType::kPhaseReport: {
      RK_TRY(const wire::PhaseReport report, wire::from_frame<wire::PhaseReport>(frame));
      feed(recovery::PhaseReached{rank, incarnation, phase_of(report.phase), report.version});
      return {};
    }
    case wire::MessageType::kLayerStats: {
      RK_TRY(record->stats, wire::from_frame<wire::LayerStats>(frame));
      return {};
    }
    case wire::MessageType::kJobAbort: {
      RK_TRY(const wire::JobAbort abort, wire::from_frame<wire::JobAbort>(frame));
      feed(recovery::AbortRequested{abort.exit_code, abort.message});
      return {};
    }
    case wire::MessageType::kLayerFinished: {
      RK_TRY(const wire::LayerFinished finished, wire::from_frame<wire::LayerFinished>(frame));
      record->stats = finished.stats;
      record->finished = true;
      feed(recovery::LayerFinished{rank, incarnation});
      return {};
    }
    default:
      return fail(ErrorCode::kCorrupt, "message type " + std::to_string(static_cast<std::uint32_t>(frame.type)) +
                                           " does not belong to the control conversation");
  }
}

Status Runner::on_output_request(Rank rank, const wire::Frame& frame) {
  output_.drain(rank);
  if (frame.type == wire::MessageType::kOutputSuspend) output_.suspend(rank);
  if (frame.type == wire::MessageType::kOutputResume) {
    RK_TRY(const wire::OutputResume resume, wire::from_frame<wire::OutputResume>(frame));
    output_.resume(rank, resume.stdout_lines, resume.stderr_lines);
  }
  const auto [out, err] = output_.position(rank);
  return table_->send(rank, wire::OutputPositionAnswer{out, err});
}

void Runner::on_gone(Rank rank, Incarnation incarnation) {
  recovery::LifeRecord* const record = life(rank, incarnation);
  RK_CHECK(record != nullptr);
  record->gone_at = loop_.now_ms();
  const auto kill = message_kill(rank, incarnation);
  if (kill && !record->finished && !job_.ending()) record_.kills[*kill].done_at = record->gone_at;
  const std::vector<Rank>& members = job_.members(setup_.community_of[rank.value]);
  const auto others = std::count_if(members.begin(), members.end(), [&](Rank other) {
    return other != rank && life(other, incarnation) != nullptr && table_->hung_up(other);
  });
  feed(recovery::ProcessGone{rank, incarnation, others == 0});
}

}  // namespace rk::launch

// SPDX-License-Identifier: Apache-2.0
// Conversation of a process of a job with its launcher, over a local socket in the job's private directory. It starts
// in the wrapper (`ringkeep exec-rank`), which takes its standard streams from the launcher, and goes on, on the same
// descriptor, in libringkeep-mpi after exec. End of file means that the process is gone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "wire/codec.h"

namespace rk::wire {

// Wrapper -> launcher, once. The launcher takes the pid from SO_PEERCRED.
struct ProcessHello {
  static constexpr MessageType kType = MessageType::kProcessHello;
  VersionRange versions;
  JobId job;
  CommunityId community;
  Incarnation incarnation;       // of the community
  std::uint32_t local_rank = 0;  // native rank inside the community's MPI job
  RK_FIELDS(versions, job, community, incarnation, local_rank)
};

struct EnvironmentVariable {
  std::string name;
  std::string value;  // empty: unset it
  RK_FIELDS(name, value)
};

// Launcher -> wrapper: two or three descriptors travel along: standard output, standard error, and standard input if
// `has_stdin`. The wrapper binds to `cpus` (empty: leave as is), sets the environment and executes the program.
struct ProcessStart {
  static constexpr MessageType kType = MessageType::kProcessStart;
  Rank rank;
  bool has_stdin = false;
  std::vector<std::uint32_t> cpus;
  std::vector<EnvironmentVariable> environment;
  RK_FIELDS(rank, has_stdin, cpus, environment)
};

// Layer -> launcher at the end of MPI_Init.
struct LayerReady {
  static constexpr MessageType kType = MessageType::kLayerReady;
  std::string mpi_library;
  bool replaying = false;
  RK_FIELDS(mpi_library, replaying)
};

// Layer -> launcher, after flushing: how many whole lines of each stream have you got from me? The launcher drains the
// pipes first. Lines are counted from the start of the program's first life.
struct OutputPosition {
  static constexpr MessageType kType = MessageType::kOutputPosition;
  RK_NO_FIELDS()
};

struct OutputPositionAnswer {
  static constexpr MessageType kType = MessageType::kOutputPositionAnswer;
  std::uint64_t stdout_lines = 0;
  std::uint64_t stderr_lines = 0;
  RK_FIELDS(stdout_lines, stderr_lines)
};

// Layer -> launcher, after flushing, at a restart question that was answered with a version: what I print from here to
// OutputResume is no part of the program's output. The launcher drains the pipes first, and answers
// OutputPositionAnswer.
struct OutputSuspend {
  static constexpr MessageType kType = MessageType::kOutputSuspend;
  RK_NO_FIELDS()
};

// Layer -> launcher, at a restore: the next line that I print is this one. The launcher drains the pipes first, and
// answers OutputPositionAnswer with the new positions.
struct OutputResume {
  static constexpr MessageType kType = MessageType::kOutputResume;
  std::uint64_t stdout_lines = 0;
  std::uint64_t stderr_lines = 0;
  RK_FIELDS(stdout_lines, stderr_lines)
};

enum class Phase : std::uint8_t { kRestored = 0, kReplayed = 1, kCheckpointed = 2 };

// Layer -> launcher, one-way, for the timeline.
struct PhaseReport {
  static constexpr MessageType kType = MessageType::kPhaseReport;
  Phase phase = Phase::kReplayed;
  Version version;  // of the checkpoint restored or taken; 0 for the start of the program
  RK_FIELDS(phase, version)
};

// Counts since the process started.
struct LayerStats {
  static constexpr MessageType kType = MessageType::kLayerStats;
  std::uint64_t messages_sent = 0;      // to other communities, first time
  std::uint64_t bytes_logged = 0;       // payload of those
  std::uint64_t messages_received = 0;  // from other communities
  std::uint64_t messages_replayed = 0;  // of those, read again from the log after a restart
  std::uint64_t messages_resent = 0;    // sent again and dropped: the original stands
  std::uint64_t resent_verified = 0;    // of those, identical to the original
  std::uint64_t resent_differing = 0;   // of those, with another payload
  std::uint64_t determinants = 0;       // written
  std::uint64_t determinants_replayed = 0;
  std::uint64_t layer_cpu_us = 0;  // CPU time inside the layer, native MPI excluded
  std::uint64_t total_cpu_us = 0;  // of the process
  RK_FIELDS(messages_sent, bytes_logged, messages_received, messages_replayed, messages_resent, resent_verified,
            resent_differing, determinants, determinants_replayed, layer_cpu_us, total_cpu_us)
};

// Layer -> launcher: end the whole job, all communities. `message` empty: the program called MPI_Abort(code).
struct JobAbort {
  static constexpr MessageType kType = MessageType::kJobAbort;
  std::int32_t exit_code = 1;
  std::string message;
  RK_FIELDS(exit_code, message)
};

// Layer -> launcher, when MPI_Finalize has passed its barrier.
struct LayerFinished {
  static constexpr MessageType kType = MessageType::kLayerFinished;
  LayerStats stats;
  RK_FIELDS(stats)
};

// Environment of a process of a job, set by the launcher through ProcessStart.
inline constexpr char kEnvControlFd[] = "RINGKEEP_CONTROL_FD";  // descriptor of this conversation
inline constexpr char kEnvSocket[] = "RINGKEEP_SOCKET";         // the node's server
inline constexpr char kEnvJob[] = "RINGKEEP_JOB";               // 16 hex digits
inline constexpr char kEnvRank[] = "RINGKEEP_RANK";
inline constexpr char kEnvCommunities[] = "RINGKEEP_COMMUNITIES";  // one community number a rank: "0,0,1,1"
inline constexpr char kEnvIncarnation[] = "RINGKEEP_INCARNATION";  // of this process's community
inline constexpr char kEnvOptions[] = "RINGKEEP_OPTIONS";          // "name=value,...": see docs/environment.md
// Names in RINGKEEP_OPTIONS: kill_at_message=N (raise SIGKILL after that many messages to other communities),
// spin=0|1 (more processes than cores: yield, then sleep), on_divergence=keep|strict.

}  // namespace rk::wire

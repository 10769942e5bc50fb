// SPDX-License-Identifier: Apache-2.0
// What happened in a run, as the launcher wrote it down: the source of the report for people (report.h) and of the JSON
// form. Plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "recovery/job.h"
#include "recovery/output_filter.h"
#include "wire/control_messages.h"

namespace rk::recovery {

// One life of one process.
struct LifeRecord {
  Incarnation incarnation;
  std::uint32_t pid = 0;
  TimeMs connected_at = 0;
  std::optional<TimeMs> ready_at;  // out of MPI_Init
  std::optional<TimeMs> gone_at;
  bool finished = false;                  // out of MPI_Finalize
  std::optional<wire::LayerStats> stats;  // the newest that arrived
};

struct ProcessRecord {
  CommunityId community;
  std::vector<LifeRecord> lives;
  // Over all its lives, killed ones too, from its log segment; without CPU times. Absent if the server was lost.
  std::optional<wire::LayerStats> logged = std::nullopt;
};

struct KillRecord {
  std::string text;  // as it was asked for
  std::optional<TimeMs> done_at;
};

struct RunRecord {
  std::string program;
  JobId job;
  std::string server;  // "embedded ring of 4 servers", "server 1 at /path"
  std::uint32_t communities = 0;
  TimeMs elapsed = 0;
  std::int32_t exit_code = 0;
  std::string text;  // why it ended, if not by itself
  std::string mpi_library;
  std::vector<ProcessRecord> processes;
  std::vector<Note> notes;
  std::vector<KillRecord> kills;
  OutputCounts output;
  std::optional<std::string> difference;  // of a line printed again
  std::uint64_t malformed_frames = 0;     // on the control socket
};

}  // namespace rk::recovery

// SPDX-License-Identifier: Apache-2.0
// The report of a run for people: who rolled back, who kept working, what was logged, replayed, dropped and verified,
// how long each phase took, and a bar for each community's time. Plain text, about kReportWidth columns.
#pragma once

#include <string>
#include <vector>

#include "recovery/run_record.h"

namespace rk::recovery {

inline constexpr std::size_t kReportWidth = 110;

// One recovery of one community: moments of the job; absent if it was not reached.
struct RecoveryPhases {
  CommunityId community;
  Incarnation failed;        // the incarnation that was lost
  std::optional<Rank> rank;  // whose connection broke first
  TimeMs lost_at = 0;
  std::optional<TimeMs> dead_at;
  std::optional<TimeMs> started_at;
  std::optional<TimeMs> ready_at;
  std::optional<TimeMs> restored_at;
  std::optional<TimeMs> replayed_at;
  Version version;  // restored; 0: from the start
};
std::vector<RecoveryPhases> recoveries(const RunRecord& record);

// Counts of the log over all lives of all processes, and the CPU times that the lives reported themselves.
wire::LayerStats total_stats(const RunRecord& record);
// First moment at which every process of the job was out of MPI_Init, and the end of the last community.
std::optional<TimeMs> all_ready_at(const RunRecord& record);
std::optional<TimeMs> all_finished_at(const RunRecord& record);
std::uint32_t restarts_of(const RunRecord& record, CommunityId community);

std::string report_text(const RunRecord& record);

}  // namespace rk::recovery

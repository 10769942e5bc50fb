// SPDX-License-Identifier: Apache-2.0
// What the processes of a job sent, received and repeated over all their lives, read from their log segments: those
// outlive a process that was killed. For the launcher, when nothing of the job lives.
#pragma once

#include <cstdint>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "log/segment.h"

namespace rk::client {

class Connection;

// Of one process; all zero if it never attached to its log.
Result<log::SegmentCounts> read_log_counts_of(Connection& connection, const log::SegmentIdentity& identity);
// One entry a rank; all zero for a process that never attached to its log.
Result<std::vector<log::SegmentCounts>> read_log_counts(Connection& connection, JobId job, std::uint32_t ranks);

}  // namespace rk::client

// SPDX-License-Identifier: Apache-2.0
#include "client/log_counts.h"

#include "client/segment_mapping.h"

namespace rk::client {

Result<log::SegmentCounts> read_log_counts_of(Connection& connection, const log::SegmentIdentity& identity) {
  RK_TRY(const shm::Mapping memory, map_segment(connection, identity.job, identity.rank));
  const auto view = log::SegmentView::open(memory.bytes(), identity);
  if (view) return view->counts();
  if (view.error().code == ErrorCode::kUnavailable) return log::SegmentCounts{};  // never attached
  return tl::unexpected(view.error());
}

Result<std::vector<log::SegmentCounts>> read_log_counts(Connection& connection, JobId job, std::uint32_t ranks) {
  std::vector<log::SegmentCounts> out;
  for (std::uint32_t rank = 0; rank < ranks; ++rank) {
    RK_TRY(const log::SegmentCounts counts, read_log_counts_of(connection, {job, Rank(rank), ranks}));
    out.push_back(counts);
  }
  return out;
}

}  // namespace rk::client

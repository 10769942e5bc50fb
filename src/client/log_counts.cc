// SPDX-License-Identifier: Apache-2.0
#include "client/log_counts.h"

#include "client/connection.h"
#include "shm/mapping.h"
#include "shm/memory_file.h"

namespace rk::client {

Result<log::SegmentCounts> read_log_counts_of(Connection& connection, const log::SegmentIdentity& identity) {
  std::vector<shm::Descriptor> arrived;
  const CallOptions options{{}, &arrived, 0};
  RK_TRY(const auto opened,
         connection.call<wire::SegmentOpened>(wire::SegmentOpen{identity.job, identity.rank}, options));
  if (arrived.size() != 1)
    return fail(ErrorCode::kCorrupt,
                "the server opened a log segment without its descriptor: install matching releases");
  RK_TRY(const auto file, shm::MemoryFile::adopt(std::move(arrived[0]), opened.segment_bytes));
  RK_TRY(const auto memory, shm::Mapping::map(file.descriptor(), opened.segment_bytes, shm::Access::kReadOnly));
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

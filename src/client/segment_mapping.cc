// SPDX-License-Identifier: Apache-2.0
#include "client/segment_mapping.h"

#include "client/connection.h"
#include "shm/memory_file.h"

namespace rk::client {

Result<shm::Mapping> map_segment(Connection& connection, JobId job, Rank rank, Incarnation asker) {
  std::vector<shm::Descriptor> arrived;
  const CallOptions options{asker, &arrived, 0};
  RK_TRY(const auto opened, connection.call<wire::SegmentOpened>(wire::SegmentOpen{job, rank}, options));
  if (arrived.size() != 1)
    return fail(ErrorCode::kCorrupt,
                "the server opened a log segment without its descriptor: install matching releases");
  RK_TRY(const auto file, shm::MemoryFile::adopt(std::move(arrived[0]), opened.segment_bytes));
  return shm::Mapping::map(file.descriptor(), opened.segment_bytes, shm::Access::kReadOnly);
}

}  // namespace rk::client

// SPDX-License-Identifier: Apache-2.0
// Community checkpoints of an MPI program: rk_job_* for the processes of one community together. Every call here is
// collective over the community, and gives all its processes the same result.
//
// A checkpoint is: check that nothing is open (requests, matched messages, communicators that a restart would not
// have), a barrier, the counts of inside messages per pair compared, output flushed and its position asked for, the
// parts committed replicated, the group record committed by the leader. A version exists when that record does.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "client/checkpoint.h"
#include "client/job.h"
#include "client/protected_memory.h"
#include "log/log_state.h"
#include "mpi/layer_state.h"
#include "mpi/mpi_header.h"

namespace rk::mpi {

class CommunityJob {
 public:
  // kUnavailable outside of a job or before MPI_Init; kExists if it is open already.
  static Result<std::unique_ptr<CommunityJob>> open();
  ~CommunityJob();
  CommunityJob(const CommunityJob&) = delete;
  CommunityJob& operator=(const CommunityJob&) = delete;

  Status protect(const std::string& section, void* data, std::size_t size);
  Result<Version> restart_version();
  Status restore();
  Result<Version> checkpoint();

 private:
  CommunityJob();
  Result<wire::GroupAnswer> ask_group();
  Result<wire::GroupPart> commit_part(log::LogState& state);
  Result<Version> commit_record(const wire::GroupPart& part);
  Status load_part();
  Status trim_to(Version oldest);

  MPI_Comm comm_ = MPI_COMM_NULL;  // the community, for the layer alone
  std::string group_;
  std::string part_;
  client::ProtectedMemory protected_{client::kLogSection, kLayerSection};
  std::optional<wire::GroupAnswer> asked_;
  bool restored_ = false;
  Version newest_;
  std::map<Version, log::LogState> states_;
};

}  // namespace rk::mpi

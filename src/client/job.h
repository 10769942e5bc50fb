// SPDX-License-Identifier: Apache-2.0
// A process of a job on its own: its community's checkpoints and its place in the log, without MPI. A community of
// several processes needs libringkeep-mpi, which knows when all of them are at the same point.
//
// Its part of a version has the protected sections and one of ours, kLogSection: where the process stood in its own
// history of messages.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "client/checkpoint.h"
#include "client/layer_hooks.h"
#include "client/log_session.h"
#include "client/protected_memory.h"

namespace rk::client {

inline constexpr char kLogSection[] = "ringkeep.log";

class Job {
 public:
  static Result<std::unique_ptr<Job>> open();

  const JobEnvironment& environment() const { return session_->environment(); }
  std::uint32_t rank() const { return session_->rank(); }
  std::uint32_t size() const { return session_->ranks(); }
  std::uint32_t community() const;
  LogSession& session() { return *session_; }

  Status protect(const std::string& section, void* data, std::size_t size);
  Result<Version> restart_version();
  Status restore();
  Result<Version> checkpoint();

 private:
  explicit Job(std::unique_ptr<LogSession> session) : session_(std::move(session)) {}
  Status alone() const;
  Status trim_to(Version oldest);

  std::unique_ptr<LogSession> session_;
  std::string group_;
  std::string part_;
  ProtectedMemory protected_{kLogSection};
  std::optional<wire::GroupAnswer> asked_;  // answer to the restart question
  bool restored_ = false;
  Version newest_;                           // group version of this process's history
  std::map<Version, log::LogState> states_;  // of the group versions that a restart could use, as far as known
};

// libringkeep-mpi's functions, if it is loaded and of this release.
const rk_layer_hooks* layer_hooks();
// Copies the layer's words after a failure of one of its functions.
int from_layer(const rk_layer_hooks& hooks, int code) noexcept;

}  // namespace rk::client

struct rk_job {
  std::unique_ptr<rk::client::Job> job;
  bool poisoned = false;
};

// SPDX-License-Identifier: Apache-2.0
// The private directories of a job: one for sockets, session directories and an embedded ring, one in memory for Open
// MPI's shared segments. Both are 0700 and vanish with the job, by the launcher or by the guard; if both were killed,
// by the next run (stale_jobs.h).
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "shm/descriptor.h"

namespace rk::launch {

class JobDirectories {
 public:
  // `job`: its number, 16 hex digits.
  static Result<JobDirectories> make(const std::string& job);
  JobDirectories(JobDirectories&& other) noexcept;
  JobDirectories& operator=(JobDirectories&&) = delete;
  JobDirectories(const JobDirectories&) = delete;
  JobDirectories& operator=(const JobDirectories&) = delete;
  ~JobDirectories();  // removes them

  const std::string& root() const { return root_; }
  const std::string& memory() const { return memory_; }  // == root() where there is no /dev/shm
  // What says that the job lives, for the guard to keep open too.
  std::vector<int> claims() const;

 private:
  JobDirectories(std::string root, std::string memory) : root_(std::move(root)), memory_(std::move(memory)) {}
  std::string root_;
  std::string memory_;
  std::vector<shm::Descriptor> claims_;
};

// Removes what killed jobs of this user left in the folders that make() uses.
void sweep_job_directories();
// What that would remove.
std::vector<std::string> stale_job_directories();

// Removes a directory and all below it; what is gone already is fine. Symbolic links are removed, not followed.
void remove_tree(const std::string& path);
Status make_private_directory(const std::string& path);
// Exists, is a directory of ours and closed to others; kPermission otherwise.
Status check_private_directory(const std::string& path);

}  // namespace rk::launch

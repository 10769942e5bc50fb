// SPDX-License-Identifier: Apache-2.0
// The guard: a child forked before anything else of a job, in a session of its own, that reads one pipe. When the
// launcher dies without saying farewell, even by SIGKILL, the guard ends every process of the job and removes its
// directories.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "shm/descriptor.h"

namespace rk::launch {

struct GuardDuty {
  std::vector<std::string> entries;      // environment of the processes to end
  std::vector<std::string> directories;  // to remove afterwards
  std::vector<int> kept;                 // descriptors that stay open until then
};

class Guard {
 public:
  // Forks: call it while the process has one thread and no child.
  static Result<Guard> start(const GuardDuty& duty);
  Guard(Guard&& other) noexcept = default;
  Guard& operator=(Guard&&) = delete;
  ~Guard();  // says farewell and waits for it: everything was cleaned

  pid_t pid() const { return pid_; }

 private:
  Guard(pid_t pid, shm::Descriptor pipe) : pid_(pid), pipe_(std::move(pipe)) {}
  pid_t pid_ = 0;
  shm::Descriptor pipe_;
};

}  // namespace rk::launch

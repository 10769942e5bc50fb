// SPDX-License-Identifier: Apache-2.0
// One community's MPI job: its mpirun, and what that prints itself. The processes' own streams do not pass through it.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "launch/loop.h"
#include "shm/descriptor.h"

namespace rk::launch {

struct MpirunRequest {
  std::string mpirun;
  std::string self;  // the executable that knows exec-rank
  std::vector<std::string> program;
  std::uint32_t processes = 1;
  bool oversubscribed = false;    // over all communities of the node
  std::string session_directory;  // exists, private
  std::string memory_directory;   // exists, private
  std::vector<std::pair<std::string, std::string>> environment;
};

// The command line, for the tests too.
std::vector<std::string> mpirun_arguments(const MpirunRequest& request, bool as_root);

class Mpirun {
 public:
  static Result<Mpirun> start(Loop& loop, const MpirunRequest& request);
  Mpirun(Mpirun&&) noexcept;
  Mpirun& operator=(Mpirun&&) = delete;
  ~Mpirun();

  pid_t pid() const { return pid_; }
  // What it has printed by now, the last kMaxSaidBytes of it.
  std::string said();

 private:
  Mpirun(Loop& loop, pid_t pid, shm::Descriptor pipe);
  struct Listener;
  Loop* loop_;
  pid_t pid_ = 0;
  shm::Descriptor pipe_;
  std::unique_ptr<Listener> listener_;
};

// As recovery::MpirunExited wants it: the exit status, or 128 + the signal that killed it.
int exit_status_of(int wait_status);

}  // namespace rk::launch

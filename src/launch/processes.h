// SPDX-License-Identifier: Apache-2.0
// Finding the processes of a job, whoever their parents are, and ending them. Every process that a job starts inherits
// RINGKEEP_JOB and RINGKEEP_COMMUNITY; /proc/PID/environ shows them (never for a zombie, which counts as dead).
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "launch/loop.h"
#include "shm/descriptor.h"

namespace rk::launch {

inline constexpr char kEnvCommunity[] = "RINGKEEP_COMMUNITY";

// Processes of our user, but for ourselves, whose environment has each of `entries` ("NAME=value").
std::vector<pid_t> processes_with(const std::vector<std::string>& entries);

// An open pidfd, readable once the process is dead; empty if it is dead already.
shm::Descriptor open_process(pid_t pid);
void signal_process(const shm::Descriptor& process, int number);

// A pidfd of that process if its environment has each of `entries`, else empty. It is read once the pidfd is held: a
// number that was given to another process meanwhile is not taken for ours.
shm::Descriptor open_process_with(pid_t pid, const std::vector<std::string>& entries);

// Kills all processes with those environment entries, and calls `done` when a look finds none any more. One look
// follows the death of everything that the one before found, so a process that was just being forked is found too.
class Killer {
 public:
  Killer(Loop& loop, std::vector<std::string> entries, std::function<void()> done);
  ~Killer();
  Killer(const Killer&) = delete;
  Killer& operator=(const Killer&) = delete;

 private:
  void look();
  void gone(int fd);

  Loop& loop_;
  std::vector<std::string> entries_;
  std::function<void()> done_;
  std::map<int, shm::Descriptor> waiting_;
  Loop::TimerId timer_ = 0;
};

// The same without a loop, for the guard: returns when none lives, or after `limit_ms`.
bool kill_all_with(const std::vector<std::string>& entries, int limit_ms);

}  // namespace rk::launch

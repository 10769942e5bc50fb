// SPDX-License-Identifier: Apache-2.0
#include "launch/guard.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "launch/directories.h"
#include "launch/processes.h"

namespace rk::launch {
namespace {

constexpr int kKillLimitMs = 8000;
constexpr char kFarewell = 'F';

// Keeps only `kept`: a guard that holds the launcher's standard output would keep a reader of it waiting.
void let_go_of_everything_but(std::vector<int> kept) {
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int standard : {0, 1, 2}) ::dup2(null, standard);
  std::sort(kept.begin(), kept.end());
  unsigned first = 3;
  for (const int one : kept) {
    const auto number = static_cast<unsigned>(one);
    if (number > first) ::close_range(first, number - 1, 0);
    first = number + 1;
  }
  ::close_range(first, ~0U, 0);
}

[[noreturn]] void watch(int pipe, const GuardDuty& duty) {
  ::setsid();
  ::prctl(PR_SET_NAME, "ringkeep-guard");
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGTSTP}) ::signal(number, SIG_IGN);
  std::vector<int> kept = duty.kept;
  kept.push_back(pipe);
  let_go_of_everything_but(std::move(kept));
  if (::chdir("/") != 0) ::_exit(1);
  char said = 0;
  ssize_t got = 0;
  do got = ::read(pipe, &said, 1);
  while (got < 0 && errno == EINTR);
  if (got == 1 && said == kFarewell) ::_exit(0);
  kill_all_with(duty.entries, kKillLimitMs);
  for (const std::string& directory : duty.directories) remove_tree(directory);
  ::_exit(0);
}

}  // namespace

Result<Guard> Guard::start(const GuardDuty& duty) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("make a pipe", errno);
  shm::Descriptor reading(ends[0]);
  shm::Descriptor writing(ends[1]);
  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno("start the guard of the job", errno);
  if (pid == 0) {
    writing.reset();
    watch(reading.get(), duty);
  }
  return Guard(pid, std::move(writing));
}

Guard::~Guard() {
  if (!pipe_) return;
  ssize_t written = 0;
  do written = ::write(pipe_.get(), &kFarewell, 1);
  while (written < 0 && errno == EINTR);
  pipe_.reset();
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) continue;
}

}  // namespace rk::launch

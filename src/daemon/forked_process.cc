// SPDX-License-Identifier: Apache-2.0
#include "daemon/forked_process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <vector>

namespace rk::daemon {

void outlive_the_parent(const char* name, std::initializer_list<int> kept, KeepsLog log) {
  ::prctl(PR_SET_NAME, name);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) ::signal(number, SIG_IGN);
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO}) ::dup2(null, standard);
  if (log == KeepsLog::kNo) ::dup2(null, STDERR_FILENO);
  std::vector<int> open(kept);
  std::sort(open.begin(), open.end());
  int next = STDERR_FILENO + 1;
  for (const int fd : open) {
    if (fd > next) ::close_range(static_cast<unsigned>(next), static_cast<unsigned>(fd) - 1, 0);
    next = fd + 1;
  }
  ::close_range(static_cast<unsigned>(next), ~0U, 0);
}

}  // namespace rk::daemon

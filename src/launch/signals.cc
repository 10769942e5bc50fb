// SPDX-License-Identifier: Apache-2.0
#include "launch/signals.h"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace rk::launch {
namespace {

// What was ignored when we were started (nohup) stays ignored.
bool is_ignored(int number) {
  struct sigaction now {};
  return ::sigaction(number, nullptr, &now) == 0 && now.sa_handler == SIG_IGN;
}

sigset_t wanted_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGCHLD);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGTSTP, SIGCONT})
    if (!is_ignored(number)) ::sigaddset(&set, number);
  return set;
}

void reap(const Signals::ChildHandler& on_child) {
  for (;;) {
    int status = 0;
    const pid_t pid = ::waitpid(-1, &status, WNOHANG);
    if (pid <= 0) return;
    on_child(pid, status);
  }
}

}  // namespace

Result<Signals> Signals::start(Loop& loop, ChildHandler on_child, SignalHandler on_signal) {
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) return fail_errno("become the reaper of the job's processes", errno);
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGTTIN, SIG_IGN);
  ::signal(SIGTTOU, SIG_IGN);
  const sigset_t set = wanted_signals();
  if (::sigprocmask(SIG_BLOCK, &set, nullptr) != 0) return fail_errno("block signals", errno);
  const int fd = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd < 0) return fail_errno("receive signals", errno);
  loop.watch(fd, POLLIN, [fd, on_child = std::move(on_child), on_signal = std::move(on_signal)](short) {
    signalfd_siginfo info{};
    bool child = false;
    while (::read(fd, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
      if (info.ssi_signo == SIGCHLD)
        child = true;
      else
        on_signal(static_cast<int>(info.ssi_signo));
    }
    if (child) reap(on_child);
  });
  return Signals(loop, shm::Descriptor(fd));
}

Signals::~Signals() {
  if (fd_) loop_->unwatch(fd_.get());
}

int Signals::take_termination() const {
  int first = 0;
  signalfd_siginfo info{};
  while (::read(fd_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    const int number = static_cast<int>(info.ssi_signo);
    const bool ends = number == SIGINT || number == SIGTERM || number == SIGHUP || number == SIGQUIT;
    if (first == 0 && ends) first = number;
  }
  return first;
}

Result<Interrupt> Interrupt::hold() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT})
    if (!is_ignored(number)) ::sigaddset(&set, number);
  sigset_t before;
  if (::sigprocmask(SIG_BLOCK, &set, &before) != 0) return fail_errno("block signals", errno);
  shm::Descriptor fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return fail_errno("receive signals", errno);
  return Interrupt(std::move(fd), before);
}

Interrupt::~Interrupt() {
  if (fd_) ::sigprocmask(SIG_SETMASK, &before_, nullptr);
}

bool Interrupt::pending() const {
  pollfd look{fd_.get(), POLLIN, 0};
  return ::poll(&look, 1, 0) == 1;
}

}  // namespace rk::launch

// SPDX-License-Identifier: Apache-2.0
#include "launch/spawn.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <string_view>

#include "shm/descriptor.h"

namespace rk::launch {
namespace {

constexpr int kHighDescriptor = 200;  // above every number that a caller asks for in the child

void reset_signals() {
  for (const int number :
       {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2, SIGTSTP, SIGTTIN, SIGTTOU, SIGCHLD})
    ::signal(number, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

// Between fork and exec. Returns errno of the step that failed.
int become(const SpawnRequest& request, pid_t parent, int report, std::vector<char*>& arguments,
           std::vector<char*>& environment) {
  if (request.dies_with_parent) {
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return errno;
    if (::getppid() != parent) return ECHILD;
  }
  if (request.own_session) {
    if (::setsid() < 0) return errno;
  } else if (request.own_group && ::setpgid(0, 0) != 0) {
    return errno;
  }
  if (!request.directory.empty() && ::chdir(request.directory.c_str()) != 0) return errno;
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return errno;
  // First all out of the way, then each to its place: a source may have the number of another's target.
  std::vector<std::pair<int, int>> moves = {{request.input < 0 ? null : request.input, 0},
                                            {request.output < 0 ? null : request.output, 1},
                                            {request.error < 0 ? null : request.error, 2}};
  moves.insert(moves.end(), request.descriptors.begin(), request.descriptors.end());
  for (auto& [from, to] : moves) {
    from = ::fcntl(from, F_DUPFD_CLOEXEC, kHighDescriptor);
    if (from < 0) return errno;
  }
  const int high_report = ::fcntl(report, F_DUPFD_CLOEXEC, kHighDescriptor);
  if (high_report < 0) return errno;
  for (const auto& [from, to] : moves)
    if (::dup2(from, to) < 0) return errno;
  reset_signals();
  ::execve(arguments[0], arguments.data(), environment.data());
  const int failed = errno;
  ssize_t written = 0;
  do written = ::write(high_report, &failed, sizeof failed);
  while (written < 0 && errno == EINTR);
  ::_exit(127);
}

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  out.reserve(strings.size() + 1);
  for (const std::string& text : strings) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

}  // namespace

Result<pid_t> spawn(const SpawnRequest& request) {
  std::vector<char*> arguments = pointers(request.arguments);
  std::vector<char*> environment = pointers(request.environment);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("make a pipe", errno);
  shm::Descriptor reading(ends[0]);
  shm::Descriptor writing(ends[1]);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) return fail_errno("start " + request.arguments[0], errno);
  if (child == 0) {
    const int failed = become(request, parent, writing.get(), arguments, environment);
    const ssize_t written = ::write(writing.get(), &failed, sizeof failed);
    ::_exit(written == sizeof failed ? 127 : 126);
  }
  writing.reset();
  int failed = 0;
  ssize_t got = 0;
  do got = ::read(reading.get(), &failed, sizeof failed);
  while (got < 0 && errno == EINTR);
  if (got == 0) return child;  // closed by exec
  ::waitpid(child, nullptr, 0);
  return fail_errno("start " + request.arguments[0], failed);
}

std::vector<std::string> environment_with(const std::vector<std::pair<std::string, std::string>>& set,
                                          const std::vector<std::string>& unset) {
  std::vector<std::string> out;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::string_view name = text.substr(0, text.find('='));
    const bool changed = std::any_of(set.begin(), set.end(), [&](const auto& pair) { return pair.first == name; }) ||
                         std::find(unset.begin(), unset.end(), name) != unset.end();
    if (!changed) out.emplace_back(text);
  }
  for (const auto& [name, value] : set) {
    std::string entry = name;
    entry += '=';
    entry += value;
    out.push_back(std::move(entry));
  }
  return out;
}

}  // namespace rk::launch

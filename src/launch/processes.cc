// SPDX-License-Identifier: Apache-2.0
#include "launch/processes.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <string_view>

namespace rk::launch {
namespace {

// The environment block, entries separated by zero bytes; empty for a zombie or a process that is not ours to read.
std::string environment_of(pid_t pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/environ";
  const shm::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string block;
  if (!file) return block;
  char buffer[16384];
  while (block.size() < (std::size_t{4} << 20U)) {
    const ssize_t got = ::read(file.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    block.append(buffer, static_cast<std::size_t>(got));
  }
  return block;
}

bool has_entry(std::string_view block, std::string_view entry) {
  while (!block.empty()) {
    const std::size_t end = std::min(block.find('\0'), block.size());
    if (block.substr(0, end) == entry) return true;
    block.remove_prefix(std::min(end + 1, block.size()));
  }
  return false;
}

bool matches(pid_t pid, const std::vector<std::string>& entries) {
  const std::string block = environment_of(pid);
  return std::all_of(entries.begin(), entries.end(), [&](const std::string& entry) { return has_entry(block, entry); });
}

std::uint64_t monotonic_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000 + static_cast<std::uint64_t>(now.tv_nsec) / 1000000;
}

}  // namespace

std::vector<pid_t> processes_with(const std::vector<std::string>& entries) {
  std::vector<pid_t> found;
  DIR* proc = ::opendir("/proc");
  if (proc == nullptr) return found;
  const pid_t self = ::getpid();
  while (const dirent* item = ::readdir(proc)) {
    char* end = nullptr;
    const long number = std::strtol(item->d_name, &end, 10);
    if (end == item->d_name || *end != '\0' || number <= 0 || number == self) continue;
    struct stat about {};
    if (::fstatat(::dirfd(proc), item->d_name, &about, 0) != 0 || about.st_uid != ::geteuid()) continue;
    if (matches(static_cast<pid_t>(number), entries)) found.push_back(static_cast<pid_t>(number));
  }
  ::closedir(proc);
  return found;
}

shm::Descriptor open_process(pid_t pid) { return shm::Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); }

shm::Descriptor open_process_with(pid_t pid, const std::vector<std::string>& entries) {
  shm::Descriptor process = open_process(pid);
  if (process && !matches(pid, entries)) process.reset();
  return process;
}

void signal_process(const shm::Descriptor& process, int number) {
  if (process) ::syscall(SYS_pidfd_send_signal, process.get(), number, nullptr, 0);
}

Killer::Killer(Loop& loop, std::vector<std::string> entries, std::function<void()> done)
    : loop_(loop), entries_(std::move(entries)), done_(std::move(done)) {
  // The first look comes from the loop, so that `done` never runs inside the constructor.
  timer_ = loop_.after(0, [this] { look(); });
}

Killer::~Killer() {
  loop_.cancel(timer_);
  for (const auto& [fd, process] : waiting_) loop_.unwatch(fd);
}

void Killer::look() {
  for (const pid_t pid : processes_with(entries_)) {
    shm::Descriptor process = open_process_with(pid, entries_);
    if (!process) continue;
    signal_process(process, SIGKILL);
    const int fd = process.get();
    waiting_.emplace(fd, std::move(process));
    loop_.watch(fd, POLLIN, [this, fd](short) { gone(fd); });
  }
  if (!waiting_.empty()) return;
  const std::function<void()> done = std::move(done_);
  done();  // may destroy this
}

void Killer::gone(int fd) {
  loop_.unwatch(fd);
  waiting_.erase(fd);
  if (waiting_.empty()) timer_ = loop_.after(0, [this] { look(); });
}

bool kill_all_with(const std::vector<std::string>& entries, int limit_ms) {
  const std::uint64_t due = monotonic_ms() + static_cast<std::uint64_t>(limit_ms);
  for (;;) {
    const std::vector<pid_t> found = processes_with(entries);
    if (found.empty()) return true;
    std::vector<shm::Descriptor> processes;
    for (const pid_t pid : found) {
      processes.push_back(open_process_with(pid, entries));
      signal_process(processes.back(), SIGKILL);
    }
    for (const shm::Descriptor& process : processes) {
      const std::uint64_t now = monotonic_ms();
      if (now >= due) return false;
      if (!process) continue;
      pollfd wait{process.get(), POLLIN, 0};
      ::poll(&wait, 1, static_cast<int>(due - now));
    }
  }
}

}  // namespace rk::launch

// SPDX-License-Identifier: Apache-2.0
#include "daemon/rebirth.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <string>

#include "daemon/clock.h"
#include "daemon/logger.h"

namespace rk::daemon {
namespace {

constexpr char kEvictions[] = "RINGKEEP_EVICTIONS";  // in the environment of the next life
constexpr std::uint32_t kMaxEvictions = 1'000'000;

sigset_t handled_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, number);
  return set;
}

std::uint64_t now_ms() { return since_epoch<std::chrono::milliseconds, std::chrono::steady_clock>(); }

// True if nothing asked the server to end before the time was over. SIGHUP does not: the next life reads all files.
Result<bool> wait_out(std::uint64_t wait_ms, std::optional<int> parent_fd) {
  const sigset_t set = handled_signals();
  const shm::Descriptor signals(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals) return fail_errno("await signals", errno);
  const std::uint64_t end_ms = now_ms() + wait_ms;
  for (std::uint64_t now = now_ms(); now < end_ms; now = now_ms()) {
    std::array<pollfd, 2> items{{{signals.get(), POLLIN, 0}, {parent_fd.value_or(-1), POLLIN, 0}}};
    if (::poll(items.data(), items.size(), static_cast<int>(end_ms - now)) < 0 && errno != EINTR)
      return fail_errno("await signals", errno);
    signalfd_siginfo signal{};
    if (items[0].revents != 0 && ::read(signals.get(), &signal, sizeof signal) == sizeof signal &&
        signal.ssi_signo != SIGHUP)
      return false;
    std::array<char, 64> ignored{};
    if (items[1].revents != 0 && ::read(*parent_fd, ignored.data(), ignored.size()) <= 0) return false;
  }
  return true;
}

// Nothing that this life opened reaches the next one.
Status close_on_execution(const std::array<std::optional<int>, 2>& except) {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir("/proc/self/fd"), ::closedir);
  if (!folder) return fail_errno("list the open descriptors", errno);
  while (const dirent* entry = ::readdir(folder.get())) {  // NOLINT(concurrency-mt-unsafe): the only thread
    const int fd = std::atoi(entry->d_name);
    if (fd <= STDERR_FILENO || std::find(except.begin(), except.end(), fd) != except.end()) continue;
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  }
  return {};
}

}  // namespace

std::uint32_t evictions_in_a_row(std::uint32_t before, std::uint64_t lived_ms) {
  return lived_ms >= kQuietMs ? 1 : std::min(before, kMaxEvictions) + 1;
}

std::uint64_t back_off_ms(std::uint32_t in_a_row) {
  std::uint64_t wait_ms = kFirstBackOffMs;
  for (std::uint32_t i = 1; i < in_a_row && wait_ms < kMaxBackOffMs; ++i) wait_ms *= 2;
  return std::min(wait_ms, kMaxBackOffMs);
}

Result<Rebirth> Rebirth::prepare(StartOptions& options) {
  Rebirth rebirth;
  if (const char* before = std::getenv(kEvictions); before != nullptr) {  // NOLINT(concurrency-mt-unsafe)
    rebirth.evictions_ = static_cast<std::uint32_t>(std::strtoul(before, nullptr, 10));
    ::unsetenv(kEvictions);  // NOLINT(concurrency-mt-unsafe): no other thread yet
  }
  if (rebirth.evictions_ > 0) {
    options.ready_fd.reset();           // told, and closed, by the first life
    ::prctl(PR_SET_NAME, "ringkeepd");  // the kernel calls it "exe" after the path below
  }
  rebirth.parent_fd_ = options.parent_fd;
  rebirth.listen_fd_ = options.listen_fd;
  if (options.listen_fd) {
    rebirth.listening_ = shm::Descriptor(::fcntl(*options.listen_fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
    if (!rebirth.listening_) return fail_errno("use the descriptor of --listen-fd", errno);
  }
  return rebirth;
}

void Rebirth::hold_signals() {
  const sigset_t set = handled_signals();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

void Rebirth::let_signals_in() {
  const sigset_t set = handled_signals();
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

Status Rebirth::begin_anew(char** arguments, std::uint64_t lived_ms) {
  const std::uint32_t evictions = evictions_in_a_row(evictions_, lived_ms);
  const std::uint64_t wait_ms = back_off_ms(evictions);
  logger::warn("begins anew in " + std::to_string(wait_ms) +
               " ms, as a new incarnation that holds nothing (evictions " + "in a row: " + std::to_string(evictions) +
               ")");
  RK_TRY(const bool waited, wait_out(wait_ms, parent_fd_));
  if (!waited) return {};
  if (listen_fd_ && ::dup2(listening_.get(), *listen_fd_) < 0) return fail_errno("keep the listening socket", errno);
  RK_TRY_VOID(close_on_execution({parent_fd_, listen_fd_}));
  ::setenv(kEvictions, std::to_string(evictions).c_str(), 1);  // NOLINT(concurrency-mt-unsafe): the only thread
  // The same program, also when a newer release has replaced the file.
  ::execv("/proc/self/exe", arguments);
  return fail_errno("execute ringkeepd again", errno);
}

}  // namespace rk::daemon

// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <fstream>

#include "doctor/gather.h"
#include "shm/descriptor.h"
#include "shm/mapping.h"
#include "shm/memory_file.h"

namespace rk::doctor {
namespace {

constexpr std::uint64_t kOtherFiles = 256;  // of a server: sockets of peers, state, slots

std::uint64_t kibibytes_of(const std::string& file, const std::string& key) {
  std::ifstream in(file);
  for (std::string word; in >> word;) {
    std::uint64_t value = 0;
    if (word == key && in >> value) return value << 10U;
  }
  return 0;
}

std::uint64_t hard_limit(__rlimit_resource which) {
  rlimit limit{};
  if (::getrlimit(which, &limit) != 0 || limit.rlim_max == RLIM_INFINITY) return UINT64_MAX;
  return limit.rlim_max;
}

std::uint64_t monotonic_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

// As the server makes a slot.
Status try_memory_file() {
  RK_TRY(shm::MemoryFile file, shm::MemoryFile::create("ringkeep-doctor", shm::kPageBytes));
  RK_TRY_VOID(file.touch(0, shm::kPageBytes));
  RK_TRY(const shm::Mapping mapping, shm::Mapping::map(file, shm::Access::kReadWrite));
  RK_TRY(const shm::Descriptor reader, file.open_read_only());
  return {};
}

}  // namespace

MemoryFacts memory_facts(const daemon::Config& config, const std::optional<RunningServer>& running) {
  MemoryFacts facts{config.memory_bytes, config.reserve_bytes, 0, shm::memory_room(""), 0, 0, 0};
  if (running) facts.held_bytes = running->status.used_bytes;
  std::ifstream("/proc/sys/vm/overcommit_memory") >> facts.overcommit;
  facts.commit_limit_bytes = kibibytes_of("/proc/meminfo", "CommitLimit:");
  facts.committed_bytes = kibibytes_of("/proc/meminfo", "Committed_AS:");
  return facts;
}

LimitFacts limit_facts(const daemon::Config& config) {
  return {hard_limit(RLIMIT_NOFILE), config.limits.clients + config.limits.ranks + kOtherFiles,
          hard_limit(RLIMIT_FSIZE), hard_limit(RLIMIT_AS), config.memory_bytes};
}

SharedMemoryFacts shared_memory_facts() {
  constexpr char kFolder[] = "/dev/shm";
  SharedMemoryFacts facts;
  facts.memfd = try_memory_file();
  struct statfs about {};
  if (::statfs(kFolder, &about) != 0) return facts;
  facts.folder_exists = true;
  facts.folder_is_memory = about.f_type == TMPFS_MAGIC;
  facts.folder_is_writable = ::access(kFolder, W_OK | X_OK) == 0;
  facts.folder_bytes = about.f_blocks * static_cast<std::uint64_t>(about.f_bsize);
  facts.folder_free_bytes = about.f_bavail * static_cast<std::uint64_t>(about.f_bsize);
  return facts;
}

ClockFacts clock_facts() {
  constexpr int kLooks = 100'000;
  ClockFacts facts;
  const std::uint64_t first = monotonic_ns();
  std::uint64_t last = first;
  for (int i = 0; i < kLooks; ++i) {
    const std::uint64_t now = monotonic_ns();
    if (now < last) facts.monotonic_rises = false;
    last = now;
  }
  if (last == first) facts.monotonic_rises = false;
  timespec step{};
  ::clock_getres(CLOCK_MONOTONIC, &step);
  facts.resolution_ns =
      static_cast<std::uint64_t>(step.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(step.tv_nsec);
  facts.unix_s = ::time(nullptr);
  timex state{};
  const int kept = ::adjtimex(&state);
  facts.synchronised = kept >= 0 && kept != TIME_ERROR && (state.status & STA_UNSYNC) == 0;
  return facts;
}

KernelFacts kernel_facts() {
  KernelFacts facts;
  utsname name{};
  if (::uname(&name) == 0) facts.release = static_cast<const char*>(name.release);
  const shm::Descriptor process(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  facts.pidfd = static_cast<bool>(process);
  int reaper = 0;
  facts.children = ::prctl(PR_GET_CHILD_SUBREAPER, &reaper) == 0;
  const shm::Descriptor environment(::open("/proc/self/environ", O_RDONLY | O_CLOEXEC));
  facts.environ_readable = static_cast<bool>(environment);
  return facts;
}

}  // namespace rk::doctor

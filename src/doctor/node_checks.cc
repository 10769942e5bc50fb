// SPDX-License-Identifier: Apache-2.0
// Of the machine: memory, limits, clock, kernel.
#include <algorithm>

#include "doctor/checks.h"

namespace rk::doctor {
namespace {

constexpr std::uint64_t kMebi = std::uint64_t{1} << 20U;
constexpr std::uint64_t kSmallSharedBytes = 256 * kMebi;
constexpr std::uint64_t kCoarseNs = 1'000'000;
constexpr std::int64_t kOldestSaneS = 1'735'689'600;  // 2025-01-01: before this release
constexpr int kStrictOvercommit = 2;

std::string mib(std::uint64_t bytes) { return std::to_string(bytes / kMebi) + " MiB"; }

}  // namespace

Findings check_memory(const MemoryFacts& facts) {
  constexpr char kCheck[] = "memory";
  if (!facts.room) return {problem(kCheck, facts.room.error(), "mount /proc")};
  const shm::MemoryRoom& room = *facts.room;
  Findings out;
  const std::string budget = "the budget of " + mib(facts.budget_bytes);
  const std::uint64_t wanted = facts.budget_bytes + facts.reserve_bytes;
  if (wanted > room.capacity_bytes)
    out.push_back(problem(kCheck,
                          budget + " and the reserve of " + mib(facts.reserve_bytes) + " are more than the " +
                              mib(room.capacity_bytes) + " of " + room.capacity_limit,
                          "lower 'memory' in the configuration, or raise that limit"));
  else if (wanted > room.available_bytes + facts.held_bytes)
    out.push_back(warning(
        kCheck, budget + " is not free: " + room.available_limit + " has " + mib(room.available_bytes) + " left",
        "end what uses the memory, or lower 'memory'; until then commits can be refused"));
  else
    out.push_back(
        ok(kCheck, budget + " fits: " + mib(room.available_bytes) + " available, limited by " + room.available_limit));
  const std::uint64_t promised = facts.commit_limit_bytes - std::min(facts.commit_limit_bytes, facts.committed_bytes);
  if (facts.overcommit == kStrictOvercommit && promised + facts.held_bytes < facts.budget_bytes)
    out.push_back(warning(kCheck,
                          "the system promises no memory beyond its limit (vm.overcommit_memory is 2) and has " +
                              mib(promised) + " left to promise",
                          "raise vm.overcommit_ratio, or set vm.overcommit_memory to 0"));
  return out;
}

Findings check_limits(const LimitFacts& facts) {
  constexpr char kCheck[] = "limits";
  Findings out;
  if (facts.open_files < facts.needed_files)
    out.push_back(warning(kCheck,
                          "at most " + std::to_string(facts.open_files) +
                              " files may be open, and a full server needs " + std::to_string(facts.needed_files) +
                              " (one for each client and each log)",
                          "raise the hard limit (ulimit -Hn, LimitNOFILE=), or lower 'limits' in the configuration"));
  if (facts.file_bytes < facts.budget_bytes)
    out.push_back(problem(kCheck, "files may have " + mib(facts.file_bytes) + ", and shared memory counts as files",
                          "lift the limit (ulimit -f unlimited, LimitFSIZE=infinity)"));
  if (facts.address_bytes < facts.budget_bytes)
    out.push_back(problem(kCheck, "a process may map " + mib(facts.address_bytes) + ", less than the budget",
                          "lift the limit (ulimit -v unlimited, LimitAS=infinity)"));
  if (out.empty()) out.push_back(ok(kCheck, "open files, size of files and address space suffice"));
  return out;
}

Findings check_shared_memory(const SharedMemoryFacts& facts) {
  constexpr char kCheck[] = "shared memory";
  Findings out;
  if (!facts.memfd)
    out.push_back(problem(kCheck, facts.memfd.error(), "use a kernel with memfd_create and sealing (Linux 3.17)"));
  const char* const kJobs = "; the MPI library's own segments go there";
  if (!facts.folder_exists)
    out.push_back(warning(kCheck, std::string("there is no /dev/shm") + kJobs, "mount a tmpfs at /dev/shm"));
  else if (!facts.folder_is_writable)
    out.push_back(warning(kCheck, std::string("/dev/shm can not be written") + kJobs, "run chmod 1777 /dev/shm"));
  else if (!facts.folder_is_memory)
    out.push_back(
        warning(kCheck, std::string("/dev/shm is no tmpfs, so it is slow") + kJobs, "mount a tmpfs at /dev/shm"));
  else if (facts.folder_free_bytes < kSmallSharedBytes)
    out.push_back(
        warning(kCheck, "/dev/shm has " + mib(facts.folder_free_bytes) + " left of " + mib(facts.folder_bytes) + kJobs,
                "remove what is left over there, or make it larger (mount -o remount,size=1G /dev/shm; "
                "docker run --shm-size=1g)"));
  if (out.empty())
    out.push_back(ok(kCheck, "memfds can be made and sealed; /dev/shm has " + mib(facts.folder_free_bytes) + " left"));
  return out;
}

Findings check_clock(const ClockFacts& facts) {
  constexpr char kCheck[] = "clock";
  Findings out;
  if (!facts.monotonic_rises)
    out.push_back(
        problem(kCheck, "CLOCK_MONOTONIC does not rise",
                "choose another clock source (/sys/devices/system/clocksource), or mend the virtual machine"));
  if (facts.resolution_ns > kCoarseNs)
    out.push_back(warning(kCheck, "CLOCK_MONOTONIC has steps of " + std::to_string(facts.resolution_ns / 1000) + " us",
                          "use a kernel with high-resolution timers"));
  if (facts.unix_s < kOldestSaneS)
    out.push_back(problem(kCheck, "the date is before 2025, and a server that lost its state is told apart by it",
                          "set the clock, and run a time service such as chrony"));
  else if (!facts.synchronised)
    out.push_back(warning(kCheck, "the clock is not synchronised, so times of events on two nodes can not be compared",
                          "run a time service such as chrony or systemd-timesyncd"));
  if (out.empty()) out.push_back(ok(kCheck, "it rises and is synchronised"));
  return out;
}

Findings check_kernel(const KernelFacts& facts) {
  constexpr char kCheck[] = "kernel";
  Findings out;
  if (!facts.pidfd)
    out.push_back(problem(kCheck, "Linux " + facts.release + " has no pidfd_open, or a filter forbids it",
                          "use Linux 5.3 or newer, or allow it in the container's seccomp profile"));
  if (!facts.children)
    out.push_back(problem(kCheck, "a process can not become the reaper of its children (PR_SET_CHILD_SUBREAPER)",
                          "allow prctl in the container's seccomp profile"));
  if (!facts.environ_readable)
    out.push_back(problem(kCheck,
                          "/proc does not show the environment of our own processes, by which those of a job "
                          "are found",
                          "mount /proc"));
  if (out.empty()) out.push_back(ok(kCheck, "Linux " + facts.release + " has what is needed"));
  return out;
}

}  // namespace rk::doctor

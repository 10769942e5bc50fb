// SPDX-License-Identifier: Apache-2.0
// Every finding, provoked by facts that are made up.
#include "doctor/checks.h"

#include <gtest/gtest.h>

namespace rk::doctor {
namespace {

constexpr std::uint64_t kGibi = std::uint64_t{1} << 30U;

// Exactly one finding of that level, that has this text; a cure unless it is ok.
void expect(const Findings& findings, Level level, const std::string& text) {
  ASSERT_EQ(findings.size(), 1U);
  const Finding& one = findings[0];
  EXPECT_EQ(one.level, level) << one.text;
  EXPECT_NE(one.text.find(text), std::string::npos) << one.text;
  EXPECT_EQ(one.cure.empty(), level == Level::kOk) << one.cure;
}

MemoryFacts good_memory() {
  return {kGibi, 64U << 20U, 0, shm::MemoryRoom{8 * kGibi, 4 * kGibi, "the machine", "the machine"}, 0, 0, 0};
}

TEST(CheckMemory, ABudgetThatFits) { expect(check_memory(good_memory()), Level::kOk, "fits"); }

TEST(CheckMemory, ABudgetAboveTheGroupsLimitNamesTheGroup) {
  MemoryFacts facts = good_memory();
  facts.room = shm::MemoryRoom{kGibi, kGibi, "control group /sys/fs/cgroup/job", "the machine"};
  expect(check_memory(facts), Level::kProblem, "control group /sys/fs/cgroup/job");
}

TEST(CheckMemory, MemoryThatOthersUse) {
  MemoryFacts facts = good_memory();
  facts.room->available_bytes = kGibi / 2;
  expect(check_memory(facts), Level::kWarning, "512 MiB left");
  facts.held_bytes = kGibi;
  expect(check_memory(facts), Level::kOk, "fits");
}

TEST(CheckMemory, StrictOvercommit) {
  MemoryFacts facts = good_memory();
  facts.overcommit = 2;
  facts.commit_limit_bytes = 4 * kGibi;
  facts.committed_bytes = 2 * kGibi;
  expect(check_memory(facts), Level::kOk, "fits");
  facts.committed_bytes = 5 * kGibi;
  const Findings findings = check_memory(facts);
  ASSERT_EQ(findings.size(), 2U);
  EXPECT_EQ(findings[1].level, Level::kWarning);
  EXPECT_NE(findings[1].text.find("overcommit"), std::string::npos);
}

TEST(CheckMemory, WithoutProc) {
  MemoryFacts facts = good_memory();
  facts.room = fail_errno("read /proc/meminfo", 2);
  expect(check_memory(facts), Level::kProblem, "/proc/meminfo");
}

TEST(CheckLimits, EachOne) {
  const LimitFacts good{65536, 5376, UINT64_MAX, UINT64_MAX, kGibi};
  expect(check_limits(good), Level::kOk, "suffice");
  LimitFacts facts = good;
  facts.open_files = 1024;
  expect(check_limits(facts), Level::kWarning, "1024 files");
  facts = good;
  facts.file_bytes = kGibi / 2;
  expect(check_limits(facts), Level::kProblem, "shared memory counts as files");
  facts = good;
  facts.address_bytes = kGibi / 2;
  expect(check_limits(facts), Level::kProblem, "512 MiB");
}

SharedMemoryFacts good_shared_memory() { return {{}, true, true, true, kGibi, kGibi}; }

TEST(CheckSharedMemory, EachOne) {
  expect(check_shared_memory(good_shared_memory()), Level::kOk, "1024 MiB");
  SharedMemoryFacts facts = good_shared_memory();
  facts.memfd = fail_errno("make shared memory", 38);
  expect(check_shared_memory(facts), Level::kProblem, "make shared memory");
  facts = good_shared_memory();
  facts.folder_exists = false;
  expect(check_shared_memory(facts), Level::kWarning, "no /dev/shm");
  facts = good_shared_memory();
  facts.folder_is_writable = false;
  expect(check_shared_memory(facts), Level::kWarning, "can not be written");
  facts = good_shared_memory();
  facts.folder_is_memory = false;
  expect(check_shared_memory(facts), Level::kWarning, "no tmpfs");
  facts = good_shared_memory();
  facts.folder_bytes = facts.folder_free_bytes = 64U << 20U;
  expect(check_shared_memory(facts), Level::kWarning, "64 MiB left of 64 MiB");
}

TEST(CheckClock, EachOne) {
  const ClockFacts good{true, 1, 1'900'000'000, true, 0};
  expect(check_clock(good), Level::kOk, "synchronised");
  ClockFacts facts = good;
  facts.monotonic_rises = false;
  expect(check_clock(facts), Level::kProblem, "does not rise");
  facts = good;
  facts.resolution_ns = 4'000'000;
  expect(check_clock(facts), Level::kWarning, "4000 us");
  facts = good;
  facts.unix_s = 0;
  expect(check_clock(facts), Level::kProblem, "before 2025");
  facts = good;
  facts.synchronised = false;
  expect(check_clock(facts), Level::kWarning, "not synchronised");
}

TEST(CheckKernel, EachOne) {
  const KernelFacts good{"6.1.0", true, true, true};
  expect(check_kernel(good), Level::kOk, "6.1.0");
  KernelFacts facts = good;
  facts.pidfd = false;
  expect(check_kernel(facts), Level::kProblem, "pidfd_open");
  facts = good;
  facts.environ_readable = false;
  expect(check_kernel(facts), Level::kProblem, "/proc");
  facts = good;
  facts.children = false;
  expect(check_kernel(facts), Level::kProblem, "reaper");
}

TEST(CheckKey, EachOne) {
  expect(check_key({"", {}}), Level::kOk, "none is needed");
  expect(check_key({"/k", {}}), Level::kOk, "/k");
  const Findings open =
      check_key({"/k", fail(ErrorCode::kPermission, "the key file '/k' is open to others: chmod 600")});
  expect(open, Level::kProblem, "open to others");
  EXPECT_EQ(open[0].cure, "chmod 600") << "the error's own cure";
  const Findings missing = check_key({"/k", fail_errno("read the key file '/k'", 2)});
  expect(missing, Level::kProblem, "No such file");
  EXPECT_NE(missing[0].cure.find("key_file"), std::string::npos);
}

TEST(CheckDirectory, EachOne) {
  DirectoryFacts good;
  good.path = "/var/lib/r";
  good.exists = true;
  expect(check_directory("state", good), Level::kOk, "durable");
  expect(check_directory("state", {}), Level::kOk, "none");
  DirectoryFacts facts = good;
  facts.exists = false;
  expect(check_directory("state", facts), Level::kOk, "can be made");
  facts.usable = fail(ErrorCode::kPermission, "'/var/lib/r' is missing: install -d it");
  expect(check_directory("state", facts), Level::kProblem, "missing");
  facts = good;
  facts.durable = fail_errno("make a file durable in '/var/lib/r'", 5);
  expect(check_directory("state", facts), Level::kProblem, "durable");
  facts = good;
  facts.in_memory = true;
  expect(check_directory("state", facts), Level::kWarning, "tmpfs");
  facts.of_private_ring = true;
  expect(check_directory("state", facts), Level::kOk, "private");
}

TEST(CheckPorts, TheOwnOne) {
  using Outcome = PortFacts::Outcome;
  const auto own = [](Outcome outcome) { return check_ports({{1, "h:7801", true, outcome, "why"}}); };
  expect(check_ports({}), Level::kOk, "none is needed");
  expect(own(Outcome::kFree), Level::kOk, "free");
  expect(own(Outcome::kOurs), Level::kOk, "its own");
  expect(own(Outcome::kTaken), Level::kProblem, "in use by another process");
  EXPECT_NE(own(Outcome::kTaken)[0].cure.find(":7801"), std::string::npos);
  expect(own(Outcome::kNotHere), Level::kProblem, "no address of this machine");
  expect(own(Outcome::kForbidden), Level::kProblem, "forbidden");
  expect(own(Outcome::kUnresolved), Level::kProblem, "resolve");
  expect(own(Outcome::kFailed), Level::kProblem, "why");
}

TEST(CheckPorts, ThoseOfOthers) {
  using Outcome = PortFacts::Outcome;
  const auto other = [](Outcome outcome) { return check_ports({{2, "h:7801", false, outcome, "why"}}); };
  expect(other(Outcome::kAnswers), Level::kOk, "server 2");
  expect(other(Outcome::kRefused), Level::kWarning, "nothing listens at server 2");
  expect(other(Outcome::kSilent), Level::kWarning, "does not answer");
  expect(other(Outcome::kUnresolved), Level::kProblem, "resolve");
  expect(other(Outcome::kFailed), Level::kWarning, "why");
}

MpiFacts good_mpi() { return {"/usr/bin/mpirun", "mpirun (Open MPI) 4.1.4", "/l.so", "/ringkeepd", true, {}}; }

TEST(CheckMpi, EachOne) {
  expect(check_mpi(good_mpi()), Level::kOk, "4.1.4");
  MpiFacts facts = good_mpi();
  facts.mpirun = fail(ErrorCode::kNotFound, "no: install it");
  expect(check_mpi(facts), Level::kWarning, "no Open MPI");
  facts = good_mpi();
  facts.version = "mpirun (Open MPI) 5.0.1";
  expect(check_mpi(facts), Level::kWarning, "5.0.1");
  facts = good_mpi();
  facts.parameters_known = false;
  expect(check_mpi(facts), Level::kWarning, "ompi_info");
  facts = good_mpi();
  facts.lacks = {"orte_tmpdir_base", "other"};
  expect(check_mpi(facts), Level::kProblem, "orte_tmpdir_base, other");
  facts = good_mpi();
  facts.layer = fail(ErrorCode::kNotFound, "the MPI layer is not beside us: install it");
  expect(check_mpi(facts), Level::kWarning, "MPI layer");
  facts = good_mpi();
  facts.server = fail(ErrorCode::kNotFound, "the server is not beside us: install it");
  expect(check_mpi(facts), Level::kProblem, "the server is not beside us");
}

TEST(CheckLeftovers, EachOne) {
  expect(check_leftovers({{}, "", {}, 0}), Level::kOk, "no private ring");
  expect(check_leftovers({{}, "/tmp/ring", {}, 4}), Level::kOk, "whole");
  expect(check_leftovers({{"/tmp/ringkeep-job-a"}, "", {}, 0}), Level::kWarning, "/tmp/ringkeep-job-a");
  expect(check_leftovers({{}, "/tmp/ring", {2, 3}, 4}), Level::kWarning, "do not answer: 2, 3");
}

TEST(Findings, TheWorstDecides) {
  EXPECT_EQ(worst({}), Level::kOk);
  EXPECT_EQ(worst({ok("a", "b"), warning("a", "b", "c")}), Level::kWarning);
  EXPECT_EQ(worst({problem("a", "b", "c"), ok("a", "b")}), Level::kProblem);
}

TEST(Findings, AnErrorsCureIsNotToldTwice) {
  const Error error{ErrorCode::kIo, "cannot read 'x': name an existing file"};
  EXPECT_EQ(problem("c", error, "name an existing file"), problem("c", "cannot read 'x'", "name an existing file"));
}

}  // namespace
}  // namespace rk::doctor

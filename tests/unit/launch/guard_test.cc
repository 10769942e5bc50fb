// SPDX-License-Identifier: Apache-2.0
// The guard against the death of a launcher: a child stands in for it.
#include "launch/guard.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "launch/directories.h"
#include "launch/processes.h"
#include "launch/spawn.h"

namespace rk::launch {
namespace {

constexpr int kPatienceMs = 60000;

std::string new_directory() {
  std::string path = "/tmp/rk-guard-XXXXXX";
  EXPECT_NE(::mkdtemp(path.data()), nullptr);
  return path;
}

bool exists(const std::string& path) {
  struct stat about {};
  return ::lstat(path.c_str(), &about) == 0;
}

std::string job() { return "guard-test-" + std::to_string(::getpid()); }

// Starts a guard and a process of the job, says who they are, and waits.
[[noreturn]] void stand_in(const std::string& directory, int tell) {
  GuardDuty duty;
  duty.entries = {"RINGKEEP_UNIT_JOB=" + job()};
  duty.directories = {directory};
  auto guard = Guard::start(duty);
  SpawnRequest request;
  request.arguments = {"/bin/sleep", "1000"};
  request.environment = environment_with({{"RINGKEEP_UNIT_JOB", job()}});
  request.dies_with_parent = false;
  const auto child = spawn(request);
  const pid_t pids[2] = {guard ? guard->pid() : 0, child ? *child : 0};
  if (::write(tell, pids, sizeof pids) != sizeof pids) ::_exit(1);
  for (;;) ::pause();
}

TEST(Guard, CleansUpWhenTheLauncherIsKilled) {
  const std::string directory = new_directory();
  ASSERT_EQ(::mkdir((directory + "/below").c_str(), 0700), 0);
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const pid_t launcher = ::fork();
  ASSERT_GE(launcher, 0);
  if (launcher == 0) stand_in(directory, ends[1]);
  pid_t pids[2] = {0, 0};
  ASSERT_EQ(::read(ends[0], pids, sizeof pids), static_cast<ssize_t>(sizeof pids));
  ASSERT_GT(pids[0], 0);
  ASSERT_GT(pids[1], 0);
  const shm::Descriptor guard = open_process(pids[0]);
  const shm::Descriptor process = open_process(pids[1]);
  ASSERT_TRUE(guard);
  ASSERT_TRUE(process);
  ::kill(launcher, SIGKILL);
  ::waitpid(launcher, nullptr, 0);
  for (const shm::Descriptor* one : {&process, &guard}) {
    pollfd wait{one->get(), POLLIN, 0};
    EXPECT_EQ(::poll(&wait, 1, kPatienceMs), 1);
  }
  EXPECT_FALSE(exists(directory));
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(Guard, LeavesEverythingAloneAfterAFarewell) {
  const std::string directory = new_directory();
  {
    GuardDuty duty;
    duty.entries = {"RINGKEEP_UNIT_JOB=" + job()};
    duty.directories = {directory};
    const auto guard = Guard::start(duty);
    ASSERT_TRUE(guard);
  }
  EXPECT_TRUE(exists(directory));
  remove_tree(directory);
  EXPECT_FALSE(exists(directory));
}

TEST(JobDirectories, ArePrivateAndVanish) {
  std::string root;
  std::string memory;
  {
    const auto made = JobDirectories::make("0123456789abcdef");
    ASSERT_TRUE(made);
    root = made->root();
    memory = made->memory();
    EXPECT_TRUE(check_private_directory(root));
    EXPECT_TRUE(check_private_directory(memory));
    ASSERT_EQ(::symlink("/etc", (root + "/link").c_str()), 0);
  }
  EXPECT_FALSE(exists(root));
  EXPECT_FALSE(exists(memory));
  EXPECT_TRUE(exists("/etc/passwd")) << "a link is removed, not followed";
}

TEST(JobDirectories, ADirectoryThatOthersMayEnterIsRefused) {
  const std::string directory = new_directory();
  ::chmod(directory.c_str(), 0755);
  const Status status = check_private_directory(directory);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kPermission);
  remove_tree(directory);
}

}  // namespace
}  // namespace rk::launch

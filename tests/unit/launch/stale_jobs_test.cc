// SPDX-License-Identifier: Apache-2.0
#include "launch/stale_jobs.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "launch/directories.h"
#include "launch/processes.h"
#include "launch/spawn.h"

namespace rk::launch {
namespace {

// Each test has a folder and a job number of its own.
class StaleJobs : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = "/tmp/rk-stale-XXXXXX";
    ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
    char text[17];
    std::snprintf(text, sizeof text, "%016lx", static_cast<unsigned long>(::getpid()));
    job_ = text;
  }
  void TearDown() override { remove_tree(folder_); }

  // A job's directory with something in it, as its launcher makes it.
  std::string made(const std::string& name) {
    std::string directory = folder_ + "/ringkeep-job-" + name;
    EXPECT_EQ(::mkdir(directory.c_str(), 0700), 0);
    std::ofstream(directory + "/file") << "bytes";
    return directory;
  }
  std::vector<std::string> sweep() { return sweep_stale_jobs({folder_, folder_ + "/not-there"}); }
  static bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

  std::string folder_;
  std::string job_;
};

TEST_F(StaleJobs, ADirectoryThatNobodyKeepsIsRemoved) {
  const std::string directory = made("a");
  ASSERT_TRUE(claim_directory(directory, job_));
  EXPECT_EQ(sweep(), std::vector<std::string>{directory});
  EXPECT_FALSE(exists(directory));
}

TEST_F(StaleJobs, OneThatAProcessKeepsIsNot) {
  const std::string directory = made("a");
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  shm::Descriptor claim = claim_directory(directory, job_);
  ASSERT_TRUE(claim);
  const pid_t guard = ::fork();
  if (guard == 0) {
    char end = 0;
    ::close(ends[1]);
    if (::read(ends[0], &end, 1) < 0) ::_exit(1);
    ::_exit(0);
  }
  EXPECT_TRUE(sweep().empty());
  claim.reset();
  EXPECT_TRUE(sweep().empty()) << "the guard keeps it alone";
  ::close(ends[1]);
  ::close(ends[0]);
  ASSERT_EQ(::waitpid(guard, nullptr, 0), guard);
  EXPECT_EQ(sweep().size(), 1U);
}

TEST_F(StaleJobs, ItsProcessesEndAndNoOthers) {
  const std::string directory = made("a");
  ASSERT_TRUE(claim_directory(directory, job_));
  SpawnRequest request;
  request.arguments = {"/bin/sleep", "1000"};
  request.environment = environment_with({{"RINGKEEP_JOB", job_}});
  const auto of_job = spawn(request);
  request.environment = environment_with({{"RINGKEEP_JOB", "f" + job_.substr(1)}});
  const auto other = spawn(request);
  ASSERT_TRUE(of_job);
  ASSERT_TRUE(other);
  EXPECT_EQ(sweep().size(), 1U);
  int status = 0;
  ASSERT_EQ(::waitpid(*of_job, &status, 0), *of_job);
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
  EXPECT_EQ(::waitpid(*other, &status, WNOHANG), 0) << "it lives";
  ::kill(*other, SIGKILL);
  ::waitpid(*other, nullptr, 0);
}

TEST_F(StaleJobs, WhatIsNotProvablyAJobsIsLeftAlone) {
  made("without-owner");
  const std::string open_to_others = made("open");
  ASSERT_TRUE(claim_directory(open_to_others, job_));
  ASSERT_EQ(::chmod(open_to_others.c_str(), 0755), 0);
  const std::string words = made("words");
  std::ofstream(words + "/owner") << "not a number at all";
  const std::string unfinished = made("unfinished");  // its launcher has not named it yet
  std::ofstream(unfinished + "/owner-unlocked") << job_;
  const std::string behind_link = folder_ + "/elsewhere";
  ASSERT_EQ(::mkdir(behind_link.c_str(), 0700), 0);
  ASSERT_TRUE(claim_directory(behind_link, job_));
  ASSERT_EQ(::symlink(behind_link.c_str(), (folder_ + "/ringkeep-job-link").c_str()), 0);
  const std::string link_inside = made("link-inside");
  ASSERT_EQ(::symlink((behind_link + "/owner").c_str(), (link_inside + "/owner").c_str()), 0);
  EXPECT_TRUE(sweep().empty());
  EXPECT_TRUE(exists(behind_link + "/owner"));
}

TEST_F(StaleJobs, AnotherUsersIsLeftAlone) {
  const std::string directory = made("a");
  ASSERT_TRUE(claim_directory(directory, job_));
  if (::chown(directory.c_str(), 65534, 65534) != 0) GTEST_SKIP() << "needs root";
  EXPECT_TRUE(sweep().empty());
  EXPECT_TRUE(exists(directory));
}

}  // namespace
}  // namespace rk::launch

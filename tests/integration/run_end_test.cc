// SPDX-License-Identifier: Apache-2.0
// However a job ends, nothing of it remains within ten seconds, and the next one works.
#include <gtest/gtest.h>
#include <signal.h>

#include "tests/integration/run_fixture.h"

namespace rk::testing {
namespace {

class RunEnd : public RunFixture {
 protected:
  void start_long_job() {
    start(job(4, 2, {program(), "steps", "100000"}));
    await_output("step 5 ");
  }
  void expect_next_run_works() { EXPECT_EQ(run(job(2, 2, {program(), "steps", "2"})).status, 0); }
};

TEST_F(RunEnd, AfterCtrlC) {
  start_long_job();
  ::kill(launcher(), SIGINT);
  EXPECT_EQ(finish().status, 128 + SIGINT);
  expect_nothing_left();
  expect_next_run_works();
}

TEST_F(RunEnd, AfterTwoCtrlC) {
  start_long_job();
  ::kill(launcher(), SIGINT);
  ::kill(launcher(), SIGINT);
  EXPECT_EQ(finish().status, 128 + SIGINT);
  expect_nothing_left();
}

TEST_F(RunEnd, AfterTerminationAndHangUp) {
  for (const int number : {SIGTERM, SIGHUP}) {
    start_long_job();
    ::kill(launcher(), number);
    EXPECT_EQ(finish().status, 128 + number);
    expect_nothing_left();
  }
}

TEST_F(RunEnd, AfterTheLauncherWasKilled) {
  start_long_job();
  ::kill(launcher(), SIGKILL);
  EXPECT_EQ(finish().status, 128 + SIGKILL);
  expect_nothing_left();
  expect_next_run_works();
}

TEST_F(RunEnd, AKilledMpirunIsAFailureOfItsCommunityOnly) {
  start(job(4, 2, {program(), "steps", "200"}));
  await_output("step 5 ");
  const std::vector<pid_t> mpiruns = await_processes("mpirun.openmpi");
  ASSERT_FALSE(mpiruns.empty());
  ::kill(mpiruns[0], SIGKILL);
  const Ended ended = finish();
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_NE(ended.err.find("rolled back 1 time"), std::string::npos) << ended.err;
  EXPECT_NE(ended.err.find("kept working"), std::string::npos) << ended.err;
  expect_nothing_left();
}

TEST_F(RunEnd, AKilledServerEndsTheJobAndIsNamed) {
  start_long_job();
  const std::vector<pid_t> servers = await_processes("ringkeepd");
  ASSERT_FALSE(servers.empty());
  ::kill(servers[0], SIGKILL);
  const Ended ended = finish();
  EXPECT_EQ(ended.status, 69) << ended.err;
  EXPECT_NE(ended.err.find("server"), std::string::npos) << ended.err;
  expect_nothing_left();
}

}  // namespace
}  // namespace rk::testing

// SPDX-License-Identifier: Apache-2.0
// However a job ends, nothing of it remains within ten seconds, and the next one works.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>

#include "launch/frame_channel.h"
#include "tests/integration/run_fixture.h"
#include "wire/control_messages.h"

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

TEST_F(RunEnd, AfterLauncherAndGuardWereKilledTheNextRunCleansUp) {
  start_long_job();
  const std::vector<pid_t> guards = await_processes("ringkeep-guard");
  ASSERT_EQ(guards.size(), 1U);
  ::kill(guards[0], SIGKILL);
  ::kill(launcher(), SIGKILL);
  EXPECT_EQ(finish().status, 128 + SIGKILL);
  EXPECT_TRUE(is_there(private_directory()));
  expect_next_run_works();
  expect_nothing_left();
}

TEST_F(RunEnd, ARunLeavesOneThatLivesAlone) {
  start(job(2, 2, {program(), "usr1"}));
  await_output("waiting");
  const std::string directory = private_directory();
  const pid_t first = launcher();
  EXPECT_EQ(run(job(2, 2, {program(), "steps", "2"})).status, 0);
  EXPECT_TRUE(is_there(directory));
  return_to(first);
  ::kill(first, SIGUSR1);
  EXPECT_EQ(finish().status, 0);
  expect_nothing_left();
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

TEST_F(RunEnd, GarbageOnTheControlSocketHarmsNothing) {
  start(job(4, 2, {program(), "steps", "200"}, {"--report", folder() + "/report"}));
  await_output("step 5 ");
  const std::string socket = folder() + "/tmp/" + private_directory() + "/control";
  const std::string garbage(4096, '\x5a');
  // Ranks 0 to 3 have introduced themselves; nobody else is welcome, however well it speaks.
  auto stranger = launch::FrameChannel::connect(socket);
  ASSERT_TRUE(stranger) << stranger.error().message;
  ASSERT_EQ(::write(stranger->fd(), garbage.data(), garbage.size()), static_cast<ssize_t>(garbage.size()));
  auto late = launch::FrameChannel::connect(socket);
  ASSERT_TRUE(late);
  ASSERT_TRUE(late->send(wire::ProcessHello{}));
  for (launch::FrameChannel* one : {&*stranger, &*late}) {
    Result<bool> more = true;
    std::optional<wire::Frame> answer;
    while (more && *more && !answer) {
      more = one->receive();
      answer = *one->next();
    }
    EXPECT_TRUE(!answer || answer->type == wire::MessageType::kRefusal);
  }
  const Ended ended = finish();
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_NE(text_of(folder() + "/report").find("\"malformed_frames\": 1"), std::string::npos);
  expect_nothing_left();
}

TEST_F(RunEnd, StoppedAndContinued) {
  start(job(4, 2, {program(), "steps", "150"}));
  await_output("step 5 ");
  ::kill(launcher(), SIGTSTP);
  int status = 0;
  ASSERT_EQ(::waitpid(launcher(), &status, WUNTRACED), launcher());
  ASSERT_TRUE(WIFSTOPPED(status));
  for (const pid_t pid : await_processes("run_program"))
    EXPECT_NE(text_of("/proc/" + std::to_string(pid) + "/stat").find(" T "), std::string::npos);
  ::kill(launcher(), SIGCONT);
  EXPECT_EQ(finish().status, 0);
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

// SPDX-License-Identifier: Apache-2.0
// However a job ends, nothing of it remains within ten seconds, and the next one works.
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>
#include <ostream>
#include <string>
#include <tuple>
#include <vector>

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
  // The signal is sent; each process stops when it is scheduled next, and nobody is told of that but its parent.
  for (const pid_t pid : await_processes("run_program"))
    while (text_of("/proc/" + std::to_string(pid) + "/stat").find(" T ") == std::string::npos) ::sched_yield();
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

// Where in its life a run is when it is ended. The test program stays at that place, so that it is there for certain.
struct Place {
  const char* name;                  // "hold" of run_program.c
  std::vector<std::string> options;  // of `ringkeep run`
};

void PrintTo(const Place& place, std::ostream* out) { *out << place.name; }

class RunEndAt : public RunEnd, public ::testing::WithParamInterface<std::tuple<Place, int>> {
 protected:
  static const Place& place() { return std::get<0>(GetParam()); }
  static int number() { return std::get<1>(GetParam()); }
};

TEST_P(RunEndAt, NothingIsLeft) {
  start(job(4, 2, {program(), "hold", place().name}, place().options));
  await_output("held at " + std::string(place().name));
  ::kill(launcher(), number());
  EXPECT_EQ(finish().status, 128 + number());
  expect_nothing_left();
  expect_next_run_works();
}

std::string name_of(int number) { return number == SIGINT ? "AfterCtrlC" : "AfterTheLauncherWasKilled"; }

INSTANTIATE_TEST_SUITE_P(
    Places, RunEndAt,
    ::testing::Combine(::testing::Values(Place{"init", {}}, Place{"restart", {"--kill", "0@msg:20"}},
                                         Place{"replay", {"--kill", "0@msg:20"}}, Place{"finalize", {}},
                                         Place{"end", {}}),
                       ::testing::Values(SIGINT, SIGKILL)),
    [](const auto& test) { return std::get<0>(test.param).name + name_of(std::get<1>(test.param)); });

class RunEndAtTheRingsStart : public RunEnd, public ::testing::WithParamInterface<int> {
 protected:
  // Stops the command as soon as a server is there; whether it had come further by then shows once it stands still.
  bool stopped_in_time() {
    start({"run", "-n", "4", "--communities", "2", "--servers", "4", "--embedded", "--", program(), "steps", "100000"});
    await_processes("ringkeepd");
    ::kill(launcher(), SIGSTOP);
    int status = 0;
    EXPECT_EQ(::waitpid(launcher(), &status, WUNTRACED), launcher());
    return !any_process("mpirun.openmpi");
  }
};

TEST_P(RunEndAtTheRingsStart, NothingIsLeft) {
  bool there = false;
  for (int attempt = 0; attempt < 20 && !there; ++attempt) {
    there = stopped_in_time();
    ::kill(launcher(), GetParam());
    ::kill(launcher(), SIGCONT);
    EXPECT_EQ(finish().status, 128 + GetParam());
    expect_nothing_left();
  }
  EXPECT_TRUE(there) << "the ring was never seen before mpirun";
  expect_next_run_works();
}

INSTANTIATE_TEST_SUITE_P(Signals, RunEndAtTheRingsStart, ::testing::Values(SIGINT, SIGKILL),
                         [](const auto& test) { return name_of(test.param); });

}  // namespace
}  // namespace rk::testing

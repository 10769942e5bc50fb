// SPDX-License-Identifier: Apache-2.0
#include "launch/processes.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>

#include "launch/spawn.h"

namespace rk::launch {
namespace {

std::string mark() { return "RINGKEEP_UNIT_MARK=" + std::to_string(::getpid()); }

// A program with the mark in its environment.
pid_t start(std::vector<std::string> arguments) {
  SpawnRequest request;
  request.arguments = std::move(arguments);
  request.environment = environment_with({{"RINGKEEP_UNIT_MARK", std::to_string(::getpid())}});
  const auto pid = spawn(request);
  EXPECT_TRUE(pid) << pid.error().message;
  return *pid;
}

TEST(Spawn, AFailedExecIsAnErrorAndLeavesNoChild) {
  SpawnRequest request;
  request.arguments = {"/no/such/program"};
  const auto pid = spawn(request);
  ASSERT_FALSE(pid);
  EXPECT_EQ(pid.error().code, ErrorCode::kIo);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "no child is left";
}

TEST(Spawn, TheEnvironmentIsChangedAsAsked) {
  const std::vector<std::string> out = environment_with({{"RK_A", "1"}, {"PATH", "/x"}}, {"HOME"});
  EXPECT_EQ(std::count(out.begin(), out.end(), "RK_A=1"), 1);
  EXPECT_EQ(std::count_if(out.begin(), out.end(), [](const std::string& e) { return e.starts_with("PATH="); }), 1);
  EXPECT_EQ(std::count_if(out.begin(), out.end(), [](const std::string& e) { return e.starts_with("HOME="); }), 0);
}

TEST(Processes, AreFoundByTheirEnvironmentAndNotOnceTheyAreDead) {
  const pid_t child = start({"/bin/sleep", "1000"});
  const std::vector<pid_t> found = processes_with({mark()});
  EXPECT_NE(std::find(found.begin(), found.end(), child), found.end());
  ::kill(child, SIGKILL);
  siginfo_t info{};
  ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT);
  EXPECT_TRUE(processes_with({mark()}).empty()) << "a zombie is dead";
  ::waitpid(child, nullptr, 0);
}

TEST(Processes, ANumberThatAnotherProcessHasNowIsNotOpened) {
  const pid_t child = start({"/bin/sleep", "1000"});
  EXPECT_TRUE(open_process_with(child, {mark()}));
  EXPECT_FALSE(open_process_with(child, {mark(), "RINGKEEP_UNIT_MARK=of a dead one"}));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_FALSE(open_process_with(child, {mark()}));
}

TEST(Killer, EndsDetachedChildrenToo) {
  // Two generations, one of them in a session of its own; both outlive the shell that started them.
  const pid_t child = start({"/bin/sh", "-c", "setsid sleep 1000 & sleep 1000 & wait"});
  Loop loop;
  while (processes_with({mark()}).size() < 3) ASSERT_EQ(::waitpid(child, nullptr, WNOHANG), 0);
  bool done = false;
  const Killer killer(loop, {mark()}, [&] { done = true; });
  while (!done) loop.turn();
  EXPECT_TRUE(processes_with({mark()}).empty());
  ::waitpid(child, nullptr, 0);
}

TEST(Killer, IsDoneWhenThereIsNothing) {
  Loop loop;
  bool done = false;
  const Killer killer(loop, {"RINGKEEP_UNIT_MARK=nobody"}, [&] { done = true; });
  while (!done) loop.turn();
  EXPECT_TRUE(done);
}

}  // namespace
}  // namespace rk::launch

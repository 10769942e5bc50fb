// SPDX-License-Identifier: Apache-2.0
// `ringkeep run --service` on rings of real servers: who is active, who takes over, and what becomes of the program.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/integration/command.h"
#include "tests/integration/queue_process.h"
#include "tests/integration/ring_fixture.h"

namespace rk::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// Says who it is, and stays.
constexpr char kStays[] = "echo life $$ of $RINGKEEP_SERVICE epoch $RINGKEEP_SERVICE_EPOCH.; exec sleep 1000";

class ServiceRun : public ::testing::Test {
 protected:
  void start(std::uint32_t server, std::vector<std::string> program, std::vector<std::string> options = {}) {
    std::vector<std::string> words{RINGKEEP_COMMAND, "run", "--service", "s", "--socket", ring_.socket(server)};
    words.insert(words.end(), options.begin(), options.end());
    words.emplace_back("--");
    words.insert(words.end(), program.begin(), program.end());
    agents_[server] = std::make_unique<ChildProcess>(words, std::vector<std::pair<std::string, std::string>>{});
  }
  void start_shell(std::uint32_t server, const std::string& script, std::vector<std::string> options = {}) {
    start(server, {"/bin/sh", "-c", script}, std::move(options));
  }
  // Each where it stands alone: the first is active, the others wait.
  void start_all(const std::string& script) {
    start_shell(1, script);
    ASSERT_TRUE(await_active(1));
    for (const std::uint32_t server : {2U, 3U}) {
      start_shell(server, script);
      ASSERT_TRUE(agent(server).await_output("waiting, it belongs to server 1")) << agent(server).output();
    }
  }
  ChildProcess& agent(std::uint32_t server) { return *agents_.at(server); }
  bool await_active(std::uint32_t server) {
    return agent(server).await_output("active at server " + std::to_string(server) + ", epoch ");
  }
  // Of the program's newest words. 0: it has said nothing.
  std::uint64_t number_after(std::uint32_t server, const std::string& words) {
    const std::string& output = agent(server).output();
    const std::size_t at = output.rfind(words);
    return at == std::string::npos ? 0 : std::strtoull(output.c_str() + at + words.size(), nullptr, 10);
  }
  std::uint64_t epoch_at(std::uint32_t server) {
    EXPECT_TRUE(agent(server).await_output(" epoch ")) << agent(server).output();
    EXPECT_TRUE(agent(server).await_output(".\n")) << agent(server).output();
    return number_after(server, " of s epoch ");
  }
  pid_t program_at(std::uint32_t server) { return static_cast<pid_t>(number_after(server, "life ")); }
  nlohmann::json record(std::uint32_t server) {
    const Ran ran = run_ringkeep("get service/s --socket " + ring_.socket(server), " 2>/dev/null");
    return nlohmann::json::parse(ran.output, nullptr, false);
  }
  void lose_node(std::uint32_t server) {
    ring_.server(server).kill(SIGKILL);
    agent(server).signal(SIGKILL);
    ring_.server(server).wait();
    agent(server).wait();
  }
  // It takes its name some time after the fork.
  static pid_t await_child(pid_t parent, const std::string& name) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
    pid_t child = child_of(parent, name);
    for (; child == 0 && std::chrono::steady_clock::now() < until; child = child_of(parent, name))
      ::poll(nullptr, 0, 1);
    return child;
  }
  static pid_t child_of(pid_t parent, const std::string& name) {
    std::ifstream children("/proc/" + std::to_string(parent) + "/task/" + std::to_string(parent) + "/children");
    for (pid_t child = 0; children >> child;) {
      std::string its_name;
      std::ifstream("/proc/" + std::to_string(child) + "/comm") >> its_name;
      if (its_name == name) return child;
    }
    return 0;
  }
  // Whoever adopted it may take its time to bury it.
  static bool lives(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const std::size_t name_end = text.rfind(") ");
    return name_end != std::string::npos && text[name_end + 2] != 'Z' && text[name_end + 2] != 'X';
  }
  static bool await_end(pid_t pid) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
    while (lives(pid) && std::chrono::steady_clock::now() < until) ::poll(nullptr, 0, 10);
    return !lives(pid);
  }

  RingFixture ring_{3};
  std::map<std::uint32_t, std::unique_ptr<ChildProcess>> agents_;
};

TEST_F(ServiceRun, OneIsActiveAndTheRecordSaysWho) {
  start_all(kStays);
  EXPECT_EQ(epoch_at(1), 1U);
  EXPECT_EQ(record(2)["state"], "active");
  EXPECT_EQ(record(2)["server"], 1);
  for (const std::uint32_t server : {2U, 3U}) EXPECT_EQ(agent(server).output().find("life"), std::string::npos);
}

TEST_F(ServiceRun, AllAtOnceAndStillOneIsActive) {
  for (const std::uint32_t server : {1U, 2U, 3U}) start_shell(server, kStays);
  std::uint32_t active = 0;
  // Each has said one of the two when it has decided.
  for (const std::uint32_t server : {1U, 2U, 3U}) {
    ASSERT_TRUE(agent(server).await_output("service s: ")) << agent(server).output();
    while (agent(server).output().find("active at") == std::string::npos &&
           agent(server).output().find("it belongs to") == std::string::npos)
      ASSERT_TRUE(agent(server).read_on());
    active += agent(server).output().find("active at") == std::string::npos ? 0U : 1U;
  }
  EXPECT_EQ(active, 1U);
}

TEST_F(ServiceRun, ItsNodeIsLostAndThePredecessorTakesOver) {
  start_all(kStays);
  std::uint64_t epoch = epoch_at(1);
  lose_node(1);
  ASSERT_TRUE(await_active(3)) << agent(3).output();
  EXPECT_GT(epoch_at(3), epoch);
  EXPECT_EQ(agent(2).output().find("active"), std::string::npos) << agent(2).output();
  // Back again, and then it is its turn: of those left it keeps the copies.
  ASSERT_TRUE(ring_.start(1).output.empty());
  ASSERT_TRUE(ring_.await_ring_of(3));
  start_shell(1, kStays);
  ASSERT_TRUE(agent(1).await_output("waiting, it belongs to server 3"));
  epoch = epoch_at(3);
  lose_node(3);
  while (agent(1).output().find("active at") == std::string::npos &&
         agent(2).output().find("active at") == std::string::npos) {
    pollfd items[] = {{agent(1).descriptor(), POLLIN, 0}, {agent(2).descriptor(), POLLIN, 0}};
    ASSERT_GT(::poll(items, 2, kPatienceMs), 0);
    for (const std::uint32_t server : {1U, 2U}) {
      if (items[server - 1].revents == 0) continue;
      ASSERT_TRUE(agent(server).read_on());
    }
  }
  const std::uint32_t now = agent(1).output().find("active at") == std::string::npos ? 2 : 1;
  EXPECT_GT(epoch_at(now), epoch);
}

TEST_F(ServiceRun, WhereNobodyHoldsACopyAnotherOneTakesOverAfterAMoment) {
  start_shell(1, kStays);
  ASSERT_TRUE(await_active(1));
  start_shell(2, kStays);
  ASSERT_TRUE(agent(2).await_output("waiting"));
  lose_node(1);  // the copy is at server 3, where there is no agent
  EXPECT_TRUE(await_active(2)) << agent(2).output();
}

TEST_F(ServiceRun, AProgramThatDiesIsStartedAgainInPlace) {
  start_all(kStays);
  for (std::uint64_t epoch = 1; epoch <= 3; ++epoch) {
    EXPECT_EQ(epoch_at(1), epoch);
    const pid_t program = program_at(1);
    ASSERT_GT(program, 0);
    agent(1).forget_output();
    ::kill(program, SIGKILL);
    ASSERT_TRUE(agent(1).await_output("was killed by signal 9; starting it again"));
    ASSERT_TRUE(agent(1).await_output("life "));
  }
  EXPECT_EQ(agent(2).output().find("active"), std::string::npos);
}

TEST_F(ServiceRun, TheLimitOfRestartsAndAProgramThatIsDone) {
  start_shell(1, "echo try; exit 3", {"--max-restarts", "2"});
  EXPECT_EQ(agent(1).wait(), 3);
  ASSERT_TRUE(agent(1).await_output("started 2 times again in vain"));
  std::size_t tries = 0;
  for (std::size_t at = 0; (at = agent(1).output().find("try\n", at)) != std::string::npos; ++at) ++tries;
  EXPECT_EQ(tries, 3U);
  start_shell(1, "kill -SEGV $$", {"--max-restarts", "0", "--quiet"});
  EXPECT_EQ(agent(1).wait(), 128 + SIGSEGV);
  start_shell(1, "exit 0");
  EXPECT_EQ(agent(1).wait(), 0);
  EXPECT_EQ(record(2)["state"], "ended");
}

TEST_F(ServiceRun, WithoutItsServerTheProgramEndsAndTheAgentWaitsToBeActiveAgain) {
  start_shell(1, "trap 'echo orderly; exit 0' TERM; echo life $$; while :; do sleep 0.1; done");
  ASSERT_TRUE(await_active(1));
  ASSERT_TRUE(agent(1).await_output("life "));
  ring_.server(1).kill(SIGKILL);
  ring_.server(1).wait();
  ASSERT_TRUE(agent(1).await_output("ending the program"));
  ASSERT_TRUE(agent(1).await_output("orderly"));
  ASSERT_TRUE(agent(1).await_output("waiting for it"));
  agent(1).forget_output();
  ASSERT_TRUE(ring_.start(1).output.empty());
  EXPECT_TRUE(await_active(1)) << agent(1).output();
  EXPECT_TRUE(agent(1).await_output("life "));
}

// The server hangs: nobody is told, and the guard of its node ends a program that knows nothing of Ringkeep.
TEST_F(ServiceRun, TheProgramOfAStoppedServerEndsAndTheAgentLivesOn) {
  start_all("echo life $$; sleep 1000 & echo child $!; wait");
  ASSERT_TRUE(agent(1).await_output("child "));
  const auto child = static_cast<pid_t>(number_after(1, "child "));
  ring_.server(1).kill(SIGSTOP);
  ASSERT_TRUE(await_active(3)) << agent(3).output();
  EXPECT_TRUE(await_end(program_at(1)));
  EXPECT_TRUE(await_end(child)) << "what it had started, too";
  agent(1).forget_output();
  ring_.server(1).kill(SIGCONT);
  EXPECT_TRUE(agent(1).await_output("waiting, it belongs to server 3")) << agent(1).output();
}

TEST_F(ServiceRun, TheOldInstanceCannotAcknowledgeAnyMore) {
  const std::vector<std::string> queue = queue_command();
  start(1, queue);
  const std::uint16_t before = await_queue(agent(1));
  ASSERT_NE(before, 0);
  start(3, queue);
  ASSERT_TRUE(agent(3).await_output("waiting"));
  QueueClient old(before);
  EXPECT_EQ(old.ask("put a x"), "ok a");
  ring_.server(1).kill(SIGSTOP);
  old.send("put b x\nreserve old r\n");
  const std::uint16_t after = await_queue(agent(3));
  ASSERT_NE(after, 0);
  QueueClient now(after);
  EXPECT_EQ(now.ask("reserve new r"), "job a x");
  EXPECT_EQ(old.receive_line(), "");
  EXPECT_THAT(now.ask("show b"), StartsWith("error not-found "));
  ring_.server(1).kill(SIGCONT);
}

TEST_F(ServiceRun, WithAKilledAgentEverythingOfItEnds) {
  start_shell(1, "echo life $$; sleep 1000 & echo child $!; wait");
  ASSERT_TRUE(agent(1).await_output("child "));
  const pid_t program = program_at(1);
  const auto child = static_cast<pid_t>(number_after(1, "child "));
  agent(1).signal(SIGKILL);
  EXPECT_TRUE(await_end(program));
  EXPECT_TRUE(await_end(child));
}

TEST_F(ServiceRun, WhatAKilledAgentLeavesEndsBeforeTheNextOneIsActive) {
  start_shell(1, "echo life $$; sleep 1000 & echo child $!; wait");
  ASSERT_TRUE(agent(1).await_output("child "));
  const pid_t program = program_at(1);
  const auto child = static_cast<pid_t>(number_after(1, "child "));
  // Its guard first: only the next agent is left to end what does not die with its parent.
  const pid_t guard = await_child(agent(1).pid(), "ringkeep-guard");
  ASSERT_GT(guard, 0);
  ::kill(guard, SIGKILL);
  agent(1).signal(SIGKILL);
  start_shell(1, kStays);
  ASSERT_TRUE(await_active(1));
  EXPECT_FALSE(lives(program)) << "before the next one starts its own";
  EXPECT_FALSE(lives(child));
}

TEST_F(ServiceRun, ASignalEndsItInOrderAndTheOtherAgentOfThisServerGoesOn) {
  start_shell(1, "trap 'echo orderly; exit 7' TERM; echo life; while :; do sleep 0.1; done");
  ASSERT_TRUE(agent(1).await_output("life"));
  const std::unique_ptr<ChildProcess> first = std::move(agents_[1]);
  start_shell(1, kStays);
  ASSERT_TRUE(agent(1).await_output("another agent of it runs at the server"));
  EXPECT_EQ(record(2)["agent_pid"], first->pid());
  first->signal(SIGTERM);
  EXPECT_EQ(first->wait(), 0);
  EXPECT_TRUE(first->await_output("orderly"));
  EXPECT_TRUE(await_active(1));
}

TEST_F(ServiceRun, ANodeThatIsEmptiedInOrderHandsItOver) {
  start_all(kStays);
  const std::uint64_t epoch = epoch_at(1);
  agent(1).signal(SIGTERM);
  EXPECT_EQ(agent(1).wait(), 0);
  ring_.server(1).kill(SIGTERM);
  EXPECT_EQ(ring_.server(1).wait(), 0);
  ASSERT_TRUE(await_active(3)) << agent(3).output();
  EXPECT_GT(epoch_at(3), epoch);
}

// An epoch is taken by whoever may: the record is a checkpoint like others.
TEST_F(ServiceRun, ARecordOfSomebodyElseIsNoService) {
  EXPECT_EQ(run_ringkeep("put service/s --socket " + ring_.socket(2), "", "echo hello | ").code, 0);
  start_shell(2, kStays);
  EXPECT_TRUE(await_active(2)) << agent(2).output();
  EXPECT_EQ(epoch_at(2), 2U);
}

TEST(ServiceOfAPrivateRing, IsFoundByItsDirectoryAndLeavesNothingThere) {
  const TemporaryDirectory directory;
  const std::string ring = directory.path() + "/ring";
  ASSERT_EQ(run_ringkeep("up --servers 2 --memory 32M --dir " + ring).code, 0);
  {
    const std::vector<std::string> words{RINGKEEP_COMMAND, "run", "--service", "s",       "--dir", ring,
                                         "--server",       "2",   "--",        "/bin/sh", "-c",    kStays};
    ChildProcess agent(words, {});
    EXPECT_TRUE(agent.await_output("active at server 2")) << agent.output();
    agent.signal(SIGTERM);
    EXPECT_EQ(agent.wait(), 0);
  }
  EXPECT_EQ(run_ringkeep("down --dir " + ring).code, 0);
  EXPECT_NE(::access(ring.c_str(), F_OK), 0) << "the lock of the agent is there still";
}

TEST_F(ServiceRun, OptionsThatSayNothingToAServiceAreRefused) {
  const auto refusal = [](const std::string& words) {
    const Ran ran = run_ringkeep("run " + words);
    EXPECT_EQ(ran.code, 64) << ran.output;
    return ran.output;
  };
  EXPECT_THAT(refusal("-- true"), HasSubstr("-n N for an MPI job of N processes, or --service NAME"));
  for (const char* option : {"-n 2", "--communities 2", "--partition blocks", "--kill 0@1s", "--strict-output",
                             "--log-limit 1G", "--servers 2", "--memory 1G", "--embedded", "--report f", "--summary",
                             "--on-log-full stop", "--on-divergence keep"})
    EXPECT_THAT(refusal("--service s " + std::string(option) + " -- true"), HasSubstr("is for MPI jobs")) << option;
  EXPECT_THAT(refusal("-n 1 --socket x -- true"), HasSubstr("is for --service"));
  EXPECT_THAT(refusal("-n 1 --server 1 -- true"), HasSubstr("is for --service"));
  EXPECT_THAT(refusal("--service a/b -- true"), HasSubstr("letters, digits and -_."));
  EXPECT_THAT(refusal("--service '' -- true"), HasSubstr("letters, digits and -_."));
  EXPECT_EQ(run_ringkeep("run --service s -- ./no-such-program").code, 66);
}

}  // namespace
}  // namespace rk::testing

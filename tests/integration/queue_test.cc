// SPDX-License-Identifier: Apache-2.0
// ringkeep-queue on a ring of real servers: its lines, its limits, and what it has after kill -9.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <csignal>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/integration/api_client.h"
#include "tests/integration/queue_process.h"
#include "tests/integration/ring_fixture.h"

namespace rk::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class Queue : public ::testing::Test {
 protected:
  void start(std::uint32_t server, std::vector<std::string> options = {}) {
    process_ = std::make_unique<ChildProcess>(
        queue_command(std::move(options)),
        std::vector<std::pair<std::string, std::string>>{{"RINGKEEP_SOCKET", ring_.socket(server)}});
    port_ = await_queue(*process_);
    ASSERT_NE(port_, 0) << process_->output();
  }
  QueueClient client() const { return QueueClient(port_); }
  void kill_queue() {
    process_->signal(SIGKILL);
    EXPECT_EQ(process_->wait(), 128 + SIGKILL);
  }

  RingFixture ring_{3};
  std::unique_ptr<ChildProcess> process_;
  std::uint16_t port_ = 0;
};

TEST_F(Queue, EachRequestHasItsAnswerAndComesAgainUnharmed) {
  start(1);
  QueueClient client = this->client();
  EXPECT_EQ(client.ask("reserve w r0"), "empty");
  for (int i = 0; i < 2; ++i) EXPECT_EQ(client.ask("put a hello world"), "ok a");
  EXPECT_THAT(client.ask("put a other"), StartsWith("error exists "));
  EXPECT_EQ(client.ask("put b "), "ok b");
  EXPECT_EQ(client.ask("show a"), "ready a");
  for (int i = 0; i < 2; ++i) EXPECT_EQ(client.ask("reserve w r1"), "job a hello world");
  EXPECT_EQ(client.ask("show a"), "reserved a w r1");
  EXPECT_EQ(client.ask("reserve v r1"), "job b ") << "another worker's request";
  EXPECT_EQ(client.ask("reserve w r2"), "empty");
  EXPECT_THAT(client.ask("delete v a"), StartsWith("error not-owner "));
  EXPECT_THAT(client.ask("delete w c"), StartsWith("error not-found "));
  for (int i = 0; i < 2; ++i) EXPECT_EQ(client.ask("delete w a"), "ok a");
  EXPECT_EQ(client.ask("put a hello world"), "ok a") << "it comes late";
  EXPECT_EQ(client.ask("show a"), "deleted a");
  EXPECT_THAT(client.ask("reserve w r1"), StartsWith("error over ")) << "so does this, and it gets no second job";
  EXPECT_EQ(client.ask("stats"), "stats ready=0 reserved=1 remembered=1 bytes=0 segments=1");
  EXPECT_EQ(client.ask("quit"), "bye");
  EXPECT_EQ(client.receive_line(), "") << "the connection has ended";
}

TEST_F(Queue, RequestsThatArriveTogetherShareTheirCommits) {
  start(1);
  QueueClient client = this->client();
  std::string burst;
  constexpr int kJobs = 1000;
  for (int i = 0; i < kJobs; ++i) burst += "put j" + std::to_string(i) + " body\n";
  client.send(burst);
  for (int i = 0; i < kJobs; ++i) ASSERT_EQ(client.receive_line(), "ok j" + std::to_string(i));
  const Client keep(ring_.socket(1));
  std::uint64_t commits = 0;
  for (const char* name : {"queue/jobs/0", "queue/jobs/1", "queue/jobs/2", "queue/jobs/3"}) {
    std::uint64_t version = 0;
    read_all(keep.handle, name, &version);
    commits += version;
  }
  EXPECT_GT(commits, 0U);
  EXPECT_LT(commits, kJobs / 10U);
}

TEST_F(Queue, AfterKillItIsBackWithEveryAcknowledgedJob) {
  start(1);
  std::set<std::string> acknowledged;
  for (int life = 0; life < 5; ++life) {
    QueueClient client = this->client();
    for (int i = 0; i < 300; ++i) client.send("put l" + std::to_string(life) + "-" + std::to_string(i) + " x\n");
    for (int i = 0; i < 20 + 50 * life; ++i) acknowledged.insert(client.receive_line().substr(3));
    client.send("reserve w" + std::to_string(life) + " r\n");
    kill_queue();
    start(1);
  }
  QueueClient client = this->client();
  for (const std::string& id : acknowledged)
    EXPECT_THAT(client.ask("show " + id), ::testing::AnyOf(StartsWith("ready "), StartsWith("reserved "))) << id;
  std::set<std::string> given;
  for (int request = 0;; ++request) {
    const std::string answer = client.ask("reserve drain r" + std::to_string(request));
    if (answer == "empty") break;
    ASSERT_THAT(answer, StartsWith("job "));
    EXPECT_TRUE(given.insert(answer).second) << answer << " twice";
  }
}

TEST_F(Queue, ItsNodeIsLostAndItStartsWhereTheCopyIs) {
  start(1);
  QueueClient before = client();
  for (int i = 0; i < 600; ++i) before.send("put j" + std::to_string(i) + " x\n");
  for (int i = 0; i < 600; ++i) ASSERT_THAT(before.receive_line(), StartsWith("ok "));
  EXPECT_EQ(before.ask("reserve w r"), "job j0 x");
  ring_.server(1).kill(SIGKILL);
  EXPECT_EQ(process_->wait(), 75) << process_->output();
  EXPECT_EQ(before.receive_line(), "") << "nothing is acknowledged any more";
  start(3);
  QueueClient after = client();
  EXPECT_EQ(after.ask("stats"), "stats ready=599 reserved=1 remembered=0 bytes=600 segments=3");
  EXPECT_EQ(after.ask("reserve w r"), "job j0 x");
}

// The lease of its server ends, so it must not even say what it knows: that may have changed elsewhere. With writes:
// ServiceRun.TheOldInstanceCannotAcknowledgeAnyMore.
TEST_F(Queue, TheOldInstanceTellsNothingAnyMore) {
  start(1);
  QueueClient old = client();
  EXPECT_EQ(old.ask("put a x"), "ok a");
  const std::unique_ptr<ChildProcess> stopped = std::move(process_);
  ring_.server(1).kill(SIGSTOP);
  start(3);
  QueueClient now = client();
  EXPECT_EQ(now.ask("reserve new r"), "job a x");
  old.send("show a\n");
  EXPECT_EQ(old.receive_line(), "") << "it was killed by the guard of its node, without a word";
  EXPECT_EQ(stopped->wait(), 128 + SIGKILL);
  ring_.server(1).kill(SIGCONT);
}

TEST_F(Queue, EveryLimitHasAClearError) {
  start(1, {"--jobs", "3", "--bytes", "100", "--connections", "2"});
  QueueClient client = this->client();
  EXPECT_EQ(client.ask("put a " + std::string(90, 'x')), "ok a");
  EXPECT_THAT(client.ask("put b " + std::string(11, 'x')), StartsWith("error full "));
  EXPECT_EQ(client.ask("put b x"), "ok b");
  EXPECT_EQ(client.ask("put c x"), "ok c");
  EXPECT_THAT(client.ask("put d x"), StartsWith("error full "));
  EXPECT_THAT(client.ask("reserve w r"), StartsWith("job a "));
  EXPECT_EQ(client.ask("delete w a"), "ok a");
  EXPECT_EQ(client.ask("put d x"), "ok d");
  QueueClient second = this->client();
  EXPECT_EQ(second.ask("show d"), "ready d");
  QueueClient third = this->client();
  EXPECT_THAT(third.receive_line(), StartsWith("error busy "));
  EXPECT_EQ(third.receive_line(), "");
  EXPECT_EQ(second.ask("show d"), "ready d");
}

TEST_F(Queue, HostileLinesEndNobodyElse) {
  start(1);
  QueueClient good = client();
  EXPECT_EQ(good.ask("put a x"), "ok a");
  const std::string longest(4096, 'b');
  EXPECT_EQ(good.ask("put long " + longest), "ok long");
  EXPECT_THAT(good.ask("put longer b" + longest), HasSubstr("at most 4096 bytes"));
  for (const std::string& line :
       {std::string(""), std::string("put"), std::string("put  x"), std::string("put a/b x"),
        "put " + std::string(65, 'i') + " x", std::string("reserve w"), std::string("reserve w r s"),
        std::string("delete w"), std::string("show"), std::string("stats now"), std::string("\0\xff\n", 2),
        std::string("PUT a x"), std::string("quit now")})
    EXPECT_THAT(good.ask(line), StartsWith("error bad-request ")) << line;
  QueueClient endless = client();
  endless.send(std::string(1 << 20, 'x'));
  EXPECT_THAT(endless.receive_line(), AnyOf(HasSubstr("a line has at most"), std::string()));
  EXPECT_EQ(endless.receive_line(), "");
  {
    QueueClient torn = client();
    torn.send("put torn x");  // no newline: no request
  }
  EXPECT_THAT(good.ask("show torn"), StartsWith("error not-found "));
  // A client that asks and never reads holds up nobody.
  QueueClient deaf = client();
  std::string many;
  for (int i = 0; i < 20'000; ++i) many += "show a\n";
  deaf.send(many);
  EXPECT_EQ(good.ask("show a"), "ready a");
  for (int i = 0; i < 20'000; ++i) ASSERT_EQ(deaf.receive_line(), "ready a");
}

TEST_F(Queue, TwoInstancesAtOneAddressAndWrongUse) {
  start(1);
  const std::string address = "127.0.0.1:" + std::to_string(port_);
  const auto run = [&](std::vector<std::string> options) {
    options.insert(options.begin(), RINGKEEP_QUEUE);
    return std::make_unique<ChildProcess>(
        options, std::vector<std::pair<std::string, std::string>>{{"RINGKEEP_SOCKET", ring_.socket(2)}});
  };
  EXPECT_EQ(run({"--listen", address})->wait(), 71);
  EXPECT_EQ(run({"--listen", "nowhere"})->wait(), 64);
  EXPECT_EQ(run({"--jobs", "0"})->wait(), 64);
  EXPECT_EQ(run({"--jobs"})->wait(), 64);
  EXPECT_EQ(run({"--name", "a/b"})->wait(), 64);
  EXPECT_EQ(run({"--what"})->wait(), 64);
  const auto elsewhere = run({"--listen", "127.0.0.1:0"});
  EXPECT_EQ(elsewhere->wait(), 69) << "the queue is written at server 1, which lives";
  EXPECT_TRUE(elsewhere->await_output("is written at server 1"));
  ring_.server(2).kill(SIGKILL);
  ring_.server(2).wait();
  EXPECT_EQ(run({"--listen", "127.0.0.1:0"})->wait(), 69);
  process_->signal(SIGTERM);
  EXPECT_EQ(process_->wait(), 0);
}

TEST_F(Queue, WhatIsSavedUnderItsNameMustBeAQueue) {
  const Client keep(ring_.socket(1));
  ASSERT_EQ(rk_put(keep.handle, "queue/jobs/index", "2", 1, nullptr), RK_OK);
  ASSERT_EQ(rk_put(keep.handle, "queue/jobs/0", "RKQS\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0", 20, nullptr), RK_OK);
  ChildProcess queue(queue_command(), {{"RINGKEEP_SOCKET", ring_.socket(1)}});
  EXPECT_EQ(queue.wait(), 65);
  EXPECT_TRUE(queue.await_output("a saved segment ends early"));
}

}  // namespace
}  // namespace rk::testing

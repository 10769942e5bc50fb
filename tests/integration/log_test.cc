// SPDX-License-Identifier: Apache-2.0
// The explicit messages of a job over a real server, its processes killed at random moments: each restarted life
// repeats what the earlier ones saw, choices among sources included, and nobody sees a message twice or never.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <thread>
#include <utility>

#include "base/prng.h"
#include "client/messages.h"
#include "tests/integration/ring_fixture.h"
#include "wire/control_messages.h"

namespace rk::testing {
namespace {

constexpr std::uint32_t kRanks = 4;  // each a community of its own
constexpr std::uint64_t kLimit = std::uint64_t{16} << 20U;

// One job of log_process, with the launcher's part done by hand.
class LogJob {
 public:
  LogJob(RingFixture& ring, std::uint64_t id, std::uint64_t tasks, std::uint64_t every = 0)
      : ring_(ring), id_(id), tasks_(tasks), every_(every), directory_(), launcher_(ring.client(1)) {
    wire::JobCreate create{JobId(id), {}, kLimit};
    for (std::uint32_t rank = 0; rank < kRanks; ++rank) create.community_of.emplace_back(rank);
    const auto created = launcher_->ask<wire::Done>(create);
    EXPECT_TRUE(created) << created.error().message;
    for (std::uint32_t rank = 0; rank < kRanks; ++rank) start(rank);
  }
  ~LogJob() {
    for (std::uint32_t rank = 0; rank < kRanks; ++rank)
      if (pids_[rank] > 0) ::kill(pids_[rank], SIGKILL), ::waitpid(pids_[rank], nullptr, 0);
  }

  // False if it had ended by itself before.
  bool kill_and_restart(std::uint32_t rank) {
    ::kill(pids_[rank], SIGKILL);
    if (wait(rank) != -SIGKILL) return false;
    const auto fenced = launcher_->ask<wire::Done>(wire::JobFence{JobId(id_), CommunityId(rank)}, nullptr,
                                                   Incarnation(lives_[rank] + 1));
    EXPECT_TRUE(fenced) << fenced.error().message;
    start(rank);
    return true;
  }
  bool running(std::uint32_t rank) {
    if (pids_[rank] <= 0) return false;
    siginfo_t info{};
    ::waitid(P_PID, static_cast<id_t>(pids_[rank]), &info, WEXITED | WNOHANG | WNOWAIT);
    return info.si_pid == 0;
  }
  // Exit code, or minus the signal.
  int wait(std::uint32_t rank) {
    if (pids_[rank] <= 0) return 0;
    int status = 0;
    ::waitpid(pids_[rank], &status, 0);
    pids_[rank] = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  // Whole lines that a life wrote.
  std::vector<std::string> trace(std::uint32_t rank, std::uint64_t life) const {
    std::ifstream file(path(rank, life));
    std::vector<std::string> lines;
    std::string line;
    while (std::getline(file, line) && !file.eof()) lines.push_back(line);
    return lines;
  }
  std::uint64_t lives(std::uint32_t rank) const { return lives_[rank]; }

 private:
  std::string path(std::uint32_t rank, std::uint64_t life) const {
    return directory_.path() + "/" + std::to_string(rank) + "." + std::to_string(life);
  }
  void start(std::uint32_t rank) {
    const std::uint64_t life = ++lives_[rank];
    char job[17];
    std::snprintf(job, sizeof job, "%016llx", static_cast<unsigned long long>(id_));
    const std::string variables[] = {std::string(wire::kEnvSocket) + "=" + ring_.socket(1),
                                     std::string(wire::kEnvJob) + "=" + job,
                                     std::string(wire::kEnvRank) + "=" + std::to_string(rank),
                                     std::string(wire::kEnvCommunities) + "=0,1,2,3",
                                     std::string(wire::kEnvIncarnation) + "=" + std::to_string(life),
                                     std::string(wire::kEnvOptions) + "=spin=0"};
    std::vector<char*> environment;
    for (const std::string& variable : variables) environment.push_back(const_cast<char*>(variable.c_str()));
    environment.push_back(nullptr);
    const std::string trace_path = path(rank, life);
    const std::string tasks = std::to_string(tasks_);
    const std::string every = std::to_string(every_);
    const char* const arguments[] = {LOG_PROCESS_PATH, trace_path.c_str(), tasks.c_str(), every.c_str(), nullptr};
    pids_[rank] = ::fork();
    if (pids_[rank] == 0) {
      ::execve(LOG_PROCESS_PATH, const_cast<char* const*>(arguments), environment.data());
      ::_exit(127);
    }
  }

  RingFixture& ring_;
  std::uint64_t id_;
  std::uint64_t tasks_;
  std::uint64_t every_;  // receives between two checkpoints; 0: none
  TemporaryDirectory directory_;
  Result<TestClient> launcher_;
  pid_t pids_[kRanks] = {};
  std::uint64_t lives_[kRanks] = {};
};

// Every life's trace is a beginning of the last one's, and together the last ones hold each task exactly once.
void check(const LogJob& job, std::uint64_t tasks) {
  std::map<std::uint64_t, int> squares;
  std::map<std::uint64_t, int> given;
  for (std::uint32_t rank = 0; rank < kRanks; ++rank) {
    const auto last = job.trace(rank, job.lives(rank));
    for (std::uint64_t life = 1; life < job.lives(rank); ++life) {
      const auto earlier = job.trace(rank, life);
      ASSERT_LE(earlier.size(), last.size()) << "rank " << rank << " life " << life;
      for (std::size_t i = 0; i < earlier.size(); ++i)
        ASSERT_EQ(earlier[i], last[i]) << "rank " << rank << " life " << life << " receive " << i;
    }
    std::set<std::pair<std::uint64_t, std::uint64_t>> seen;
    std::uint64_t number = 0;
    for (const std::string& line : last) {
      std::uint64_t source = 0, ssn = 0, rsn = 0, value = 0;
      int tag = 0;
      std::istringstream(line) >> source >> tag >> ssn >> rsn >> value;
      EXPECT_EQ(rsn, ++number);
      EXPECT_TRUE(seen.emplace(source, ssn).second) << "message " << ssn << " of " << source << " came twice";
      if (tag == 2) ++squares[value];
      if (tag == 1) ++given[value];
    }
  }
  ASSERT_EQ(squares.size(), tasks);
  ASSERT_EQ(given.size(), tasks);
  for (std::uint64_t task = 1; task <= tasks; ++task) {
    EXPECT_EQ(squares[task * task], 1) << task;
    EXPECT_EQ(given[task], 1) << task;
  }
}

TEST(Log, FiftyKillsAndEveryMessageIsSeenOnce) {
  RingFixture ring(RingFixture::Options{1, "256M", {}, true});
  Prng prng(50);
  int kills = 0;
  int kills_after_a_receive = 0;
  for (std::uint64_t id = 1; kills < 50; ++id) {
    const std::uint64_t tasks = 4000;
    LogJob job(ring, id, tasks);
    for (int attempt = 0; attempt < 12 && kills < 50; ++attempt) {
      // The fault's moment: anything from the attach to the middle of an exchange.
      std::this_thread::sleep_for(std::chrono::microseconds(prng.below(20'000)));
      const auto victim = static_cast<std::uint32_t>(prng.below(kRanks));
      if (job.running(victim) && job.kill_and_restart(victim)) ++kills;
    }
    for (std::uint32_t rank = 0; rank < kRanks; ++rank) ASSERT_EQ(job.wait(rank), 0) << "rank " << rank;
    check(job, tasks);
    for (std::uint32_t rank = 0; rank < kRanks; ++rank)
      for (std::uint64_t life = 1; life < job.lives(rank); ++life)
        kills_after_a_receive += job.trace(rank, life).empty() ? 0 : 1;
    if (HasFatalFailure() || HasNonfatalFailure()) return;
  }
  EXPECT_GE(kills_after_a_receive, 10) << "the kills came too early to show anything";
}

// Of lives that began at checkpoints: what several of them received is the same, and together they received everything.
// Returns how many lives did not begin at the start.
int check_restored(const LogJob& job, std::uint64_t tasks) {
  int restored = 0;
  std::set<std::uint64_t> squares;
  for (std::uint32_t rank = 0; rank < kRanks; ++rank) {
    std::map<std::uint64_t, std::string> by_rsn;
    for (std::uint64_t life = 1; life <= job.lives(rank); ++life) {
      bool first = true;
      for (const std::string& line : job.trace(rank, life)) {
        std::uint64_t source = 0, ssn = 0, rsn = 0, value = 0;
        int tag = 0;
        std::istringstream(line) >> source >> tag >> ssn >> rsn >> value;
        EXPECT_EQ(by_rsn.emplace(rsn, line).first->second, line) << "rank " << rank << " life " << life;
        if (std::exchange(first, false) && rsn > 1) ++restored;
        if (tag == 2) squares.insert(value);
      }
    }
    EXPECT_EQ(by_rsn.size(), by_rsn.empty() ? 0 : by_rsn.rbegin()->first) << "rank " << rank << " lacks a message";
  }
  EXPECT_EQ(squares.size(), tasks);
  return restored;
}

// Without MPI: each process is a community of its own and takes its checkpoints when it likes.
TEST(Log, KilledProcessesGoOnFromTheirOwnCheckpoints) {
  RingFixture ring(RingFixture::Options{2, "256M", {}, true});
  Prng prng(51);
  int kills = 0;
  int restored = 0;
  for (std::uint64_t id = 1; kills < 20; ++id) {
    const std::uint64_t tasks = 3000;
    LogJob job(ring, id, tasks, 50);
    for (int attempt = 0; attempt < 8 && kills < 20; ++attempt) {
      // The fault's moment.
      std::this_thread::sleep_for(std::chrono::microseconds(prng.below(100'000)));
      const auto victim = static_cast<std::uint32_t>(prng.below(kRanks));
      if (job.running(victim) && job.kill_and_restart(victim)) ++kills;
    }
    for (std::uint32_t rank = 0; rank < kRanks; ++rank) ASSERT_EQ(job.wait(rank), 0) << "rank " << rank;
    restored += check_restored(job, tasks);
    if (HasFatalFailure() || HasNonfatalFailure()) return;
  }
  EXPECT_GE(restored, 5) << "the kills came too early to show anything";
}

// In one process: what rk_recv promises beside the choice of a source.
class LogSessionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    launcher_ = std::make_unique<Result<TestClient>>(ring_.client(1));
    wire::JobCreate create{JobId(5), {CommunityId(0), CommunityId(0), CommunityId(1)}, kLimit};
    ASSERT_TRUE((*launcher_)->ask<wire::Done>(create));
    attach(0, 1);
    attach(2, 1);
  }
  void attach(std::uint32_t rank, std::uint64_t life) {
    client::JobEnvironment environment;
    environment.socket = ring_.socket(1);
    environment.job = JobId(5);
    environment.rank = Rank(rank);
    environment.incarnation = Incarnation(life);
    environment.community_of = {CommunityId(0), CommunityId(0), CommunityId(1)};
    sessions_[rank].reset();
    auto session = client::LogSession::attach(environment, nullptr);
    ASSERT_TRUE(session) << session.error().message;
    sessions_[rank] = std::move(*session);
  }
  Status receive(std::uint32_t rank, std::size_t capacity, std::uint32_t timeout_ms) {
    buffer_.assign(capacity, std::byte{0});
    return client::receive_message(*sessions_[rank], log::kAnySource, log::kAnyTag, buffer_, timeout_ms, got_);
  }
  RingFixture ring_{1};
  std::unique_ptr<Result<TestClient>> launcher_;
  std::unique_ptr<client::LogSession> sessions_[3];
  Bytes buffer_;
  client::ReceivedMessage got_;
};

TEST_F(LogSessionTest, TimeOutsAndTooSmallBuffersAreRepeatedToo) {
  auto status = receive(2, 8, 1);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kTimeout);
  ASSERT_TRUE(client::send_message(*sessions_[0], 2, 7, as_bytes("hello")));
  status = receive(2, 4, 0);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(got_.size, 5U);
  ASSERT_TRUE(receive(2, 5, 0));
  EXPECT_EQ(got_.tag, 7);

  attach(2, 2);  // the message is there from the start now
  status = receive(2, 8, 1);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kTimeout);
  status = receive(2, 4, 0);
  ASSERT_FALSE(status);
  EXPECT_EQ(got_.size, 5U);
  ASSERT_TRUE(receive(2, 5, 0));
  EXPECT_FALSE(sessions_[2]->log().replaying());
}

TEST_F(LogSessionTest, TheOwnCommunityIsRefusedByName) {
  auto status = client::send_message(*sessions_[0], 1, 0, {});
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kUnsupported);
  status = client::send_message(*sessions_[0], 3, 0, {});
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
  status = client::send_message(*sessions_[0], 2, -1, {});
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
}

TEST_F(LogSessionTest, TheLogGrowsToItsLimitAndSaysSo) {
  const Bytes megabyte(std::size_t{1} << 20U);
  Status status;
  int sent = 0;
  while ((status = client::send_message(*sessions_[0], 2, 0, megabyte)) && sent < 1000) ++sent;
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kNoMemory);
  EXPECT_GE(sent, 13);
  for (int i = 0; i < sent; ++i) ASSERT_TRUE(receive(2, megabyte.size(), 0));
}

TEST_F(LogSessionTest, ASleepingReceiverIsWoken) {
  std::thread sender([&] { EXPECT_TRUE(client::send_message(*sessions_[0], 2, 1, as_bytes("up"))); });
  const auto status = receive(2, 8, kPatienceMs);
  sender.join();
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(got_.source, 0U);
}

}  // namespace
}  // namespace rk::testing

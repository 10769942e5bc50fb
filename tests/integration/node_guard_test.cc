// SPDX-License-Identifier: Apache-2.0
// The guard of a node ends the processes of a server without a lease, and nobody else.
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <string>

#include "ringkeep/ringkeep.h"
#include "tests/integration/ring_fixture.h"

namespace rk::testing {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kFencing{5};  // ringkeep.h

// A program that has one connection and waits.
class Service {
 public:
  Service(const std::string& socket, bool fenced) {
    int ready[2];
    EXPECT_EQ(pipe(ready), 0);
    pid_ = fork();
    if (pid_ == 0) {
      rk_options options{sizeof(rk_options), socket.c_str(), "service", 0, fenced ? 1U : 0U};
      rk_client* client = nullptr;
      if (rk_open(&options, &client) != RK_OK || write(ready[1], "r", 1) != 1) _exit(1);
      for (;;) pause();
    }
    close(ready[1]);
    char byte = 0;
    EXPECT_EQ(read(ready[0], &byte, 1), 1);
    close(ready[0]);
  }
  ~Service() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  bool alive() {
    if (pid_ > 0 && waitpid(pid_, &status_, WNOHANG) == pid_) pid_ = -1;
    return pid_ > 0;
  }
  // The signal that ended it; 0: it lives on.
  int await_end() {
    const auto give_up = Clock::now() + std::chrono::milliseconds(kPatienceMs);
    while (alive() && Clock::now() < give_up) poll(nullptr, 0, 10);
    return pid_ < 0 && WIFSIGNALED(status_) ? WTERMSIG(status_) : 0;
  }

 private:
  pid_t pid_ = -1;
  int status_ = 0;
};

TEST(NodeGuard, ProcessesOfAStoppedServerDieWhenTheFencingTimeIsOver) {
  RingFixture ring(3);
  Service fenced(ring.socket(2), true);
  Service free(ring.socket(2), false);
  Service elsewhere(ring.socket(1), true);
  const auto stopped = Clock::now();
  ring.server(2).kill(SIGSTOP);
  EXPECT_EQ(fenced.await_end(), SIGKILL);
  EXPECT_GE(Clock::now() - stopped, kFencing);
  EXPECT_NE(ring.server(2).output().find("killed process"), std::string::npos) << ring.server(2).output();
  EXPECT_TRUE(free.alive());
  EXPECT_TRUE(elsewhere.alive());
  ring.server(2).kill(SIGCONT);
}

TEST(NodeGuard, ProcessesOfAKilledServerDieTooAlthoughItComesBack) {
  RingFixture ring(3);
  Service fenced(ring.socket(2), true);
  ring.server(2).kill(SIGKILL);
  ring.server(2).wait();
  ASSERT_TRUE(ring.start(2).output.empty());
  Service later(ring.socket(2), true);
  EXPECT_EQ(fenced.await_end(), SIGKILL);
  EXPECT_TRUE(later.alive());
}

TEST(NodeGuard, AShorterTimeWithoutALeaseAndAnOrderlyEndKillNobody) {
  RingFixture ring(3);
  Service wedged(ring.socket(2), true);
  const auto without = Clock::now();
  for (const std::uint32_t other : {1U, 3U}) ring.server(other).kill(SIGSTOP);
  ASSERT_TRUE(ring.await_status(2, [](const wire::StatusAnswer& status) { return status.state == "wedged"; }));
  for (const std::uint32_t other : {1U, 3U}) ring.server(other).kill(SIGCONT);
  ASSERT_TRUE(ring.await_ring_of(3));
  if (Clock::now() - without > kFencing / 2) GTEST_SKIP() << "the machine is too slow for a short time";
  Service left(ring.socket(3), true);
  ring.server(3).kill(SIGTERM);
  EXPECT_EQ(ring.server(3).wait(), 0);
  const auto end = Clock::now() + kFencing + std::chrono::seconds(2);
  while (wedged.alive() && left.alive() && Clock::now() < end) poll(nullptr, 0, 50);
  EXPECT_TRUE(wedged.alive());
  EXPECT_TRUE(left.alive());
}

// Until then the number of the process may have become somebody else's: only a connection that is open counts.
TEST(NodeGuard, AClosedConnectionIsNoFence) {
  RingFixture ring(3);
  rk_options options{sizeof(rk_options), nullptr, "service", 0, 1};
  const std::string socket = ring.socket(2);
  options.socket_path = socket.c_str();
  const pid_t child = fork();
  if (child == 0) {
    rk_client* client = nullptr;
    if (rk_open(&options, &client) != RK_OK) _exit(1);
    rk_close(client);
    if (rk_open(&options, &client) != RK_OK) _exit(1);  // the server has seen the first one's end when it answers
    rk_close(client);
    options.fenced = 0;
    if (rk_open(&options, &client) != RK_OK) _exit(1);
    ring.server(2).kill(SIGSTOP);
    poll(nullptr, 0, 7000);
    _exit(42);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 42) << status;
  ring.server(2).kill(SIGCONT);
}

}  // namespace
}  // namespace rk::testing

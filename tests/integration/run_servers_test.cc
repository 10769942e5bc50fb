// SPDX-License-Identifier: Apache-2.0
// However a job ends that used servers which stay, they are afterwards as they were before it: no descriptor, memory or
// job more.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "launch/private_ring.h"
#include "tests/integration/run_fixture.h"
#include "wire/locations.h"

namespace rk::testing {
namespace {

constexpr std::uint32_t kServers = 4;

// "socket", "anon_inode:[eventpoll]", "/memfd:name (deleted)", ...
std::string kind_of(const std::string& descriptor) {
  std::array<char, 512> text{};
  const ssize_t length = ::readlink(descriptor.c_str(), text.data(), text.size());
  const std::string target(text.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
  return target.rfind("socket:", 0) == 0 || target.rfind("pipe:", 0) == 0 ? target.substr(0, target.find(':')) : target;
}

class RunServers : public RunFixture {
 protected:
  void SetUp() override {
    RunFixture::SetUp();
    ring_ = folder() + "/ring";
    const Ended up = run({"up", "--servers", std::to_string(kServers), "--dir", ring_});
    ASSERT_EQ(up.status, 0) << up.err;
    for (std::uint32_t node = 1; node <= kServers; ++node) {
      const auto status = launch::ask_status(wire::server_socket(ring_, node));
      ASSERT_TRUE(status) << status.error().message;
      servers_.push_back(static_cast<pid_t>(status->pid));
    }
    // With the guard of each, and the holder of its memory.
    std::vector<pid_t> stay = servers_;
    for (const pid_t server : servers_) {
      std::ifstream children("/proc/" + std::to_string(server) + "/task/" + std::to_string(server) + "/children");
      for (pid_t guard = 0; children >> guard;) stay.push_back(guard);
    }
    EXPECT_EQ(stay.size(), 3 * servers_.size());
    spare(stay);
    ASSERT_TRUE(await([this] { return all_linked(); })) << "the servers have not found each other:\n" << state();
    // The connections that asked are gone once two looks agree.
    ASSERT_TRUE(await([this] {
      const std::string earlier = std::exchange(before_, state());
      return before_ == earlier;
    })) << before_;
  }
  void TearDown() override {
    EXPECT_EQ(run({"down", "--dir", ring_}).status, 0);
    RunFixture::TearDown();
  }

  std::vector<std::string> job_of(int steps) const {
    return {"run", "-n", "4", "--communities", "2", "--dir", ring_, "--", program(), "steps", std::to_string(steps)};
  }
  void start_job(int steps) {
    start(job_of(steps));
    await_output("step 5 ");
    const std::string during = state();
    EXPECT_NE(during, before_) << "a job does not show in what this test looks at";
    EXPECT_NE(during.find("jobs 1"), std::string::npos) << during;
  }
  // Also after the run that follows.
  void expect_as_before() {
    expect_nothing_left();
    expect_state();
    EXPECT_EQ(run(job_of(2)).status, 0);
    expect_nothing_left();
    expect_state();
    const Ended status = run({"status", "--dir", ring_, "--json"});
    EXPECT_NE(status.out.find("\"jobs\": []"), std::string::npos) << status.out;
  }

 private:
  bool all_linked() const {
    for (std::uint32_t node = 1; node <= kServers; ++node) {
      const auto status = launch::ask_status(wire::server_socket(ring_, node));
      if (!status || status->members.size() != kServers) return false;
      for (const wire::MemberStatus& member : status->members)
        if (member.node.value != node && !member.connected) return false;
    }
    return true;
  }
  // What each server holds, as text. The descriptors come first, for the question opens one.
  std::string state() const {
    std::string text;
    for (std::uint32_t node = 1; node <= kServers; ++node) {
      const std::string folder = "/proc/" + std::to_string(servers_[node - 1]) + "/fd";
      std::map<std::string, int> kinds;
      for (const std::string& name : entries_of(folder)) ++kinds[kind_of(folder + "/" + name)];
      text += "server " + std::to_string(node) + "\n";
      for (const auto& [kind, count] : kinds) text += "  " + std::to_string(count) + " " + kind + "\n";
    }
    for (std::uint32_t node = 1; node <= kServers; ++node) {
      const auto status = launch::ask_status(wire::server_socket(ring_, node));
      if (!status) return text + status.error().message;
      text += "server " + std::to_string(node) + " view " + std::to_string(status->view.value) + " used " +
              std::to_string(status->used_bytes) + " checkpoints " + std::to_string(status->checkpoints) + " jobs " +
              std::to_string(status->jobs.size()) + "\n";
    }
    return text;
  }
  void expect_state() {
    std::string now;
    EXPECT_TRUE(await([&] { return (now = state()) == before_; })) << "before:\n" << before_ << "now:\n" << now;
  }

  std::string ring_;
  std::vector<pid_t> servers_;
  std::string before_;
};

TEST_F(RunServers, AreAsBeforeAfterSuccess) {
  start_job(100);
  EXPECT_EQ(finish().status, 0);
  expect_as_before();
}

TEST_F(RunServers, AreAsBeforeAfterCtrlC) {
  start_job(100000);
  ::kill(launcher(), SIGINT);
  EXPECT_EQ(finish().status, 128 + SIGINT);
  expect_as_before();
}

TEST_F(RunServers, AreAsBeforeAfterTheLauncherWasKilled) {
  start_job(100000);
  ::kill(launcher(), SIGKILL);
  EXPECT_EQ(finish().status, 128 + SIGKILL);
  expect_as_before();
}

TEST_F(RunServers, AreAsBeforeAfterMpirunWasKilled) {
  start_job(200);
  const std::vector<pid_t> mpiruns = await_processes("mpirun.openmpi");
  ASSERT_FALSE(mpiruns.empty());
  ::kill(mpiruns[0], SIGKILL);
  const Ended ended = finish();
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_NE(ended.err.find("rolled back 1 time"), std::string::npos) << ended.err;
  expect_as_before();
}

}  // namespace
}  // namespace rk::testing

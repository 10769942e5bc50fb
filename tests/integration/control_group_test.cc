// SPDX-License-Identifier: Apache-2.0
// A server in a real control group with less memory than its budget. Where the machine lets no group be made the test
// is skipped; what is read of groups of either version is tested in tests/unit/shm/memory_budget_test.cc.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#include "daemon/exit_codes.h"
#include "tests/integration/ring_fixture.h"

namespace rk::testing {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20U;

// A group with a memory limit, below the one that this process is in; removed when its processes are gone.
class Group {
 public:
  Group(std::string directory, const char* limit_file) : directory_(std::move(directory)), limit_file_(limit_file) {}
  ~Group() {
    if (made_) ::rmdir(directory_.c_str());
  }
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;
  // Empty if it is made; else why not.
  std::string make() {
    if (::mkdir(directory_.c_str(), 0755) != 0) return "cannot make " + directory_ + ": " + std::strerror(errno);
    made_ = true;
    if (!fs::exists(directory_ + "/" + limit_file_)) return directory_ + " has no memory controller";
    return {};
  }
  bool limit(std::uint64_t bytes) const {
    std::ofstream out(directory_ + "/" + limit_file_);
    out << bytes << std::flush;
    return static_cast<bool>(out);
  }
  const std::string& directory() const { return directory_; }

 private:
  std::string directory_;
  const char* limit_file_;
  bool made_ = false;
};

bool await_serving(TestClient& client) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
  while (std::chrono::steady_clock::now() < until) {
    const auto status = client.ask<wire::StatusAnswer>(wire::StatusQuery{});
    if (status && status->state == "serving") return true;
    ::poll(nullptr, 0, 10);  // the status is the only event that there is to ask for
  }
  return false;
}

// Where a group of this version can be made; empty: nowhere.
std::string parent_of_version(int version) {
  std::ifstream in("/proc/self/mountinfo");
  for (std::string line; std::getline(in, line);) {
    const auto dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    std::istringstream head(line);
    std::istringstream tail(line.substr(dash + 3));
    std::string word, point, type, source, options;
    for (int i = 0; i < 4; ++i) head >> word;
    head >> point;
    tail >> type >> source >> options;
    const bool memory = ("," + options + ",").find(",memory,") != std::string::npos;
    if (version == 1 ? type == "cgroup" && memory : type == "cgroup2") return point;
  }
  return {};
}

class ControlGroup : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    const std::string parent = parent_of_version(GetParam());
    if (parent.empty()) GTEST_SKIP() << "no memory controller of version " << GetParam() << " is mounted";
    group_ = std::make_unique<Group>(parent + "/ringkeep-test-" + std::to_string(::getpid()),
                                     GetParam() == 1 ? "memory.limit_in_bytes" : "memory.max");
    if (const std::string why = group_->make(); !why.empty()) GTEST_SKIP() << why;
  }
  ServerProcess::Started start(const std::string& memory) {
    const std::string own = directory_.path() + "/";
    // A holder of memory would outlive a server that is killed, and keep the group from being removed.
    const std::string config = directory_.write("config.toml", "hold_s = 0\n");
    return ServerProcess::start({"--config", config, "--node", "1", "--socket", own + "socket", "--state-directory",
                                 own + "state", "--memory", memory},
                                own + "output-" + memory, {}, 0, group_->directory());
  }
  TemporaryDirectory directory_;
  std::unique_ptr<Group> group_;
};

TEST_P(ControlGroup, SmallerThanTheBudgetIsRefusedWithBothNumbers) {
  ASSERT_TRUE(group_->limit(256 * kMiB));
  const auto refused = start("512M");
  ASSERT_TRUE(refused.exit_code) << "it runs";
  EXPECT_EQ(*refused.exit_code, static_cast<int>(daemon::ExitCode::kMemory)) << refused.output;
  for (const std::string& word : {std::to_string(512 * kMiB), std::to_string(256 * kMiB), group_->directory()})
    EXPECT_NE(refused.output.find(word), std::string::npos) << "'" << word << "' is not in: " << refused.output;
  const auto reserve = start("200M");
  ASSERT_TRUE(reserve.exit_code) << "the reserve of 64 MiB counts too";
  EXPECT_EQ(*reserve.exit_code, static_cast<int>(daemon::ExitCode::kMemory));
}

// A group that fills up, or is made smaller while the server runs, gives an error and no SIGKILL.
TEST_P(ControlGroup, ThatFillsUpGivesAnErrorAndNotADeath) {
  ASSERT_TRUE(group_->limit(256 * kMiB));
  auto started = start("150M");
  ASSERT_TRUE(started.server) << started.output;
  auto client = TestClient::greet(directory_.path() + "/socket");
  ASSERT_TRUE(client) << client.error().message;
  ASSERT_TRUE(await_serving(*client));
  ASSERT_TRUE(client->ask<wire::CheckpointSlot>(wire::CheckpointBegin{"first", {{"data", 60 * kMiB}}}));
  ASSERT_TRUE(group_->limit(160 * kMiB));
  const auto refused = client->ask<wire::CheckpointSlot>(wire::CheckpointBegin{"second", {{"data", 60 * kMiB}}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kNoMemory);
  EXPECT_NE(refused.error().message.find("control group " + group_->directory()), std::string::npos)
      << refused.error().message;
  EXPECT_TRUE(started.server->running());
  EXPECT_TRUE(client->ask<wire::CheckpointSlot>(wire::CheckpointBegin{"third", {{"data", kMiB}}}));
  started.server->kill(SIGTERM);
  EXPECT_EQ(started.server->wait(), 0);
}

INSTANTIATE_TEST_SUITE_P(Versions, ControlGroup, ::testing::Values(1, 2),
                         [](const auto& version) { return "Version" + std::to_string(version.param); });

}  // namespace
}  // namespace rk::testing

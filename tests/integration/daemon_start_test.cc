// SPDX-License-Identifier: Apache-2.0
// How a server starts, refuses to start, and ends: each refusal is one clear line and a documented exit code
// (docs/exit-codes.md).
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>

#include "daemon/exit_codes.h"
#include "tests/integration/ring_fixture.h"

namespace rk::testing {
namespace {

using daemon::ExitCode;

class Start : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return directory_.path() + "/" + name; }
  std::vector<std::string> alone(const std::string& folder = "a") const {
    return {"--node",   "1",  "--socket", path(folder) + "/socket", "--state-directory", path(folder) + "-state",
            "--memory", "16M"};
  }
  ServerProcess::Started start(std::vector<std::string> arguments, const std::vector<std::string>& more = {}) {
    arguments.insert(arguments.end(), more.begin(), more.end());
    return ServerProcess::start(std::move(arguments), path("output-" + std::to_string(++runs_)));
  }
  // It ended with that code and one line that has all the words.
  static void expect_refused(const ServerProcess::Started& started, ExitCode code,
                             const std::vector<std::string>& words) {
    ASSERT_TRUE(started.exit_code) << "it runs";
    EXPECT_EQ(*started.exit_code, static_cast<int>(code)) << started.output;
    for (const std::string& word : words)
      EXPECT_NE(started.output.find(word), std::string::npos) << "'" << word << "' is not in: " << started.output;
    EXPECT_EQ(std::count(started.output.begin(), started.output.end(), '\n'), 1) << started.output;
  }

  TemporaryDirectory directory_;
  int runs_ = 0;
};

TEST_F(Start, AnUnknownKeyNamesFileLineKeyAndCure) {
  const std::string config = directory_.write("ringkeepd.toml", "node = 1\n\nmemroy = \"1G\"\n");
  expect_refused(start({"--config", config}), ExitCode::kUsage,
                 {config + ":3", "memroy", "the keys here are", "memory"});
}

TEST_F(Start, ATruncatedConfigurationNamesTheLine) {
  const std::string config = directory_.write("ringkeepd.toml", "node = 1\nsocket = \"/tmp/so");
  expect_refused(start({"--config", config}), ExitCode::kUsage, {config + ":2", "cut off"});
}

TEST_F(Start, AMissingConfigurationAndAnUnknownFlag) {
  expect_refused(start({"--config", path("none.toml")}), ExitCode::kUsage, {"none.toml"});
  expect_refused(start({"--sockte", "x"}), ExitCode::kUsage, {"--sockte", "--help"});
}

TEST_F(Start, CheckValidatesAndStartsNothing) {
  const auto checked = start(alone(), {"--check"});
  ASSERT_TRUE(checked.exit_code);
  EXPECT_EQ(*checked.exit_code, 0) << checked.output;
  EXPECT_FALSE(std::filesystem::exists(path("a")));
}

TEST_F(Start, ABudgetLargerThanTheMachineNamesBothNumbers) {
  auto arguments = alone();
  arguments.back() = "900T";
  expect_refused(start(arguments), ExitCode::kMemory, {"989560464998400"});
}

TEST_F(Start, ADirectoryThatOthersMayEnterIsRefused) {
  ASSERT_EQ(::mkdir(path("a").c_str(), 0700), 0);
  ASSERT_EQ(::chmod(path("a").c_str(), 0750), 0);
  expect_refused(start(alone()), ExitCode::kCannotStart, {path("a"), "chmod 700"});
}

TEST_F(Start, ASymbolicLinkInPlaceOfTheDirectoryIsRefused) {
  ASSERT_EQ(::mkdir(path("real").c_str(), 0700), 0);
  ASSERT_EQ(::symlink(path("real").c_str(), path("a").c_str()), 0);
  expect_refused(start(alone()), ExitCode::kCannotStart, {path("a"), "not a directory"});
}

TEST_F(Start, AKeyFileThatOthersMayReadIsRefused) {
  const std::string key = directory_.write("key", keys::KeySet::generate().text(), 0640);
  expect_refused(start(alone(), {"--key-file", key}), ExitCode::kCannotStart, {key, "chmod 400"});
  const std::string tiny = directory_.write("tiny", "k", 0600);
  expect_refused(start(alone(), {"--key-file", tiny}), ExitCode::kCannotStart, {tiny, "line 1", "ringkeep keygen"});
}

TEST_F(Start, ASecondServerOnTheSameSocketOrStateIsRefused) {
  const auto first = start(alone());
  ASSERT_TRUE(first.server) << first.output;
  auto same_socket = alone();
  same_socket[5] = path("other-state");
  expect_refused(start(same_socket), ExitCode::kCannotStart, {"already listens", path("a") + "/socket"});
  auto same_state = alone("b");
  same_state[5] = path("a") + "-state";
  expect_refused(start(same_state), ExitCode::kCannotStart, {"uses the state directory"});
  EXPECT_TRUE(TestClient::greet(path("a") + "/socket")) << "the first one is unharmed";
}

TEST_F(Start, TheSocketOfAKilledServerIsReplacedAndTheIncarnationRises) {
  auto first = start(alone());
  ASSERT_TRUE(first.server);
  auto client = TestClient::greet(path("a") + "/socket");
  const Incarnation before = client->ask<wire::StatusAnswer>(wire::StatusQuery{})->incarnation;
  first.server->kill(SIGKILL);
  first.server->wait();
  const auto second = start(alone());
  ASSERT_TRUE(second.server) << second.output;
  auto again = TestClient::greet(path("a") + "/socket");
  ASSERT_TRUE(again);
  EXPECT_GT(again->ask<wire::StatusAnswer>(wire::StatusQuery{})->incarnation, before);
}

TEST_F(Start, ADamagedStateFileIsNamed) {
  {
    auto first = start(alone());
    ASSERT_TRUE(first.server);
    first.server->kill(SIGTERM);
    EXPECT_EQ(first.server->wait(), 0);
    EXPECT_FALSE(std::filesystem::exists(path("a") + "/socket"));
  }
  std::filesystem::resize_file(path("a-state") + "/incarnation", 30);
  expect_refused(start(alone()), ExitCode::kCannotStart, {"a-state/incarnation", "damaged"});
}

TEST_F(Start, AnInterruptEndsItCleanly) {
  auto server = start(alone());
  ASSERT_TRUE(server.server);
  server.server->kill(SIGINT);
  EXPECT_EQ(server.server->wait(), 0);
  EXPECT_FALSE(std::filesystem::exists(path("a") + "/socket"));
}

}  // namespace
}  // namespace rk::testing

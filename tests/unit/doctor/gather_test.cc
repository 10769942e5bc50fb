// SPDX-License-Identifier: Apache-2.0
// Facts of this machine, as far as a test can arrange them.
#include "doctor/gather.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "io/listener.h"

namespace rk::doctor {
namespace {

class GatherTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "ringkeep-doctor-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string folder_;
};

TEST_F(GatherTest, AKeyThatOthersCanRead) {
  daemon::Config config;
  config.key_file = folder_ + "/key";
  EXPECT_FALSE(key_facts(config).read) << "it is missing";
  std::ofstream(config.key_file) << std::string(32, 'k');
  ::chmod(config.key_file.c_str(), 0644);
  const KeyFacts facts = key_facts(config);
  ASSERT_FALSE(facts.read);
  EXPECT_NE(facts.read.error().message.find("open to others"), std::string::npos);
}

TEST_F(GatherTest, ADirectoryIsPrivateMissingOrOpen) {
  ::chmod(folder_.c_str(), 0700);
  DirectoryFacts facts = directory_facts(folder_, false);
  EXPECT_TRUE(facts.exists && facts.usable && facts.durable);
  EXPECT_TRUE(std::filesystem::is_empty(folder_)) << "nothing is left";
  facts = directory_facts(folder_ + "/a/b", false);
  EXPECT_FALSE(facts.exists);
  EXPECT_TRUE(facts.usable);
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/a"));
  ::chmod(folder_.c_str(), 0755);
  EXPECT_FALSE(directory_facts(folder_, false).usable);
}

TEST_F(GatherTest, PortsOfTheRoster) {
  using Outcome = PortFacts::Outcome;
  const auto taken = io::listen_tcp({"127.0.0.1", 0});
  ASSERT_TRUE(taken);
  std::uint16_t closed = 0;
  {
    const auto free = io::listen_tcp({"127.0.0.1", 0});
    closed = io::local_port(free->get()).value();
  }
  const std::uint16_t port = io::local_port(taken->get()).value();
  daemon::Config config;
  config.node = NodeId(1);
  config.cluster = ClusterId(5);
  config.roster = {
      {NodeId(1), {"127.0.0.1", port}}, {NodeId(2), {"127.0.0.1", port}}, {NodeId(3), {"127.0.0.1", closed}}};
  auto ports = port_facts(config, std::nullopt);
  ASSERT_EQ(ports.size(), 3U);
  EXPECT_EQ(ports[0].outcome, Outcome::kTaken);
  EXPECT_EQ(ports[1].outcome, Outcome::kAnswers);
  EXPECT_EQ(ports[2].outcome, Outcome::kRefused);
  RunningServer running;
  running.status.node = config.node;
  running.status.cluster = config.cluster;
  EXPECT_EQ(port_facts(config, running)[0].outcome, Outcome::kOurs);
  config.node = NodeId(3);
  EXPECT_EQ(port_facts(config, std::nullopt)[2].outcome, Outcome::kFree);
  config.roster[2].address = {"192.0.2.1", 7801};
  EXPECT_EQ(port_facts(config, std::nullopt)[2].outcome, Outcome::kNotHere);
  config.roster.resize(1);
  EXPECT_TRUE(port_facts(config, std::nullopt).empty()) << "a server alone listens for nobody";
}

TEST_F(GatherTest, ThisMachineCanRunTheTests) {
  EXPECT_TRUE(shared_memory_facts().memfd);
  EXPECT_TRUE(clock_facts().monotonic_rises);
  const KernelFacts kernel = kernel_facts();
  EXPECT_TRUE(kernel.pidfd && kernel.environ_readable && kernel.children);
  EXPECT_TRUE(memory_facts({}, std::nullopt).room);
  EXPECT_GT(limit_facts({}).needed_files, daemon::Limits{}.ranks);
}

TEST_F(GatherTest, TheLaunchersParametersAreAskedFor) {
  const MpiFacts facts = mpi_facts();
  if (!facts.mpirun || !facts.parameters_known) GTEST_SKIP() << "Open MPI is not installed";
  EXPECT_NE(facts.version, "unknown");
  if (facts.version.find(" 4.1.") == std::string::npos) GTEST_SKIP() << "another Open MPI: " << facts.version;
  EXPECT_TRUE(facts.lacks.empty()) << facts.lacks.front();
}

}  // namespace
}  // namespace rk::doctor

// SPDX-License-Identifier: Apache-2.0
// `ringkeep doctor` as people and scripts run it.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "io/listener.h"
#include "launch/private_ring.h"
#include "tests/integration/run_fixture.h"
#include "wire/locations.h"

namespace rk::testing {
namespace {

class Doctor : public RunFixture {
 protected:
  void SetUp() override {
    RunFixture::SetUp();
    auto taken = io::listen_tcp({"127.0.0.1", 0});
    ASSERT_TRUE(taken);
    other_ = std::move(*taken);
    // A key as this release makes them.
    const std::string ring = folder() + "/key-maker";
    ASSERT_EQ(run({"up", "--servers", "1", "--dir", ring}).status, 0);
    std::ofstream(folder() + "/key") << text_of(ring + "/cluster-key");
    ASSERT_EQ(run({"down", "--dir", ring}).status, 0);
    ::chmod((folder() + "/key").c_str(), 0600);
  }
  std::uint16_t port_in_use() const { return io::local_port(other_.get()).value(); }
  // A configuration with two servers, of which the second one listens.
  std::string config(const std::string& own_address, const std::string& more = "") const {
    std::ofstream file(folder() + "/c.toml");
    file << "node = 1\ncluster = \"c1\"\nkey_file = \"" << folder() << "/key\"\nsocket = \"" << folder()
         << "/socket-directory/socket\"\nstate_directory = \"" << folder() << "/state\"\n"
         << more << "\n[[server]]\nnode = 1\naddress = \"" << own_address
         << "\"\n[[server]]\nnode = 2\naddress = \"127.0.0.1:" << port_in_use() << "\"\n";
    return folder() + "/c.toml";
  }
  static std::string free_address() {
    const auto free = io::listen_tcp({"127.0.0.1", 0});
    return "127.0.0.1:" + std::to_string(io::local_port(free->get()).value());
  }
  // The line of a check and its cure; "" if there is none of that level.
  static std::string line_of(const std::string& out, const std::string& level, const std::string& check) {
    std::istringstream lines(out);
    for (std::string line; std::getline(lines, line);)
      if (line.rfind(level + " ", 0) == 0 && line.find(check) == 9) {
        std::string cure;
        std::getline(lines, cure);
        return line + "\n" + cure;
      }
    return "";
  }

 private:
  shm::Descriptor other_;
};

TEST_F(Doctor, ANodeThatIsWellHasNoProblem) {
  const Ended ended = run({"doctor", "--config", config(free_address(), "memory = \"8M\"")});
  EXPECT_EQ(ended.status, 0) << ended.out;
  EXPECT_EQ(ended.err, "");
  for (const char* check : {"configuration", "memory", "limits", "shared memory", "kernel", "key", "state directory",
                            "socket directory", "ports"})
    EXPECT_NE(line_of(ended.out, "ok", check), "") << check << "\n" << ended.out;
  EXPECT_NE(ended.out.find("\n0 problems, "), std::string::npos) << ended.out;
  EXPECT_EQ(ended.out.find('\x1b'), std::string::npos) << "colours only on a terminal";
  EXPECT_FALSE(::access((folder() + "/state").c_str(), F_OK) == 0) << "it changes nothing";
}

TEST_F(Doctor, EachProblemHasItsLineAndItsCure) {
  ::chmod((folder() + "/key").c_str(), 0644);
  ASSERT_EQ(::mkdir((folder() + "/state").c_str(), 0755), 0);
  const std::string taken = "127.0.0.1:" + std::to_string(port_in_use());
  std::string path = config(taken, "memory = \"512T\"");
  // Both servers at one address are refused as a configuration: give the other one its own.
  std::string text = text_of(path);
  text.replace(text.rfind(taken), taken.size(), free_address());
  std::ofstream(path) << text;
  const Ended ended = run({"doctor", "--config", path});
  EXPECT_EQ(ended.status, 1) << ended.out;
  EXPECT_NE(line_of(ended.out, "problem", "memory").find("lower 'memory'"), std::string::npos) << ended.out;
  EXPECT_NE(line_of(ended.out, "problem", "key").find("chmod 400"), std::string::npos) << ended.out;
  EXPECT_NE(line_of(ended.out, "problem", "state directory").find("chmod 700"), std::string::npos) << ended.out;
  EXPECT_NE(line_of(ended.out, "problem", "ports").find("in use by another process"), std::string::npos) << ended.out;
  EXPECT_NE(line_of(ended.out, "warning", "ports").find("start that server"), std::string::npos) << ended.out;
  EXPECT_NE(ended.out.find("4 problems, "), std::string::npos) << ended.out;
}

TEST_F(Doctor, ThePortOfARunningServerIsItsOwn) {
  const std::string ring = folder() + "/ring";
  ASSERT_EQ(run({"up", "--servers", "2", "--dir", ring}).status, 0);
  const auto status = launch::ask_status(wire::server_socket(ring, 1));
  ASSERT_TRUE(status);
  std::ostringstream file;
  file << "node = 1\ncluster = \"" << std::hex << status->cluster.value << std::dec << "\"\nkey_file = \"" << ring
       << "/cluster-key\"\nsocket = \"" << wire::server_socket(ring, 1) << "\"\nstate_directory = \""
       << wire::server_directory(ring, 1) << "\"\nmemory = \"8M\"\n";
  for (const wire::MemberStatus& member : status->members)
    file << "[[server]]\nnode = " << member.node.value << "\naddress = \"" << member.address << "\"\n";
  std::ofstream(folder() + "/c.toml") << file.str();
  const Ended ended = run({"doctor", "--config", folder() + "/c.toml"});
  EXPECT_EQ(ended.status, 0) << ended.out;
  EXPECT_NE(line_of(ended.out, "ok", "ports").find("is its own"), std::string::npos) << ended.out;
  EXPECT_NE(ended.out.find("server 2 (" + status->members[1].address + ") can be reached"), std::string::npos)
      << ended.out;
  EXPECT_EQ(run({"down", "--dir", ring}).status, 0);
}

TEST_F(Doctor, AWrongConfigurationIsAFindingToo) {
  const Ended missing = run({"doctor", "--config", folder() + "/none"});
  EXPECT_EQ(missing.status, 1);
  EXPECT_NE(line_of(missing.out, "problem", "configuration").find("--config"), std::string::npos) << missing.out;
  const Ended wrong = run({"doctor", "--config", config("here", "memry = 1")});
  EXPECT_EQ(wrong.status, 1);
  EXPECT_NE(line_of(wrong.out, "problem", "configuration"), "") << wrong.out;
  EXPECT_NE(line_of(wrong.out, "ok", "kernel"), "") << "the rest is checked all the same: " << wrong.out;
}

TEST_F(Doctor, ForPrograms) {
  const Ended ended = run({"doctor", "--json", "--config", folder() + "/none"});
  EXPECT_EQ(ended.status, 1);
  EXPECT_NE(ended.out.find("\"worst\": \"problem\""), std::string::npos) << ended.out;
  EXPECT_NE(ended.out.find("\"check\": \"kernel\""), std::string::npos) << ended.out;
}

}  // namespace
}  // namespace rk::testing

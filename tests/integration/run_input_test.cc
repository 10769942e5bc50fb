// SPDX-License-Identifier: Apache-2.0
// Bad input to the command: one clear error each, a documented exit status, nothing left, servers unharmed.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "launch/frame_channel.h"
#include "tests/integration/run_fixture.h"
#include "wire/client_messages.h"
#include "wire/locations.h"

namespace rk::testing {
namespace {

class RunInput : public RunFixture {
 protected:
  void TearDown() override {
    if (!ring_.empty()) run({"down", "--dir", ring_});
    RunFixture::TearDown();
  }
  // A ring of one server that stays until the end of the test.
  const std::string& ring() {
    if (ring_.empty()) {
      ring_ = folder() + "/ring";
      const Ended up = run({"up", "--servers", "1", "--dir", ring_});
      EXPECT_EQ(up.status, 0) << up.err;
    }
    return ring_;
  }
  void expect_error(const std::vector<std::string>& arguments, int status, const std::string& part) {
    const Ended ended = run(arguments);
    EXPECT_EQ(ended.status, status) << ended.err;
    EXPECT_NE(ended.err.find(part), std::string::npos) << ended.err;
    EXPECT_EQ(std::count(ended.err.begin(), ended.err.end(), '\n'), 1) << ended.err;
    EXPECT_EQ(ended.out, "");
  }

 private:
  std::string ring_;
};

TEST_F(RunInput, WrongOptionsAndPrograms) {
  expect_error(job(2, 2, {"./no-such-program"}), 66, "no-such-program");
  expect_error(job(2, 2, {"/tmp"}), 66, "directory");
  expect_error({"run", "-n", "0", "--communities", "1", "--", program()}, 64, "-n");
  expect_error(job(2, 3, {program()}), 64, "3 communities");
  expect_error(job(2, 2, {program()}, {"--kill", "9@1s"}), 64, "--kill 9@1s");
  expect_error(job(2, 2, {program()}, {"--partition", "/no/such/file"}), 66, "/no/such/file");
  expect_error(job(2, 2, {program()}, {"--log-limit", "much"}), 64, "much");
  expect_error(job(2, 2, {program()}, {"--on-log-full", "merge"}), 64, "on-log-full");
  expect_error({"run", "-n", "2"}, 64, "program");
  expect_error({"run", "--unknown", "-n", "2", "--", "true"}, 64, "--unknown");
  expect_error({"up", "--servers", "0"}, 64, "--servers");
  expect_nothing_left();
}

TEST_F(RunInput, AProgramOfAnotherMpiLibrary) {
  if (mpich_program().empty()) GTEST_SKIP() << "MPICH is not installed";
  expect_error(job(2, 2, {mpich_program()}), 78, "libmpich");
  expect_nothing_left();
}

TEST_F(RunInput, AFileThatIsNotExecutable) {
  std::ofstream(folder() + "/data") << "text";
  expect_error(job(1, 1, {folder() + "/data"}), 77, "chmod");
}

TEST_F(RunInput, ABudgetLargerThanTheMachine) {
  expect_error({"up", "--servers", "1", "--memory", "900T", "--dir", folder() + "/big"}, 75, "memory");
  expect_error(job(2, 2, {program()}, {"--memory", "900T"}), 75, "memory");
  expect_nothing_left();
}

TEST_F(RunInput, NoServerWhereOneWasNamed) {
  expect_error({"run", "-n", "1", "--dir", folder() + "/nowhere", "--", program()}, 69, "nowhere");
  expect_error({"status", "--dir", folder() + "/nowhere"}, 1, "nowhere");
}

TEST_F(RunInput, UpAndDownMayBeRepeated) {
  const std::string& directory = ring();
  const Ended again = run({"up", "--servers", "1", "--dir", directory});
  EXPECT_EQ(again.status, 0);
  EXPECT_NE(again.out.find("already running"), std::string::npos);
  const Ended other = run({"up", "--servers", "3", "--dir", directory});
  EXPECT_NE(other.status, 0);
  EXPECT_NE(other.err.find("ringkeep down"), std::string::npos);
  const Ended status = run({"status", "--dir", directory, "--json"});
  EXPECT_NE(status.out.find("\"state\": \"serving\""), std::string::npos) << status.out;
  EXPECT_NE(run({"down", "--dir", directory}).out.find("1 server ended"), std::string::npos);
  const Ended nothing = run({"down", "--dir", directory});
  EXPECT_EQ(nothing.status, 0);
  EXPECT_NE(nothing.out.find("no server was running"), std::string::npos);
}

TEST_F(RunInput, ARunUsesTheServersThatAreThereAndGivesTheirMemoryBack) {
  const auto memory = [this] {
    const std::string said = run({"status", "--dir", ring()}).out;
    return said.substr(std::min(said.find("memory: "), said.size()), 20);
  };
  const std::string before = memory();
  const Ended ended =
      run({"run", "-n", "2", "--communities", "2", "--dir", ring(), "--summary", "--", program(), "steps", "3"});
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_NE(ended.err.find("server 1 at " + ring()), std::string::npos) << ended.err;
  const Ended status = run({"status", "--dir", ring()});
  EXPECT_NE(status.out.find("no jobs"), std::string::npos) << status.out;
  EXPECT_NE(before, "");
  EXPECT_EQ(memory(), before);
}

// A run that is told to use a server which is this test: its connection.
class RunAgainstUs : public RunInput {
 protected:
  shm::Descriptor run_against_us() {
    const std::string directory = folder() + "/strange";
    EXPECT_EQ(::mkdir(directory.c_str(), 0700), 0);
    EXPECT_EQ(::mkdir((directory + "/1").c_str(), 0700), 0);
    const auto listener = launch::listen_at(wire::server_socket(directory, 1));
    EXPECT_TRUE(listener);
    start({"run", "-n", "1", "--dir", directory, "--", program()});
    shm::Descriptor peer;
    while (listener && !peer) peer = shm::Descriptor(::accept(listener->get(), nullptr, nullptr));
    return peer;
  }
};

TEST_F(RunInput, GarbageAndOtherVersionsHarmNoServer) {
  const std::string socket = wire::server_socket(ring(), 1);
  {
    auto stranger = launch::FrameChannel::connect(socket);
    ASSERT_TRUE(stranger);
    const std::string garbage(4096, '\x5a');
    ASSERT_EQ(::write(stranger->fd(), garbage.data(), garbage.size()), 4096);
    Result<bool> more = true;
    while (more && *more) more = stranger->receive();  // the server closes it
  }
  auto future = launch::FrameChannel::connect(socket);
  ASSERT_TRUE(future);
  wire::ClientHello hello;
  hello.versions = {90, 99};
  ASSERT_TRUE(future->send(hello));
  std::optional<wire::Frame> answer;
  while (!answer) {
    ASSERT_TRUE(*future->receive());
    answer = *future->next();
  }
  const auto refusal = wire::from_frame<wire::Refusal>(*answer);
  ASSERT_TRUE(refusal);
  EXPECT_EQ(static_cast<ErrorCode>(refusal->code), ErrorCode::kVersionMismatch);
  EXPECT_EQ(run({"status", "--dir", ring()}).status, 0);
}

TEST_F(RunAgainstUs, AServerOfAnotherVersion) {
  launch::FrameChannel server(run_against_us());
  std::optional<wire::Frame> hello;
  while (!hello) {
    ASSERT_TRUE(*server.receive());
    hello = *server.next();
  }
  // What a server answers to versions that it does not speak.
  const wire::Refusal refusal{static_cast<std::int32_t>(ErrorCode::kVersionMismatch),
                              "this server speaks versions 90 to 99: install matching releases"};
  ASSERT_TRUE(server.send(wire::to_frame(refusal, hello->request)));
  const Ended ended = finish();
  EXPECT_EQ(ended.status, 76) << ended.err;
  EXPECT_NE(ended.err.find("90 to 99"), std::string::npos) << ended.err;
  EXPECT_EQ(std::count(ended.err.begin(), ended.err.end(), '\n'), 1) << ended.err;
}

TEST_F(RunAgainstUs, ASocketThatSpeaksSomethingElse) {
  const shm::Descriptor peer = run_against_us();
  const std::string garbage = "HTTP/1.1 400 Bad Request, and more text than a frame's header has\r\n";
  ASSERT_GT(::write(peer.get(), garbage.data(), garbage.size()), 0);
  const Ended ended = finish();
  EXPECT_EQ(ended.status, 76) << ended.err;
  EXPECT_EQ(std::count(ended.err.begin(), ended.err.end(), '\n'), 1) << ended.err;
}

}  // namespace
}  // namespace rk::testing

// SPDX-License-Identifier: Apache-2.0
// A job whose output nobody reads, `ringkeep run ... | less` for one, still ends when it is told to.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "launch/processes.h"
#include "launch/spawn.h"
#include "tests/integration/run_fixture.h"

namespace rk::testing {
namespace {

constexpr std::size_t kHeldBytes = std::size_t{2} << 20U;  // more than the launcher holds of what nobody takes

class RunStuck : public RunFixture {
 protected:
  // Starts a job that writes more than a pipe holds, and waits until nothing moves any more: its programs have ended,
  // or are stuck too if the text is longer than what the launcher holds for them.
  void start_and_get_stuck(std::size_t text_bytes) {
    ASSERT_EQ(::pipe2(ends_, O_CLOEXEC), 0);
    const std::string input = folder() + "/text";
    const shm::Descriptor text(::open(input.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    const std::string words(text_bytes, 'x');
    ASSERT_EQ(::write(text.get(), words.data(), words.size()), static_cast<ssize_t>(words.size()));
    ASSERT_EQ(::lseek(text.get(), 0, SEEK_SET), 0);
    const std::string mark = folder().substr(folder().rfind('/') + 1);
    launch::SpawnRequest request;
    request.arguments = job(2, 2, {program(), "cat"});
    request.arguments.insert(request.arguments.begin(), RINGKEEP_COMMAND);
    request.environment = launch::environment_with({{"RINGKEEP_TEST_MARK", mark}, {"TMPDIR", folder() + "/tmp"}},
                                                   {"RINGKEEP_SOCKET", "RINGKEEP_JOB"});
    request.own_session = true;
    request.input = text.get();
    request.output = ends_[1];
    const auto pid = launch::spawn(request);
    ASSERT_TRUE(pid) << pid.error().message;
    ::close(ends_[1]);
    return_to(*pid);
    await_processes("run_program");
    for (;;) {
      int waiting = 0;
      ::ioctl(ends_[0], FIONREAD, &waiting);
      bool lives = false;
      for (const pid_t one : launch::processes_with({"RINGKEEP_TEST_MARK=" + mark}))
        lives = lives || text_of("/proc/" + std::to_string(one) + "/comm") == "run_program\n";
      if (waiting > 0 && lives == (text_bytes > kHeldBytes)) break;
      ::poll(nullptr, 0, 5);
    }
  }
  void TearDown() override {
    ::close(ends_[0]);
    RunFixture::TearDown();
  }

 private:
  int ends_[2] = {-1, -1};
};

TEST_F(RunStuck, ATerminationAfterTheProgramsEndsIt) {
  start_and_get_stuck(300000);
  ASSERT_EQ(::kill(launcher(), SIGTERM), 0);
  EXPECT_EQ(finish().status, 128 + SIGTERM);
  expect_nothing_left();
}

TEST_F(RunStuck, ATerminationEndsItWithItsPrograms) {
  start_and_get_stuck(2 * kHeldBytes);
  ASSERT_EQ(::kill(launcher(), SIGTERM), 0);
  EXPECT_EQ(finish().status, 128 + SIGTERM);
  expect_nothing_left();
}

}  // namespace
}  // namespace rk::testing

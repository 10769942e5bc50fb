// SPDX-License-Identifier: Apache-2.0
#include "launch/process_table.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

namespace rk::launch {
namespace {

class Handler : public ProcessHandler {
 public:
  Result<Admission> admit(const wire::ProcessHello&, pid_t) override {
    ++admitted;
    return Admission{Rank(0), {}, {}};
  }
  Status on_frame(Rank, Incarnation, const wire::Frame&) override { return {}; }
  void on_gone(Rank, Incarnation) override {}
  int admitted = 0;
};

class Table : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(::mkdtemp(folder_), nullptr); }
  void TearDown() override {
    ::unlink(path().c_str());
    ::rmdir(folder_);
  }
  std::string path() const { return std::string(folder_) + "/control"; }
  shm::Descriptor listen() const { return std::move(*listen_at(path())); }

  Loop loop_;
  Handler handler_;

 private:
  char folder_[32] = "/tmp/rktable-XXXXXX";
};

TEST_F(Table, AConnectionThatSaysNothingIsClosedAndOneThatDoesStays) {
  ProcessTable table(loop_, listen(), handler_, 8, 20);
  auto silent = FrameChannel::connect(path());
  auto talking = FrameChannel::connect(path());
  ASSERT_TRUE(silent && talking);
  ASSERT_TRUE(talking->send(wire::ProcessHello{}));
  while (handler_.admitted == 0 || table.malformed() == 0) loop_.turn();
  EXPECT_EQ(table.malformed(), 1U);
  EXPECT_FALSE(*silent->receive());
  EXPECT_FALSE(table.hung_up(Rank(0)));
}

TEST_F(Table, WithoutAFreeDescriptorItRestsAndThenGoesOn) {
  ProcessTable table(loop_, listen(), handler_, 8);
  auto process = FrameChannel::connect(path());
  ASSERT_TRUE(process);
  ASSERT_TRUE(process->send(wire::ProcessHello{}));
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = static_cast<rlim_t>(shm::Descriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC)).get());
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  bool over = false;
  int turns = 0;
  loop_.after(50, [&] { over = true; });
  while (!over) {
    loop_.turn();
    ++turns;
  }
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_LT(turns, 10) << "the waiting connection must not be looked at without pause";
  EXPECT_EQ(handler_.admitted, 0);
  while (handler_.admitted == 0) loop_.turn();
}

}  // namespace
}  // namespace rk::launch

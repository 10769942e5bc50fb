// SPDX-License-Identifier: Apache-2.0
#include "launch/loop.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

namespace rk::launch {
namespace {

class LoopTest : public ::testing::Test {
 protected:
  void SetUp() override {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    reading_ = shm::Descriptor(ends[0]);
    writing_ = shm::Descriptor(ends[1]);
  }
  Loop loop_;
  shm::Descriptor reading_;
  shm::Descriptor writing_;
};

TEST_F(LoopTest, CallsTheHandlerWhenThereIsSomethingToRead) {
  int calls = 0;
  loop_.watch(reading_.get(), POLLIN, [&](short) {
    char byte = 0;
    EXPECT_EQ(::read(reading_.get(), &byte, 1), 1);
    ++calls;
  });
  ASSERT_EQ(::write(writing_.get(), "xy", 2), 2);
  loop_.turn();
  loop_.turn();
  EXPECT_EQ(calls, 2);
}

TEST_F(LoopTest, AHandlerMayUnwatchItself) {
  int calls = 0;
  loop_.watch(reading_.get(), POLLIN, [&](short) {
    ++calls;
    loop_.unwatch(reading_.get());
  });
  ASSERT_EQ(::write(writing_.get(), "x", 1), 1);
  loop_.turn();
  loop_.after(0, [] {});
  loop_.turn();
  EXPECT_EQ(calls, 1);
}

TEST_F(LoopTest, TimersFireInTurnAndCanBeCancelled) {
  std::string order;
  loop_.after(20, [&] { order += 'b'; });
  loop_.after(1, [&] { order += 'a'; });
  const Loop::TimerId never = loop_.after(5, [&] { order += 'x'; });
  loop_.cancel(never);
  while (order.size() < 2) loop_.turn();
  EXPECT_EQ(order, "ab");
}

TEST_F(LoopTest, ATimerMayStartAnother) {
  int fired = 0;
  loop_.after(0, [&] { loop_.after(0, [&] { ++fired; }); });
  while (fired == 0) loop_.turn();
  EXPECT_EQ(fired, 1);
}

TEST_F(LoopTest, WithoutWantedEventsAHangUpDoesNotSpin) {
  int calls = 0;
  loop_.watch(reading_.get(), 0, [&](short) { ++calls; });
  writing_.reset();
  bool due = false;
  loop_.after(10, [&] { due = true; });
  while (!due) loop_.turn();
  EXPECT_EQ(calls, 0);
  loop_.set_events(reading_.get(), POLLIN);
  loop_.turn();
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace rk::launch

// SPDX-License-Identifier: Apache-2.0
#include "io/event_loop.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <memory>
#include <string>

#include "shm/descriptor.h"

namespace rk::io {
namespace {

struct Pipe {
  Pipe() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe(ends.data()), 0);
    read = shm::Descriptor(ends[0]);
    write = shm::Descriptor(ends[1]);
  }
  shm::Descriptor read;
  shm::Descriptor write;
};

TEST(Timer, FiresOnceAndInOrder) {
  EventLoop loop;
  std::string order;
  Timer late(loop);
  Timer early(loop);
  late.start(20, [&] { order += "b"; });
  early.start(1, [&] { order += "a"; });
  loop.run();
  EXPECT_EQ(order, "ab");
}

TEST(EventLoop, WorkAtTheEndOfATurnComesBeforeTheNextCallback) {
  EventLoop loop;
  std::string order;
  loop.at_turn_end([&] { order += "0"; });  // no callback runs: as posted
  loop.post([&] {
    loop.post([&] { order += "d"; });
    loop.at_turn_end([&] {
      order += "b";
      loop.at_turn_end([&] { order += "c"; });
    });
    order += "a";
  });
  loop.run();
  EXPECT_EQ(order, "0abcd");
}

// Awake or not, a loop has its callbacks, its timers and its end.
TEST(EventLoop, AwakeItServesDescriptorsAndTimersAndStops) {
  EventLoop loop(1'000'000);
  Pipe pipe;
  std::string order;
  Timer timer(loop);
  Timer end(loop);
  Watch watch(
      loop, pipe.read.get(),
      [&] {
        char byte = 0;
        EXPECT_EQ(::read(pipe.read.get(), &byte, 1), 1);
        order += byte;
        loop.expect_more();
        if (byte == 'b') end.start(1, [&] { loop.stop(); });
      },
      [] {});
  watch.want_read(true);
  timer.start(1, [&] {
    loop.expect_more();
    EXPECT_EQ(::write(pipe.write.get(), "b", 1), 1);
  });
  EXPECT_EQ(::write(pipe.write.get(), "a", 1), 1);
  loop.run();
  EXPECT_EQ(order, "ab");
}

TEST(Timer, RestartReplacesAndCancelSilences) {
  EventLoop loop;
  int fired = 0;
  Timer restarted(loop);
  restarted.start(1, [&] { fired += 100; });
  restarted.start(2, [&] { fired += 1; });
  Timer cancelled(loop);
  cancelled.start(1, [&] { fired += 100; });
  cancelled.cancel();
  {
    Timer destroyed(loop);
    destroyed.start(1, [&] { fired += 100; });
  }
  loop.run();
  EXPECT_EQ(fired, 1);
}

TEST(Timer, MayBeRestartedAndDestroyedInItsOwnCallback) {
  EventLoop loop;
  auto timer = std::make_unique<Timer>(loop);
  int fired = 0;
  timer->start(1, [&] {
    ++fired;
    timer->start(1, [&] {
      ++fired;
      timer.reset();
    });
  });
  loop.run();
  EXPECT_EQ(fired, 2);
}

TEST(Watch, IsLevelTriggered) {
  EventLoop loop;
  Pipe pipe;
  ASSERT_EQ(::write(pipe.write.get(), "abc", 3), 3);
  std::string seen;
  Watch watch(
      loop, pipe.read.get(),
      [&] {
        char one = 0;
        ASSERT_EQ(::read(pipe.read.get(), &one, 1), 1);
        seen += one;
        if (seen.size() == 3) loop.stop();
      },
      nullptr);
  watch.want_read(true);
  loop.run();
  EXPECT_EQ(seen, "abc");
}

TEST(Watch, StaysSilentWhileUnwantedAndReportsTheEnd) {
  EventLoop loop;
  Pipe pipe;
  ASSERT_EQ(::write(pipe.write.get(), "a", 1), 1);
  int calls = 0;
  Timer enable(loop);
  Watch watch(
      loop, pipe.read.get(),
      [&] {
        char one = 0;
        ++calls;
        if (::read(pipe.read.get(), &one, 1) == 0) loop.stop();
        pipe.write.reset();
      },
      nullptr);
  watch.want_read(true);
  watch.want_read(false);
  enable.start(20, [&] {
    EXPECT_EQ(calls, 0);
    watch.want_read(true);
  });
  loop.run();
  EXPECT_EQ(calls, 2);
}

TEST(Watch, MayBeDestroyedInItsOwnCallback) {
  EventLoop loop;
  Pipe pipe;
  ASSERT_EQ(::write(pipe.write.get(), "ab", 2), 2);
  int calls = 0;
  std::unique_ptr<Watch> watch;
  watch = std::make_unique<Watch>(
      loop, pipe.read.get(),
      [&] {
        ++calls;
        watch.reset();
      },
      nullptr);
  watch->want_read(true);
  loop.run();
  EXPECT_EQ(calls, 1);
}

TEST(EventLoop, DeliversSignalsAndPostedWork) {
  EventLoop loop;
  std::string order;
  loop.on_signals({SIGUSR1}, [&](int number) {
    EXPECT_EQ(number, SIGUSR1);
    order += "s";
    loop.post([&] {
      order += "p";
      loop.stop();
    });
  });
  ::raise(SIGUSR1);
  loop.run();
  EXPECT_EQ(order, "sp");
}

}  // namespace
}  // namespace rk::io

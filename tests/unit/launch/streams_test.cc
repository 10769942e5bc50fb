// SPDX-License-Identifier: Apache-2.0
// Output, input and frames over real pipes and sockets.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "launch/frame_channel.h"
#include "launch/rank_output.h"
#include "launch/standard_input.h"
#include "wire/control_messages.h"

namespace rk::launch {
namespace {

void put(const shm::Descriptor& to, std::string_view text) {
  ASSERT_EQ(::write(to.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
}

TEST(RankOutput, LinesOfTwoLivesAppearOnce) {
  ::testing::internal::CaptureStdout();
  {
    Loop loop;
    Screen screen(loop, true);
    RankOutput output(loop, screen, 2);
    auto first = output.open(Rank(1));
    ASSERT_TRUE(first);
    put((*first)[0], "one\ntwo\nthr");
    output.drain(Rank(1));
    EXPECT_EQ(output.position(Rank(1))[0], 2U);
    output.close(Rank(1));
    output.restart(Rank(1));
    auto second = output.open(Rank(1));
    put((*second)[0], "one\nTWO\nthree\nend");
    output.close(Rank(1));
    output.finish(Rank(1));
    EXPECT_EQ(output.totals().swallowed, 2U);
    EXPECT_EQ(output.totals().differing, 1U);
    ASSERT_TRUE(output.first_difference());
    EXPECT_EQ(output.first_difference()->rank, Rank(1));
  }
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "one\ntwo\nthree\nend");
}

TEST(RankOutput, AConsumerThatDoesNotReadHoldsTheProcessesBackAndLosesNothing) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const int saved = ::dup(1);
  ::dup2(ends[1], 1);
  std::size_t got = 0;
  std::size_t wrote = 0;
  {
    Loop loop;
    Screen screen(loop, true);
    RankOutput output(loop, screen, 1);
    auto streams = output.open(Rank(0));
    ::fcntl((*streams)[0].get(), F_SETFL, O_NONBLOCK);
    const std::string line = std::string(1023, 'x') + "\n";
    // Nobody reads: the launcher takes about a mebibyte and then leaves the process's pipe alone.
    for (int idle = 0; idle < 50;) {
      const ssize_t done = ::write((*streams)[0].get(), line.data(), line.size());
      if (done > 0) wrote += static_cast<std::size_t>(done);
      idle = done > 0 ? 0 : idle + 1;
      loop.after(0, [] {});
      loop.turn();
    }
    EXPECT_GT(wrote, std::size_t{1} << 20U);
    EXPECT_LT(wrote, std::size_t{2} << 20U);
    (*streams)[0].reset();
    char buffer[65536];
    ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
    while (got < wrote) {
      loop.after(0, [] {});
      loop.turn();
      const ssize_t more = ::read(ends[0], buffer, sizeof buffer);
      if (more > 0) got += static_cast<std::size_t>(more);
    }
  }
  ::dup2(saved, 1);
  ::close(saved);
  ::close(ends[0]);
  ::close(ends[1]);
  EXPECT_EQ(got, wrote);
}

// Flushes what nobody reads; `told_by` has come before, or else comes now.
void expect_flush_ends(int told_by) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const int saved = ::dup(1);
  ::dup2(ends[1], 1);
  int ended_by = 0;
  int again = -1;
  sigset_t before;
  ::sigprocmask(SIG_BLOCK, nullptr, &before);
  {
    Loop loop;
    const auto signals = Signals::start(
        loop, [](pid_t, int) {}, [](int) {});
    Screen screen(loop, true);
    screen.show(1, std::string(std::size_t{1} << 20U, 'x'));
    if (told_by == 0) ::kill(::getpid(), SIGTERM);
    if (signals) ended_by = screen.flush(&*signals, told_by);
    screen.show(1, "more");
    again = screen.flush();
  }
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  ::dup2(saved, 1);
  ::close(saved);
  ::close(ends[0]);
  ::close(ends[1]);
  EXPECT_EQ(ended_by, told_by == 0 ? SIGTERM : told_by);
  EXPECT_EQ(again, 0);
}

TEST(Screen, ASignalEndsTheWaitForAConsumerThatDoesNotRead) { expect_flush_ends(0); }

TEST(Screen, ASignalFromBeforeTheWaitEndsItToo) { expect_flush_ends(SIGINT); }

std::string read_all(Loop& loop, int fd) {
  std::string text;
  bool open = true;
  loop.watch(fd, POLLIN, [&](short) {
    char buffer[256];
    const ssize_t got = ::read(fd, buffer, sizeof buffer);
    if (got <= 0)
      open = false;
    else
      text.append(buffer, static_cast<std::size_t>(got));
  });
  while (open) loop.turn();
  loop.unwatch(fd);
  return text;
}

TEST(StandardInput, IsReadAgainByTheNextLife) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  shm::Descriptor source(ends[0]);
  shm::Descriptor keyboard(ends[1]);
  Loop loop;
  StandardInput input(loop, source.get());
  ASSERT_TRUE(input.open());
  put(keyboard, "first\n");
  auto life = input.begin_life();
  ASSERT_TRUE(life);
  char buffer[6];
  for (bool done = false; !done;) {
    loop.turn();
    pollfd look{life->get(), POLLIN, 0};
    done = ::poll(&look, 1, 0) == 1;
  }
  ASSERT_EQ(::read(life->get(), buffer, sizeof buffer), 6);
  input.end_life();
  auto next = input.begin_life();
  put(keyboard, "second\n");
  keyboard.reset();
  EXPECT_EQ(read_all(loop, next->get()), "first\nsecond\n");
}

TEST(StandardInput, NullIsNoInput) {
  Loop loop;
  const shm::Descriptor null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const StandardInput input(loop, null.get());
  EXPECT_FALSE(input.open());
}

TEST(FrameChannel, CarriesFramesWithDescriptorsAndRefusesGarbage) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  FrameChannel one{shm::Descriptor(ends[0])};
  FrameChannel other{shm::Descriptor(ends[1])};
  const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  wire::ProcessStart start;
  start.rank = Rank(5);
  ASSERT_TRUE(one.send(start, std::span(&null, 1)));
  ::close(null);
  ASSERT_TRUE(other.receive());
  const auto frame = other.next();
  ASSERT_TRUE(frame && *frame);
  EXPECT_EQ(wire::from_frame<wire::ProcessStart>(**frame)->rank, Rank(5));
  EXPECT_EQ(other.take_descriptors(2).size(), 1U);
  const std::string garbage(200, 'g');
  ASSERT_EQ(::write(one.fd(), garbage.data(), garbage.size()), 200);
  ASSERT_TRUE(other.receive());
  EXPECT_FALSE(other.next());
  one = FrameChannel();
  EXPECT_FALSE(*other.receive());
}

}  // namespace
}  // namespace rk::launch

// SPDX-License-Identifier: Apache-2.0
#include "launch/rank_output.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace rk::launch {

RankOutput::RankOutput(Loop& loop, Screen& screen, std::uint32_t ranks)
    : loop_(loop), screen_(screen), streams_(ranks) {
  screen_.on_drained([this] { set_reading(true); });
}

RankOutput::~RankOutput() {
  screen_.on_drained({});
  for (auto& both : streams_)
    for (Stream& one : both)
      if (one.pipe) loop_.unwatch(one.pipe.get());
}

Result<std::array<shm::Descriptor, 2>> RankOutput::open(Rank rank) {
  std::array<shm::Descriptor, 2> writing;
  for (int number = 1; number <= 2; ++number) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("make a pipe", errno);
    Stream& one = stream(rank, number);
    one.pipe = shm::Descriptor(ends[0]);
    writing[static_cast<std::size_t>(number - 1)] = shm::Descriptor(ends[1]);
    if (::fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) return fail_errno("set up a pipe", errno);
    loop_.watch(ends[0], reading_ ? POLLIN : short{0}, [this, rank, number](short) {
      read_once(rank, number);
      if (screen_.full()) set_reading(false);
    });
  }
  return writing;
}

bool RankOutput::read_once(Rank rank, int number) {
  Stream& one = stream(rank, number);
  if (!one.pipe) return false;
  char buffer[65536];
  const ssize_t got = ::read(one.pipe.get(), buffer, sizeof buffer);
  if (got < 0 && errno == EINTR) return true;
  if (got < 0 && errno == EAGAIN) return false;
  if (got <= 0) {
    loop_.unwatch(one.pipe.get());
    one.pipe.reset();
    return false;
  }
  std::string shown;
  one.filter.feed(std::string_view(buffer, static_cast<std::size_t>(got)), shown);
  screen_.show(number, shown);
  return true;
}

void RankOutput::drain(Rank rank) {
  // A process that writes without end must not hold the launcher here: what a pipe holds, a few times over.
  constexpr int kMaxReads = 64;
  for (int number = 1; number <= 2; ++number)
    for (int i = 0; i < kMaxReads && read_once(rank, number); ++i) continue;
}

void RankOutput::close(Rank rank) {
  drain(rank);
  for (int number = 1; number <= 2; ++number) {
    Stream& one = stream(rank, number);
    if (one.pipe) loop_.unwatch(one.pipe.get());
    one.pipe.reset();
  }
}

void RankOutput::restart(Rank rank) {
  for (int number = 1; number <= 2; ++number) stream(rank, number).filter.restart();
}

void RankOutput::finish(Rank rank) {
  for (int number = 1; number <= 2; ++number) {
    std::string shown;
    stream(rank, number).filter.finish(shown);
    screen_.show(number, shown);
  }
}

std::array<std::uint64_t, 2> RankOutput::position(Rank rank) const {
  const auto& both = streams_[rank.value];
  return {both[0].filter.position(), both[1].filter.position()};
}

void RankOutput::suspend(Rank rank) {
  for (int number = 1; number <= 2; ++number) stream(rank, number).filter.suspend();
}

void RankOutput::resume(Rank rank, std::uint64_t stdout_lines, std::uint64_t stderr_lines) {
  stream(rank, 1).filter.resume(stdout_lines);
  stream(rank, 2).filter.resume(stderr_lines);
}

recovery::OutputCounts RankOutput::totals() const {
  recovery::OutputCounts sum;
  for (const auto& both : streams_) {
    for (const Stream& one : both) {
      const recovery::OutputCounts& counts = one.filter.counts();
      sum.shown += counts.shown;
      sum.swallowed += counts.swallowed;
      sum.compared += counts.compared;
      sum.differing += counts.differing;
      sum.aside += counts.aside;
    }
  }
  return sum;
}

std::optional<RankOutput::Difference> RankOutput::first_difference() const {
  for (std::uint32_t rank = 0; rank < streams_.size(); ++rank)
    for (int number = 1; number <= 2; ++number)
      if (const auto& line = streams_[rank][static_cast<std::size_t>(number - 1)].filter.first_difference())
        return Difference{Rank(rank), number, *line};
  return std::nullopt;
}

void RankOutput::set_reading(bool reading) {
  reading_ = reading;
  for (auto& both : streams_)
    for (Stream& one : both)
      if (one.pipe) loop_.set_events(one.pipe.get(), reading ? POLLIN : short{0});
}

}  // namespace rk::launch

// SPDX-License-Identifier: Apache-2.0
#include "launch/standard_input.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace rk::launch {
namespace {

constexpr std::size_t kAheadBytes = 65536;

bool same_as_null(int fd) {
  struct stat one {};
  struct stat null {};
  return ::fstat(fd, &one) == 0 && ::stat("/dev/null", &null) == 0 && S_ISCHR(one.st_mode) &&
         one.st_rdev == null.st_rdev;
}

}  // namespace

StandardInput::StandardInput(Loop& loop, int fd) : loop_(loop) {
  if (::fcntl(fd, F_GETFD) >= 0 && !same_as_null(fd)) source_ = fd;
}

StandardInput::~StandardInput() {
  if (source_ >= 0) loop_.unwatch(source_);
  if (pipe_) loop_.unwatch(pipe_.get());
}

Result<shm::Descriptor> StandardInput::begin_life() {
  if (forgotten_)
    return fail(ErrorCode::kNoMemory,
                "more than " + std::to_string(kMaxRemembered >> 20U) +
                    " MiB of standard input were passed on, which a restarted process cannot read "
                    "again: give the program its input as a file");
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("make a pipe", errno);
  pipe_ = shm::Descriptor(ends[1]);
  ::fcntl(ends[1], F_SETFL, O_NONBLOCK);
  sent_ = 0;
  arrange();
  return shm::Descriptor(ends[0]);
}

void StandardInput::end_life() {
  if (pipe_) loop_.unwatch(pipe_.get());
  pipe_.reset();
  arrange();
}

void StandardInput::arrange() {
  const bool behind = sent_ < remembered_.size();
  if (pipe_ && !behind && ended_) {
    loop_.unwatch(pipe_.get());
    pipe_.reset();  // the end of the input
  }
  if (pipe_ && behind)
    loop_.watch(pipe_.get(), POLLOUT, [this](short) { write_some(); });
  else if (pipe_)
    loop_.unwatch(pipe_.get());
  if (source_ < 0) return;
  if (pipe_ && !ended_ && remembered_.size() - sent_ < kAheadBytes)
    loop_.watch(source_, POLLIN, [this](short) { read_some(); });
  else
    loop_.unwatch(source_);
}

void StandardInput::read_some() {
  char buffer[kAheadBytes];
  const ssize_t got = ::read(source_, buffer, sizeof buffer);
  if (got > 0) {
    remembered_.append(buffer, static_cast<std::size_t>(got));
    if (remembered_.size() > kMaxRemembered) {
      forgotten_ = true;
      remembered_.erase(0, sent_);
      sent_ = 0;
    }
  } else if (got == 0 || (errno != EINTR && errno != EAGAIN)) {
    // EIO: we are in the background of a terminal, and its input is not ours.
    loop_.unwatch(source_);
    ended_ = true;
  }
  arrange();
}

void StandardInput::write_some() {
  const ssize_t done = ::write(pipe_.get(), remembered_.data() + sent_, remembered_.size() - sent_);
  if (done > 0) {
    sent_ += static_cast<std::size_t>(done);
  } else if (errno != EINTR && errno != EAGAIN) {
    loop_.unwatch(pipe_.get());
    pipe_.reset();  // nobody reads it
  }
  arrange();
}

}  // namespace rk::launch

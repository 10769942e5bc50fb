// SPDX-License-Identifier: Apache-2.0
#include "mpi/control.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace rk::mpi {

void Control::open(int fd) {
  fd_ = fd;
  // The program's own children have no business with the launcher.
  if (fd_ >= 0 && fcntl(fd_, F_SETFD, FD_CLOEXEC) != 0) fd_ = -1;
}

void Control::send_frame(const wire::Frame& frame) {
  if (fd_ < 0) return;
  const Bytes bytes = wire::encode_frame(frame);
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t sent = ::send(fd_, bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
    if (sent > 0) {
      done += static_cast<std::size_t>(sent);
    } else if (errno == EAGAIN) {
      pollfd wait{fd_, POLLOUT, 0};
      if (poll(&wait, 1, -1) < 0 && errno != EINTR) return;
    } else if (errno != EINTR) {
      return;
    }
  }
}

Result<wire::Frame> Control::answer(wire::MessageType type) {
  if (fd_ < 0)
    return fail(ErrorCode::kUnavailable, "this process has no launcher to ask; start the program by `ringkeep run`");
  for (;;) {
    RK_TRY(auto frame, cutter_.next());
    if (frame) {
      if (frame->type == type) return std::move(*frame);
      continue;
    }
    std::array<std::byte, 4096> buffer;
    const ssize_t got = ::recv(fd_, buffer.data(), buffer.size(), 0);
    if (got > 0) {
      cutter_.feed(ByteView(buffer.data(), static_cast<std::size_t>(got)));
    } else if (got == 0) {
      return fail(ErrorCode::kPeerGone, "the launcher closed the connection; the job is ending");
    } else if (errno == EAGAIN) {
      pollfd wait{fd_, POLLIN, 0};
      if (poll(&wait, 1, -1) < 0 && errno != EINTR) return fail_errno("wait for the launcher", errno);
    } else if (errno != EINTR) {
      return fail_errno("read from the launcher", errno);
    }
  }
}

void Control::wait_for_end(int timeout_ms) const {
  if (fd_ < 0) return;
  pollfd wait{fd_, 0, 0};  // only the hang-up
  while (poll(&wait, 1, timeout_ms) < 0 && errno == EINTR) {
  }
}

}  // namespace rk::mpi

// SPDX-License-Identifier: Apache-2.0
#include "launch/frame_channel.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace rk::launch {
namespace {

constexpr int kSendLimitMs = 10000;
constexpr int kBacklog = 512;

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return fail(ErrorCode::kInvalidArgument, "the socket path " + path + " is longer than " +
                                                 std::to_string(sizeof address.sun_path - 1) +
                                                 " bytes: use a shorter directory");
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

}  // namespace

Result<FrameChannel> FrameChannel::connect(const std::string& path) {
  RK_TRY(const sockaddr_un address, address_of(path));
  shm::Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return fail_errno("make a socket", errno);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return fail_errno("connect to " + path, errno);
  return FrameChannel(std::move(socket));
}

Result<PeerCredentials> FrameChannel::peer() const {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(socket_.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0)
    return fail_errno("ask who is at the other end of a socket", errno);
  return PeerCredentials{credentials.pid, credentials.uid};
}

Status FrameChannel::send(const wire::Frame& frame, std::span<const int> descriptors) {
  const Bytes bytes = wire::encode_frame(frame);
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * wire::kMaxDescriptors)] = {};
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    iovec piece{const_cast<std::byte*>(bytes.data() + sent), bytes.size() - sent};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    if (sent == 0 && !descriptors.empty()) {
      message.msg_control = control;
      message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
      cmsghdr* head = CMSG_FIRSTHDR(&message);
      head->cmsg_level = SOL_SOCKET;
      head->cmsg_type = SCM_RIGHTS;
      head->cmsg_len = CMSG_LEN(descriptors.size_bytes());
      std::memcpy(CMSG_DATA(head), descriptors.data(), descriptors.size_bytes());
    }
    const ssize_t done = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
    if (done >= 0) {
      sent += static_cast<std::size_t>(done);
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) return fail_errno("send on a local socket", errno);
    pollfd wait{socket_.get(), POLLOUT, 0};
    if (::poll(&wait, 1, kSendLimitMs) == 0)
      return fail(ErrorCode::kTimeout, "the process at the other end of a local socket does not read");
  }
  return {};
}

Result<bool> FrameChannel::receive() {
  std::byte buffer[65536];
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * wire::kMaxDescriptors)];
  iovec piece{buffer, sizeof buffer};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t got = ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC);
  if (got < 0) {
    if (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK) return true;
    if (errno == ECONNRESET) return false;
    return fail_errno("read from a local socket", errno);
  }
  for (cmsghdr* head = CMSG_FIRSTHDR(&message); head != nullptr; head = CMSG_NXTHDR(&message, head)) {
    if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(head) + i * sizeof(int), sizeof fd);
      descriptors_.emplace_back(fd);
    }
  }
  if (descriptors_.size() > wire::kMaxDescriptors)
    return fail(ErrorCode::kCorrupt, "a local socket delivers descriptors that no frame announces");
  if (got == 0) return false;
  cutter_.feed(ByteView(buffer, static_cast<std::size_t>(got)));
  return true;
}

std::vector<shm::Descriptor> FrameChannel::take_descriptors(std::size_t count) {
  std::vector<shm::Descriptor> out;
  while (out.size() < count && !descriptors_.empty()) {
    out.push_back(std::move(descriptors_.front()));
    descriptors_.pop_front();
  }
  return out;
}

Result<shm::Descriptor> listen_at(const std::string& path) {
  RK_TRY(const sockaddr_un address, address_of(path));
  shm::Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return fail_errno("make a socket", errno);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return fail_errno("make the socket " + path, errno);
  if (::listen(socket.get(), kBacklog) != 0) return fail_errno("listen at " + path, errno);
  return socket;
}

}  // namespace rk::launch

// SPDX-License-Identifier: Apache-2.0
// One small message and at most one descriptor over a local SOCK_SEQPACKET socket.
#pragma once

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "shm/descriptor.h"

namespace rk::daemon {

// As sendmsg(2); no descriptor: -1.
template <class Message>
ssize_t send_message(int socket, const Message& message, int descriptor, int flags) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  iovec span{const_cast<Message*>(&message), sizeof message};  // NOLINT(cppcoreguidelines-pro-type-const-cast)
  msghdr header{};
  header.msg_iov = &span;
  header.msg_iovlen = 1;
  if (descriptor >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    cmsghdr* item = CMSG_FIRSTHDR(&header);
    item->cmsg_level = SOL_SOCKET;
    item->cmsg_type = SCM_RIGHTS;
    item->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(item), &descriptor, sizeof descriptor);
  }
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket, &header, flags | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent;
}

// As recvmsg(2).
template <class Message>
ssize_t receive_message(int socket, Message& message, shm::Descriptor& descriptor, int flags) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  iovec span{&message, sizeof message};
  msghdr header{};
  header.msg_iov = &span;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  ssize_t got = 0;
  do {
    got = ::recvmsg(socket, &header, flags | MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  descriptor.reset();
  if (got < 0) return got;
  if (const cmsghdr* item = CMSG_FIRSTHDR(&header); item != nullptr && item->cmsg_type == SCM_RIGHTS) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(item), sizeof fd);
    descriptor = shm::Descriptor(fd);
  }
  return got;
}

}  // namespace rk::daemon

// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/client/fake_server.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "base/check.h"

namespace rk::client {

wire::Frame FakeSession::next() {
  for (;;) {
    auto frame = cutter_.next();
    RK_CHECK(frame.has_value());
    if (*frame) return **frame;
    std::byte buffer[4096];
    const ssize_t got = ::recv(fd_, buffer, sizeof buffer, 0);
    if (got <= 0) return {};
    cutter_.feed({buffer, static_cast<std::size_t>(got)});
  }
}

void FakeSession::send(ByteView bytes, const std::vector<int>& descriptors) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 16)] = {};
  iovec span{const_cast<std::byte*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &span;
  message.msg_iovlen = 1;
  if (!descriptors.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * descriptors.size());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * descriptors.size());
    std::memcpy(CMSG_DATA(header), descriptors.data(), sizeof(int) * descriptors.size());
  }
  static_cast<void>(::sendmsg(fd_, &message, MSG_NOSIGNAL));
}

void FakeSession::greet() { answer(next(), wire::ServerHello{0, ClusterId(0xc1), NodeId(1), Incarnation(1), "0.1.0"}); }

FakeServer::FakeServer(std::function<void(FakeSession&)> script, std::optional<uid_t> user) {
  char pattern[] = "/tmp/ringkeep-fake-XXXXXX";
  RK_CHECK(::mkdtemp(pattern) != nullptr);
  directory_ = pattern;
  path_ = directory_ + "/socket";
  listening_ = shm::Descriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path_.c_str(), path_.size());
  RK_CHECK(::bind(listening_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  // The kernel notes who calls listen(). The plain system call changes the user of the calling thread alone.
  std::thread([this, user] {
    if (user) RK_CHECK(::syscall(SYS_setresuid, -1, *user, -1) == 0);
    RK_CHECK(::listen(listening_.get(), 1) == 0);
  }).join();
  thread_ = std::thread([this, script = std::move(script)] {
    const shm::Descriptor connection(::accept(listening_.get(), nullptr, nullptr));
    if (!connection) return;
    FakeSession session(connection.get());
    script(session);
  });
}

FakeServer::~FakeServer() {
  ::shutdown(listening_.get(), SHUT_RDWR);
  thread_.join();
  ::unlink(path_.c_str());
  ::rmdir(directory_.c_str());
}

}  // namespace rk::client

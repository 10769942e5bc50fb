// SPDX-License-Identifier: Apache-2.0
#include "io/listener.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace rk::io {
namespace {

constexpr int kBacklog = 128;
constexpr int kAcceptsPerTurn = 16;
constexpr std::uint64_t kRetryMs = 100;
// Linux 6.16; older headers lack the name, older kernels refuse the option.
constexpr int kPassRights = 83;

Result<shm::Descriptor> make_socket(int family) {
  shm::Descriptor fd(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno("make a socket", errno);
  return fd;
}

// Whether a server answers there now.
bool answers(const sockaddr_un& address) {
  const shm::Descriptor probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe) return false;
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) return true;
  return errno == EAGAIN;  // its queue is full: it lives
}

// Only one process at a time looks at a socket file and replaces it. Released with the descriptor.
Result<shm::Descriptor> lock_directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  shm::Descriptor fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_errno("open the directory '" + directory + "'", errno);
  if (::flock(fd.get(), LOCK_EX) != 0) return fail_errno("lock the directory '" + directory + "'", errno);
  return fd;
}

}  // namespace

Result<shm::Descriptor> listen_local(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path))
    return fail(ErrorCode::kInvalidArgument, "the socket path '" + path + "' is empty or longer than " +
                                                 std::to_string(sizeof(address.sun_path) - 1) +
                                                 " bytes: choose a shorter one with --socket");
  std::memcpy(address.sun_path, path.c_str(), path.size());
  RK_TRY(const shm::Descriptor lock, lock_directory_of(path));
  struct stat info {};
  if (::lstat(path.c_str(), &info) == 0) {
    if (!S_ISSOCK(info.st_mode))
      return fail(ErrorCode::kExists, "'" + path + "' exists and is no socket: choose another path with --socket");
    if (answers(address))
      return fail(ErrorCode::kExists,
                  "a server already listens on '" + path + "': end it first, or choose another path with --socket");
    ::unlink(path.c_str());
  }
  RK_TRY(shm::Descriptor fd, make_socket(AF_UNIX));
  // No client has a reason to send descriptors, and whoever gets some has to close them: that can take as long as their
  // sender likes (SO_LINGER, a file system of his own). Accepted sockets inherit it. A kernel without it delivers them,
  // and the connection ends.
  const int off = 0;
  static_cast<void>(::setsockopt(fd.get(), SOL_SOCKET, kPassRights, &off, sizeof(off)));
  const mode_t before = ::umask(0177);
  const int bound = ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  const int saved = errno;
  ::umask(before);
  if (bound != 0) return fail_errno("listen on '" + path + "'", saved);
  if (::listen(fd.get(), kBacklog) != 0) return fail_errno("listen on '" + path + "'", errno);
  return fd;
}

Result<shm::Descriptor> listen_tcp(const HostPort& address) {
  RK_TRY(const SocketAddress where, resolve(address));
  RK_TRY(shm::Descriptor fd, make_socket(where.storage.ss_family));
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&where.storage), where.size) != 0 ||
      ::listen(fd.get(), kBacklog) != 0) {
    if (errno == EADDRINUSE)
      return fail(ErrorCode::kExists,
                  "the address " + to_string(address) + " is in use: end the server that has it, or change the roster");
    return fail_errno("listen on " + to_string(address), errno);
  }
  return fd;
}

Status adopt_listening(int socket) {
  int listening = 0;
  int domain = 0;
  socklen_t size = sizeof(listening);
  const bool is_listening = ::getsockopt(socket, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening == 1;
  size = sizeof(domain);
  const bool has_domain = ::getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0;
  if (!is_listening || !has_domain || (domain != AF_INET && domain != AF_INET6))
    return fail(ErrorCode::kInvalidArgument, "descriptor " + std::to_string(socket) +
                                                 " is no listening TCP socket: pass one with --listen-fd, or none");
  const int flags = ::fcntl(socket, F_GETFL);
  if (flags < 0 || ::fcntl(socket, F_SETFL, static_cast<unsigned>(flags) | static_cast<unsigned>(O_NONBLOCK)) != 0 ||
      ::fcntl(socket, F_SETFD, FD_CLOEXEC) != 0)
    return fail_errno("prepare the inherited socket", errno);
  return {};
}

Result<std::uint16_t> local_port(int socket) {
  sockaddr_storage storage{};
  socklen_t size = sizeof(storage);
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&storage), &size) != 0)
    return fail_errno("read a socket's address", errno);
  if (storage.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6&>(storage).sin6_port);
  return ntohs(reinterpret_cast<const sockaddr_in&>(storage).sin_port);
}

Listener::Listener(EventLoop& loop, shm::Descriptor socket, std::function<void(shm::Descriptor)> on_accept)
    : socket_(std::move(socket)), on_accept_(std::move(on_accept)), retry_(loop) {
  watch_ = std::make_unique<Watch>(
      loop, socket_.get(), [this] { accept_some(); }, nullptr);
  watch_->want_read(true);
}

Listener::~Listener() = default;

void Listener::accept_some() {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    shm::Descriptor fd(::accept4(socket_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd) {
      on_accept_(std::move(fd));
      continue;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      watch_->want_read(false);
      retry_.start(kRetryMs, [this] { watch_->want_read(true); });
    }
    return;  // nothing waits, or a connection that is gone already
  }
}

}  // namespace rk::io

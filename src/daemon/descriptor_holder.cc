// SPDX-License-Identifier: Apache-2.0
#include "daemon/descriptor_holder.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <ctime>
#include <map>
#include <utility>

#include "daemon/descriptor_message.h"
#include "daemon/forked_process.h"

namespace rk::daemon {
namespace {

constexpr int kLookMs = 1000;                 // is the socket's name still ours?
constexpr int kAnswerMs = 5000;               // for the holder to take or give one descriptor
constexpr char kName[] = "/holder";           // in the state directory
constexpr std::uint32_t kMagic = 0x31684b52;  // "RKh1": another release's holder is not spoken to

enum Word : std::uint32_t { kHold = 1, kDrop, kGive, kEnd, kGiven };
struct Message {
  std::uint32_t magic = kMagic;
  std::uint32_t word = 0;
  std::uint64_t number = 0;
};

std::uint64_t now_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000 + static_cast<std::uint64_t>(now.tv_nsec) / 1'000'000;
}

Status await(int socket, short events) {
  pollfd item{socket, events, 0};
  int ready = 0;
  do {
    ready = ::poll(&item, 1, kAnswerMs);
  } while (ready < 0 && errno == EINTR);
  if (ready > 0) return {};
  return fail(ErrorCode::kUnavailable, "the process that holds this server's memory does not listen");
}

// A name of any length: the directory is named by its descriptor.
sockaddr_un address_in(const shm::Descriptor& directory) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = "/proc/self/fd/" + std::to_string(directory.get()) + kName;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  return address;
}

bool is_own_user(int socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == ::geteuid();
}

// --- the process ---

class Holder {
 public:
  Holder(shm::Descriptor listening, shm::Descriptor directory, std::uint64_t wait_ms)
      : listening_(std::move(listening)), directory_(std::move(directory)), wait_ms_(wait_ms) {}
  void run();

 private:
  void accept();
  bool take_orders();
  void give();
  bool name_is_ours();
  bool waits() const { return server_ || now_ms() < left_ms_ + wait_ms_; }

  shm::Descriptor listening_;
  shm::Descriptor directory_;
  std::uint64_t wait_ms_;
  shm::Descriptor server_;
  std::uint64_t left_ms_ = now_ms();  // when the last server went
  struct stat name_ {};
  std::map<std::uint64_t, shm::Descriptor> held_;
};

bool Holder::name_is_ours() {
  struct stat now {};
  if (::fstatat(directory_.get(), kName + 1, &now, AT_SYMLINK_NOFOLLOW) != 0) return false;
  if (name_.st_ino == 0) name_ = now;
  return now.st_ino == name_.st_ino && now.st_dev == name_.st_dev;
}

void Holder::run() {
  while (name_is_ours() && waits()) {
    std::array<pollfd, 2> items{{{listening_.get(), POLLIN, 0}, {server_ ? server_.get() : -1, POLLIN, 0}}};
    ::poll(items.data(), items.size(), kLookMs);
    if (items[1].revents != 0 && !take_orders()) return;
    if (items[0].revents != 0) accept();
  }
}

// Whoever comes has the directory's lock: the one before is gone, though its end may not have been seen.
void Holder::accept() {
  shm::Descriptor next(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!next || !is_own_user(next.get())) return;
  while (server_) {
    if (!take_orders()) ::_exit(0);
    pollfd item{server_ ? server_.get() : -1, POLLIN, 0};
    if (!server_ || ::poll(&item, 1, 0) == 0) break;  // all that it had said is done
  }
  server_ = std::move(next);
}

// False when nothing is to be held any more.
bool Holder::take_orders() {
  for (;;) {
    Message order;
    shm::Descriptor descriptor;
    const ssize_t got = receive_message(server_.get(), order, descriptor, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return true;
    if (got != sizeof order || order.magic != kMagic) {
      server_.reset();
      left_ms_ = now_ms();
      return true;
    }
    switch (order.word) {
      case kHold:
        if (descriptor) held_[order.number] = std::move(descriptor);
        break;
      case kDrop:
        held_.erase(order.number);
        break;
      case kGive:
        give();
        break;
      case kEnd:
        ::unlinkat(directory_.get(), kName + 1, 0);
        return false;
      default:
        break;
    }
  }
}

void Holder::give() {
  for (const auto& [number, descriptor] : held_) {
    if (send_message(server_.get(), Message{kMagic, kHold, number}, descriptor.get(), MSG_DONTWAIT) > 0) continue;
    if (errno != EAGAIN || !await(server_.get(), POLLOUT) ||
        send_message(server_.get(), Message{kMagic, kHold, number}, descriptor.get(), MSG_DONTWAIT) < 0)
      return server_.reset();
  }
  send_message(server_.get(), Message{kMagic, kGiven, held_.size()}, -1, 0);
}

// --- starting it ---

// Every piece of memory is a descriptor.
void raise_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

Result<shm::Descriptor> connect_to(const shm::Descriptor& directory) {
  shm::Descriptor socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!socket) return fail_errno("make a socket to the holder of memory", errno);
  const sockaddr_un address = address_in(directory);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return fail_errno("reach the holder of memory", errno);
  if (!is_own_user(socket.get()))
    return fail(ErrorCode::kPermission, "the holder of memory in the state directory belongs to another user");
  return socket;
}

Status start(const shm::Descriptor& directory, std::uint64_t wait_ms) {
  ::unlinkat(directory.get(), kName + 1, 0);
  shm::Descriptor listening(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listening) return fail_errno("make a socket for the holder of memory", errno);
  const sockaddr_un address = address_in(directory);
  if (::bind(listening.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listening.get(), 4) != 0)
    return fail_errno("listen in the state directory for the holder of memory", errno);
  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno("start the holder of memory", errno);
  if (pid > 0) return {};
  outlive_the_parent("ringkeepd-hold", {listening.get(), directory.get()}, KeepsLog::kNo);
  raise_limit();
  Holder(std::move(listening), shm::Descriptor(::fcntl(directory.get(), F_DUPFD_CLOEXEC, 3)), wait_ms).run();
  ::_exit(0);
}

}  // namespace

Result<DescriptorHolder> DescriptorHolder::open(const std::string& directory, std::uint64_t wait_ms,
                                                std::vector<Held>& held) {
  const shm::Descriptor folder(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return fail_errno("open '" + directory + "'", errno);
  auto socket = connect_to(folder);
  if (!socket) {
    if (socket.error().code == ErrorCode::kPermission) return tl::unexpected(socket.error());
    RK_TRY_VOID(start(folder, wait_ms));
    RK_TRY(socket, connect_to(folder));
  }
  DescriptorHolder holder(*std::move(socket));
  RK_TRY_VOID(holder.take_all(held));
  return holder;
}

Status DescriptorHolder::take_all(std::vector<Held>& held) {
  RK_TRY_VOID(send(kGive, 0, -1));
  for (;;) {
    RK_TRY_VOID(await(socket_.get(), POLLIN));
    Message message;
    Held item;
    if (receive_message(socket_.get(), message, item.descriptor, MSG_DONTWAIT) != sizeof message ||
        message.magic != kMagic)
      return fail(ErrorCode::kUnavailable, "the process that holds this server's memory gives it incompletely");
    if (message.word == kGiven) return {};
    item.number = message.number;
    if (item.descriptor) held.push_back(std::move(item));
  }
}

Status DescriptorHolder::send(std::uint32_t word, std::uint64_t number, int descriptor) {
  const Message message{kMagic, word, number};
  if (send_message(socket_.get(), message, descriptor, MSG_DONTWAIT) > 0) return {};
  // The system bounds the descriptors that are on their way.
  if (errno == EAGAIN || errno == ETOOMANYREFS) {
    RK_TRY_VOID(await(socket_.get(), POLLOUT));
    if (send_message(socket_.get(), message, descriptor, MSG_DONTWAIT) > 0) return {};
  }
  return fail(ErrorCode::kUnavailable, "the process that holds this server's memory is gone (" +
                                           fail_errno("send", errno).value().message + ")");
}

Status DescriptorHolder::hold(std::uint64_t number, int descriptor) { return send(kHold, number, descriptor); }
Status DescriptorHolder::drop(std::uint64_t number) { return send(kDrop, number, -1); }
void DescriptorHolder::end() { static_cast<void>(send(kEnd, 0, -1)); }

}  // namespace rk::daemon

// SPDX-License-Identifier: Apache-2.0
#include "daemon/node_guard.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <map>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include "daemon/descriptor_message.h"
#include "daemon/forked_process.h"
#include "daemon/logger.h"

namespace rk::daemon {
namespace {

constexpr std::uint64_t kLookMs = 250;   // the lease moves on meanwhile
constexpr std::uint64_t kLateMs = 1000;  // the guard's own sleep: longer by this, and it trusts no time before

enum class Word : std::uint32_t { kWatch, kUnwatch, kRelease };
// Server -> guard; a pidfd travels with kWatch.
struct Order {
  Word word;
  std::uint32_t pid;  // for people
  std::uint64_t session;
};

std::uint64_t now_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000 + static_cast<std::uint64_t>(now.tv_nsec) / 1'000'000;
}

class Guard {
 public:
  Guard(shm::Descriptor socket, const LeasePage& page) : socket_(std::move(socket)), page_(page) {}
  void run();

 private:
  struct Watched {
    shm::Descriptor process;
    std::uint32_t pid = 0;
    std::uint64_t since_ms = 0;
  };
  std::uint64_t end_of(const Watched& one) const;
  // False when the guard is not needed any more.
  bool take_orders();
  void sleep();
  void kill_overdue();

  shm::Descriptor socket_;  // empty once the server is gone
  const LeasePage& page_;
  std::map<std::uint64_t, Watched> watched_;  // by session
  std::uint64_t trusted_ms_ = 0;              // time before this is not counted
};

std::uint64_t Guard::end_of(const Watched& one) const {
  return std::max({page_.lease_until_ms.load(), one.since_ms, trusted_ms_}) + kFencingMs;
}

void Guard::run() {
  while (take_orders() && (socket_ || !watched_.empty())) {
    sleep();
    kill_overdue();
  }
}

void Guard::sleep() {
  std::vector<pollfd> items{{socket_.get(), POLLIN, 0}};
  std::vector<std::uint64_t> sessions;
  for (const auto& [session, one] : watched_) {
    items.push_back({one.process.get(), POLLIN, 0});
    sessions.push_back(session);
  }
  const std::uint64_t asleep_ms = now_ms();
  ::poll(items.data(), items.size(), watched_.empty() ? -1 : static_cast<int>(kLookMs));
  const std::uint64_t awake_ms = now_ms();
  if (!watched_.empty() && awake_ms > asleep_ms + kLookMs + kLateMs) trusted_ms_ = awake_ms;
  // A pidfd is readable when its process has ended.
  for (std::size_t i = 0; i < sessions.size(); ++i)
    if (items[i + 1].revents != 0) watched_.erase(sessions[i]);
}

bool Guard::take_orders() {
  while (socket_) {
    Order order{};
    shm::Descriptor process;
    const ssize_t got = receive_message(socket_.get(), order, process, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return true;
    if (got != sizeof order) {
      if (!watched_.empty())
        logger::warn("the server is gone: " + std::to_string(watched_.size()) +
                     " processes that rest on it may live for " + std::to_string(kFencingMs) + " ms after its lease");
      socket_.reset();
      return true;
    }
    if (order.word == Word::kRelease) return false;
    if (order.word == Word::kUnwatch)
      watched_.erase(order.session);
    else if (process)
      watched_[order.session] = {std::move(process), order.pid, now_ms()};
  }
  return true;
}

void Guard::kill_overdue() {
  const std::uint64_t now = now_ms();
  for (auto at = watched_.begin(); at != watched_.end();) {
    if (now < end_of(at->second)) {
      ++at;
      continue;
    }
    // One process may have several connections; it is gone after the first.
    if (::syscall(SYS_pidfd_send_signal, at->second.process.get(), SIGKILL, nullptr, 0) == 0)
      logger::error("killed process " + std::to_string(at->second.pid) + ": its server has had no lease for " +
                    std::to_string(kFencingMs) + " ms, so that others may do its work by now");
    else if (errno != ESRCH)
      logger::error("process " + std::to_string(at->second.pid) +
                    " cannot be killed: " + fail_errno("kill", errno).value().message);
    at = watched_.erase(at);
  }
}

}  // namespace

Result<NodeGuard> NodeGuard::start(const std::string& log_level, const std::string& log_name) {
  void* memory = ::mmap(nullptr, sizeof(LeasePage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return fail_errno("share a page with the guard", errno);
  auto* page = new (memory) LeasePage{};
  NodeGuard guard({}, page);
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return fail_errno("make a socket to the guard", errno);
  guard.socket_ = shm::Descriptor(ends[0]);
  shm::Descriptor other(ends[1]);
  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno("start the guard", errno);
  if (pid > 0) return guard;
  outlive_the_parent("ringkeepd-guard", {other.get()}, KeepsLog::kYes);
  logger::start(log_level, log_name);
  Guard(std::move(other), *page).run();
  ::_exit(0);
}

NodeGuard::NodeGuard(NodeGuard&& other) noexcept
    : socket_(std::move(other.socket_)), page_(std::exchange(other.page_, nullptr)) {}

NodeGuard::~NodeGuard() {
  if (page_ != nullptr) ::munmap(page_, sizeof(LeasePage));
}

Status NodeGuard::watch(std::uint64_t session, std::uint32_t pid) {
  const shm::Descriptor process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!process) return fail_errno("watch process " + std::to_string(pid), errno);
  const Order order{Word::kWatch, pid, session};
  if (send_message(socket_.get(), order, process.get(), MSG_DONTWAIT) == sizeof order) return {};
  return fail(ErrorCode::kUnavailable, "the guard of this node does not take process " + std::to_string(pid) + " (" +
                                           fail_errno("send", errno).value().message + "): start the server again");
}

void NodeGuard::unwatch(std::uint64_t session) {
  const Order order{Word::kUnwatch, 0, session};
  // A guard that is gone watches nobody.
  static_cast<void>(send_message(socket_.get(), order, -1, MSG_DONTWAIT));
}

void NodeGuard::renew(std::uint64_t lease_until_ms) {
  if (lease_until_ms > page_->lease_until_ms.load()) page_->lease_until_ms.store(lease_until_ms);
}

void NodeGuard::release() {
  const Order order{Word::kRelease, 0, 0};
  static_cast<void>(send_message(socket_.get(), order, -1, MSG_DONTWAIT));
}

}  // namespace rk::daemon

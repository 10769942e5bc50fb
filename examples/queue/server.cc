// SPDX-License-Identifier: Apache-2.0
#include "server.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iostream>
#include <system_error>
#include <utility>

namespace queue {
namespace {

constexpr int kLookMs = 1000;  // how often the ring's server is asked while no client asks anything
constexpr std::size_t kReadBytes = 16384;
constexpr int kAcceptsATurn = 64;

}  // namespace

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = other.release();
  }
  return *this;
}

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

int Descriptor::release() noexcept { return std::exchange(fd_, -1); }

Server::Server(Store store, const Limits& limits, const ServerLimits& server_limits, Descriptor listener,
               Descriptor signals)
    : store_(std::move(store)),
      limits_(limits),
      server_limits_(server_limits),
      listener_(std::move(listener)),
      signals_(std::move(signals)),
      jobs_(store_.load(limits)),
      confirmed_(Clock::now()) {}

void Server::run() {
  while (wait()) {
    for (auto& [fd, connection] : connections_) take_requests(connection);
    settle();
    for (auto& [fd, connection] : connections_) write_some(connection);
    close_ended();
  }
}

bool Server::wants_input(const Connection& connection) const {
  return !connection.ending && connection.out.size() < server_limits_.waiting_bytes &&
         connection.in.find('\n') == std::string::npos;
}

// False: a signal asks us to end.
bool Server::wait() {
  std::vector<pollfd> items{{signals_.get(), POLLIN, 0},
                            {Clock::now() < accepts_from_ ? -1 : listener_.get(), POLLIN, 0}};
  bool more = false;  // whole lines that the last turn left
  for (auto& [fd, connection] : connections_) {
    const bool reads = wants_input(connection);
    more = more || (!reads && !connection.ending && connection.out.size() < server_limits_.waiting_bytes);
    items.push_back({fd, static_cast<short>((reads ? POLLIN : 0) | (connection.out.empty() ? 0 : POLLOUT)), 0});
  }
  if (::poll(items.data(), items.size(), more ? 0 : kLookMs) < 0 && errno != EINTR)
    throw std::system_error(errno, std::generic_category(), "poll");
  if (items[0].revents != 0) return false;
  for (std::size_t i = 2; i < items.size(); ++i) {
    Connection& connection = connections_.at(items[i].fd);
    if ((items[i].revents & POLLIN) != 0)
      read_some(connection);
    else if ((items[i].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0)
      connection.broken = true;
  }
  if (items[1].revents != 0) accept_some();
  return true;
}

void Server::accept_some() {
  for (int i = 0; i < kAcceptsATurn; ++i) {
    Descriptor socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (socket.get() < 0) {
      // A shortage that passes: those who are connected are served, and the others wait a moment.
      if (errno != EAGAIN && errno != EWOULDBLOCK && errno != ECONNABORTED && errno != EINTR)
        accepts_from_ = Clock::now() + std::chrono::milliseconds(kLookMs);
      return;
    }
    if (connections_.size() >= server_limits_.connections) {
      const std::string words = error("busy", "too many connections: try again later") + "\n";
      // Best effort: the connection ends either way.
      static_cast<void>(::send(socket.get(), words.data(), words.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
      continue;
    }
    const int fd = socket.get();
    Connection& connection = connections_[fd];
    connection.socket = std::move(socket);
    connection.active = Clock::now();
  }
}

void Server::read_some(Connection& connection) {
  char buffer[kReadBytes];
  const ssize_t got = ::recv(connection.socket.get(), buffer, sizeof buffer, 0);
  if (got > 0) {
    connection.in.append(buffer, static_cast<std::size_t>(got));
  } else if (got == 0) {
    connection.ending = true;  // what it asked before is answered
  } else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
    connection.broken = true;
  }
}

void Server::take_requests(Connection& connection) {
  if (connection.broken || connection.out.size() >= server_limits_.waiting_bytes) return;
  std::size_t begin = 0;
  bool ends = false;
  for (std::size_t i = 0; i < server_limits_.requests_a_turn && !ends; ++i) {
    const std::size_t end = connection.in.find('\n', begin);
    if (std::min(end, connection.in.size()) - begin > kMaxLineBytes) {
      connection.answers.push_back(
          {error("bad-request", "a line has at most " + std::to_string(kMaxLineBytes) + " bytes"), false, true});
      ends = true;
    } else if (end == std::string::npos) {
      break;
    } else {
      connection.answers.push_back(answer_to(std::string_view(connection.in).substr(begin, end - begin), jobs_));
      ends = connection.answers.back().ends;
      begin = end + 1;
    }
  }
  connection.in.erase(0, ends ? std::string::npos : begin);
  connection.ending = connection.ending || ends;
  if (!connection.answers.empty()) connection.active = Clock::now();
}

// Makes what this turn did true, or takes it back, and lets the answers go.
void Server::settle() {
  const bool asked = std::any_of(connections_.begin(), connections_.end(), [](const auto& item) {
    const auto& answers = item.second.answers;
    return std::any_of(answers.begin(), answers.end(), [](const Answer& answer) { return answer.of_the_jobs; });
  });
  std::string instead;
  if (asked || Clock::now() >= confirmed_ + std::chrono::milliseconds(kLookMs)) {
    try {
      // An answer that changes nothing must be true too: this instance may have been replaced.
      if (jobs_.changed().empty())
        store_.confirm();
      else
        store_.commit(jobs_);
    } catch (const rk::Failure& failure) {
      if (failure.code() == RK_ERR_PEER_GONE) throw;
      instead = failure.words();
      if (failure.code() == RK_ERR_NO_MEMORY) instead = error("full", instead);
    } catch (const Superseded& other) {
      instead = other.what();
    }
    if (!instead.empty()) {
      std::cerr << "ringkeep-queue: reading the queue again: " << instead << std::endl;
      // Whatever became of the commits, what is there now is the truth; nothing was acknowledged.
      jobs_ = store_.load(limits_);
      if (!instead.starts_with("error ")) instead = error("again", instead);
    }
    confirmed_ = Clock::now();
  }
  give_answers(instead);
}

void Server::give_answers(const std::string& instead) {
  for (auto& [fd, connection] : connections_) {
    for (const Answer& answer : std::exchange(connection.answers, {}))
      connection.out += (answer.of_the_jobs && !instead.empty() ? instead : answer.text) + "\n";
  }
}

void Server::write_some(Connection& connection) {
  while (!connection.out.empty() && !connection.broken) {
    const ssize_t sent = ::send(connection.socket.get(), connection.out.data(), connection.out.size(), MSG_NOSIGNAL);
    if (sent > 0)
      connection.out.erase(0, static_cast<std::size_t>(sent));
    else if (errno == EAGAIN || errno == EWOULDBLOCK)
      return;
    else if (errno != EINTR)
      connection.broken = true;
  }
}

void Server::close_ended() {
  const auto now = Clock::now();
  std::erase_if(connections_, [&](const auto& item) {
    const Connection& connection = item.second;
    const bool has_lines = connection.in.find('\n') != std::string::npos;
    return connection.broken || (connection.ending && connection.out.empty() && !has_lines) ||
           now >= connection.active + server_limits_.idle;
  });
}

}  // namespace queue

// SPDX-License-Identifier: Apache-2.0
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "doctor/gather.h"
#include "io/address.h"
#include "shm/descriptor.h"

namespace rk::doctor {
namespace {

using Outcome = PortFacts::Outcome;

constexpr int kConnectMs = 2000;       // for all that are asked together
constexpr std::size_t kTogether = 64;  // connections at a time

std::string words_of(int saved_errno) {
  char words[128];
  return strerror_r(saved_errno, words, sizeof words);
}

shm::Descriptor stream_socket(const io::SocketAddress& where) {
  return shm::Descriptor(::socket(where.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

const sockaddr* pointer_to(const io::SocketAddress& where) { return reinterpret_cast<const sockaddr*>(&where.storage); }

// Bound as the server would, and let go.
void try_own(const io::SocketAddress& where, bool ours, PortFacts& port) {
  const shm::Descriptor socket = stream_socket(where);
  const int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(socket.get(), pointer_to(where), where.size) == 0) {
    port.outcome = Outcome::kFree;
    return;
  }
  const int failed = errno;
  port.word = words_of(failed);
  port.outcome = failed == EADDRINUSE      ? (ours ? Outcome::kOurs : Outcome::kTaken)
                 : failed == EADDRNOTAVAIL ? Outcome::kNotHere
                 : failed == EACCES        ? Outcome::kForbidden
                                           : Outcome::kFailed;
}

struct Attempt {
  PortFacts* port = nullptr;
  shm::Descriptor socket;
};

void settle(PortFacts& port, int error) {
  port.word = error == 0 ? "" : words_of(error);
  port.outcome = error == 0              ? Outcome::kAnswers
                 : error == ECONNREFUSED ? Outcome::kRefused
                 : error == ETIMEDOUT    ? Outcome::kSilent
                                         : Outcome::kFailed;
}

void await(std::vector<Attempt>& attempts) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(kConnectMs);
  while (!attempts.empty()) {
    std::vector<pollfd> waits;
    waits.reserve(attempts.size());
    for (const Attempt& attempt : attempts) waits.push_back({attempt.socket.get(), POLLOUT, 0});
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    if (left.count() <= 0) break;
    if (::poll(waits.data(), waits.size(), static_cast<int>(left.count())) < 0 && errno != EINTR) break;
    for (std::size_t i = waits.size(); i-- > 0;) {
      if (waits[i].revents == 0) continue;
      int error = 0;
      socklen_t size = sizeof error;
      ::getsockopt(attempts[i].socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
      settle(*attempts[i].port, error);
      attempts.erase(attempts.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
  attempts.clear();  // the others stay silent
}

}  // namespace

std::vector<PortFacts> port_facts(const daemon::Config& config, const std::optional<RunningServer>& running) {
  std::vector<PortFacts> out;
  if (config.roster.size() < 2) return out;  // it listens for nobody
  const bool ours = running && running->status.node == config.node && running->status.cluster == config.cluster;
  out.reserve(config.roster.size());
  std::vector<Attempt> attempts;
  for (const io::RosterEntry& entry : config.roster) {
    PortFacts& port = out.emplace_back();
    port.node = entry.node.value;
    port.address = io::to_string(entry.address);
    port.own = entry.node == config.node;
    const auto where = io::resolve(entry.address);
    if (!where) {
      port.outcome = Outcome::kUnresolved;
    } else if (port.own) {
      try_own(*where, ours, port);
    } else {
      port.outcome = Outcome::kSilent;
      Attempt attempt{&port, stream_socket(*where)};
      const bool done = ::connect(attempt.socket.get(), pointer_to(*where), where->size) == 0;
      if (done || errno != EINPROGRESS)
        settle(port, done ? 0 : errno);
      else
        attempts.push_back(std::move(attempt));
    }
    if (attempts.size() >= kTogether) await(attempts);
  }
  await(attempts);
  return out;
}

}  // namespace rk::doctor

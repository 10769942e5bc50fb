// SPDX-License-Identifier: Apache-2.0
// The loop of the queue's server: one thread, poll(). A turn takes what has arrived from all clients, applies it to the
// jobs, commits the segments that changed, and only then answers: requests that arrive together share their commits.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "jobs.h"
#include "protocol.h"
#include "store.h"

namespace queue {

struct ServerLimits {
  std::size_t connections = 1024;
  std::size_t requests_a_turn = 256;                   // of one connection
  std::size_t waiting_bytes = std::size_t{64} << 10U;  // answers that a client has not taken: it is not read meanwhile
  std::chrono::seconds idle{600};                      // a connection without a request ends
};

// A file descriptor, closed with its owner.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) noexcept : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor();
  int get() const { return fd_; }
  int release() noexcept;

 private:
  int fd_;
};

class Server {
 public:
  // `listener` and `signals` (a signalfd of what asks the server to end) do not block.
  Server(Store store, const Limits& limits, const ServerLimits& server_limits, Descriptor listener, Descriptor signals);
  // Until a signal. Throws rk::Failure when the ring's server has gone, and whatever Store::load() throws.
  void run();

 private:
  using Clock = std::chrono::steady_clock;
  struct Connection {
    Descriptor socket;
    std::string in;               // at most one line and what one read gives
    std::vector<Answer> answers;  // of this turn
    std::string out;
    Clock::time_point active;
    bool ending = false;  // nothing more is read; it is closed when `out` is empty
    bool broken = false;
  };
  bool wait();
  void accept_some();
  void read_some(Connection& connection);
  void take_requests(Connection& connection);
  bool wants_input(const Connection& connection) const;
  void settle();
  void give_answers(const std::string& instead);
  void write_some(Connection& connection);
  void close_ended();

  Store store_;
  Limits limits_;
  ServerLimits server_limits_;
  Descriptor listener_;
  Descriptor signals_;
  Jobs jobs_;
  std::map<int, Connection> connections_;
  Clock::time_point confirmed_;
  Clock::time_point accepts_from_;  // not before
};

}  // namespace queue

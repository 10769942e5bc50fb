// SPDX-License-Identifier: Apache-2.0
// The living processes of a job, as the launcher's control socket knows them: who connected, their pidfds, their
// frames. A connection that sends something malformed, comes from another user, or breaks the limit of connections is
// closed and counted.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "base/ids.h"
#include "launch/frame_channel.h"
#include "launch/loop.h"
#include "shm/descriptor.h"
#include "wire/control_messages.h"

namespace rk::launch {

// The answer to a process that introduced itself.
struct Admission {
  Rank rank;
  wire::ProcessStart start;
  std::vector<shm::Descriptor> descriptors;
};

class ProcessHandler {
 public:
  virtual ~ProcessHandler() = default;
  // An error sends the process away with these words.
  virtual Result<Admission> admit(const wire::ProcessHello& hello, pid_t pid) = 0;
  // The error closes the connection.
  virtual Status on_frame(Rank rank, Incarnation incarnation, const wire::Frame& frame) = 0;
  // End of its connection.
  virtual void on_gone(Rank rank, Incarnation incarnation) = 0;
};

inline constexpr std::uint64_t kHelloLimitMs = 30000;

class ProcessTable {
 public:
  // A connection that does not introduce itself within `hello_limit_ms` is closed and counted.
  ProcessTable(Loop& loop, shm::Descriptor listener, ProcessHandler& handler, std::size_t max_connections,
               std::uint64_t hello_limit_ms = kHelloLimitMs);
  ~ProcessTable();
  ProcessTable(const ProcessTable&) = delete;
  ProcessTable& operator=(const ProcessTable&) = delete;

  // Handles every frame that has arrived by now.
  void pump();
  void signal_all(int number);
  // False if that rank is not connected.
  bool signal(Rank rank, int number);
  // Its connection has ended, whether that was handled or not.
  bool hung_up(Rank rank) const;
  template <class Message>
  Status send(Rank rank, const Message& message) {
    const auto found = ranks_.find(rank);
    if (found == ranks_.end()) return {};
    return found->second->channel.send(message);
  }
  std::uint64_t malformed() const { return malformed_; }

 private:
  struct Connection {
    FrameChannel channel;
    shm::Descriptor process;
    pid_t pid = 0;
    bool introduced = false;
    Rank rank;
    Incarnation incarnation;
    Loop::TimerId hello_timer = 0;
  };
  void accept_one();
  void rest();  // no descriptor is free: a while without accepting
  void read_from(int fd);
  Status handle(Connection& connection, const wire::Frame& frame);
  Status introduce(Connection& connection, const wire::Frame& frame);
  void close(int fd);

  Loop& loop_;
  shm::Descriptor listener_;
  ProcessHandler& handler_;
  std::size_t max_connections_;
  std::uint64_t hello_limit_ms_;
  Loop::TimerId rest_timer_ = 0;
  std::map<int, std::unique_ptr<Connection>> connections_;
  std::map<Rank, Connection*> ranks_;
  std::uint64_t malformed_ = 0;
};

}  // namespace rk::launch

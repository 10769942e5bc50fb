// SPDX-License-Identifier: Apache-2.0
// Makes the ring's memory durable on a thread of its own: a disk that takes seconds for an fsync must not keep the loop
// from answering clients and heartbeats. The core waits for the token of what it asked for (ring::Persist), not for the
// disk. What was asked for meanwhile is written at once by its newest state, which holds the older ones.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <thread>

#include "base/bytes.h"
#include "base/result.h"
#include "daemon/state_files.h"
#include "io/event_loop.h"

namespace rk::daemon {

class StateWriter {
 public:
  // Called by the loop: everything up to this token is durable, or the reason why it is not.
  using Done = std::function<void(std::uint64_t token, const Status& status)>;

  // `files` and `loop` outlive it. `done` is not called after the destructor.
  StateWriter(const StateFiles& files, io::EventLoop& loop, Done done);
  // Waits until what was asked for is written.
  ~StateWriter();
  StateWriter(const StateWriter&) = delete;
  StateWriter& operator=(const StateWriter&) = delete;

  // Loop thread. Tokens rise.
  void write(std::uint64_t token, Bytes bytes);

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
  std::thread thread_;
};

}  // namespace rk::daemon

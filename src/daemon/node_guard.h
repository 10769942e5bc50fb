// SPDX-License-Identifier: Apache-2.0
// The guard of a node: a process of its own, forked before anything else, that kills the processes that rest on a
// server when that server has had no lease of its ring for kFencingMs, because it is stopped, hangs, was killed, or is
// out of the view. So whoever starts them elsewhere after that never meets them.
//
// - It sees the end of the lease on a page that the server writes, and knows processes by pidfds that the server sends
//   it, so that it kills nobody else whatever becomes of their numbers.
// - It guards one life of a server: no later one takes its processes over. A server that ends in good order lets them
//   go.
// - If it ran late itself (the machine slept, all of it was stopped), it gives everybody the whole time anew.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <string>

#include "base/result.h"
#include "shm/descriptor.h"

namespace rk::daemon {

inline constexpr std::uint64_t kFencingMs = 5000;

// What the two share: a mapping that the guard inherits.
struct LeasePage {
  std::atomic<std::uint64_t> lease_until_ms;  // CLOCK_BOOTTIME
};

class NodeGuard {
 public:
  // Forks; to be called while the process has one thread. `log_name`: how the guard's lines begin.
  static Result<NodeGuard> start(const std::string& log_level, const std::string& log_name);
  NodeGuard(NodeGuard&& other) noexcept;
  NodeGuard& operator=(NodeGuard&&) = delete;
  // Without release(), as if the server had been killed: what is watched dies when its time is over.
  ~NodeGuard();

  // The process must not outlive the lease from now on. It waits for the server's answer, so that its number is still
  // its own. kUnavailable if the guard is gone, or does not listen.
  Status watch(std::uint64_t session, std::uint32_t pid);
  // Its connection ended while this server lives.
  void unwatch(std::uint64_t session);
  // 0: none now; what was granted before stands.
  void renew(std::uint64_t lease_until_ms);
  // The server ends in good order.
  void release();

 private:
  NodeGuard(shm::Descriptor socket, LeasePage* page) : socket_(std::move(socket)), page_(page) {}
  shm::Descriptor socket_;
  LeasePage* page_;
};

}  // namespace rk::daemon

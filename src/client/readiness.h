// SPDX-License-Identifier: Apache-2.0
// One descriptor that poll() finds readable when a socket is, when this process says so, or from a time on: an epoll
// instance with the socket and a timer. An error of a call: the program has closed what is not its own, and the
// descriptor tells of the socket only.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "base/result.h"
#include "shm/descriptor.h"

namespace rk::client {

class Readiness {
 public:
  // The socket must outlive it.
  static Result<Readiness> of(int socket);
  int descriptor() const { return epoll_.get(); }
  // Readable until rest_until().
  Status raise();
  // Readable from that time on as well (boot_time_ms()).
  Status wake_at(std::uint64_t boot_ms);
  // Readable from then on, and before only when the socket is; nullopt: only then. It may wake earlier once, at a time
  // that was asked for before.
  Status rest_until(std::optional<std::uint64_t> boot_ms);

 private:
  Readiness(shm::Descriptor epoll, shm::Descriptor timer) : epoll_(std::move(epoll)), timer_(std::move(timer)) {}
  Status set(std::uint64_t boot_ms);

  shm::Descriptor epoll_;
  shm::Descriptor timer_;
  bool raised_ = false;
  std::uint64_t set_ = 0;  // when the timer fires; 0: never
};

}  // namespace rk::client

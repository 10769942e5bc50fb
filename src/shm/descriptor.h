// SPDX-License-Identifier: Apache-2.0
// Ownership of one file descriptor: of memory, a socket, a pipe, a process. The one owner of the whole tree.
#pragma once

#include <utility>

#include "base/result.h"

namespace rk::shm {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { reset(); }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  // Gives the descriptor away: the caller closes it.
  int release() { return std::exchange(fd_, -1); }
  void reset();

 private:
  int fd_ = -1;
};

// A close-on-exec copy.
Result<Descriptor> duplicate(int fd);

}  // namespace rk::shm

// SPDX-License-Identifier: Apache-2.0
// Standard input of the job, passed on to rank 0 as it reads. What was passed on is remembered, at most kMaxRemembered
// bytes, because the next life of rank 0 reads it again from the start.
#pragma once

#include <string>

#include "base/result.h"
#include "launch/loop.h"
#include "shm/descriptor.h"

namespace rk::launch {

inline constexpr std::size_t kMaxRemembered = std::size_t{16} << 20U;

class StandardInput {
 public:
  StandardInput(Loop& loop, int fd);
  ~StandardInput();
  StandardInput(const StandardInput&) = delete;
  StandardInput& operator=(const StandardInput&) = delete;

  // There is something to read from at all.
  bool open() const { return source_ >= 0; }
  // A pipe for a new life of rank 0: its end to read from. kNoMemory if more was passed on than is remembered.
  Result<shm::Descriptor> begin_life();
  void end_life();

 private:
  void read_some();
  void write_some();
  void arrange();  // watches what makes sense now

  Loop& loop_;
  int source_ = -1;  // -1: closed, or at its end
  bool ended_ = false;
  bool forgotten_ = false;  // remembered_ lacks its beginning
  std::string remembered_;
  std::size_t sent_ = 0;  // of remembered_, in this life
  shm::Descriptor pipe_;
};

}  // namespace rk::launch

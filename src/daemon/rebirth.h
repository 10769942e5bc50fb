// SPDX-License-Identifier: Apache-2.0
// A server that the ring went on without begins anew by itself: it waits for a moment and executes its own program
// again, with the same arguments and in the same process, as a new incarnation that holds nothing. The wait doubles
// while evictions follow each other quickly.
#pragma once

#include <cstdint>
#include <optional>

#include "base/result.h"
#include "daemon/config.h"
#include "shm/descriptor.h"

namespace rk::daemon {

inline constexpr std::uint64_t kFirstBackOffMs = 100;
inline constexpr std::uint64_t kMaxBackOffMs = 10'000;
inline constexpr std::uint64_t kQuietMs = 60'000;  // a life that lasted so long was none of a row

// Evictions in a row, when a life of that length ends in one after `before` others.
std::uint32_t evictions_in_a_row(std::uint32_t before, std::uint64_t lived_ms);
std::uint64_t back_off_ms(std::uint32_t in_a_row);

class Rebirth {
 public:
  // Of the life that begins: keeps what the next one needs, and takes from `options` what only the first one does.
  static Result<Rebirth> prepare(StartOptions& options);

  // Evictions in a row that led to this life; 0: somebody started it.
  std::uint32_t evictions() const { return evictions_; }
  // Signals that came while no life was there to take them, once this one can.
  static void let_signals_in();
  // They wait from now on.
  static void hold_signals();

  // After a life that ended in eviction, when all of it is gone. Returns only if there is no next life: nothing if a
  // signal or the parent's end asked for that meanwhile, or why the program cannot be executed again.
  Status begin_anew(char** arguments, std::uint64_t lived_ms);

 private:
  Rebirth() = default;
  std::uint32_t evictions_ = 0;
  std::optional<int> parent_fd_;
  std::optional<int> listen_fd_;
  shm::Descriptor listening_;  // the same socket: the life closes its own descriptor
};

}  // namespace rk::daemon

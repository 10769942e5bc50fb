// SPDX-License-Identifier: Apache-2.0
// Bells: one small memory of the job that all its processes map writable, a line of 64 B a process. A receiver that
// finds nothing raises its waiting flag, looks again, and sleeps on its word with a bound; a sender that sees the flag
// rings. Bells are hints: whatever another process writes there, a sleep ends at its bound and nothing is lost.
//
//   receiver:  const auto seen = bells.prepare(me);  look again;  if nothing: futex_wait(word(me), seen, bound);
//              bells.done(me);
//   sender:    outbox.send(...);  if (bells.ring(dest)) futex_wake(word(dest));
//
// The system calls belong to the shell (client/log_session).
#pragma once

#include <atomic>
#include <cstdint>
#include <span>

#include "log/layout.h"

namespace rk::log {

struct Bell {
  std::uint32_t word;     // counts rings; the futex
  std::uint32_t waiting;  // the owner sleeps, or is about to
  std::uint32_t zero[14];
};
static_assert(sizeof(Bell) == kLine);

class Bells {
 public:
  Bells() = default;
  // Memory of at least bytes_for(ranks), writable.
  Bells(std::span<std::byte> memory, std::uint32_t ranks)
      : bells_(reinterpret_cast<Bell*>(memory.data())), ranks_(memory.size() >= bytes_for(ranks) ? ranks : 0) {}
  static constexpr std::uint64_t bytes_for(std::uint32_t ranks) { return std::uint64_t{ranks} * sizeof(Bell); }

  // Raises the flag; after it, what was sent before is seen, and what is sent later rings.
  std::uint32_t prepare(std::uint32_t me) const {
    std::atomic_ref(bells_[me].waiting).store(1, std::memory_order_relaxed);
    const std::uint32_t seen = std::atomic_ref(bells_[me].word).load(std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return seen;
  }
  void done(std::uint32_t me) const { std::atomic_ref(bells_[me].waiting).store(0, std::memory_order_relaxed); }
  // After a publish: true if `dest` sleeps and must be woken on its word, which has been moved on.
  bool ring(std::uint32_t dest) const {
    if (dest >= ranks_) return false;
    std::atomic_thread_fence(std::memory_order_seq_cst);  // the publish before, the flag after
    if (std::atomic_ref(bells_[dest].waiting).load(std::memory_order_relaxed) == 0) [[likely]]
      return false;
    std::atomic_ref(bells_[dest].word).fetch_add(1, std::memory_order_release);
    return true;
  }
  std::uint32_t* word(std::uint32_t rank) const { return &bells_[rank].word; }
  std::uint32_t ranks() const { return ranks_; }

 private:
  Bell* bells_ = nullptr;
  std::uint32_t ranks_ = 0;
};

}  // namespace rk::log

// SPDX-License-Identifier: Apache-2.0
// Every store of the commit path has a mark before or behind it: each message and each part of one, each descriptor
// that comes, each mapping that is made or dropped, each byte that the library writes into a slot.
//
// In the plain library a mark is no code. In one that is built with RINGKEEP_MARKED_STORES (a CMake option, off) the
// process counts the marks that it passes, and ends itself at one of them, as by kill -9:
//
//   RINGKEEP_DIE_AT=17               the 17th mark of all
//   RINGKEEP_DIE_AT=request_sent     the first time at this mark
//   RINGKEEP_DIE_AT=request_sent:3   the third time
//
// There, copies into a slot and messages also go in two halves, so that there is a mark in the midst of each.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

// In the order in which a process comes to them.
#define RK_MARKS(X)                                              \
  X(socket_made)                                                 \
  X(connected)                                                   \
  X(request_made)                                                \
  X(bytes_sent) /* of a request, some or the rest */             \
  X(request_sent)                                                \
  X(request_held_back) /* until more follow */                   \
  X(request_posted)                                              \
  X(bytes_received) /* their descriptors are nobody's yet */     \
  X(descriptor_received)                                         \
  X(answer_received)                                             \
  X(answer_set_aside) /* of a posted request */                  \
  X(slot_received)    /* not mapped yet */                       \
  X(memory_adopted)                                              \
  X(memory_mapped)                                               \
  X(memory_populated)                                            \
  X(slot_half_filled)                                            \
  X(slot_filled)                                                 \
  X(section_given) /* the program writes it */                   \
  X(commit_begun)  /* the slot is mapped still */                \
  X(async_commit_handed_over)                                    \
  X(mapping_dropped)                                             \
  X(commit_answered)                                             \
  X(commit_noted) /* its outcome is awaited */                   \
  X(outcome_judged)                                              \
  X(outcome_taken)                                               \
  X(poll_descriptor_made)                                        \
  X(poll_timer_set)                                              \
  X(writer_dropped)   /* without a commit; nobody was told */    \
  X(version_received) /* by a reader; not mapped yet */          \
  X(version_verified)                                            \
  X(reader_dropped) /* the version is mapped and pinned still */ \
  X(part_committed) /* of a community's version */               \
  X(group_committed)                                             \
  X(log_trimmed)

namespace rk::client {

enum class Mark : std::uint32_t {
#define RK_MARK_ENUMERATOR(name) name,
  RK_MARKS(RK_MARK_ENUMERATOR)
#undef RK_MARK_ENUMERATOR
};

inline constexpr std::array kMarkNames = {
#define RK_MARK_NAME(name) #name,
    RK_MARKS(RK_MARK_NAME)
#undef RK_MARK_NAME
};

// What was passed. All zero at first.
struct MarkCounts {
  std::atomic<std::uint32_t> all;
  std::atomic<std::uint32_t> last;  // 1 + the number of the newest mark
  std::array<std::atomic<std::uint32_t>, kMarkNames.size()> of;
};

#ifdef RINGKEEP_MARKED_STORES

// Counts there from now on: in shared memory, who looks afterwards sees how far the process came.
void count_marks_in(MarkCounts& counts);
void pass(Mark mark);
inline std::size_t half(std::size_t bytes) { return bytes > 1 ? bytes / 2 : bytes; }

#define RK_MARK(name) ::rk::client::pass(::rk::client::Mark::name)
// How much of so many bytes to store before the next mark.
#define RK_MARKED_PIECE(bytes) ::rk::client::half(bytes)

#else

#define RK_MARK(name) static_cast<void>(0)
#define RK_MARKED_PIECE(bytes) (bytes)

#endif

}  // namespace rk::client

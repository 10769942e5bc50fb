// SPDX-License-Identifier: Apache-2.0
// Anonymous shared memory: a memfd of fixed size. It has no name that could leak or be opened by others, it goes away
// with its last descriptor and mapping, and it is sealed against shrinking, growing and further sealing, so that
// nobody who holds it can make another holder's access fail with SIGBUS.
//
// Memory is charged when it is touched: take it from a MemoryBudget first, then touch() it. Untouched memory must not
// be given to a writer: its first write could then be the one that the machine cannot serve.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "shm/descriptor.h"

namespace rk::shm {

// The unit in which memory is charged, and the alignment of sections.
inline constexpr std::uint64_t kPageBytes = 4096;
inline constexpr std::uint64_t round_up_to_page(std::uint64_t bytes) {
  return (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
}

class MemoryFile {
 public:
  MemoryFile() = default;

  // `label` is for people (/proc/PID/maps). `bytes` above 0. Takes no memory yet.
  static Result<MemoryFile> create(const char* label, std::uint64_t bytes);
  // A descriptor received from somebody else: refused unless it is a memfd of at least `bytes` that is sealed against
  // shrinking, because a mapping of anything else could end in SIGBUS.
  static Result<MemoryFile> adopt(Descriptor descriptor, std::uint64_t bytes);

  // Has the system allocate the pages of [offset, offset + bytes), which stay until discard() or the end of the file.
  // kNoMemory if it has none. Check a MemoryBudget before: inside a cgroup the system kills instead of refusing.
  Status touch(std::uint64_t offset, std::uint64_t bytes);
  // Gives the pages of the range back; they read as zero afterwards.
  Status discard(std::uint64_t offset, std::uint64_t bytes);

  // Whether every page is there. Whoever has a descriptor for writing may have given some back.
  bool whole() const;

  // Another descriptor of the same memory, to be passed to a reader. It can be mapped read-only only, and another user
  // cannot open it for writing again through /proc.
  Result<Descriptor> open_read_only() const;

  int descriptor() const { return descriptor_.get(); }
  std::uint64_t size() const { return bytes_; }
  explicit operator bool() const { return static_cast<bool>(descriptor_); }

 private:
  Descriptor descriptor_;
  std::uint64_t bytes_ = 0;
};

}  // namespace rk::shm

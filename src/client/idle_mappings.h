// SPDX-License-Identifier: Apache-2.0
// Mappings of memory that the server lends again and again. To enter the pages of a mapping into the page table takes
// almost as long as to copy the data, so a mapping that nobody writes or reads through is kept, and used when the same
// memory comes again. Only for mappings whose addresses no caller has seen: a stale one would write into a committed
// version, or show what is none.
//
// The server gives memory that it drops back to the system whoever has it mapped, so these mappings hold none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "shm/mapping.h"
#include "shm/memory_file.h"

namespace rk::client {

class IdleMappings {
 public:
  static constexpr std::size_t kMaxMappings = 16;

  // What tells one memory file from all others. The number alone comes again when its counter has gone round.
  struct Identity {
    std::uint64_t device = 0;
    std::uint64_t number = 0;
    std::int64_t born_s = 0;
    std::uint32_t born_ns = 0;
    bool operator==(const Identity&) const = default;
  };
  // nullopt: the kernel does not tell when the file was made (before Linux 5.18), and nothing of it is kept.
  static std::optional<Identity> identify(const shm::MemoryFile& file);

  // The kept one of that file, which has these bytes; empty: there is none.
  shm::Mapping take(const Identity& of, std::uint64_t bytes);
  // In place of the one that was not used for longest, if they are too many.
  void keep(const Identity& of, shm::Mapping mapping);
  void clear() { kept_.clear(); }

 private:
  struct Kept {
    Identity of;
    shm::Mapping mapping;
  };
  std::deque<Kept> kept_;  // the oldest first
};

}  // namespace rk::client

// SPDX-License-Identifier: Apache-2.0
// The same code of xxHash, compiled for different processors; checksum.cc chooses when the program runs. Included by
// sources that contain nothing else, so that no code for a newer processor is shared with the rest of the program.
#pragma once

#include <cstddef>
#include <cstdint>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace rk::checksum_kernels {

// The functions work on one XXH3_state_t, whose layout does not depend on the processor.
struct Kernel {
  std::uint64_t (*whole)(const void* bytes, std::size_t size);
  void (*update)(XXH3_state_t* state, const void* bytes, std::size_t size);
  std::uint64_t (*digest)(const XXH3_state_t* state);
  // Copies to both, and to `to` past the processor's caches; reads each byte once. `to` and `piece` are aligned to
  // kCacheLine, `size` is a multiple of it.
  void (*copy)(std::byte* to, std::byte* piece, const std::byte* from, std::size_t size);
};

inline constexpr std::size_t kCacheLine = 64;

#define RK_CHECKSUM_KERNEL                                                                                        \
  {                                                                                                               \
    [](const void* bytes, std::size_t size) -> std::uint64_t { return XXH3_64bits(bytes, size); },                \
        [](XXH3_state_t* state, const void* bytes, std::size_t size) { XXH3_64bits_update(state, bytes, size); }, \
        [](const XXH3_state_t* state) -> std::uint64_t { return XXH3_64bits_digest(state); }, RK_CHECKSUM_COPY    \
  }

extern const Kernel kPortable;
#if defined(__x86_64__)
extern const Kernel kAvx2;
#endif

}  // namespace rk::checksum_kernels

// SPDX-License-Identifier: Apache-2.0
#include "base/checksum.h"

#include <algorithm>
#include <array>
#include <cstring>

#define RK_CHECKSUM_COPY                                                         \
  [](std::byte* to, std::byte* piece, const std::byte* from, std::size_t size) { \
    std::memcpy(piece, from, size);                                              \
    std::memcpy(to, piece, size);                                                \
  }
#include "base/checksum_kernels.h"

namespace rk {
namespace checksum_kernels {
extern const Kernel kPortable = RK_CHECKSUM_KERNEL;
}  // namespace checksum_kernels

namespace {

const checksum_kernels::Kernel& kernel() {
#if defined(__x86_64__)
  static const bool kHasAvx2 = __builtin_cpu_supports("avx2") != 0;
  if (kHasAvx2) return checksum_kernels::kAvx2;
#endif
  return checksum_kernels::kPortable;
}

// What is copied is more than a processor keeps in its caches, so that it goes past them.
constexpr std::size_t kPastCaches = std::size_t{8} << 20U;
// Summed and copied at a time: it stays in the fastest cache.
constexpr std::size_t kPieceBytes = std::size_t{16} << 10U;

}  // namespace

std::uint64_t checksum(ByteView bytes) { return kernel().whole(bytes.data(), bytes.size()); }

struct StreamingChecksum::State {
  XXH3_state_t xxh;
};

StreamingChecksum::StreamingChecksum() : state_(std::make_unique<State>()) { XXH3_64bits_reset(&state_->xxh); }
StreamingChecksum::~StreamingChecksum() = default;
StreamingChecksum::StreamingChecksum(StreamingChecksum&&) noexcept = default;
StreamingChecksum& StreamingChecksum::operator=(StreamingChecksum&&) noexcept = default;

void StreamingChecksum::update(ByteView bytes) { kernel().update(&state_->xxh, bytes.data(), bytes.size()); }

// The bytes are read once, into a piece that nobody else can write to: what is summed is what is copied, whoever writes
// to `from` meanwhile.
void StreamingChecksum::copy(std::byte* to, ByteView from) {
  alignas(checksum_kernels::kCacheLine) std::array<std::byte, kPieceBytes> piece;
  const bool past_caches = from.size() >= kPastCaches;
  while (!from.empty()) {
    // The first piece ends where a cache line of `to` does.
    const std::size_t beside = reinterpret_cast<std::uintptr_t>(to) % checksum_kernels::kCacheLine;
    const std::size_t size = std::min(beside == 0 ? piece.size() : checksum_kernels::kCacheLine - beside, from.size());
    if (past_caches && size == piece.size()) {
      kernel().copy(to, piece.data(), from.data(), size);
    } else {
      std::memcpy(piece.data(), from.data(), size);
      std::memcpy(to, piece.data(), size);
    }
    kernel().update(&state_->xxh, piece.data(), size);
    to += size;
    from = from.subspan(size);
  }
}

std::uint64_t StreamingChecksum::digest() const { return kernel().digest(&state_->xxh); }

}  // namespace rk

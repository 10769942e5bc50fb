// SPDX-License-Identifier: Apache-2.0
#include "base/checksum.h"

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
std::uint64_t StreamingChecksum::digest() const { return kernel().digest(&state_->xxh); }

}  // namespace rk

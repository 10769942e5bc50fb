// SPDX-License-Identifier: Apache-2.0
// Compiled for processors with AVX2 (CMakeLists.txt), and called only there.
#if defined(__x86_64__)
#include <immintrin.h>
#define RK_CHECKSUM_COPY                                                         \
  [](std::byte* to, std::byte* piece, const std::byte* from, std::size_t size) { \
    for (std::size_t at = 0; at < size; at += sizeof(__m256i)) {                 \
      const auto* source = reinterpret_cast<const __m256i*>(from + at);          \
      const __m256i bytes = _mm256_loadu_si256(source);                          \
      _mm256_store_si256(reinterpret_cast<__m256i*>(piece + at), bytes);         \
      _mm256_stream_si256(reinterpret_cast<__m256i*>(to + at), bytes);           \
    }                                                                            \
    _mm_sfence();                                                                \
  }
#include "base/checksum_kernels.h"

namespace rk::checksum_kernels {
extern const Kernel kAvx2 = RK_CHECKSUM_KERNEL;
}  // namespace rk::checksum_kernels
#endif

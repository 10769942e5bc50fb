// SPDX-License-Identifier: Apache-2.0
// Compiled for processors with AVX2 (CMakeLists.txt), and called only there.
#if defined(__x86_64__)
#include <immintrin.h>
#define RK_CHECKSUM_COPY                                                                    \
  [](std::byte* to, const std::byte* from, std::size_t size) {                              \
    for (std::size_t at = 0; at < size; at += sizeof(__m256i))                              \
      _mm256_stream_si256(reinterpret_cast<__m256i*>(to + at),                              \
                          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + at))); \
    _mm_sfence();                                                                           \
  }
#include "base/checksum_kernels.h"

namespace rk::checksum_kernels {
extern const Kernel kAvx2 = RK_CHECKSUM_KERNEL;
}  // namespace rk::checksum_kernels
#endif

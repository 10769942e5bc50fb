// SPDX-License-Identifier: Apache-2.0
// Compiled for processors with AVX2 (CMakeLists.txt), and called only there.
#include "base/checksum_kernels.h"

#if defined(__x86_64__)
namespace rk::checksum_kernels {
extern const Kernel kAvx2 = RK_CHECKSUM_KERNEL;
}  // namespace rk::checksum_kernels
#endif

// SPDX-License-Identifier: Apache-2.0
// Answers that count only as long as the server's lease of the ring, on the clock that it shares with its clients.
#pragma once

#include <cstdint>

namespace rk::client {

// CLOCK_BOOTTIME of this machine, asked of the kernel itself: in a program that is executed again the layer repeats
// what its clocks said before.
std::uint64_t boot_time_ms();

// Has the lease that an answer names ended? 0: the server is of a release that does not say.
bool lease_over(std::uint64_t lease_until_ms);

}  // namespace rk::client

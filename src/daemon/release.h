// SPDX-License-Identifier: Apache-2.0
// The release that a server says it is.
#pragma once

namespace rk::daemon {

inline constexpr char kRelease[] = "0.1.0";

}  // namespace rk::daemon

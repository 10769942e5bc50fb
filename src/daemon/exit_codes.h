// SPDX-License-Identifier: Apache-2.0
// How ringkeepd ends: docs/exit-codes.md tells users.
#pragma once

namespace rk::daemon {

enum class ExitCode : int {
  kOk = 0,
  kInternal = 1,     // a broken invariant, or a failure that nothing below names
  kUsage = 2,        // flags or configuration
  kCannotStart = 3,  // directory, key file, socket, address or state refuse
  kMemory = 4,       // the budget is larger than the machine or its control group
  kEvicted = 5,      // the ring went on without this server, and it could not execute its program again
};

}  // namespace rk::daemon

// SPDX-License-Identifier: Apache-2.0
// Facts in, findings out: no system call, so that every finding can be provoked. Each gives at least one finding.
#pragma once

#include "doctor/facts.h"
#include "doctor/finding.h"

namespace rk::doctor {

Findings check_memory(const MemoryFacts& facts);
Findings check_limits(const LimitFacts& facts);
Findings check_shared_memory(const SharedMemoryFacts& facts);
Findings check_clock(const ClockFacts& facts);
Findings check_kernel(const KernelFacts& facts);
Findings check_key(const KeyFacts& facts);
Findings check_directory(const char* check, const DirectoryFacts& facts);
Findings check_ports(const std::vector<PortFacts>& roster);
Findings check_mpi(const MpiFacts& facts);
Findings check_leftovers(const LeftoverFacts& facts);

}  // namespace rk::doctor

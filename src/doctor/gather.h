// SPDX-License-Identifier: Apache-2.0
// The facts of this node. Every wait is bounded.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "daemon/config.h"
#include "doctor/facts.h"
#include "wire/client_messages.h"

namespace rk::doctor {

// What this node's server says of itself, if one runs.
struct RunningServer {
  wire::StatusAnswer status;
  wire::RingAnswer ring;
};
std::optional<RunningServer> running_server(const std::string& socket);

MemoryFacts memory_facts(const daemon::Config& config, const std::optional<RunningServer>& running);
LimitFacts limit_facts(const daemon::Config& config);
SharedMemoryFacts shared_memory_facts();
ClockFacts clock_facts();
KernelFacts kernel_facts();

KeyFacts key_facts(const daemon::Config& config);
DirectoryFacts directory_facts(const std::string& path, bool of_private_ring);
std::vector<PortFacts> port_facts(const daemon::Config& config, const std::optional<RunningServer>& running);
MpiFacts mpi_facts();
LeftoverFacts leftover_facts();

}  // namespace rk::doctor

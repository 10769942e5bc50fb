// SPDX-License-Identifier: Apache-2.0
// The keeper of a service's program: a process between the agent and the program, whose one connection to the server is
// fenced. So the guard of the node ends programs that know nothing of Ringkeep, too, and the agent survives that.
#pragma once

#include <string>
#include <vector>

namespace rk::launch {

// `ringkeep keep-service`, started by the agent: runs the program ([0] is its path), passes signals on, and returns its
// exit status, or 128 + signal. Dies with the agent, and the program with it.
int keep_service(const std::vector<std::string>& program);

}  // namespace rk::launch

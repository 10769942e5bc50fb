// SPDX-License-Identifier: Apache-2.0
// Starting a child process with exactly the descriptors, environment and signal state it should have.
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace rk::launch {

struct SpawnRequest {
  std::vector<std::string> arguments;            // [0] is the path of the executable
  std::vector<std::string> environment;          // whole: "NAME=value"
  int input = -1;                                // -1: /dev/null
  int output = -1;                               // -1: /dev/null
  int error = -1;                                // -1: /dev/null
  std::vector<std::pair<int, int>> descriptors;  // (ours, its number in the child)
  std::string directory;                         // empty: ours
  bool own_session = false;                      // away from the terminal's signals, for good
  bool own_group = true;                         // away from the terminal's Ctrl-C
  bool dies_with_parent = true;                  // SIGKILL when the launcher dies
};

// kIo if it cannot be forked or executed; nothing is left behind then.
Result<pid_t> spawn(const SpawnRequest& request);

// Our environment, changed: a value that is absent is unset.
std::vector<std::string> environment_with(const std::vector<std::pair<std::string, std::string>>& set,
                                          const std::vector<std::string>& unset = {});

}  // namespace rk::launch

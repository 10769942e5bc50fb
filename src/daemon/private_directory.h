// SPDX-License-Identifier: Apache-2.0
// Directories that only the server's user may enter: whoever can reach the socket or the state can act as that user.
#pragma once

#include <string>

#include "base/result.h"

namespace rk::daemon {

// Makes the directory and missing ones above it with mode 0700, then checks that it is a directory, ours, and closed to
// group and others.
Status prepare_private_directory(const std::string& path);
// The check alone.
Status check_private_directory(const std::string& path);
// The directory of a file path.
std::string directory_of(const std::string& path);

}  // namespace rk::daemon

// SPDX-License-Identifier: Apache-2.0
// The directory of a private ring (wire/locations.h). What `ringkeep up` makes bears a mark, and only what bears it is
// taken apart again: by name, entry by entry, so that a file of anybody else survives whatever --dir says.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace rk::launch {

// Makes the directory (0700) if it is missing, and marks it. kPermission for one that others may enter, or that has
// entries and no mark.
Status make_ring_directory(const std::string& path);

// Exists and may be taken apart: private, and marked or empty. kPermission otherwise.
Status check_ring_directory(const std::string& path);

// Removes what a ring leaves in a marked directory, and the directory itself once it is empty. The paths that stay
// because no ring made them.
std::vector<std::string> remove_ring_directory(const std::string& path);

}  // namespace rk::launch

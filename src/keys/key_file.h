// SPDX-License-Identifier: Apache-2.0
// Key files on disk: ours, readable by us alone, and replaced whole.
#pragma once

#include <string>

#include "base/result.h"
#include "keys/key_set.h"

namespace rk::keys {

// Refuses a file that belongs to another user or has a mode other than 0400 or 0600. Errors name the file.
Result<KeySet> read_key_file(const std::string& path);
// Mode 0400, durable. kExists if there is something of that name: it is never overwritten.
Status create_key_file(const std::string& path, const KeySet& keys);
// Through PATH.new, which also keeps two replacements apart; a symbolic link stays one.
Status replace_key_file(const std::string& path, const KeySet& keys);

}  // namespace rk::keys

// SPDX-License-Identifier: Apache-2.0
// Names of checkpoints, groups and sections: 1 to kMaxNameBytes bytes without control bytes. What is said of one that
// is lost.
#pragma once

#include <algorithm>
#include <string>

#include "base/ids.h"
#include "base/result.h"
#include "wire/client_messages.h"

namespace rk::keep {

inline Status check_name(const char* what, const std::string& name) {
  const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (!name.empty() && name.size() <= wire::kMaxNameBytes && std::none_of(name.begin(), name.end(), control)) return {};
  return fail(ErrorCode::kInvalidArgument, std::string("the name of a ") + what + " has " +
                                               std::to_string(name.size()) +
                                               " bytes or control bytes in it: use 1 to " +
                                               std::to_string(wire::kMaxNameBytes) + " printable bytes");
}

// For people. `committed` 0: only servers that are gone knew the number. `older`: the newest version that is left; 0:
// none. reading.cc
std::string lost_text(const std::string& name, Version committed, Version older);

// For people: of a version that is known and has no good copy. reading.cc
std::string gone_text(const std::string& name, Version version);

}  // namespace rk::keep

// SPDX-License-Identifier: Apache-2.0
// What a check of the node found, for people and programs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace rk::doctor {

enum class Level : std::uint8_t {
  kOk,
  kWarning,  // works, but not as well or as safely as it could
  kProblem,  // something will fail
};
const char* to_string(Level level);  // "ok", "warning", "problem"

struct Finding {
  std::string check;  // "memory", "key", ...
  Level level = Level::kOk;
  std::string text;
  std::string cure;  // empty if there is nothing to mend
  bool operator==(const Finding&) const = default;
};
using Findings = std::vector<Finding>;

Finding ok(const char* check, std::string text);
Finding warning(const char* check, std::string text, std::string cure);
Finding problem(const char* check, std::string text, std::string cure);
// Errors of this project say "cause: cure"; one of the system has no cure, and gets `else_cure`.
Finding problem(const char* check, const Error& error, const std::string& else_cure);

// The worst of them; kOk for none.
Level worst(const Findings& findings);

}  // namespace rk::doctor

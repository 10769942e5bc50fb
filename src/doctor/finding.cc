// SPDX-License-Identifier: Apache-2.0
#include "doctor/finding.h"

#include <algorithm>
#include <utility>

namespace rk::doctor {

const char* to_string(Level level) {
  switch (level) {
    case Level::kOk:
      return "ok";
    case Level::kWarning:
      return "warning";
    case Level::kProblem:
      return "problem";
  }
  return "unknown";
}

Finding ok(const char* check, std::string text) { return {check, Level::kOk, std::move(text), {}}; }

Finding warning(const char* check, std::string text, std::string cure) {
  return {check, Level::kWarning, std::move(text), std::move(cure)};
}

Finding problem(const char* check, std::string text, std::string cure) {
  return {check, Level::kProblem, std::move(text), std::move(cure)};
}

Finding problem(const char* check, const Error& error, const std::string& else_cure) {
  const std::size_t colon = error.message.rfind(": ");
  const bool of_the_system = error.code == ErrorCode::kIo && !error.message.ends_with(": " + else_cure);
  if (of_the_system || colon == std::string::npos) return problem(check, error.message, else_cure);
  return problem(check, error.message.substr(0, colon), error.message.substr(colon + 2));
}

Level worst(const Findings& findings) {
  Level level = Level::kOk;
  for (const Finding& finding : findings) level = std::max(level, finding.level);
  return level;
}

}  // namespace rk::doctor

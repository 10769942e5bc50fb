// SPDX-License-Identifier: Apache-2.0
#include "cli/doctor.h"

#include <algorithm>

#include "cli/exit_codes.h"
#include "cli/json.h"
#include "cli/terminal.h"

namespace rk::cli {
namespace {

constexpr std::size_t kLevelWidth = 9;
constexpr std::size_t kCheckWidth = 18;

const char* colour_of(doctor::Level level) {
  return level == doctor::Level::kOk ? "32" : level == doctor::Level::kWarning ? "33" : "31";
}

std::string counted(std::size_t count, const std::string& one) {
  return std::to_string(count) + " " + one + (count == 1 ? "" : "s");
}

}  // namespace

std::string doctor_text(const doctor::Findings& findings, bool colours) {
  std::string out;
  const auto of = [&](doctor::Level level) {
    return static_cast<std::size_t>(std::count_if(
        findings.begin(), findings.end(), [&](const doctor::Finding& finding) { return finding.level == level; }));
  };
  for (const doctor::Finding& finding : findings) {
    out += coloured(padded(doctor::to_string(finding.level), kLevelWidth), colour_of(finding.level), colours) +
           padded(finding.check, kCheckWidth) + finding.text + "\n";
    if (!finding.cure.empty()) out += std::string(kLevelWidth + kCheckWidth, ' ') + "cure: " + finding.cure + "\n";
  }
  return out + counted(of(doctor::Level::kProblem), "problem") + ", " +
         counted(of(doctor::Level::kWarning), "warning") + ", " + std::to_string(of(doctor::Level::kOk)) + " ok\n";
}

int doctor(const DoctorOptions& options) {
  const doctor::Findings findings = doctor::examine(options.request);
  print(options.json ? to_json(findings) : doctor_text(findings, colours_on(stdout)));
  return doctor::worst(findings) == doctor::Level::kProblem ? kUnhealthy : kSuccess;
}

}  // namespace rk::cli

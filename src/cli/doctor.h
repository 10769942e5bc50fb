// SPDX-License-Identifier: Apache-2.0
// `ringkeep doctor`.
#pragma once

#include <string>

#include "doctor/examine.h"

namespace rk::cli {

struct DoctorOptions {
  doctor::Request request;
  bool json = false;
};
int doctor(const DoctorOptions& options);

// One line a finding, with its cure below, and a summary.
std::string doctor_text(const doctor::Findings& findings, bool colours);

}  // namespace rk::cli

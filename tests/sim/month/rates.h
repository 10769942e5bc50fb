// SPDX-License-Identifier: Apache-2.0
// How often two adjacent failures lose a checkpoint: what the formula of docs/loss.md says.
#pragma once

#include "tests/sim/month/month.h"

namespace rk::month {

// A cluster in which it happens every few minutes: servers fail often, copies take seconds.
Options failing_often(double duration_s);

// Windows in which one copy is left of a checkpoint, in seconds: after the failure of its home, and of the predecessor.
double home_window_s(const Options& options);
double predecessor_window_s(const Options& options);

double predicted_losses(const Options& options);

}  // namespace rk::month

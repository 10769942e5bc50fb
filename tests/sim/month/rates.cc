// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/month/rates.h"

namespace rk::month {
namespace {

constexpr double kViewS = 0.05;   // from a failure to the next view: connections are refused at once
constexpr double kClaimS = 0.05;  // until the servers' answers have told where copies are

// One version on a link of its own.
double copy_s(const Options& options) { return static_cast<double>(options.bytes) / options.bytes_per_ms / 1000; }

double services_of_one(const Options& options) {
  return static_cast<double>(options.services) / static_cast<double>(options.servers);
}

}  // namespace

Options failing_often(double duration_s) {
  Options options;
  options.servers = 8;
  options.services = 24;
  options.duration_s = duration_s;
  options.mtbf_s = 200;
  options.repair_s = 20;
  options.restart_s = 8;
  options.write_s = 30;
  options.bytes = 40'960;
  options.bytes_per_ms = 40;
  options.active_us = 10'000'000;
  options.planned = false;
  return options;
}

// The services of one server are read from one link, one after the other.
double home_window_s(const Options& options) {
  return options.restart_s + kClaimS + (services_of_one(options) + 1) / 2 * copy_s(options);
}
// Those of one server copy both versions that are kept, of each the newest first.
double predecessor_window_s(const Options& options) { return kViewS + services_of_one(options) * copy_s(options); }

double predicted_losses(const Options& options) {
  const double windows_s = home_window_s(options) + predecessor_window_s(options);
  return static_cast<double>(options.services) * options.duration_s * windows_s / options.mtbf_s / options.mtbf_s;
}

}  // namespace rk::month

// SPDX-License-Identifier: Apache-2.0
// `ringkeep events`.
#pragma once

#include <string>

namespace rk::cli {

struct EventsOptions {
  std::string directory;  // of the ring; empty: $RINGKEEP_SOCKET, then the user's own ring
  bool follow = false;    // new ones too, until a signal
  bool json = false;
};
int events(const EventsOptions& options);

}  // namespace rk::cli

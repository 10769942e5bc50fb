// SPDX-License-Identifier: Apache-2.0
// An event of a server as a line for people. The same for programs: json.h.
#pragma once

#include <string>

#include "wire/client_messages.h"

namespace rk::cli {

// With its newline. The time is the local one.
std::string event_line(const wire::ServerEvent& event, bool colours);

}  // namespace rk::cli

// SPDX-License-Identifier: Apache-2.0
// The status of a server and its ring as a small table for people.
#pragma once

#include <string>

#include "wire/client_messages.h"

namespace rk::cli {

std::string status_table(const wire::StatusAnswer& status, bool colours);

}  // namespace rk::cli

// SPDX-License-Identifier: Apache-2.0
// Looks at this node and says what is wrong with it. Starts no server and changes nothing: a port is bound and let go,
// a file without a name is written where the state goes, and the other servers' ports are connected to and left.
#pragma once

#include <string>

#include "doctor/finding.h"

namespace rk::doctor {

struct Request {
  std::string config_file;  // of the server; empty: the user's private ring, with the defaults of a server
};

Findings examine(const Request& request);

}  // namespace rk::doctor

// SPDX-License-Identifier: Apache-2.0
// Another process's log segment, asked for from the server and mapped read-only.
#pragma once

#include "base/ids.h"
#include "base/result.h"
#include "shm/mapping.h"

namespace rk::client {

class Connection;

// `asker`: incarnation of the process that asks; none for the launcher.
Result<shm::Mapping> map_segment(Connection& connection, JobId job, Rank rank, Incarnation asker = {});

}  // namespace rk::client

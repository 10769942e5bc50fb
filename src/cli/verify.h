// SPDX-License-Identifier: Apache-2.0
// `ringkeep verify`: every server sums its copies now. docs/checkpoints.md
#pragma once

#include <string>
#include <vector>

#include "cli/server_choice.h"
#include "wire/client_messages.h"

namespace rk::cli {

struct VerifyOptions {
  ServerChoice asked;
  std::string what;  // NAME[@VERSION]; empty: all of the user's checkpoints
  bool json = false;
};

struct VerifiedCheckpoint {
  std::string name;
  bool lost = false;  // its newest version, before anything was summed
  std::vector<wire::VerifiedVersion> versions;
  std::string error;  // why nothing is known of it; empty: all servers have answered
};

// One can read it.
bool has_good_copy(const wire::VerifiedVersion& version);
// "good", "repaired", "damaged", "absent", "unreadable".
const char* state_name(wire::CopyState state);

// For people.
std::string verified_text(const std::vector<VerifiedCheckpoint>& all, bool colours);
// The exit status that belongs to it, docs/exit-codes.md.
int verified_status(const std::vector<VerifiedCheckpoint>& all);

int verify_checkpoints(const VerifyOptions& options);

}  // namespace rk::cli

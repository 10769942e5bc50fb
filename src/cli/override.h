// SPDX-License-Identifier: Apache-2.0
// `ringkeep override`: an operator goes on without a quorum.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "cli/server_choice.h"
#include "wire/client_messages.h"

namespace rk::cli {

struct OverrideOptions {
  ServerChoice asked;
  bool confirmed = false;  // otherwise it is only told what would be
  bool json = false;
};
int override_quorum(const OverrideOptions& options);

// Servers that are given up together with the keeper of their second copies: (server, keeper).
std::vector<std::pair<NodeId, NodeId>> lost_with_both(const wire::OverrideAnswer& answer);
// What it would be, or was, for people. Without a refusal.
std::string override_text(const wire::OverrideAnswer& answer);
// One line without its end; empty if there never was an override.
std::string override_mark(const wire::OverrideMark& mark);

}  // namespace rk::cli

// SPDX-License-Identifier: Apache-2.0
// The JSON forms of what the commands tell. docs/report.md describes them; fields are only added.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/checkpoint_archive.h"
#include "cli/checkpoints.h"
#include "cli/completion.h"
#include "cli/verify.h"
#include "doctor/finding.h"
#include "keys/key_set.h"
#include "recovery/run_record.h"
#include "wire/client_messages.h"

namespace rk::cli {

std::string to_json(const wire::StatusAnswer& status);
std::string to_json(const wire::RingAnswer& ring);
std::string to_json(const wire::OverrideAnswer& answer);
std::string to_json(const doctor::Findings& findings);
// One line; two if events before it were missed.
std::string to_json(const wire::ServerEvent& event);
std::string to_json(const recovery::RunRecord& record);
// docs/checkpoints.md
std::string to_json(const CheckpointTable& table);
std::string to_json(const std::string& name, const wire::CheckpointInspected& answer);
std::string to_json(const std::vector<VerifiedCheckpoint>& all);
std::string to_json(const std::string& name, Version version, std::uint64_t bytes);
// `bytes`: of the file; none if it was read.
std::string to_json(const std::string& file, std::optional<std::uint64_t> bytes,
                    const std::vector<ArchivedCheckpoint>& checkpoints);
// The commands and their options, for generators.
std::string to_json(const CommandTree& tree);
// Names of the keys, never the keys.
std::string to_json(const keys::KeySet& keys);

}  // namespace rk::cli

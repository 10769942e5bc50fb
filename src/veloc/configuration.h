// SPDX-License-Identifier: Apache-2.0
// VeloC's configuration file: "key = value" a line; "#" and ";" begin a comment, "[...]" a section, which means
// nothing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace rk::veloc {

struct Configuration {
  std::string scratch = {};
  std::string persistent = {};
  bool async = false;
  // Two programs of a user with the same names of checkpoints are told apart by their directories, as in VeloC, where
  // checkpoints lie there: `persistent`, else `scratch`. 0: neither.
  std::uint64_t directory_sum() const;
};

// kInvalidArgument: a line that is no setting, or a value that `mode` or `max_versions` cannot have.
Result<Configuration> parse_configuration(std::string_view text, const std::string& place);
// path nullptr: nothing is set. kIo: it cannot be read.
Result<Configuration> read_configuration(const char* path);

}  // namespace rk::veloc

// SPDX-License-Identifier: Apache-2.0
// `ringkeep export, import`: checkpoints of this user into one file or stream, and back. docs/export-format.md
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/ids.h"
#include "cli/server_choice.h"

namespace rk::cli {

struct ExportOptions {
  ServerChoice asked;
  std::vector<std::string> names;     // NAME[@VERSION]
  std::vector<std::string> prefixes;  // all names that start so; neither: all names
  std::string file;                   // replaced as a whole; empty or "-": standard output
  bool json = false;
};
struct ImportOptions {
  ServerChoice asked;
  std::string file = "-";    // "-": standard input
  bool new_version = false;  // of a name that exists: commit the next version; else nothing is changed
  bool local = false;        // level local
  bool check = false;        // read the file and ask no server
  bool json = false;
};

struct ArchivedCheckpoint {
  std::string name;
  Version exported;  // where it came from
  Version imported;  // here; 0: it was not imported
  std::uint64_t bytes = 0;
};

int export_checkpoints(const ExportOptions& options);
int import_checkpoints(const ImportOptions& options);

}  // namespace rk::cli

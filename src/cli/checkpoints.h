// SPDX-License-Identifier: Apache-2.0
// `ringkeep list, inspect, usage, get, put, rm`: checkpoints from the command line. docs/checkpoints.md
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/server_choice.h"
#include "wire/client_messages.h"

namespace rk::cli {

// "NAME", or "NAME@VERSION": what follows the last '@' is a version if it is digits only. A name that ends so itself
// is written with "@0", the newest version.
struct NamedVersion {
  std::string name;
  Version version;  // 0: the newest
};
Result<NamedVersion> parse_named_version(const std::string& text);

struct ListOptions {
  ServerChoice asked;
  std::string prefix;
  bool json = false;
};
struct InspectOptions {
  ServerChoice asked;
  std::string what;  // NAME[@VERSION]
  bool json = false;
};
struct GetOptions {
  ServerChoice asked;
  std::string what;     // NAME[@VERSION]
  std::string section;  // empty: the only one
  std::string file;     // replaced as a whole; empty: standard output
};
struct PutOptions {
  ServerChoice asked;
  std::string name;
  std::string file = "-";             // of the section "data"; "-": standard input
  std::vector<std::string> sections;  // NAME=FILE, instead of `file`
  bool local = false;                 // level local
  bool json = false;
};
struct RemoveOptions {
  ServerChoice asked;
  std::vector<std::string> names;
};

int list_checkpoints(const ListOptions& options);
int inspect_checkpoint(const InspectOptions& options);
int show_usage(const ListOptions& options);
int remove_checkpoints(const RemoveOptions& options);
int get_checkpoint(const GetOptions& options);  // checkpoint_files.cc
int put_checkpoint(const PutOptions& options);  // likewise

// All pages of a list.
struct CheckpointTable {
  std::vector<wire::CheckpointEntry> entries;
  std::vector<wire::ServerUsage> servers;
};

// Those whose names start with `prefix`.
Result<CheckpointTable> fetch_table(client::Connection& connection, const std::string& prefix);

// For people.
std::string checkpoint_table(const CheckpointTable& table, bool colours);
std::string usage_table(const CheckpointTable& table);
std::string inspected_text(const std::string& name, const wire::CheckpointInspected& answer, bool colours);

}  // namespace rk::cli

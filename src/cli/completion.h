// SPDX-License-Identifier: Apache-2.0
// What the shells know of `ringkeep`: scripts made from the commands and options as the program itself reads them, so
// that they cannot say anything else. `ringkeep completion bash|zsh|fish|json|names`
#pragma once

#include <string>
#include <vector>

#include "cli/server_choice.h"

namespace rk::cli {

struct CommandOption {
  std::vector<std::string> names;    // "-o", "--output"; none: positional
  std::string text;                  // for people
  std::string value;                 // what is given: "FILE", "DIR", "CHECKPOINT", "UINT"; empty: a flag
  std::vector<std::string> choices;  // all values there are; none: any
  bool several = false;
};
struct CommandTree {
  std::string name;
  std::string text;
  std::vector<CommandOption> options;
  std::vector<CommandTree> commands;
};

struct CompletionOptions {
  std::string shell;
  std::string prefix;  // of `names`
  ServerChoice asked;  // likewise
};

std::string bash_completion(const CommandTree& tree);
std::string zsh_completion(const CommandTree& tree);
std::string fish_completion(const CommandTree& tree);

// Names of checkpoints, one a line; none if no server has answered within a moment: who types does not wait.
int complete_names(const CompletionOptions& options);
int show_completion(const CompletionOptions& options, const CommandTree& tree);

}  // namespace rk::cli

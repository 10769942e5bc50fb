// SPDX-License-Identifier: Apache-2.0
#include "cli/completion.h"

#include <sys/time.h>
#include <unistd.h>

#include <csignal>

#include "cli/checkpoints.h"
#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "cli/json.h"
#include "cli/terminal.h"

namespace rk::cli {
namespace {

constexpr suseconds_t kNamesLimitUs = 700'000;

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

std::string with(std::string text, const std::string& what, const std::string& instead) {
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + instead.size()))
    text.replace(at, what.size(), instead);
  return text;
}

// In single quotes of a shell, where nothing but the quote itself has a meaning.
std::string quoted(const std::string& text) { return "'" + with(text, "'", R"('\'')") + "'"; }
// Fish reads backslashes there too.
std::string fish_quoted(const std::string& text) { return "'" + with(with(text, "\\", "\\\\"), "'", "\\'") + "'"; }

std::string names_of(const CommandTree& command) {
  std::vector<std::string> out;
  for (const CommandOption& option : command.options) out.insert(out.end(), option.names.begin(), option.names.end());
  return joined(out);
}

// "get -o|get --output", or "get " of a positional.
std::string bash_pattern(const CommandTree& command, const CommandOption& option) {
  if (option.names.empty()) return "'" + command.name + " '";
  std::string out;
  for (const std::string& name : option.names) out += (out.empty() ? "'" : "|'") + command.name + " " + name + "'";
  return out;
}

std::string bash_value(const CommandOption& option) {
  if (!option.choices.empty()) return "words " + joined(option.choices);
  return option.value;
}

constexpr char kBashBody[] = R"SH(
_ringkeep() {
  local cur prev words cword
  if declare -F _get_comp_words_by_ref >/dev/null; then
    _get_comp_words_by_ref -n ':=@' cur prev words cword
  else
    words=("${COMP_WORDS[@]}") cword=$COMP_CWORD cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
  fi
  local command='' asked=() i
  for ((i = 1; i < cword; i++)); do
    case ${words[i]} in
      --dir|--socket|-s|--server) asked+=("${words[i]}" "${words[i+1]}"); ((i++)) ;;
      -*) ;;
      *) [[ -n $command ]] || command=${words[i]} ;;
    esac
  done
  COMPREPLY=()
  local value
  value=$(_ringkeep_value "$command $prev")
  if [[ -z $value && $cur == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(_ringkeep_options "$command")" -- "$cur")
    return
  fi
  if [[ -z $value && -z $command ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(_ringkeep_commands)" -- "$cur")
    return
  fi
  [[ -n $value ]] || value=$(_ringkeep_value "$command ")
  case $value in
    'words '*) mapfile -t COMPREPLY < <(compgen -W "${value#words }" -- "$cur") ;;
    DIR) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
    FILE) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    PROGRAM) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -c -f -- "$cur") ;;
    CHECKPOINT)
      mapfile -t COMPREPLY < <("${words[0]}" completion names "${asked[@]}" -- "$cur" 2>/dev/null)
      for i in "${!COMPREPLY[@]}"; do COMPREPLY[i]=$(printf '%q' "${COMPREPLY[i]}"); done
      if declare -F __ltrim_colon_completions >/dev/null; then __ltrim_colon_completions "$cur"; fi
      ;;
  esac
}
complete -F _ringkeep ringkeep
)SH";

void zsh_option(const CommandOption& option, std::string& out) {
  // Square brackets and colons have a meaning there.
  const auto plain = [](std::string text) {
    for (const char* const mark : {"\\", "[", "]", ":"}) text = with(std::move(text), mark, std::string("\\") + mark);
    return text;
  };
  std::string value;
  if (!option.value.empty()) {
    value = ":" + plain(option.value) + ":";
    if (!option.choices.empty())
      value += "(" + joined(option.choices) + ")";
    else if (option.value == "FILE")
      value += "_files";
    else if (option.value == "DIR")
      value += "_files -/";
    else if (option.value == "CHECKPOINT")
      value += "_ringkeep_names";
    else if (option.value == "PROGRAM")
      value += "_command_names -e";
  }
  if (option.names.empty()) {
    out += " \\\n        " + quoted((option.several ? "*" : "") + value);
    return;
  }
  const std::string excluded = option.several ? "*" : "(" + joined(option.names) + ")";
  for (const std::string& name : option.names) {
    std::string spec = excluded;
    spec.append(name).append("[").append(plain(option.text)).append("]").append(value);
    out += " \\\n        " + quoted(spec);
  }
}

// The program ends at the limit, wherever it is: it only reads.
void limit_time() {
  std::signal(SIGALRM, [](int) { ::_exit(kSuccess); });
  itimerval limit{};
  limit.it_value.tv_usec = kNamesLimitUs;
  ::setitimer(ITIMER_REAL, &limit, nullptr);
}

}  // namespace

std::string bash_completion(const CommandTree& tree) {
  std::string commands;
  std::string options = "    '') echo " + quoted(names_of(tree)) + " ;;\n";
  std::string values;
  for (const CommandTree& command : tree.commands) {
    commands += (commands.empty() ? "" : " ") + command.name;
    options += "    " + quoted(command.name) + ") echo " + quoted(names_of(command)) + " ;;\n";
    for (const CommandOption& option : command.options)
      if (!option.value.empty())
        values += "    " + bash_pattern(command, option) + ") echo " + quoted(bash_value(option)) + " ;;\n";
  }
  return "# bash completion of ringkeep, made by `ringkeep completion bash`\n_ringkeep_commands() { echo " +
         quoted(commands) + "; }\n_ringkeep_options() {\n  case $1 in\n" + options +
         "  esac\n}\n_ringkeep_value() {\n  case $1 in\n" + values + "  esac\n}" + kBashBody;
}

std::string zsh_completion(const CommandTree& tree) {
  std::string out = R"(#compdef ringkeep
# zsh completion of ringkeep, made by `ringkeep completion zsh`
_ringkeep_names() {
  local -a names asked
  local i
  for ((i = 2; i < CURRENT; i++)); do
    case $words[i] in (--dir|--socket|-s|--server) asked+=("$words[i]" "$words[i+1]") ;; esac
  done
  names=("${(@f)$(ringkeep completion names $asked -- "$PREFIX" 2>/dev/null)}")
  compadd -- ${names:#}
}
_ringkeep() {
  local state line
  local -a commands
  _arguments -C '(-h --help)'{-h,--help}'[help]' '--version[release]' '1:command:->command' '*::argument:->argument'
  case $state in
    command)
      commands=(
)";
  for (const CommandTree& command : tree.commands)
    out += "        " + quoted(with(command.name, ":", "\\:") + ":" + command.text) + "\n";
  out += "      )\n      _describe command commands ;;\n    argument)\n      case $line[1] in\n";
  for (const CommandTree& command : tree.commands) {
    out += "      " + command.name + ") _arguments -s";
    for (const CommandOption& option : command.options) zsh_option(option, out);
    out += " ;;\n";
  }
  return out + "      esac ;;\n  esac\n}\n_ringkeep \"$@\"\n";
}

std::string fish_completion(const CommandTree& tree) {
  std::string out = R"(# fish completion of ringkeep, made by `ringkeep completion fish`
function __ringkeep_names
    set -l words (commandline -opc)
    set -l asked
    for i in (seq 2 (count $words))
        contains -- $words[$i] --dir --socket -s --server; and set asked $asked $words[$i] $words[(math $i + 1)]
    end
    ringkeep completion names $asked -- (commandline -ct) 2>/dev/null
end
complete -c ringkeep -f
)";
  for (const CommandTree& command : tree.commands)
    out +=
        "complete -c ringkeep -n __fish_use_subcommand -a " + command.name + " -d " + fish_quoted(command.text) + "\n";
  for (const CommandTree& command : tree.commands)
    for (const CommandOption& option : command.options) {
      std::string line = "complete -c ringkeep -n '__fish_seen_subcommand_from " + command.name + "'";
      for (const std::string& name : option.names)
        line += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      if (!option.names.empty() && !option.value.empty()) line += " -r";
      if (option.value == "FILE" || option.value == "DIR" || option.value == "PROGRAM") line += " -F";
      if (option.value == "CHECKPOINT") line += " -a '(__ringkeep_names)'";
      if (!option.choices.empty()) line += " -f -a " + fish_quoted(joined(option.choices));
      out += line + " -d " + fish_quoted(option.text) + "\n";
    }
  return out;
}

int complete_names(const CompletionOptions& options) {
  limit_time();
  const auto reached = reach(options.asked);
  if (!reached) return kSuccess;
  const auto table = fetch_table(*reached->connection, options.prefix);
  if (!table) return kSuccess;
  std::string out;
  for (const wire::CheckpointEntry& entry : table->entries) out += entry.name + "\n";
  print(out);
  return kSuccess;
}

int show_completion(const CompletionOptions& options, const CommandTree& tree) {
  if (options.shell == "names") return complete_names(options);
  if (options.shell == "bash") print(bash_completion(tree));
  if (options.shell == "zsh") print(zsh_completion(tree));
  if (options.shell == "fish") print(fish_completion(tree));
  if (options.shell == "json") print(to_json(tree));
  return kSuccess;
}

}  // namespace rk::cli

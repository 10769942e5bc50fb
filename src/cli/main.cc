// SPDX-License-Identifier: Apache-2.0
// The `ringkeep` command: reads the options and calls what they ask for. The only user of CLI11 in this layer.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/checkpoint_archive.h"
#include "cli/checkpoints.h"
#include "cli/commands.h"
#include "cli/completion.h"
#include "cli/doctor.h"
#include "cli/events.h"
#include "cli/exit_codes.h"
#include "cli/override.h"
#include "cli/verify.h"
#include "launch/exec_rank.h"
#include "launch/options.h"
#include "launch/private_ring.h"
#include "launch/service_keeper.h"
#include "wire/locations.h"

namespace {

using rk::Result;

constexpr char kRelease[] = "0.1.0";
constexpr char kRingHelp[] = "directory of the ring; else the server at $RINGKEEP_SOCKET, else this user's own ring";

// Texts of options that become something else.
struct RawRun {
  std::vector<std::string> kills;
  std::string log_limit = "1G";
  std::string memory;
  std::string on_log_full = "stop";
  std::string on_divergence = "keep";
};

void describe_run(CLI::App& run, rk::cli::RunCommand& command, RawRun& raw) {
  rk::launch::RunOptions& options = command.options;
  run.add_option("-n,--np", options.ranks, "number of processes of an MPI job");
  run.add_option("--service", command.service,
                 "not an MPI job: keep one instance of the program running, on the node where the service is active");
  run.add_option("--communities", options.communities, "number of communities")->capture_default_str();
  run.add_option("--partition", options.partition, "'blocks', or a file with one community number a rank")
      ->capture_default_str();
  run.add_option("--kill", raw.kills, "kill a process: RANK@2.5s or RANK@msg:5000; may be repeated")
      ->allow_extra_args(false);
  run.add_flag("--strict-output", options.strict_output, "fail if a line is printed again differently");
  run.add_option("--on-log-full", raw.on_log_full, "what a full log does: stop")->check(CLI::IsMember({"stop"}));
  run.add_option("--on-divergence", raw.on_divergence, "what another payload of a message sent again does")
      ->check(CLI::IsMember({"keep", "strict"}));
  run.add_option("--log-limit", raw.log_limit, "largest log of one process, like 512M")->capture_default_str();
  run.add_option("--servers", options.servers, "servers of an embedded ring")->capture_default_str();
  run.add_option("--memory", raw.memory, "memory budget of each embedded server, like 2G");
  run.add_option("--max-restarts", options.max_restarts, "of a community, or a service, without progress")
      ->capture_default_str();
  run.add_flag("--embedded", options.embedded, "use an embedded ring even if servers are running");
  run.add_option("--dir", options.directory, "directory of a ring that `ringkeep up --dir` started")->type_name("DIR");
  CLI::Option* const socket =
      run.add_option("--socket", command.server.socket, "--service: of this node's server")->type_name("FILE");
  run.add_option("-s,--server", command.server.server,
                 "--service: number of the server that stands for this node, of a ring that `ringkeep up` started")
      ->check(CLI::PositiveNumber)
      ->excludes(socket);
  run.add_option("--report,--json-report", command.report_file, "write what happened to this file, as JSON")
      ->type_name("FILE");
  run.add_flag("--summary", command.summary, "show the report at the end even if nothing happened");
  run.add_flag("-q,--quiet", options.quiet, "no progress line and no report");
  run.add_option("program", options.program, "the program and its arguments, after --")
      ->type_name("PROGRAM")
      ->required();
  run.positionals_at_end();
}

// An MPI job and a service share a command and some options; one that says nothing to what is run is a mistake.
rk::Status check_kind(const CLI::App& run, bool service) {
  constexpr std::string_view kBoth[] = {"--help", "--max-restarts", "--dir", "--quiet", "program", "--service"};
  constexpr std::string_view kService[] = {"--socket", "--server"};
  const auto among = [](const auto& names, const CLI::Option& option) {
    return std::find(std::begin(names), std::end(names), option.get_single_name()) != std::end(names) ||
           std::any_of(std::begin(names), std::end(names),
                       [&](std::string_view name) { return option.check_name(std::string(name)); });
  };
  if (!service && run.get_option("--np")->count() == 0)
    return rk::fail(rk::ErrorCode::kInvalidArgument,
                    "say what to run: -n N for an MPI job of N processes, or --service NAME for a service");
  for (const CLI::Option* option : run.get_options()) {
    if (option->count() == 0 || among(kBoth, *option) || among(kService, *option) == service) continue;
    return rk::fail(rk::ErrorCode::kInvalidArgument,
                    service ? option->get_name() + " is for MPI jobs: leave it out, or --service"
                            : option->get_name() + " is for --service: leave it out, or choose a ring with --dir");
  }
  return {};
}

rk::Status finish_run(rk::cli::RunCommand& command, const RawRun& raw) {
  rk::launch::RunOptions& options = command.options;
  if (options.servers == 0 || options.servers > rk::launch::kMaxServers)
    return rk::fail(rk::ErrorCode::kInvalidArgument, "--servers takes 1 to " + std::to_string(rk::launch::kMaxServers));
  if (options.ranks == 0) return rk::fail(rk::ErrorCode::kInvalidArgument, "-n 0 starts no process: give -n 1 or more");
  for (const std::string& text : raw.kills) {
    RK_TRY(const rk::launch::KillRequest kill, rk::launch::parse_kill(text, options.ranks));
    options.kills.push_back(kill);
  }
  RK_TRY(options.log_limit_bytes, rk::launch::parse_size(raw.log_limit));
  if (!raw.memory.empty()) {
    RK_TRY(options.memory_bytes, rk::launch::parse_size(raw.memory));
  }
  options.strict_divergence = raw.on_divergence == "strict";
  return {};
}

int run_command(const CLI::App& app, rk::cli::RunCommand& command, const RawRun& raw) {
  const bool service = app.get_option("--service")->count() > 0;
  if (const rk::Status kind = check_kind(app, service); !kind) return rk::cli::complain(kind.error());
  if (service) return rk::cli::run_service(command);
  if (const rk::Status ready = finish_run(command, raw); !ready) return rk::cli::complain(ready.error());
  return rk::cli::run(command);
}

int up_command(rk::cli::UpOptions& options, const std::string& memory) {
  if (options.servers == 0 || options.servers > rk::launch::kMaxServers)
    return rk::cli::complain(
        {rk::ErrorCode::kInvalidArgument, "--servers takes 1 to " + std::to_string(rk::launch::kMaxServers)});
  if (!memory.empty()) {
    const auto bytes = rk::launch::parse_size(memory);
    if (!bytes) return rk::cli::complain(bytes.error());
    options.memory_bytes = *bytes;
  }
  return rk::cli::up(options);
}

void describe_keygen(CLI::App& keygen, rk::cli::KeygenOptions& options) {
  using Action = rk::cli::KeygenAction;
  keygen.add_option("file", options.file, "the key file; without an option it is made, with one key")
      ->type_name("FILE")
      ->required();
  keygen.add_flag("--json", options.json, "as JSON: the keys' names, never the keys");
  CLI::Option_group* const change = keygen.add_option_group("change", "of an existing file; comments are not kept");
  const auto action = [&](const char* flag, Action value, const char* text) {
    change->add_flag_callback(
        flag, [&options, value] { options.action = value; }, text);
  };
  action("--add", Action::kAdd, "add a new key, which is accepted from then on");
  action("--promote", Action::kPromote, "use the newest key to dial");
  action("--drop-others", Action::kDropOthers, "leave only the key that is used to dial");
  action("--show", Action::kShow, "list the keys' names and change nothing");
  change->require_option(0, 1);
}

void describe_choice(CLI::App& app, rk::cli::ServerChoice& asked) {
  app.add_option("--dir", asked.directory, kRingHelp)->type_name("DIR");
  CLI::Option* const socket =
      app.add_option("--socket", asked.socket, "of the server that is asked")->type_name("FILE");
  app.add_option("-s,--server", asked.server,
                 "number of the server that is asked, of a ring that `ringkeep up` started")
      ->check(CLI::PositiveNumber)
      ->excludes(socket);
}

void describe_override(CLI::App& app, rk::cli::OverrideOptions& options) {
  describe_choice(app, options.asked);
  app.add_flag("--yes", options.confirmed, "do it; else it is only said what would be given up and lost");
  app.add_flag("--json", options.json, "as JSON");
}

// The commands of checkpoints. Which one was given, and with what, is known after parsing.
struct CheckpointCommands {
  rk::cli::ListOptions list;
  rk::cli::ListOptions usage;
  rk::cli::InspectOptions inspect;
  rk::cli::GetOptions get;
  rk::cli::PutOptions put;
  rk::cli::RemoveOptions remove;
  rk::cli::ExportOptions exported;
  rk::cli::ImportOptions import;
  rk::cli::VerifyOptions verify;

  CLI::App* list_app = nullptr;
  CLI::App* usage_app = nullptr;
  CLI::App* inspect_app = nullptr;
  CLI::App* get_app = nullptr;
  CLI::App* put_app = nullptr;
  CLI::App* remove_app = nullptr;
  CLI::App* export_app = nullptr;
  CLI::App* import_app = nullptr;
  CLI::App* verify_app = nullptr;

  void describe(CLI::App& app);
  void describe_archives(CLI::App& app);
  std::optional<int> run() const;
};

void CheckpointCommands::describe(CLI::App& app) {
  constexpr char kWhat[] = "NAME, or NAME@VERSION";
  list_app = app.add_subcommand("list", "show your checkpoints in the ring");
  list_app->add_option("prefix", list.prefix, "only names that start so");
  usage_app = app.add_subcommand("usage", "show what your checkpoints take of each server's memory");
  inspect_app = app.add_subcommand("inspect", "show a checkpoint's versions, sections and copies");
  inspect_app->add_option("checkpoint", inspect.what, kWhat)->type_name("CHECKPOINT")->required();
  get_app = app.add_subcommand("get", "write a section of a checkpoint to a file or standard output");
  get_app->add_option("checkpoint", get.what, kWhat)->type_name("CHECKPOINT")->required();
  get_app->add_option("--section", get.section, "which; else the only one");
  get_app->add_option("-o,--output", get.file, "file to replace; else standard output")->type_name("FILE");
  put_app = app.add_subcommand("put", "commit a file, or standard input, as a checkpoint");
  put_app->add_option("name", put.name, "of the checkpoint")->type_name("CHECKPOINT")->required();
  CLI::Option* const file =
      put_app->add_option("file", put.file, "becomes section \"data\"; '-': standard input")->type_name("FILE");
  put_app->add_option("--section", put.sections, "NAME=FILE, instead of one file; may be repeated")
      ->allow_extra_args(false)
      ->excludes(file);
  put_app->add_flag("--local", put.local, "without a second copy on another server");
  remove_app = app.add_subcommand("rm", "remove checkpoints, with all versions");
  remove_app->add_option("names", remove.names, "of the checkpoints")->type_name("CHECKPOINT")->required();
  verify_app = app.add_subcommand("verify", "sum all copies of your checkpoints now, and repair what is damaged");
  verify_app->add_option("checkpoint", verify.what, "NAME, or NAME@VERSION; else all of yours")
      ->type_name("CHECKPOINT");
  describe_archives(app);
  for (const auto& [command, asked] :
       {std::pair{list_app, &list.asked}, std::pair{usage_app, &usage.asked}, std::pair{inspect_app, &inspect.asked},
        std::pair{get_app, &get.asked}, std::pair{put_app, &put.asked}, std::pair{remove_app, &remove.asked},
        std::pair{export_app, &exported.asked}, std::pair{import_app, &import.asked},
        std::pair{verify_app, &verify.asked}})
    describe_choice(*command, *asked);
  for (const auto& [command, json] :
       {std::pair{list_app, &list.json}, std::pair{usage_app, &usage.json}, std::pair{inspect_app, &inspect.json},
        std::pair{put_app, &put.json}, std::pair{export_app, &exported.json}, std::pair{import_app, &import.json},
        std::pair{verify_app, &verify.json}})
    command->add_flag("--json", *json, "as JSON");
}

void CheckpointCommands::describe_archives(CLI::App& app) {
  export_app = app.add_subcommand("export", "write checkpoints into one file or stream");
  export_app->add_option("checkpoints", exported.names, "NAME or NAME@VERSION; none, and no --prefix: all")
      ->type_name("CHECKPOINT");
  export_app->add_option("--prefix", exported.prefixes, "all names that start so; may be repeated")
      ->allow_extra_args(false);
  export_app->add_option("-o,--output", exported.file, "file to replace; else standard output")->type_name("FILE");
  import_app = app.add_subcommand("import", "commit the checkpoints of an exported file or stream");
  import_app->add_option("file", import.file, "what `ringkeep export` wrote; '-': standard input")->type_name("FILE");
  import_app->add_flag("--new-version", import.new_version, "of names that exist: commit the next version");
  import_app->add_flag("--local", import.local, "without a second copy on another server");
  import_app->add_flag("--check", import.check, "only read the file and verify it");
}

std::optional<int> CheckpointCommands::run() const {
  if (*list_app) return rk::cli::list_checkpoints(list);
  if (*usage_app) return rk::cli::show_usage(usage);
  if (*inspect_app) return rk::cli::inspect_checkpoint(inspect);
  if (*get_app) return rk::cli::get_checkpoint(get);
  if (*put_app) return rk::cli::put_checkpoint(put);
  if (*remove_app) return rk::cli::remove_checkpoints(remove);
  if (*export_app) return rk::cli::export_checkpoints(exported);
  if (*import_app) return rk::cli::import_checkpoints(import);
  if (*verify_app) return rk::cli::verify_checkpoints(verify);
  return std::nullopt;
}

// "TEXT:{keep,strict}" of a choice, as CLI11 writes it.
std::vector<std::string> choices_of(const std::string& type) {
  const auto open = type.find('{');
  if (open == std::string::npos || type.back() != '}') return {};
  return CLI::detail::split(type.substr(open + 1, type.size() - open - 2), ',');
}

rk::cli::CommandTree tree_of(const CLI::App& app) {
  rk::cli::CommandTree tree{app.get_name(), app.get_description(), {}, {}};
  const auto take = [&](const CLI::App& from) {
    for (const CLI::Option* option : from.get_options()) {
      rk::cli::CommandOption out;
      for (const std::string& name : option->get_snames()) out.names.push_back("-" + name);
      for (const std::string& name : option->get_lnames()) out.names.push_back("--" + name);
      out.text = option->get_description();
      const std::string type = option->get_expected_max() > 0 ? option->get_type_name() : "";
      out.choices = choices_of(type);
      out.value = type.substr(0, type.find(':'));
      out.several = option->get_items_expected_max() > 1;
      tree.options.push_back(std::move(out));
    }
  };
  take(app);
  for (const CLI::App* below : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (below->get_name().empty())
      take(*below);  // a group of options
    else if (!below->get_group().empty())
      tree.commands.push_back(tree_of(*below));
  }
  return tree;
}

int dispatch(int argc, char** argv) {
  CLI::App app("Ringkeep: fault tolerance for services and MPI programs in the memory of a cluster.", "ringkeep");
  app.set_version_flag("--version", std::string("ringkeep ") + kRelease);
  app.require_subcommand(1);
  const std::string own_ring = rk::wire::default_ring_directory(::geteuid());

  rk::cli::UpOptions up;
  up.directory = own_ring;
  std::string memory;
  CLI::App* const up_app = app.add_subcommand("up", "start a private ring of servers on this machine");
  up_app->add_option("--servers", up.servers, "how many")->capture_default_str();
  up_app->add_option("--dir", up.directory, "directory of the ring")->type_name("DIR")->capture_default_str();
  up_app->add_option("--memory", memory, "memory budget of each server, like 2G");

  std::string down_directory = own_ring;
  CLI::App* const down_app = app.add_subcommand("down", "end the servers that `up` started");
  down_app->add_option("--dir", down_directory, "directory of the ring")->type_name("DIR")->capture_default_str();

  rk::cli::StatusOptions status;
  CLI::App* const status_app = app.add_subcommand("status", "show the ring, its memory and its jobs");
  status_app->add_option("--dir", status.directory, kRingHelp)->type_name("DIR");
  status_app->add_flag("--json", status.json, "as JSON");

  rk::cli::StatusOptions ring;
  CLI::App* const ring_app = app.add_subcommand("ring", "draw the ring: who leads, who keeps whose copies");
  ring_app->add_option("--dir", ring.directory, kRingHelp)->type_name("DIR");
  ring_app->add_flag("--json", ring.json, "as JSON, with counts of the ring's messages");

  rk::cli::DoctorOptions doctor;
  CLI::App* const doctor_app = app.add_subcommand("doctor", "check this node, and say the cure of what is wrong");
  doctor_app->add_option("--config", doctor.request.config_file, "configuration of the node's ringkeepd")
      ->type_name("FILE");
  doctor_app->add_flag("--json", doctor.json, "as JSON");

  rk::cli::EventsOptions events;
  CLI::App* const events_app = app.add_subcommand("events", "show what a server has seen happen: views, links, copies");
  events_app->add_option("--dir", events.directory, kRingHelp)->type_name("DIR");
  events_app->add_flag("-f,--follow", events.follow, "and what happens from now on, until a signal");
  events_app->add_flag("--json", events.json, "one JSON object a line");

  rk::cli::OverrideOptions override_options;
  CLI::App* const override_app = app.add_subcommand("override", "go on without a quorum that is lost for good");
  describe_override(*override_app, override_options);

  CheckpointCommands checkpoints;
  checkpoints.describe(app);

  rk::cli::RunCommand run;
  RawRun raw_run;
  CLI::App* const run_app =
      app.add_subcommand("run", "run an MPI program whose communities recover on their own, or a service");
  describe_run(*run_app, run, raw_run);

  rk::cli::KeygenOptions keygen;
  CLI::App* const keygen_app = app.add_subcommand("keygen", "make or change the key file of a cluster");
  describe_keygen(*keygen_app, keygen);

  rk::cli::CompletionOptions completion;
  CLI::App* const completion_app = app.add_subcommand("completion", "write the completion script of a shell");
  completion_app->add_option("shell", completion.shell, "json: the commands and options; names: of checkpoints")
      ->check(CLI::IsMember({"bash", "zsh", "fish", "json", "names"}))
      ->required();
  completion_app->add_option("prefix", completion.prefix, "of names: only those that start so");
  describe_choice(*completion_app, completion.asked);

  std::vector<std::string> rank_program;
  CLI::App* const rank_app = app.add_subcommand("exec-rank", "")->group("");  // what mpirun starts, not people
  rank_app->add_option("program", rank_program)->required();
  rank_app->positionals_at_end();
  std::vector<std::string> service_program;
  CLI::App* const service_app = app.add_subcommand("keep-service", "")->group("");  // what run --service starts
  service_app->add_option("program", service_program)->required();
  service_app->positionals_at_end();
  CLI::App* const version_app = app.add_subcommand("version", "show the release");

  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "ringkeep: %s; `ringkeep --help` and `ringkeep run --help` list the options\n", error.what());
    return rk::cli::kUsage;
  }
  if (*up_app) return up_command(up, memory);
  if (*down_app) return rk::cli::down(down_directory);
  if (*status_app) return rk::cli::status(status);
  if (*doctor_app) return rk::cli::doctor(doctor);
  if (*ring_app) return rk::cli::ring(ring);
  if (*events_app) return rk::cli::events(events);
  if (*override_app) return rk::cli::override_quorum(override_options);
  if (*keygen_app) return rk::cli::keygen(keygen);
  if (const auto done = checkpoints.run()) return *done;
  if (*run_app) return run_command(*run_app, run, raw_run);
  if (*completion_app) return rk::cli::show_completion(completion, tree_of(app));
  if (*rank_app) return rk::launch::exec_rank(rank_program);
  if (*service_app) return rk::launch::keep_service(service_program);
  if (*version_app) std::printf("ringkeep %s\n", kRelease);
  return rk::cli::kSuccess;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return dispatch(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "ringkeep: internal error: %s\n", error.what());
    return rk::cli::kInternal;
  }
}

// SPDX-License-Identifier: Apache-2.0
#include "cli/commands.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "cli/exit_codes.h"
#include "cli/json.h"
#include "cli/ring_picture.h"
#include "cli/status_table.h"
#include "cli/terminal.h"
#include "launch/directories.h"
#include "launch/private_ring.h"
#include "launch/ring_servers.h"
#include "launch/runner.h"
#include "launch/signals.h"
#include "recovery/report.h"
#include "wire/locations.h"

namespace rk::cli {
namespace {

Status write_file(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::trunc);
  file << text;
  file.close();
  if (!file) return fail(ErrorCode::kIo, "cannot write " + path + ": check its folder and the free space");
  return {};
}

}  // namespace

int complain(const Error& error) {
  std::fprintf(stderr, "ringkeep: %s\n", shown(error.message).c_str());
  return exit_code_of(error.code);
}

int not_reached(const Error& error) {
  const int code = complain(error);
  return error.code == ErrorCode::kUnavailable ? kNotRunning : code;
}

void say_who_answered(const std::string& instead_of) {
  if (!instead_of.empty()) std::fprintf(stderr, "ringkeep: %s\n", instead_of.c_str());
}

int up(const UpOptions& options) {
  // Whichever of its servers lives: a ring that has lost its first one still holds what was saved in it.
  if (const auto reached = launch::reach_server(options.directory)) {
    const auto running = reached->connection->call<wire::StatusAnswer>(wire::StatusQuery{});
    if (!running) return complain(running.error());
    say_who_answered(reached->instead_of);
    print("already running\n" + status_table(*running, colours_on(stdout)));
    if (running->members.size() == options.servers || running->members.empty()) return kSuccess;
    return complain({ErrorCode::kExists, "the ring in " + options.directory + " has " +
                                             std::to_string(running->members.size()) + " servers, not " +
                                             std::to_string(options.servers) + ": end it first with `ringkeep down`"});
  }
  launch::sweep_job_directories();
  const auto interrupt = launch::Interrupt::hold();
  if (!interrupt) return complain(interrupt.error());
  // What an earlier ring left behind: servers that hang.
  const auto stopped = launch::stop_ring(options.directory);
  if (!stopped) return complain(stopped.error());
  if (!stopped->foreign.empty())
    return complain({ErrorCode::kPermission, stopped->foreign.front() +
                                                 " was not made by `ringkeep up`: move it out of the ring's directory, "
                                                 "or name another one with --dir"});
  launch::RingSettings settings;
  settings.directory = options.directory;
  settings.servers = options.servers;
  settings.memory_bytes = options.memory_bytes;
  settings.outlives_us = true;
  settings.interrupt = interrupt->fd();
  const auto ring = launch::PrivateRing::start(settings);
  if (interrupt->pending()) static_cast<void>(launch::stop_ring(options.directory));  // also if it came a moment late
  if (!ring) return complain(ring.error());
  const auto status = launch::ask_status(ring->socket());
  if (!status) return complain(status.error());
  print(status_table(*status, colours_on(stdout)));
  return kSuccess;
}

int down(const std::string& directory) {
  const auto stopped = launch::stop_ring(directory);
  if (!stopped) return complain(stopped.error());
  if (stopped->servers == 0)
    print("no server was running\n");
  else
    print(std::to_string(stopped->servers) + (stopped->servers == 1 ? " server" : " servers") + " ended\n");
  if (!stopped->foreign.empty())
    std::fprintf(stderr, "ringkeep: %s stays, with its directory: `ringkeep up` did not make it\n",
                 stopped->foreign.front().c_str());
  return kSuccess;
}

int status(const StatusOptions& options) {
  const auto reached = launch::reach_server(options.directory);
  if (!reached) return not_reached(reached.error());
  say_who_answered(reached->instead_of);
  const auto answer = reached->connection->call<wire::StatusAnswer>(wire::StatusQuery{});
  if (!answer) return complain(answer.error());
  print(options.json ? to_json(*answer) : status_table(*answer, colours_on(stdout)));
  return kSuccess;
}

int ring(const StatusOptions& options) {
  const auto reached = launch::reach_server(options.directory);
  if (!reached) return not_reached(reached.error());
  say_who_answered(reached->instead_of);
  const auto answer = reached->connection->call<wire::RingAnswer>(wire::RingQuery{});
  if (!answer) return complain(answer.error());
  print(options.json ? to_json(*answer)
                     : ring_picture(*answer, {columns_of(stdout), speaks_utf8(), colours_on(stdout)}));
  return kSuccess;
}

int run(const RunCommand& command) {
  auto setup = launch::set_up(command.options);
  if (!setup) return complain(setup.error());
  if (!command.options.quiet) say_who_answered(setup->instead_of);
  launch::Runner runner(std::move(*setup));
  const auto record = runner.run();
  if (!record) return complain(record.error());
  int code = record->exit_code;
  if (!record->text.empty()) std::fprintf(stderr, "ringkeep: %s\n", record->text.c_str());
  const bool eventful = !recovery::recoveries(*record).empty() || !record->kills.empty();
  if (command.summary || (eventful && !command.options.quiet)) {
    const std::string text = recovery::report_text(*record);
    std::fwrite(text.data(), 1, text.size(), stderr);
  }
  if (command.options.strict_output && record->output.differing > 0 && code == 0)
    code =
        complain({ErrorCode::kDivergence, std::to_string(record->output.differing) +
                                              " lines were printed again differently, which --strict-output forbids; "
                                              "the first is " +
                                              record->difference.value_or("unknown")});
  if (!command.report_file.empty())
    if (const Status written = write_file(command.report_file, to_json(*record)); !written && code == 0)
      code = complain(written.error());
  return code;
}

}  // namespace rk::cli

// SPDX-License-Identifier: Apache-2.0
// What each command of `ringkeep` does, once its options are read. Each returns the exit status.
#pragma once

#include <cstdint>
#include <string>

#include "cli/server_choice.h"
#include "launch/options.h"

namespace rk::cli {

struct UpOptions {
  std::string directory;  // of the ring
  std::uint32_t servers = 4;
  std::uint64_t memory_bytes = 0;
};
struct StatusOptions {
  std::string directory;  // empty: $RINGKEEP_SOCKET, then the user's own ring
  bool json = false;
};
struct RunCommand {
  launch::RunOptions options;
  std::string report_file;  // JSON; empty: none
  bool summary = false;     // the report for people even if nothing happened
  std::string service;      // its name; empty: an MPI job
  ServerChoice server;      // of a service, beside options.directory
};

enum class KeygenAction { kCreate, kAdd, kPromote, kDropOthers, kShow };
struct KeygenOptions {
  KeygenAction action = KeygenAction::kCreate;
  std::string file;
  bool json = false;
};

int up(const UpOptions& options);
int down(const std::string& directory);
int status(const StatusOptions& options);
int ring(const StatusOptions& options);
int run(const RunCommand& command);
int run_service(const RunCommand& command);  // service.cc
int keygen(const KeygenOptions& options);    // keygen.cc

// One line on standard error; the exit status that belongs to it.
int complain(const Error& error);
// As complain(), of a server that was to be asked: kNotRunning if there is none.
int not_reached(const Error& error);
// One line on standard error, unless it is empty: ReachedServer::instead_of.
void say_who_answered(const std::string& instead_of);

}  // namespace rk::cli

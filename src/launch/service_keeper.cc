// SPDX-License-Identifier: Apache-2.0
#include "launch/service_keeper.h"

#include <sys/types.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <optional>

#include "client/connection.h"
#include "launch/loop.h"
#include "launch/mpirun.h"
#include "launch/signals.h"
#include "launch/spawn.h"

namespace rk::launch {
namespace {

constexpr int kNoServer = 69;  // EX_UNAVAILABLE
constexpr int kSystemFailed = 71;

int complain(int code, const Error& error) {
  std::fprintf(stderr, "ringkeep: %s\n", error.message.c_str());
  return code;
}

}  // namespace

int keep_service(const std::vector<std::string>& program) {
  client::ConnectOptions options;
  options.program = "ringkeep keep-service";
  options.fenced = true;
  const auto link = client::Connection::open(options);  // open until the end, whatever becomes of the server
  if (!link) return complain(kNoServer, link.error());
  Loop loop;
  pid_t child = 0;
  std::optional<int> ended;
  const auto signals = Signals::start(
      loop,
      [&](pid_t pid, int status) {
        if (pid == child) ended = exit_status_of(status);
      },
      [&](int number) {
        if (child > 0) ::kill(child, number);
      });
  if (!signals) return complain(kSystemFailed, signals.error());
  SpawnRequest request;
  request.arguments = program;
  request.environment = environment_with({});
  request.output = STDOUT_FILENO;
  request.error = STDERR_FILENO;
  const auto started = spawn(request);
  if (!started) return complain(kSystemFailed, started.error());
  child = *started;
  while (!ended) loop.turn();
  return *ended;
}

}  // namespace rk::launch

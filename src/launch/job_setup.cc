// SPDX-License-Identifier: Apache-2.0
#include <sys/random.h>
#include <sys/resource.h>

#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "launch/ring_servers.h"
#include "launch/runner.h"

namespace rk::launch {
namespace {

Result<std::vector<CommunityId>> partition_of(const RunOptions& options) {
  if (options.partition == "blocks") return blocks_partition(options.ranks, options.communities);
  std::ifstream file(options.partition);
  if (!file)
    return fail(ErrorCode::kNotFound,
                "cannot read the partition file " + options.partition + ": check its name, or use --partition blocks");
  std::ostringstream text;
  text << file.rdbuf();
  return parse_partition(std::move(text).str(), options.ranks, options.communities);
}

JobId random_job() {
  std::uint64_t value = 0;
  while (value == 0)
    if (::getrandom(&value, sizeof value, 0) != static_cast<ssize_t>(sizeof value)) value = 0;
  return JobId(value);
}

// Each process needs four descriptors of ours.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

bool wants_binding() {
  // A program with threads of its own needs more than one core a process.
  const char* threads = std::getenv("OMP_NUM_THREADS");
  return threads == nullptr || std::atoi(threads) <= 1;
}

Result<std::unique_ptr<client::Connection>> connect_to(const std::string& socket) {
  client::ConnectOptions connection;
  connection.socket_path = socket;
  connection.program = "ringkeep run";
  return client::Connection::open(connection);
}

Status find_ring(JobSetup& setup) {
  const bool named = !setup.options.directory.empty() || std::getenv(wire::kEnvSocket) != nullptr;
  if (!setup.options.embedded) {
    auto reached = reach_server(setup.options.directory, "ringkeep run");
    if (reached) {
      setup.instead_of = reached->instead_of;
      // Again, with the patience of a job.
      RK_TRY(setup.link, connect_to(reached->connection->socket_path()));
      setup.server = "server " + std::to_string(setup.link->server().node.value) + " at " + setup.link->socket_path();
      return {};
    }
    // A server that is there but not ours to use is an error; so is a name that was given.
    if (named || reached.error().code != ErrorCode::kUnavailable) return tl::unexpected(reached.error());
  }
  RingSettings ring;
  // In memory: its state need not outlive the machine, and a busy disk must not hold up its servers.
  ring.directory = setup.directories->memory() + "/ring";
  ring.servers = setup.options.servers;
  ring.memory_bytes = setup.options.memory_bytes;
  ring.environment = {{wire::kEnvJob, job_text(setup.job)}};
  RK_TRY(PrivateRing started, PrivateRing::start(ring));
  setup.ring = std::make_unique<PrivateRing>(std::move(started));
  RK_TRY(setup.link, connect_to(setup.ring->socket()));
  setup.server = "an embedded ring of " + std::to_string(ring.servers) + (ring.servers == 1 ? " server" : " servers");
  return {};
}

}  // namespace

std::string job_text(JobId job) {
  char text[17];
  std::snprintf(text, sizeof text, "%016" PRIx64, job.value);
  return text;
}

Result<JobSetup> set_up(RunOptions options) {
  JobSetup setup;
  setup.options = std::move(options);
  if (setup.options.program.empty()) return fail(ErrorCode::kInvalidArgument, "no program is given: write it after --");
  RK_TRY(setup.community_of, partition_of(setup.options));
  RK_TRY(setup.program, examine_program(setup.options.program[0]));
  RK_TRY_VOID(check_supported(setup.program, setup.options.communities));
  RK_TRY(setup.mpirun, find_mpirun());
  RK_TRY(setup.self, own_executable());
  RK_TRY(setup.layer, find_mpi_layer());
  setup.binding = plan_binding(setup.options.ranks, allowed_cores(), wants_binding());
  setup.job = random_job();
  raise_descriptor_limit();
  sweep_job_directories();
  RK_TRY(JobDirectories directories, JobDirectories::make(job_text(setup.job)));
  setup.directories = std::make_unique<JobDirectories>(std::move(directories));
  GuardDuty duty;
  duty.entries = {std::string(wire::kEnvJob) + "=" + job_text(setup.job)};
  duty.directories = {setup.directories->root(), setup.directories->memory()};
  duty.kept = setup.directories->claims();
  RK_TRY(Guard guard, Guard::start(duty));
  setup.guard = std::make_unique<Guard>(std::move(guard));
  RK_TRY_VOID(find_ring(setup));
  return setup;
}

}  // namespace rk::launch

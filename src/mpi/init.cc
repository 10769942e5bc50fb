// SPDX-License-Identifier: Apache-2.0
// The life of the layer: load, MPI_Init, MPI_Finalize, MPI_Abort.
#include <pthread.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "mpi/bodies.h"
#include "mpi/clock.h"
#include "mpi/entry_guard.h"
#include "mpi/exchange.h"
#include "mpi/layer.h"
#include "mpi/native.h"
#include "mpi/stats.h"
#include "mpi/yield.h"
#include "wire/control_messages.h"

namespace rk::mpi {
namespace {

// At load, before the program's first line of output. mpirun gives a program a pseudo-terminal, so its standard
// output is line buffered; the launcher gives it a pipe, and the C library would hold lines back in large blocks: they
// would come late, and those in the buffer of a killed process never. Line buffering restores what the user knows.
__attribute__((constructor)) void at_load() {
  find_clocks();
  need_native();
  if (std::getenv(wire::kEnvJob) == nullptr) return;
  if (isatty(STDOUT_FILENO) == 0) std::setvbuf(stdout, nullptr, _IOLBF, 0);
  // What is wrong with the environment is said at MPI_Init.
  const auto environment = client::JobEnvironment::read();
  if (environment && !environment->spin) soften_yields();
}

void describe_world(Layer& all) {
  std::vector<std::uint32_t> world(all.env.community_of.size());
  for (std::uint32_t rank = 0; rank < world.size(); ++rank) world[rank] = rank;
  RankMap ranks(std::move(world), all.env.community_of, all.env.rank.value);
  int native_rank = 0;
  int native_size = 0;
  native.Comm_rank(MPI_COMM_WORLD, &native_rank);
  native.Comm_size(MPI_COMM_WORLD, &native_size);
  if (native_rank != ranks.native_of(ranks.rank()) || native_size != static_cast<int>(ranks.own().members.size()))
    end_job(kExitLayer, "this process is number " + std::to_string(native_rank) + " of " + std::to_string(native_size) +
                            " in its community's MPI job, which is not what the launcher planned; start the program "
                            "by `ringkeep run`");
  if (ranks.spanning())
    all.comms.add_spanning(MPI_COMM_WORLD, std::move(ranks), kWorldContext);
  else
    all.comms.add_inside(MPI_COMM_WORLD, std::move(ranks));
  all.comms.add_inside(MPI_COMM_SELF, RankMap({all.env.rank.value}, all.env.community_of, all.env.rank.value));
}

void attach(Layer& all) {
  const char* fd = std::getenv(wire::kEnvControlFd);
  all.control.open(fd == nullptr ? -1 : std::atoi(fd));
  all.env = must(client::JobEnvironment::read(), "read the environment of the job");
  for (const CommunityId community : all.env.community_of) all.spans |= community != all.env.community_of.front();
  all.sent_inside.assign(all.env.community_of.size(), 0);
  all.received_inside.assign(all.env.community_of.size(), 0);
  describe_world(all);
  // What the library hands out for an operation that is complete at once; it is the same object each time.
  native.Isend(nullptr, 0, MPI_BYTE, MPI_PROC_NULL, 0, MPI_COMM_SELF, &all.requests.complete_handle);
  all.session = must(client::LogSession::attach(all.env, &all.port), "join the log of the job");
  wire::LayerReady ready;
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
  int length = 0;
  native.Get_library_version(text, &length);
  ready.mpi_library = text;
  all.replaying = all.log().replaying();
  ready.replaying = all.replaying;
  all.control.send(ready);
}

int init(int code) {
  Layer& all = layer();
  all.in_job = std::getenv(wire::kEnvJob) != nullptr;
  if (code != MPI_SUCCESS || !all.in_job) return code;
  attach(all);
  start_accounting();
  // A child that the program forks shares the log's memory, and is no process of the job.
  pthread_atfork(nullptr, nullptr, [] { t_depth = 1; });
  t_depth = 0;  // from here on this thread's calls are the program's
  return code;
}

}  // namespace

int Init(int* argc, char*** argv) { return init(native.Init(argc, argv)); }

// The layer's state belongs to one thread. A program that asks for more is told what it gets, as MPI provides for.
int Init_thread(int* argc, char*** argv, int required, int* provided) {
  const bool in_job = std::getenv(wire::kEnvJob) != nullptr;
  if (in_job && required > MPI_THREAD_FUNNELED) required = MPI_THREAD_FUNNELED;
  const int code = native.Init_thread(argc, argv, required, provided);
  if (in_job && *provided > MPI_THREAD_FUNNELED) *provided = MPI_THREAD_FUNNELED;
  return init(code);
}

// All communities wait for each other: a process that has left MPI_Finalize may be gone for good. The log stays
// attached to the process's end: its messages can be asked for again by a community that starts once more.
int Finalize() {
  Layer& all = layer();
  if (all.session == nullptr || bypassed()) return native.Finalize();
  watch_replay();
  t_depth = 1;  // from here on no call is the program's
  if (CommState* world = all.comms.spanning(MPI_COMM_WORLD); world != nullptr) barrier(*world, "MPI_Finalize");
  wire::LayerFinished finished;
  finished.stats = collect_stats();
  all.control.send(finished);
  return native.Finalize();
}

int Abort(MPI_Comm comm, int errorcode) {
  if (layer().in_job) end_job(errorcode, std::string());
  return native.Abort(comm, errorcode);
}

}  // namespace rk::mpi

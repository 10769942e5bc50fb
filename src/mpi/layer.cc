// SPDX-License-Identifier: Apache-2.0
#include "mpi/layer.h"

#include <numeric>

#include "mpi/entry_guard.h"
#include "mpi/native.h"
#include "wire/control_messages.h"

namespace rk::mpi {

thread_local int t_depth = 1;
thread_local const char* t_call = "an MPI call";

Layer* const g_layer = new Layer;  // NOLINT(cppcoreguidelines-owning-memory): lives to the process's end

namespace {

// World ranks of the members of a communicator that lies inside the community (of an intercommunicator: of its remote
// group, which is where its messages come from).
std::vector<std::uint32_t> world_ranks(MPI_Comm comm) {
  int inter = 0;
  native.Comm_test_inter(comm, &inter);
  MPI_Group group = MPI_GROUP_NULL;
  MPI_Group world = MPI_GROUP_NULL;
  if (inter != 0)
    native.Comm_remote_group(comm, &group);
  else
    native.Comm_group(comm, &group);
  native.Comm_group(MPI_COMM_WORLD, &world);
  int size = 0;
  native.Group_size(group, &size);
  std::vector<int> ranks(static_cast<std::size_t>(size));
  std::vector<int> in_world(static_cast<std::size_t>(size));
  std::iota(ranks.begin(), ranks.end(), 0);
  native.Group_translate_ranks(group, size, ranks.data(), world, in_world.data());
  native.Group_free(&group);
  native.Group_free(&world);
  const CommState* carrier = layer().comms.find(MPI_COMM_WORLD);
  std::vector<std::uint32_t> out;
  out.reserve(in_world.size());
  for (const int native_rank : in_world) {
    if (native_rank < 0)
      end_job(kExitLayer, "a communicator has processes that `ringkeep run` did not start; start all of them by it");
    out.push_back(carrier->ranks.world_of(carrier->ranks.rank_of_native(native_rank)));
  }
  return out;
}

}  // namespace

void note_replayed() {
  Layer& all = layer();
  if (all.restoring || all.log().replaying()) return;
  all.replaying = false;
  all.control.send(wire::PhaseReport{wire::Phase::kReplayed, all.restored});
}

CommState& state_of(MPI_Comm comm) {
  Layer& all = layer();
  if (CommState* state = all.comms.find(comm); state != nullptr) return *state;
  return all.comms.add_inside(comm, RankMap(world_ranks(comm), all.env.community_of, all.env.rank.value));
}

void track_native(MPI_Request request) {
  RequestTable& requests = layer().requests;
  if (request != MPI_REQUEST_NULL && request != requests.complete_handle) requests.add(request, RequestKind::kNative);
}

int raise(MPI_Comm comm, int code) {
  if (code == MPI_SUCCESS) return code;
  MPI_Errhandler handler = MPI_ERRHANDLER_NULL;
  native.Comm_get_errhandler(comm, &handler);
  if (handler == MPI_ERRORS_ARE_FATAL) {
    // The native handler would end this community alone, and the launcher would start it again, to the same end.
    char words[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    native.Error_string(code, words, &length);
    end_job(code, "an MPI call failed: " + std::string(words, static_cast<std::size_t>(length)) +
                      "; the program's error handler is MPI_ERRORS_ARE_FATAL");
  }
  native.Errhandler_free(&handler);
  native.Comm_call_errhandler(comm, code);
  return code;
}

}  // namespace rk::mpi

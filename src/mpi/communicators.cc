// SPDX-License-Identifier: Apache-2.0
// Making, naming and ending communicators. A new communicator that spans communities is agreed by all members of its
// parent (who goes where, which context id); its carrier is then split off the parent's carrier by the members of each
// community on their own.
#include <algorithm>
#include <cstring>

#include "mpi/bodies.h"
#include "mpi/exchange.h"
#include "mpi/layer.h"
#include "mpi/native.h"
#include "mpi/new_comm.h"

namespace rk::mpi {
namespace {

struct Proposal {
  SplitChoice choice;
  std::uint32_t next_context = 0;
};

}  // namespace

int split_spanning(CommState& parent, int color, int key, const char* call, NewComm& out) {
  Layer& all = layer();
  const Proposal own{{color == MPI_UNDEFINED ? -1 : color, key}, all.comms.next_context};
  const std::vector<Proposal> proposals = allgather_values(parent, own, call);
  std::vector<SplitChoice> choices;
  std::uint32_t context = 0;
  for (const Proposal& proposal : proposals) {
    choices.push_back(proposal.choice);
    context = std::max(context, proposal.next_context);
  }
  all.comms.next_context = context + colors(choices);
  if (color == MPI_UNDEFINED) return native.Comm_split(parent.handle, MPI_UNDEFINED, 0, &out.handle);
  const std::vector<int> members = members_of_color(choices, color);
  std::vector<std::uint32_t> world;
  world.reserve(members.size());
  for (const int rank : members) world.push_back(parent.ranks.world_of(rank));
  out.ranks = RankMap(std::move(world), all.env.community_of, all.env.rank.value);
  out.context = context + colors_below(choices, color);
  return native.Comm_split(parent.handle, color, out.ranks.rank(), &out.handle);
}

CommState* adopt(NewComm made) {
  Layer& all = layer();
  if (made.handle == MPI_COMM_NULL || !made.ranks.spanning()) return nullptr;
  return &all.comms.add_spanning(made.handle, std::move(made.ranks), made.context);
}

int Comm_rank(MPI_Comm comm, int* rank) {
  const CommState* state = layer().comms.spanning(comm);
  if (state == nullptr) return native.Comm_rank(comm, rank);
  *rank = state->ranks.rank();
  return MPI_SUCCESS;
}

int Comm_size(MPI_Comm comm, int* size) {
  const CommState* state = layer().comms.spanning(comm);
  if (state == nullptr) return native.Comm_size(comm, size);
  *size = state->ranks.size();
  return MPI_SUCCESS;
}

int Comm_split(MPI_Comm comm, int color, int key, MPI_Comm* newcomm) {
  CommState* parent = layer().comms.spanning(comm);
  if (parent == nullptr) return native.Comm_split(comm, color, key, newcomm);
  if (color < 0 && color != MPI_UNDEFINED) return raise(comm, MPI_ERR_ARG);
  NewComm made;
  const int code = split_spanning(*parent, color, key, "MPI_Comm_split", made);
  *newcomm = made.handle;
  adopt(std::move(made));
  return code;
}

// Every split type of MPI-3.1 asks for processes that share something that windows or locality need; those of other
// communities are other MPI jobs, with which nothing can be shared. So the result lies inside the community.
int Comm_split_type(MPI_Comm comm, int split_type, int key, MPI_Info info, MPI_Comm* newcomm) {
  return native.Comm_split_type(comm, split_type, key, info, newcomm);
}

namespace {

int dup(MPI_Comm comm, MPI_Comm* newcomm, CommState& parent, int code) {
  if (code != MPI_SUCCESS) return code;
  Layer& all = layer();
  std::uint32_t context = 0;
  for (const std::uint32_t proposed : allgather_values(parent, all.comms.next_context, "MPI_Comm_dup"))
    context = std::max(context, proposed);
  all.comms.next_context = context + 1;
  const std::optional<CartShape> cart = all.comms.find(comm)->cart;
  RankMap ranks = all.comms.find(comm)->ranks;
  all.comms.add_spanning(*newcomm, std::move(ranks), context).cart = cart;
  return MPI_SUCCESS;
}

}  // namespace

int Comm_dup(MPI_Comm comm, MPI_Comm* newcomm) {
  CommState* parent = layer().comms.spanning(comm);
  const int code = native.Comm_dup(comm, newcomm);
  return parent == nullptr ? code : dup(comm, newcomm, *parent, code);
}

int Comm_dup_with_info(MPI_Comm comm, MPI_Info info, MPI_Comm* newcomm) {
  CommState* parent = layer().comms.spanning(comm);
  const int code = native.Comm_dup_with_info(comm, info, newcomm);
  return parent == nullptr ? code : dup(comm, newcomm, *parent, code);
}

int Comm_free(MPI_Comm* comm) {
  const MPI_Comm handle = *comm;
  const int code = native.Comm_free(comm);
  if (code == MPI_SUCCESS) layer().comms.remove(handle, !layer().requests.empty());
  return code;
}

int Comm_disconnect(MPI_Comm* comm) {
  const MPI_Comm handle = *comm;
  const int code = native.Comm_disconnect(comm);
  if (code == MPI_SUCCESS) layer().comms.remove(handle, !layer().requests.empty());
  return code;
}

int Comm_compare(MPI_Comm first, MPI_Comm second, int* result) {
  CommTable& comms = layer().comms;
  const CommState* a = comms.spanning(first);
  const CommState* b = comms.spanning(second);
  if (a == nullptr && b == nullptr) return native.Comm_compare(first, second, result);
  *result = MPI_UNEQUAL;
  if (first == second) {
    *result = MPI_IDENT;
  } else if (a != nullptr && b != nullptr) {
    std::vector<std::uint32_t> ours = a->ranks.world();
    std::vector<std::uint32_t> others = b->ranks.world();
    if (ours == others) {
      *result = MPI_CONGRUENT;
    } else {
      std::sort(ours.begin(), ours.end());
      std::sort(others.begin(), others.end());
      if (ours == others) *result = MPI_SIMILAR;
    }
  }
  return MPI_SUCCESS;
}

}  // namespace rk::mpi

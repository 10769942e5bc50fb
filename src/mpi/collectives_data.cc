// SPDX-License-Identifier: Apache-2.0
// Collectives that move data: broadcast, gather, scatter, allgather, alltoall, and the barrier.
#include <vector>

#include "mpi/bodies.h"
#include "mpi/exchange.h"
#include "mpi/payload.h"

namespace rk::mpi {
namespace {

// Counts and places of the own team's ranks, for the native call on the carrier.
struct TeamVector {
  std::vector<int> counts;
  std::vector<int> places;
};
TeamVector of_team(const RankMap& ranks, const int* counts, const int* places) {
  TeamVector out;
  for (const int rank : ranks.own().members) {
    out.counts.push_back(counts[rank]);
    out.places.push_back(places[rank]);
  }
  return out;
}

// The same count for each rank, one after the other.
struct Even {
  std::vector<int> counts;
  std::vector<int> places;
  Even(int ranks, int count) {
    for (int rank = 0; rank < ranks; ++rank) {
      counts.push_back(count);
      places.push_back(rank * count);
    }
  }
};

bool bad_root(const RankMap& ranks, int root) { return root < 0 || root >= ranks.size(); }

}  // namespace

int Barrier(MPI_Comm comm) {
  CommState* state = layer().comms.spanning(comm);
  if (state == nullptr) return inside(native.Barrier, comm);
  return barrier(*state, "MPI_Barrier");
}

int barrier(CommState& state, const char* call) {
  const Exchange exchange(state, call);
  int code = MPI_SUCCESS;
  if (exchange.team_size() > 1) code = inside(native.Barrier, exchange.carrier());
  if (code != MPI_SUCCESS) return code;
  const auto& teams = exchange.ranks().teams();
  if (exchange.leads()) {
    for (std::size_t t = 0; t < teams.size(); ++t)
      if (t != exchange.ranks().own_team()) exchange.send(teams[t].leader(), ByteView());
    for (std::size_t t = 0; t < teams.size(); ++t)
      if (t != exchange.ranks().own_team()) static_cast<void>(exchange.receive(teams[t].leader()));
  }
  char go = 0;
  if (exchange.team_size() > 1)
    code = inside(native.Bcast, static_cast<void*>(&go), 1, MPI_CHAR, kLeader, exchange.carrier());
  return code;
}

int Bcast(void* buffer, int count, MPI_Datatype type, int root, MPI_Comm comm) {
  CommState* state = layer().comms.spanning(comm);
  if (state == nullptr) return inside(native.Bcast, buffer, count, type, root, comm);
  const Exchange exchange(*state, "MPI_Bcast");
  const RankMap& ranks = exchange.ranks();
  if (bad_root(ranks, root)) return raise(comm, MPI_ERR_ROOT);
  const std::size_t root_team = ranks.team_of(root);
  int native_root = kLeader;
  if (ranks.own_team() == root_team) {
    native_root = ranks.native_of(root);
    if (ranks.rank() == root)
      for (std::size_t t = 0; t < ranks.teams().size(); ++t)
        if (t != root_team) exchange.send(ranks.teams()[t].leader(), buffer, count, type);
  } else if (exchange.leads()) {
    const int code = exchange.receive(root, buffer, count, type);
    if (code != MPI_SUCCESS) return raise(comm, code);
  }
  if (exchange.team_size() == 1) return MPI_SUCCESS;
  return inside(native.Bcast, buffer, count, type, native_root, comm);
}

int Gatherv(const void* sendbuf, int sendcount, MPI_Datatype sendtype, void* recvbuf, const int* recvcounts,
            const int* displs, MPI_Datatype recvtype, int root, MPI_Comm comm) {
  CommState* state = layer().comms.spanning(comm);
  if (state == nullptr)
    return inside(native.Gatherv, sendbuf, sendcount, sendtype, recvbuf, recvcounts, displs, recvtype, root, comm);
  const Exchange exchange(*state, "MPI_Gatherv");
  const RankMap& ranks = exchange.ranks();
  if (bad_root(ranks, root)) return raise(comm, MPI_ERR_ROOT);
  if (ranks.team_of(root) != ranks.own_team()) {
    exchange.send(root, sendbuf, sendcount, sendtype);
    return MPI_SUCCESS;
  }
  TeamVector team;
  if (ranks.rank() == root) {
    team = of_team(ranks, recvcounts, displs);
    for (int rank = 0; rank < ranks.size(); ++rank) {
      if (ranks.native_of(rank) >= 0) continue;
      const int code = exchange.receive(rank, at_extent(recvbuf, displs[rank], recvtype), recvcounts[rank], recvtype);
      if (code != MPI_SUCCESS) return raise(comm, code);
    }
  }
  return inside(native.Gatherv, sendbuf, sendcount, sendtype, recvbuf, static_cast<const int*>(team.counts.data()),
                static_cast<const int*>(team.places.data()), recvtype, ranks.native_of(root), comm);
}

int Gather(const void* sendbuf, int sendcount, MPI_Datatype sendtype, void* recvbuf, int recvcount,
           MPI_Datatype recvtype, int root, MPI_Comm comm) {
  CommState* state = layer().comms.spanning(comm);
  if (state == nullptr)
    return inside(native.Gather, sendbuf, sendcount, sendtype, recvbuf, recvcount, recvtype, root, comm);
  const Even even(state->ranks.rank() == root ? state->ranks.size() : 0, recvcount);
  return Gatherv(sendbuf, sendcount, sendtype, recvbuf, even.counts.data(), even.places.data(), recvtype, root, comm);
}

int Scatterv(const void* sendbuf, const int* sendcounts, const int* displs, MPI_Datatype sendtype, void* recvbuf,
             int recvcount, MPI_Datatype recvtype, int root, MPI_Comm comm) {
  CommState* state = layer().comms.spanning(comm);
  if (state == nullptr)
    return inside(native.Scatterv, sendbuf, sendcounts, displs, sendtype, recvbuf, recvcount, recvtype, root, comm);
  const Exchange exchange(*state, "MPI_Scatterv");
  const RankMap& ranks = exchange.ranks();
  if (bad_root(ranks, root)) return raise(comm, MPI_ERR_ROOT);
  if (ranks.team_of(root) != ranks.own_team()) return raise(comm, exchange.receive(root, recvbuf, recvcount, recvtype));
  TeamVector team;
  if (ranks.rank() == root) {
    team = of_team(ranks, sendcounts, displs);
    for (int rank = 0; rank < ranks.size(); ++rank)
      if (ranks.native_of(rank) < 0)
        exchange.send(rank, at_extent(sendbuf, displs[rank], sendtype), sendcounts[rank], sendtype);
  }
  return inside(native.Scatterv, sendbuf, static_cast<const int*>(team.counts.data()),
                static_cast<const int*>(team.places.data()), sendtype, recvbuf, recvcount, recvtype,
                ranks.native_of(root), comm);
}

int Scatter(const void* sendbuf, int sendcount, MPI_Datatype sendtype, void* recvbuf, int recvcount,
            MPI_Datatype recvtype, int root, MPI_Comm comm) {
  CommState* state = layer().comms.spanning(comm);
  if (state == nullptr)
    return inside(native.Scatter, sendbuf, sendcount, sendtype, recvbuf, recvcount, recvtype, root, comm);
  const Even even(state->ranks.rank() == root ? state->ranks.size() : 0, sendcount);
  return Scatterv(sendbuf, even.counts.data(), even.places.data(), sendtype, recvbuf, recvcount, recvtype, root, comm);
}

int Allgatherv(const void* sendbuf, int sendcount, MPI_Datatype sendtype, void* recvbuf, const int* recvcounts,
               const int* displs, MPI_Datatype recvtype, MPI_Comm comm) {
  CommState* state = layer().comms.spanning(comm);
  if (state == nullptr)
    return inside(native.Allgatherv, sendbuf, sendcount, sendtype, recvbuf, recvcounts, displs, recvtype, comm);
  const Exchange exchange(*state, "MPI_Allgatherv");
  const RankMap& ranks = exchange.ranks();
  std::vector<std::uint64_t> sizes;
  sizes.reserve(static_cast<std::size_t>(ranks.size()));
  for (int rank = 0; rank < ranks.size(); ++rank) sizes.push_back(packed_size(recvcounts[rank], recvtype));
  const bool in_place = sendbuf == MPI_IN_PLACE;
  Bytes own(sizes[static_cast<std::size_t>(ranks.rank())]);
  if (in_place)
    pack(at_extent(recvbuf, displs[ranks.rank()], recvtype), recvcounts[ranks.rank()], recvtype, own);
  else if (packed_size(sendcount, sendtype) != own.size())
    return raise(comm, MPI_ERR_COUNT);
  else
    pack(sendbuf, sendcount, sendtype, own);
  const Pieces pieces = allgather_bytes(exchange, own, sizes);
  for (int rank = 0; rank < ranks.size(); ++rank) {
    if (in_place && rank == ranks.rank()) continue;
    unpack(pieces.of(rank), at_extent(recvbuf, displs[rank], recvtype), recvcounts[rank], recvtype);
  }
  return MPI_SUCCESS;
}

int Allgather(const void* sendbuf, int sendcount, MPI_Datatype sendtype, void* recvbuf, int recvcount,
              MPI_Datatype recvtype, MPI_Comm comm) {
  CommState* state = layer().comms.spanning(comm);
  if (state == nullptr)
    return inside(native.Allgather, sendbuf, sendcount, sendtype, recvbuf, recvcount, recvtype, comm);
  const Even even(state->ranks.size(), recvcount);
  return Allgatherv(sendbuf, sendcount, sendtype, recvbuf, even.counts.data(), even.places.data(), recvtype, comm);
}

namespace {

// Alltoallv with its own data in the receive buffer: sent from a packed copy.
int alltoallv_in_place(void* recvbuf, const int* counts, const int* displs, MPI_Datatype type, MPI_Comm comm,
                       const RankMap& ranks) {
  std::vector<int> sizes;
  std::vector<int> places;
  Bytes copy;
  for (int rank = 0; rank < ranks.size(); ++rank) {
    const std::uint64_t size = packed_size(counts[rank], type);
    places.push_back(static_cast<int>(copy.size()));
    sizes.push_back(static_cast<int>(size));
    copy.resize(copy.size() + size);
    pack(at_extent(recvbuf, displs[rank], type), counts[rank], type, std::span(copy).last(size));
  }
  return Alltoallv(copy.data(), sizes.data(), places.data(), MPI_PACKED, recvbuf, counts, displs, type, comm);
}

}  // namespace

int Alltoallv(const void* sendbuf, const int* sendcounts, const int* sdispls, MPI_Datatype sendtype, void* recvbuf,
              const int* recvcounts, const int* rdispls, MPI_Datatype recvtype, MPI_Comm comm) {
  CommState* state = layer().comms.spanning(comm);
  if (state == nullptr)
    return inside(native.Alltoallv, sendbuf, sendcounts, sdispls, sendtype, recvbuf, recvcounts, rdispls, recvtype,
                  comm);
  if (sendbuf == MPI_IN_PLACE) return alltoallv_in_place(recvbuf, recvcounts, rdispls, recvtype, comm, state->ranks);
  const Exchange exchange(*state, "MPI_Alltoallv");
  const RankMap& ranks = exchange.ranks();
  for (int rank = 0; rank < ranks.size(); ++rank)
    if (ranks.native_of(rank) < 0)
      exchange.send(rank, at_extent(sendbuf, sdispls[rank], sendtype), sendcounts[rank], sendtype);
  const TeamVector sends = of_team(ranks, sendcounts, sdispls);
  const TeamVector receives = of_team(ranks, recvcounts, rdispls);
  int code = inside(native.Alltoallv, sendbuf, static_cast<const int*>(sends.counts.data()),
                    static_cast<const int*>(sends.places.data()), sendtype, recvbuf,
                    static_cast<const int*>(receives.counts.data()), static_cast<const int*>(receives.places.data()),
                    recvtype, comm);
  for (int rank = 0; rank < ranks.size() && code == MPI_SUCCESS; ++rank)
    if (ranks.native_of(rank) < 0)
      code =
          raise(comm, exchange.receive(rank, at_extent(recvbuf, rdispls[rank], recvtype), recvcounts[rank], recvtype));
  return code;
}

int Alltoall(const void* sendbuf, int sendcount, MPI_Datatype sendtype, void* recvbuf, int recvcount,
             MPI_Datatype recvtype, MPI_Comm comm) {
  CommState* state = layer().comms.spanning(comm);
  if (state == nullptr)
    return inside(native.Alltoall, sendbuf, sendcount, sendtype, recvbuf, recvcount, recvtype, comm);
  const Even sends(state->ranks.size(), sendcount);
  const Even receives(state->ranks.size(), recvcount);
  return Alltoallv(sendbuf, sends.counts.data(), sends.places.data(), sendtype, recvbuf, receives.counts.data(),
                   receives.places.data(), recvtype, comm);
}

}  // namespace rk::mpi

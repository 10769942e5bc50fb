// SPDX-License-Identifier: Apache-2.0
// Reductions. Each team reduces natively to its leader, leaders exchange the partial results and combine them in team
// order. An operation that does not commute may be combined by teams only if every team is a range of ranks; else all
// contributions are gathered and combined in rank order. The order of a sum differs from that of one native job (its
// tree is another), but never from one run to the next.
#include <vector>

#include "mpi/bodies.h"
#include "mpi/exchange.h"
#include "mpi/payload.h"

namespace rk::mpi {
namespace {

struct Operation {
  int count;
  MPI_Datatype type;
  MPI_Op op;
};

bool commutes(MPI_Op op) {
  int flag = 0;
  native.Op_commutative(op, &flag);
  return flag != 0;
}

void copy(const void* from, void* to, const Operation& what) {
  if (from == to) return;
  Bytes bytes(packed_size(what.count, what.type));
  pack(from, what.count, what.type, bytes);
  unpack(bytes, to, what.count, what.type);
}

// Combines partial results in order: total = total op next. `total` and the next one are the caller's memory.
class Fold {
 public:
  Fold(const Operation& what, void* total) : what_(what), commutes_(commutes(what.op)), total_(total) {}

  int add(ByteView packed) {
    if (!started_) {
      started_ = true;
      return unpack(packed, total_, what_.count, what_.type);
    }
    TypedBuffer next(what_.count, what_.type);
    if (const int code = unpack(packed, next.data(), what_.count, what_.type); code != MPI_SUCCESS) return code;
    return combine(next.data());
  }
  // The caller's own partial result; it may be changed.
  int add_own(void* own) {
    if (started_) return combine(own);
    started_ = true;
    copy(own, total_, what_);
    return MPI_SUCCESS;
  }

 private:
  int combine(void* next) {
    // MPI_Reduce_local(in, inout): inout = in op inout.
    if (commutes_) return native.Reduce_local(next, total_, what_.count, what_.type, what_.op);
    const int code = native.Reduce_local(total_, next, what_.count, what_.type, what_.op);
    copy(next, total_, what_);
    return code;
  }

  Operation what_;
  bool commutes_;
  bool started_ = false;
  void* total_;
};

// Every rank's contribution, packed, to everybody: the slow way that is always right.
Pieces gather_all(const Exchange& exchange, const void* input, const Operation& what) {
  const std::uint64_t size = packed_size(what.count, what.type);
  Bytes own(size);
  pack(input, what.count, what.type, own);
  return allgather_bytes(exchange, own,
                         std::vector<std::uint64_t>(static_cast<std::size_t>(exchange.ranks().size()), size));
}

int fold_ranks(const Pieces& pieces, int first, int last, const Operation& what, void* total) {
  Fold fold(what, total);
  int code = MPI_SUCCESS;
  for (int rank = first; rank < last && code == MPI_SUCCESS; ++rank) code = fold.add(pieces.of(rank));
  return code;
}

bool by_teams(const RankMap& ranks, MPI_Op op) { return ranks.contiguous() || commutes(op); }

// The team's partial result in `partial`, on native rank `root`.
int reduce_team(const Exchange& exchange, const void* input, void* partial, const Operation& what, int root) {
  if (exchange.team_size() == 1) {
    copy(input, partial, what);
    return MPI_SUCCESS;
  }
  return inside(native.Reduce, input, partial, what.count, what.type, what.op, root, exchange.carrier());
}

int allreduce(CommState& state, const char* call, const void* input, void* output, const Operation& what) {
  const Exchange exchange(state, call);
  const RankMap& ranks = exchange.ranks();
  if (!by_teams(ranks, what.op)) return fold_ranks(gather_all(exchange, input, what), 0, ranks.size(), what, output);
  TypedBuffer partial(exchange.leads() ? what.count : 0, what.type);
  int code = reduce_team(exchange, input, partial.data(), what, kLeader);
  if (code != MPI_SUCCESS) return code;
  if (exchange.leads()) {
    for (std::size_t t = 0; t < ranks.teams().size(); ++t)
      if (t != ranks.own_team()) exchange.send(ranks.teams()[t].leader(), partial.data(), what.count, what.type);
    Fold fold(what, output);
    for (std::size_t t = 0; t < ranks.teams().size() && code == MPI_SUCCESS; ++t)
      code = t == ranks.own_team() ? fold.add_own(partial.data())
                                   : fold.add(exchange.receive(ranks.teams()[t].leader()).payload);
  }
  if (code != MPI_SUCCESS || exchange.team_size() == 1) return code;
  return inside(native.Bcast, output, what.count, what.type, kLeader, exchange.carrier());
}

const void* input_of(const void* sendbuf, const void* recvbuf) { return sendbuf == MPI_IN_PLACE ? recvbuf : sendbuf; }

}  // namespace

int Allreduce(const void* sendbuf, void* recvbuf, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm) {
  CommState* state = layer().comms.spanning(comm);
  if (state == nullptr) return inside(native.Allreduce, sendbuf, recvbuf, count, type, op, comm);
  return raise(comm, allreduce(*state, "MPI_Allreduce", input_of(sendbuf, recvbuf), recvbuf, {count, type, op}));
}

int Reduce(const void* sendbuf, void* recvbuf, int count, MPI_Datatype type, MPI_Op op, int root, MPI_Comm comm) {
  CommState* state = layer().comms.spanning(comm);
  if (state == nullptr) return inside(native.Reduce, sendbuf, recvbuf, count, type, op, root, comm);
  const Exchange exchange(*state, "MPI_Reduce");
  const RankMap& ranks = exchange.ranks();
  if (root < 0 || root >= ranks.size()) return raise(comm, MPI_ERR_ROOT);
  const Operation what{count, type, op};
  const void* input = input_of(sendbuf, recvbuf);
  const bool at_root = ranks.rank() == root;
  if (!by_teams(ranks, op)) {
    const Pieces pieces = gather_all(exchange, input, what);
    return at_root ? raise(comm, fold_ranks(pieces, 0, ranks.size(), what, recvbuf)) : MPI_SUCCESS;
  }
  const bool root_team = ranks.team_of(root) == ranks.own_team();
  const int native_root = root_team ? ranks.native_of(root) : kLeader;
  const bool collects = root_team ? at_root : exchange.leads();
  TypedBuffer partial(collects ? count : 0, type);
  int code = reduce_team(exchange, input, partial.data(), what, native_root);
  if (code != MPI_SUCCESS) return code;
  if (collects && !root_team) exchange.send(root, partial.data(), count, type);
  if (!at_root) return MPI_SUCCESS;
  Fold fold(what, recvbuf);
  for (std::size_t t = 0; t < ranks.teams().size() && code == MPI_SUCCESS; ++t)
    code = t == ranks.own_team() ? fold.add_own(partial.data())
                                 : fold.add(exchange.receive(ranks.teams()[t].leader()).payload);
  return raise(comm, code);
}

int Scan(const void* sendbuf, void* recvbuf, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm) {
  CommState* state = layer().comms.spanning(comm);
  if (state == nullptr) return inside(native.Scan, sendbuf, recvbuf, count, type, op, comm);
  const Exchange exchange(*state, "MPI_Scan");
  const Operation what{count, type, op};
  const Pieces pieces = gather_all(exchange, input_of(sendbuf, recvbuf), what);
  return raise(comm, fold_ranks(pieces, 0, state->ranks.rank() + 1, what, recvbuf));
}

int Exscan(const void* sendbuf, void* recvbuf, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm) {
  CommState* state = layer().comms.spanning(comm);
  if (state == nullptr) return inside(native.Exscan, sendbuf, recvbuf, count, type, op, comm);
  const Exchange exchange(*state, "MPI_Exscan");
  const Operation what{count, type, op};
  const Pieces pieces = gather_all(exchange, input_of(sendbuf, recvbuf), what);
  return raise(comm, fold_ranks(pieces, 0, state->ranks.rank(), what, recvbuf));
}

int Reduce_scatter(const void* sendbuf, void* recvbuf, const int* recvcounts, MPI_Datatype type, MPI_Op op,
                   MPI_Comm comm) {
  CommState* state = layer().comms.spanning(comm);
  if (state == nullptr) return inside(native.Reduce_scatter, sendbuf, recvbuf, recvcounts, type, op, comm);
  int total = 0;
  int before = 0;
  for (int rank = 0; rank < state->ranks.size(); ++rank) {
    if (rank == state->ranks.rank()) before = total;
    total += recvcounts[rank];
  }
  TypedBuffer result(total, type);
  const int code =
      allreduce(*state, "MPI_Reduce_scatter", input_of(sendbuf, recvbuf), result.data(), {total, type, op});
  if (code != MPI_SUCCESS) return raise(comm, code);
  const int own = recvcounts[state->ranks.rank()];
  copy(at_extent(result.data(), before, type), recvbuf, {own, type, op});
  return MPI_SUCCESS;
}

int Reduce_scatter_block(const void* sendbuf, void* recvbuf, int recvcount, MPI_Datatype type, MPI_Op op,
                         MPI_Comm comm) {
  CommState* state = layer().comms.spanning(comm);
  if (state == nullptr) return inside(native.Reduce_scatter_block, sendbuf, recvbuf, recvcount, type, op, comm);
  const std::vector<int> counts(static_cast<std::size_t>(state->ranks.size()), recvcount);
  return Reduce_scatter(sendbuf, recvbuf, counts.data(), type, op, comm);
}

}  // namespace rk::mpi

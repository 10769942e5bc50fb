// SPDX-License-Identifier: Apache-2.0
// Collectives on a communicator that spans communities. Inside a community they are the native library's; between
// communities messages go through the log, in an order that depends on the communicator alone: teams (the members of
// one community) in the order of their leaders' ranks, ranks in ascending order. So a repeated collective gives the
// same bits. The leader of a team is its lowest rank, which is native rank 0 of the carrier.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <type_traits>
#include <vector>

#include "base/bytes.h"
#include "log/matcher.h"
#include "mpi/comm_table.h"
#include "mpi/layer.h"
#include "mpi/native.h"
#include "mpi/progress_hook.h"
#include "mpi/send.h"

namespace rk::mpi {

inline constexpr int kLeader = 0;  // native rank

// One collective operation: its messages bear the communicator's collective context and the operation's number.
class Exchange {
 public:
  Exchange(CommState& comm, const char* call);

  const RankMap& ranks() const { return comm_.ranks; }
  MPI_Comm carrier() const { return comm_.handle; }
  bool leads() const { return comm_.ranks.is_leader(); }
  int team_size() const { return static_cast<int>(comm_.ranks.own().members.size()); }

  // To and from a process of another community, by its rank.
  void send(int rank, const void* data, int count, MPI_Datatype type) const;
  void send(int rank, ByteView bytes) const;
  log::Match receive(int rank) const;
  int receive(int rank, void* data, int count, MPI_Datatype type) const;

 private:
  CommState& comm_;
  int tag_;
};

// A native collective inside the community. While the program has receives open that the layer must match, the layer
// goes on matching during the call.
template <class Call, class... Arguments>
int inside(Call call, Arguments... arguments) {
  if (layer().receives.outstanding == 0) return call(arguments...);
  const MatchWhileBlocked matching;
  return call(arguments...);
}

// Data of every rank, in a row.
struct Pieces {
  Bytes bytes;
  std::vector<std::uint64_t> offsets;  // ranks + 1
  ByteView of(int rank) const {
    const auto r = static_cast<std::size_t>(rank);
    return ByteView(bytes).subspan(offsets[r], offsets[r + 1] - offsets[r]);
  }
};
// Everybody's packed data to everybody. `sizes`: bytes of each rank's data, the same on all members.
Pieces allgather_bytes(const Exchange& exchange, ByteView own, const std::vector<std::uint64_t>& sizes);

// One value of each rank.
template <class T>
requires std::is_trivially_copyable_v<T> std::vector<T> allgather_values(CommState& comm, const T& own,
                                                                         const char* call) {
  const Exchange exchange(comm, call);
  const std::vector<std::uint64_t> sizes(static_cast<std::size_t>(comm.ranks.size()), sizeof(T));
  const Pieces pieces = allgather_bytes(exchange, std::as_bytes(std::span(&own, 1)), sizes);
  std::vector<T> values(sizes.size());
  std::memcpy(values.data(), pieces.bytes.data(), pieces.bytes.size());
  return values;
}

// Everybody of the communicator is there.
int barrier(CommState& comm, const char* call);

// Memory for `count` elements of any datatype, with lower bound and gaps; not initialized.
class TypedBuffer {
 public:
  TypedBuffer(int count, MPI_Datatype type);
  void* data() { return base_; }

 private:
  std::unique_ptr<std::byte[]> memory_;
  std::byte* base_ = nullptr;
};

}  // namespace rk::mpi

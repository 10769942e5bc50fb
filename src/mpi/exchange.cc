// SPDX-License-Identifier: Apache-2.0
#include "mpi/exchange.h"

#include <climits>

#include "mpi/payload.h"
#include "mpi/receive.h"
#include "mpi/wait_loop.h"

namespace rk::mpi {

Exchange::Exchange(CommState& comm, const char* call)
    : comm_(comm), tag_(static_cast<int>(comm.collectives++ & 0x7fffffffU)) {
  if (layer().restoring) refuse_before_restore(call);
}

void Exchange::send(int rank, const void* data, int count, MPI_Datatype type) const {
  send_outside(comm_.ranks.world_of(rank), {comm_.context | kCollectiveContext, tag_, 0}, data, count, type);
}

void Exchange::send(int rank, ByteView bytes) const {
  must(layer().session->send(comm_.ranks.world_of(rank), {comm_.context | kCollectiveContext, tag_, bytes.size()},
                             bytes),
       "send to another community");
}

log::Match Exchange::receive(int rank) const {
  Layer& all = layer();
  log::Match match;
  Receive receive;
  receive.comm = &comm_;
  receive.raw = &match;
  const log::RecvSpec spec{comm_.context | kCollectiveContext, comm_.ranks.world_of(rank), tag_, log::Reach::kOutside};
  const log::Posted posted = must(all.log().matcher().post(spec), "receive from another community");
  if (posted.state == log::PostState::kMatched) return posted.match;
  receive.psn = posted.psn;
  all.receives.add(receive);
  wait_until(!all.requests.empty(), [&receive] { return receive.state == Receive::State::kDone; });
  return match;
}

int Exchange::receive(int rank, void* data, int count, MPI_Datatype type) const {
  const log::Match match = receive(rank);
  return unpack(match.payload, data, count, type);
}

namespace {

int as_count(std::uint64_t bytes) {
  if (bytes > INT_MAX)
    end_job(kExitLayer, "a collective operation across communities gathers " + std::to_string(bytes) +
                            " bytes; it can do 2 GiB at once");
  return static_cast<int>(bytes);
}

// The data of one team, in the order of its ranks, on its leader.
Bytes gather_team(const Exchange& exchange, ByteView own, const std::vector<std::uint64_t>& sizes) {
  const std::vector<int>& members = exchange.ranks().own().members;
  std::vector<int> counts;
  std::vector<int> places;
  std::uint64_t total = 0;
  for (const int rank : members) {
    places.push_back(as_count(total));
    counts.push_back(as_count(sizes[static_cast<std::size_t>(rank)]));
    total += sizes[static_cast<std::size_t>(rank)];
  }
  Bytes out(exchange.leads() ? total : 0);
  if (members.size() == 1) {
    std::copy(own.begin(), own.end(), out.begin());
    return out;
  }
  inside(native.Gatherv, own.data(), as_count(own.size()), MPI_BYTE, out.data(), counts.data(), places.data(), MPI_BYTE,
         kLeader, exchange.carrier());
  return out;
}

// Puts a team's data where its ranks belong.
void place(const Team& team, ByteView data, Pieces& out) {
  std::size_t at = 0;
  for (const int rank : team.members) {
    const auto r = static_cast<std::size_t>(rank);
    const std::uint64_t size = out.offsets[r + 1] - out.offsets[r];
    if (at + size > data.size())
      end_job(kExitLayer,
              "a collective operation got fewer bytes from another community than its arguments say; call "
              "it with the same counts everywhere");
    std::copy_n(data.begin() + static_cast<std::ptrdiff_t>(at), size,
                out.bytes.begin() + static_cast<std::ptrdiff_t>(out.offsets[r]));
    at += size;
  }
}

}  // namespace

Pieces allgather_bytes(const Exchange& exchange, ByteView own, const std::vector<std::uint64_t>& sizes) {
  Pieces out;
  out.offsets.assign(sizes.size() + 1, 0);
  for (std::size_t i = 0; i < sizes.size(); ++i) out.offsets[i + 1] = out.offsets[i] + sizes[i];
  out.bytes.resize(out.offsets.back());
  const Bytes team = gather_team(exchange, own, sizes);
  const RankMap& ranks = exchange.ranks();
  if (exchange.leads()) {
    for (std::size_t t = 0; t < ranks.teams().size(); ++t)
      if (t != ranks.own_team()) exchange.send(ranks.teams()[t].leader(), team);
    for (std::size_t t = 0; t < ranks.teams().size(); ++t) {
      if (t == ranks.own_team()) {
        place(ranks.own(), team, out);
      } else {
        const log::Match from = exchange.receive(ranks.teams()[t].leader());
        place(ranks.teams()[t], from.payload, out);
      }
    }
  }
  if (exchange.team_size() > 1)
    inside(native.Bcast, static_cast<void*>(out.bytes.data()), as_count(out.bytes.size()), MPI_BYTE, kLeader,
           exchange.carrier());
  return out;
}

TypedBuffer::TypedBuffer(int count, MPI_Datatype type) {
  MPI_Aint low = 0;
  MPI_Aint extent = 0;
  MPI_Aint true_low = 0;
  MPI_Aint true_extent = 0;
  native.Type_get_extent(type, &low, &extent);
  native.Type_get_true_extent(type, &true_low, &true_extent);
  const MPI_Aint bytes = count <= 0 ? 0 : true_extent + (count - 1) * extent;
  memory_.reset(new std::byte[static_cast<std::size_t>(bytes) + 1]);  // NOLINT(modernize-avoid-c-arrays)
  base_ = memory_.get() - true_low;
}

}  // namespace rk::mpi

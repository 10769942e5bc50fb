// SPDX-License-Identifier: Apache-2.0
#include "mpi/inside_port.h"

#include "mpi/layer.h"
#include "mpi/native.h"

namespace rk::mpi {
namespace {

struct Where {
  const CommState* comm = nullptr;
  int source = MPI_ANY_SOURCE;
  int tag = MPI_ANY_TAG;
};

std::optional<Where> translate(std::uint64_t context, std::uint32_t source, std::int32_t tag) {
  Where where;
  where.comm = layer().comms.of_context(context);
  if (where.comm == nullptr) return std::nullopt;  // the context of collectives
  if (source != log::kAnySource) {
    const int rank = where.comm->ranks.rank_of_world(source);
    if (rank < 0) return std::nullopt;
    where.source = where.comm->ranks.native_of(rank);
    if (where.source < 0) return std::nullopt;
  }
  where.tag = tag == log::kAnyTag ? MPI_ANY_TAG : tag;
  return where;
}

log::InsideMessage found(const Where& where, const MPI_Status& status, MPI_Message message) {
  log::InsideMessage out;
  const RankMap& ranks = where.comm->ranks;
  out.source = ranks.world_of(ranks.rank_of_native(status.MPI_SOURCE));
  out.tag = status.MPI_TAG;
  MPI_Count bytes = 0;
  native.Get_elements_x(&status, MPI_BYTE, &bytes);
  out.length = static_cast<std::uint64_t>(bytes);
  out.token = reinterpret_cast<std::uintptr_t>(message);
  return out;
}

}  // namespace

std::optional<log::InsideMessage> NativeQueue::try_match(std::uint64_t context, std::uint32_t source,
                                                         std::int32_t tag) {
  const auto where = translate(context, source, tag);
  if (!where) return std::nullopt;
  int flag = 0;
  MPI_Message message = MPI_MESSAGE_NULL;
  MPI_Status status;
  native.Improbe(where->source, where->tag, where->comm->handle, &flag, &message, &status);
  if (flag == 0) return std::nullopt;
  return found(*where, status, message);
}

std::optional<log::InsideMessage> NativeQueue::try_probe(std::uint64_t context, std::uint32_t source,
                                                         std::int32_t tag) {
  const auto where = translate(context, source, tag);
  if (!where) return std::nullopt;
  int flag = 0;
  MPI_Status status;
  native.Iprobe(where->source, where->tag, where->comm->handle, &flag, &status);
  if (flag == 0) return std::nullopt;
  return found(*where, status, nullptr);
}

}  // namespace rk::mpi

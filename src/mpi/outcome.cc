// SPDX-License-Identifier: Apache-2.0
#include "mpi/outcome.h"

#include "mpi/layer.h"
#include "mpi/stats.h"

namespace rk::mpi {

bool replaying() { return layer().outcomes().replaying(); }

log::Outcome replay(log::OutcomeKind kind) { return must(layer().outcomes().replay(kind), "repeat an outcome"); }

void record(log::OutcomeKind kind, std::uint64_t value, std::uint64_t detail, ByteView blob) {
  watch_replay();
  const LayerWork work;
  must(layer().outcomes().record(kind, value, detail, blob), "record an outcome");
}

}  // namespace rk::mpi

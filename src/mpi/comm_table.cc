// SPDX-License-Identifier: Apache-2.0
#include "mpi/comm_table.h"

#include <algorithm>

namespace rk::mpi {

CommState* CommTable::find_slow(MPI_Comm comm) {
  const auto at = std::find_if(states_.begin(), states_.end(), [comm](const auto& s) { return s->handle == comm; });
  last_handle_ = comm;
  last_ = at == states_.end() ? nullptr : at->get();
  return last_;
}

void CommTable::question_asked() { asked_ = true; }

CommState& CommTable::add(std::unique_ptr<CommState> state) {
  state->born_before_question = !asked_;
  states_.push_back(std::move(state));
  last_ = states_.back().get();
  last_handle_ = last_->handle;
  return *last_;
}

CommState& CommTable::add_inside(MPI_Comm comm, RankMap ranks) {
  auto state = std::make_unique<CommState>();
  state->handle = comm;
  state->context = kInsideContext | next_inside_context++;
  state->ranks = std::move(ranks);
  return add(std::move(state));
}

CommState* CommTable::of_context(std::uint64_t context) {
  if (last_ != nullptr && last_->context == context) return last_;
  const auto at =
      std::find_if(states_.begin(), states_.end(), [context](const auto& s) { return s->context == context; });
  return at == states_.end() ? nullptr : at->get();
}

CommState& CommTable::add_spanning(MPI_Comm comm, RankMap ranks, std::uint32_t context) {
  auto state = std::make_unique<CommState>();
  state->handle = comm;
  state->spanning = true;
  state->context = context;
  state->ranks = std::move(ranks);
  return add(std::move(state));
}

void CommTable::remove(MPI_Comm comm, bool in_use) {
  if (!in_use) retired_.clear();
  const auto at = std::find_if(states_.begin(), states_.end(), [comm](const auto& s) { return s->handle == comm; });
  if (at != states_.end()) {
    if (in_use) retired_.push_back(std::move(*at));
    states_.erase(at);
  }
  last_handle_ = MPI_COMM_NULL;
  last_ = nullptr;
}

}  // namespace rk::mpi

// SPDX-License-Identifier: Apache-2.0
// What the layer knows of communicators, keyed by their native handle. A communicator that spans communities always has
// a state; one that lies inside a community gets one with its first point-to-point call (layer.h, state_of).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "mpi/cart_shape.h"
#include "mpi/mpi_header.h"
#include "mpi/rank_map.h"

namespace rk::mpi {

// Context ids of communicators that span communities are agreed by their members, from 1; those of inside
// communicators are this process's own, with kInsideContext. A collective's messages between communities use the
// communicator's id with kCollectiveContext, so that no receive of the program can match them.
inline constexpr std::uint32_t kInsideContext = 1U << 31U;
inline constexpr std::uint32_t kCollectiveContext = 1U << 30U;
inline constexpr std::uint32_t kWorldContext = 1;

struct CommState {
  MPI_Comm handle = MPI_COMM_NULL;
  bool spanning = false;
  bool born_before_question = true;  // the restart question of a program that checkpoints
  std::uint32_t context = 0;
  RankMap ranks;
  std::optional<CartShape> cart;  // of a spanning communicator
  std::uint32_t collectives = 0;  // called on it so far: the tag of the next one's messages
  std::uint64_t wildcards = 0;    // wildcard receives posted on it and not completed by the program
};

class CommTable {
 public:
  // nullptr: a native communicator without a state (or no communicator at all).
  CommState* find(MPI_Comm comm) {
    if (comm == last_handle_) return last_;
    return find_slow(comm);
  }
  CommState* spanning(MPI_Comm comm) {
    CommState* state = find(comm);
    return state != nullptr && state->spanning ? state : nullptr;
  }
  CommState& add_inside(MPI_Comm comm, RankMap ranks);
  CommState& add_spanning(MPI_Comm comm, RankMap ranks, std::uint32_t context);
  // `in_use`: requests may still refer to it, so that its state must outlive it.
  void remove(MPI_Comm comm, bool in_use);
  CommState* of_context(std::uint64_t context);
  // The restart question: communicators made from here on are not there when a restarted process asks it.
  void question_asked();
  const std::vector<std::unique_ptr<CommState>>& all() const { return states_; }

  std::uint32_t next_context = kWorldContext + 1;
  std::uint32_t next_inside_context = 1;

 private:
  bool asked_ = false;
  CommState* find_slow(MPI_Comm comm);
  CommState& add(std::unique_ptr<CommState> state);

  std::vector<std::unique_ptr<CommState>> states_;  // few: programs have a handful of communicators
  std::vector<std::unique_ptr<CommState>> retired_;
  MPI_Comm last_handle_ = MPI_COMM_NULL;
  CommState* last_ = nullptr;
};

}  // namespace rk::mpi

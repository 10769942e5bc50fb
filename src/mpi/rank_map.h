// SPDX-License-Identifier: Apache-2.0
// Who is who in a communicator. Three numbers name a process: its rank in the program's communicator, its world rank
// (in the job), and, if it belongs to our community, its native rank in the communicator's carrier. The carrier holds
// the communicator's members of our community, in the order of their ranks. No MPI here.
#pragma once

#include <cstdint>
#include <vector>

#include "base/ids.h"

namespace rk::mpi {

// The members of one community in a communicator.
struct Team {
  CommunityId community;
  std::vector<int> members;  // ranks, ascending
  int leader() const { return members.front(); }
};

class RankMap {
 public:
  RankMap() = default;
  // `world` is the world rank of each rank, `self` our world rank (rank() is -1 if it is no member: the remote group of
  // an intercommunicator).
  RankMap(std::vector<std::uint32_t> world, const std::vector<CommunityId>& community_of, std::uint32_t self);

  int size() const { return static_cast<int>(world_.size()); }
  int rank() const { return rank_; }
  // -1: in another community.
  int native_of(int rank) const { return native_[static_cast<std::size_t>(rank)]; }
  int rank_of_native(int native) const { return teams_[own_team_].members[static_cast<std::size_t>(native)]; }
  std::uint32_t world_of(int rank) const { return world_[static_cast<std::size_t>(rank)]; }
  // -1: no member.
  int rank_of_world(std::uint32_t world) const;
  bool spanning() const { return teams_.size() > 1; }
  const std::vector<std::uint32_t>& world() const { return world_; }

  // In the order of their leaders' ranks: the order of everything that leaders do.
  const std::vector<Team>& teams() const { return teams_; }
  std::size_t own_team() const { return own_team_; }
  const Team& own() const { return teams_[own_team_]; }
  bool is_leader() const { return own().leader() == rank_; }
  std::size_t team_of(int rank) const { return team_of_[static_cast<std::size_t>(rank)]; }
  // Every team is a range of ranks: combining teams in order is combining ranks in order.
  bool contiguous() const { return contiguous_; }

 private:
  std::vector<std::uint32_t> world_;
  std::vector<int> native_;
  std::vector<std::size_t> team_of_;
  std::vector<Team> teams_;
  std::vector<int> rank_of_world_;
  std::size_t own_team_ = 0;
  int rank_ = 0;
  bool contiguous_ = true;
};

// One process's answer to MPI_Comm_split.
struct SplitChoice {
  std::int32_t color = 0;  // negative: no part of any
  std::int32_t key = 0;
};

// Ranks of the parent that chose `color`, in the order that MPI gives them: by key, then by rank.
std::vector<int> members_of_color(const std::vector<SplitChoice>& choices, std::int32_t color);
// Different colors below `color`, and different colors at all: contexts are numbered in that order.
std::uint32_t colors_below(const std::vector<SplitChoice>& choices, std::int32_t color);
std::uint32_t colors(const std::vector<SplitChoice>& choices);

}  // namespace rk::mpi

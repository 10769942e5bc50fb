// SPDX-License-Identifier: Apache-2.0
#include "mpi/rank_map.h"

#include <algorithm>
#include <set>

namespace rk::mpi {

RankMap::RankMap(std::vector<std::uint32_t> world, const std::vector<CommunityId>& community_of, std::uint32_t self)
    : world_(std::move(world)),
      native_(world_.size(), -1),
      team_of_(world_.size(), 0),
      rank_of_world_(community_of.size(), -1) {
  const CommunityId own_community = community_of[self];
  rank_ = -1;
  for (int rank = 0; rank < size(); ++rank) {
    const std::uint32_t in_world = world_of(rank);
    rank_of_world_[in_world] = rank;
    if (in_world == self) rank_ = rank;
    const CommunityId community = community_of[in_world];
    std::size_t team = 0;
    while (team < teams_.size() && teams_[team].community != community) ++team;
    if (team == teams_.size()) {
      teams_.push_back(Team{community, {}});
      if (community == own_community) own_team_ = team;
    } else if (teams_[team].members.back() != rank - 1) {
      contiguous_ = false;
    }
    team_of_[static_cast<std::size_t>(rank)] = team;
    if (community == own_community)
      native_[static_cast<std::size_t>(rank)] = static_cast<int>(teams_[team].members.size());
    teams_[team].members.push_back(rank);
  }
}

int RankMap::rank_of_world(std::uint32_t world) const {
  return world < rank_of_world_.size() ? rank_of_world_[world] : -1;
}

std::vector<int> members_of_color(const std::vector<SplitChoice>& choices, std::int32_t color) {
  std::vector<int> members;
  for (std::size_t rank = 0; rank < choices.size(); ++rank)
    if (choices[rank].color == color) members.push_back(static_cast<int>(rank));
  std::stable_sort(members.begin(), members.end(), [&choices](int a, int b) {
    return choices[static_cast<std::size_t>(a)].key < choices[static_cast<std::size_t>(b)].key;
  });
  return members;
}

namespace {
std::set<std::int32_t> distinct(const std::vector<SplitChoice>& choices) {
  std::set<std::int32_t> seen;
  for (const SplitChoice& choice : choices)
    if (choice.color >= 0) seen.insert(choice.color);
  return seen;
}
}  // namespace

std::uint32_t colors_below(const std::vector<SplitChoice>& choices, std::int32_t color) {
  const auto seen = distinct(choices);
  return static_cast<std::uint32_t>(std::distance(seen.begin(), seen.lower_bound(color)));
}

std::uint32_t colors(const std::vector<SplitChoice>& choices) {
  return static_cast<std::uint32_t>(distinct(choices).size());
}

}  // namespace rk::mpi

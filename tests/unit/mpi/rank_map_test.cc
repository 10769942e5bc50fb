// SPDX-License-Identifier: Apache-2.0
#include "mpi/rank_map.h"

#include <gtest/gtest.h>

namespace rk::mpi {
namespace {

std::vector<CommunityId> communities(std::initializer_list<std::uint32_t> of) {
  std::vector<CommunityId> out;
  for (const std::uint32_t community : of) out.emplace_back(community);
  return out;
}

TEST(RankMap, WorldOfTwoBlocks) {
  const RankMap map({0, 1, 2, 3}, communities({0, 0, 1, 1}), 2);
  EXPECT_EQ(map.size(), 4);
  EXPECT_EQ(map.rank(), 2);
  EXPECT_TRUE(map.spanning());
  EXPECT_TRUE(map.contiguous());
  EXPECT_EQ(map.own_team(), 1U);
  EXPECT_TRUE(map.is_leader());
  EXPECT_EQ(map.native_of(0), -1);
  EXPECT_EQ(map.native_of(2), 0);
  EXPECT_EQ(map.native_of(3), 1);
  EXPECT_EQ(map.rank_of_native(1), 3);
  EXPECT_EQ(map.teams()[0].leader(), 0);
  EXPECT_EQ(map.teams()[1].leader(), 2);
}

TEST(RankMap, ReorderedMembersAndInterleavedCommunities) {
  // Ranks 0, 1, 2 of the communicator are world ranks 5, 0, 3.
  const RankMap map({5, 0, 3}, communities({0, 1, 0, 1, 0, 1}), 3);
  EXPECT_EQ(map.rank(), 2);
  EXPECT_EQ(map.native_of(0), 0);
  EXPECT_EQ(map.native_of(1), -1);
  EXPECT_EQ(map.native_of(2), 1);
  EXPECT_FALSE(map.contiguous());
  EXPECT_EQ(map.rank_of_world(5), 0);
  EXPECT_EQ(map.rank_of_world(4), -1);
  EXPECT_EQ(map.teams()[0].members, (std::vector<int>{0, 2}));
  EXPECT_EQ(map.team_of(1), 1U);
  EXPECT_FALSE(map.is_leader());
}

TEST(RankMap, InsideOneCommunityIsNotSpanning) {
  const RankMap map({4, 2}, communities({0, 1, 0, 1, 0}), 2);
  EXPECT_FALSE(map.spanning());
  EXPECT_EQ(map.native_of(0), 0);
  EXPECT_EQ(map.rank(), 1);
}

TEST(Split, OrdersByKeyThenRank) {
  const std::vector<SplitChoice> choices{{1, 5}, {0, 9}, {1, 5}, {-1, 0}, {1, -2}, {7, 0}};
  EXPECT_EQ(members_of_color(choices, 1), (std::vector<int>{4, 0, 2}));
  EXPECT_EQ(members_of_color(choices, 0), (std::vector<int>{1}));
  EXPECT_EQ(colors(choices), 3U);
  EXPECT_EQ(colors_below(choices, 0), 0U);
  EXPECT_EQ(colors_below(choices, 1), 1U);
  EXPECT_EQ(colors_below(choices, 7), 2U);
}

}  // namespace
}  // namespace rk::mpi

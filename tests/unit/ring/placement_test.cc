// SPDX-License-Identifier: Apache-2.0
// Who is next to whom: racks apart where they can be, and as few copies moved as that leaves possible.
#include "ring/placement.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/prng.h"

namespace rk::ring {
namespace {

using Nodes = std::vector<NodeId>;

template <class... Numbers>
Nodes nodes(Numbers... numbers) {
  return {NodeId(static_cast<std::uint32_t>(numbers))...};
}

// Node n's rack is the n-th letter, from 1; '-' is none.
Racks racks(const std::string& letters) {
  Racks out;
  for (std::uint32_t i = 0; i < letters.size(); ++i)
    if (letters[i] != '-') out[NodeId(i + 1)] = letters.substr(i, 1);
  return out;
}

// Servers whose predecessor is another than before, although that one stays.
std::size_t moved(const Nodes& before, const Nodes& after) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < after.size(); ++i) {
    const auto old = std::find(before.begin(), before.end(), after[i]);
    if (old == before.end()) continue;
    const NodeId keeper = old == before.begin() ? before.back() : *(old - 1);
    const bool stays = std::find(after.begin(), after.end(), keeper) != after.end();
    count += stays && keeper != after[i] && keeper != after[(i + after.size() - 1) % after.size()] ? 1U : 0U;
  }
  return count;
}

// The fewest pairs of one rack that any order of these nodes has.
std::size_t fewest(Nodes nodes, const Racks& racks) {
  std::size_t least = nodes.size();
  std::sort(nodes.begin(), nodes.end());
  do {
    least = std::min(least, pairs_of_one_rack(nodes, racks));
  } while (std::next_permutation(nodes.begin() + 1, nodes.end()));
  return least;
}

TEST(Placement, WithoutRacksItIsTheOrderInWhichServersCame) {
  EXPECT_EQ(place({}, nodes(1, 2, 3), {}), nodes(1, 2, 3));
  EXPECT_EQ(place(nodes(1, 2, 3), nodes(2, 3, 1), {}), nodes(2, 3, 1));
  EXPECT_EQ(place(nodes(1, 2, 3), nodes(1, 2, 3, 4, 5), {}), nodes(1, 2, 3, 4, 5));
  EXPECT_EQ(place(nodes(1, 2, 3, 4), nodes(1, 2, 4), {}), nodes(1, 2, 4));
}

TEST(Placement, WhoComesTakesThePlaceOfWhoGoes) {
  EXPECT_EQ(place(nodes(1, 2, 3, 4), nodes(1, 3, 4, 5), {}), nodes(1, 5, 3, 4));
}

TEST(Placement, NeighboursAreInDifferentRacks) {
  EXPECT_EQ(pairs_of_one_rack(place({}, nodes(1, 2, 3, 4), racks("aabb")), racks("aabb")), 0U);
  EXPECT_EQ(pairs_of_one_rack(place({}, nodes(1, 2, 3, 4, 5, 6), racks("aaabbc")), racks("aaabbc")), 0U);
  // Servers without a label are each a rack of their own.
  EXPECT_EQ(pairs_of_one_rack(place({}, nodes(1, 2, 3, 4), racks("aa--")), racks("aa--")), 0U);
  EXPECT_EQ(pairs_of_one_rack(nodes(1, 2, 3), racks("---")), 0U);
}

TEST(Placement, WhereItCanNotBeAvoidedThePairsAreFewest) {
  EXPECT_EQ(unavoidable_pairs(nodes(1), racks("a")), 0U);
  EXPECT_EQ(unavoidable_pairs(nodes(1, 2), racks("aa")), 2U);
  EXPECT_EQ(unavoidable_pairs(nodes(1, 2, 3), racks("aab")), 1U);
  EXPECT_EQ(unavoidable_pairs(nodes(1, 2, 3, 4), racks("aaaa")), 4U);
  EXPECT_EQ(unavoidable_pairs(nodes(1, 2, 3, 4, 5), racks("aaab-")), 1U);
  EXPECT_EQ(pairs_of_one_rack(place({}, nodes(1, 2, 3, 4, 5), racks("aaab-")), racks("aaab-")), 1U);
}

TEST(Placement, AJoinGoesBetweenOtherRacksAndMovesOneServersCopiesAtMost) {
  // At the end it would be beside 1, which is of its rack too.
  const Racks labels = racks("abcda");
  const Nodes before = nodes(1, 2, 3, 4);
  const Nodes after = place(before, nodes(1, 2, 3, 4, 5), labels);
  EXPECT_EQ(after, nodes(1, 2, 3, 5, 4));
  EXPECT_EQ(moved(before, after), 1U);
}

TEST(Placement, ARemovalMovesNobodyUnlessTwoOfOneRackBecomeNeighbours) {
  const Racks labels = racks("abacbc");
  const Nodes before = nodes(1, 2, 3, 4, 5, 6);
  EXPECT_EQ(place(before, nodes(1, 2, 3, 4, 6), racks("abacbd")), nodes(1, 2, 3, 4, 6));
  // Without 2 the two of rack a are neighbours: one of them goes between servers of other racks.
  const Nodes after = place(before, nodes(1, 3, 4, 5, 6), labels);
  EXPECT_EQ(pairs_of_one_rack(after, labels), 0U);
  EXPECT_LE(moved(before, after), 3U);
}

TEST(Placement, ManyChangesKeepTheRuleAndMoveLittle) {
  Prng prng(7);
  for (int trial = 0; trial < 300; ++trial) {
    Racks labels;
    const std::uint64_t kinds = prng.between(1, 5);
    for (std::uint32_t node = 1; node <= 40; ++node)
      if (prng.chance(5, 6)) labels[NodeId(node)] = std::to_string(prng.below(kinds));
    Nodes members = nodes(1);
    Nodes ring = place({}, members, labels);
    for (int change = 0; change < 60; ++change) {
      const NodeId node(static_cast<std::uint32_t>(prng.between(1, 40)));
      const auto at = std::find(members.begin(), members.end(), node);
      const bool goes = at != members.end();
      if (goes && members.size() == 1) continue;
      Nodes left = ring;
      if (goes) {
        members.erase(at);
        std::erase(left, node);
      } else {
        members.push_back(node);
      }
      const Nodes next = place(ring, members, labels);
      ASSERT_EQ(next.front(), members.front());
      ASSERT_TRUE(std::is_permutation(next.begin(), next.end(), members.begin(), members.end()));
      ASSERT_EQ(pairs_of_one_rack(next, labels), unavoidable_pairs(next, labels));
      if (members.size() <= 6) {
        ASSERT_EQ(unavoidable_pairs(next, labels), fewest(members, labels));
      }
      // Each pair too many costs one move, which makes copies for three servers.
      const std::size_t excess =
          goes ? pairs_of_one_rack(left, labels) - unavoidable_pairs(left, labels) : std::size_t{0};
      ASSERT_LE(moved(ring, next), goes ? 3 * excess : 1U);
      ring = next;
    }
  }
}

}  // namespace
}  // namespace rk::ring

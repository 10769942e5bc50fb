// SPDX-License-Identifier: Apache-2.0
#include "wire/node_list.h"

#include <gtest/gtest.h>

#include "wire/codec.h"
#include "wire/ring_messages.h"

namespace rk::wire {
namespace {

NodeList<RingMember> members(std::uint32_t count) {
  NodeList<RingMember> list;
  // Not in the order of their nodes, as in a ring that servers have left and joined again.
  for (std::uint32_t i = 0; i < count; ++i) list.push_back({NodeId(1 + (i * 7) % count), Incarnation(i + 1)});
  return list;
}

TEST(NodeList, FindsEachEntryByItsNode) {
  for (const std::uint32_t count : {1U, 5U, 32U, 33U, 1000U}) {
    const NodeList<RingMember> list = members(count);
    ASSERT_EQ(list.size(), count);
    for (std::size_t rank = 0; rank < list.size(); ++rank) EXPECT_EQ(list.rank_of(list[rank].node), rank);
    EXPECT_FALSE(list.rank_of(NodeId(0)));
    EXPECT_FALSE(list.rank_of(NodeId(count + 1)));
  }
  EXPECT_FALSE(NodeList<RingMember>().rank_of(NodeId(1)));
}

TEST(NodeList, ACopySharesUntilOneIsChanged) {
  NodeList<RingMember> one = members(100);
  const NodeList<RingMember> two = one;
  EXPECT_EQ(&one.entries(), &two.entries());
  one.edit()[3].node = NodeId(777);
  EXPECT_NE(&one.entries(), &two.entries());
  EXPECT_NE(one, two);
  EXPECT_EQ(one.rank_of(NodeId(777)), 3U);
  EXPECT_FALSE(two.rank_of(NodeId(777)));
  one.push_back({NodeId(778), {}});
  EXPECT_EQ(one.rank_of(NodeId(778)), 100U);
  one.clear();
  EXPECT_TRUE(one.empty());
  EXPECT_EQ(two, members(100));
}

TEST(NodeList, LooksLikeAVectorOnTheWire) {
  NodeList<NodeId> ring;
  for (const RingMember& member : members(40)) ring.push_back(member.node);
  const RingView view{ViewNumber(1), members(40), {}, ring, {}};
  Bytes vector_bytes;
  Encoder encoder(vector_bytes);
  encoder(view.number, view.members.entries(), std::vector<RingMember>(), ring.entries(), NodeId(), RingOverride(),
          std::vector<RingMember>());
  EXPECT_EQ(encode(view), vector_bytes);
  EXPECT_EQ(*decode<RingView>(vector_bytes, "view"), view);
}

}  // namespace
}  // namespace rk::wire

// SPDX-License-Identifier: Apache-2.0
// Views, placement, durable memory, configuration.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/checksum.h"
#include "ring/core.h"

namespace rk::ring {
namespace {

Member member(std::uint32_t node, std::uint64_t incarnation = 1) { return {NodeId(node), Incarnation(incarnation)}; }

template <class... Numbers>
std::vector<NodeId> nodes(Numbers... numbers) {
  return {NodeId(static_cast<std::uint32_t>(numbers))...};
}

TEST(View, TheRingClosesAndTheSecondCopyIsOnThePredecessor) {
  const View view{ViewNumber(3), {member(1), member(4), member(2)}, {}, nodes(1, 4, 2), {}};
  EXPECT_EQ(predecessor(view, NodeId(1)), member(2));
  EXPECT_EQ(predecessor(view, NodeId(4)), member(1));
  EXPECT_EQ(successor(view, NodeId(2)), member(1));
  EXPECT_EQ(successor(view, NodeId(1)), member(4));
  EXPECT_EQ(backup_of(view, NodeId(4)), member(1));
  EXPECT_EQ(kept_by(view, NodeId(1)), member(4));
  EXPECT_FALSE(predecessor(view, NodeId(3)));
  EXPECT_EQ(rank_of(view, NodeId(2)), 2U);
  EXPECT_TRUE(contains(view, member(4)));
  EXPECT_FALSE(contains(view, member(4, 2)));
  EXPECT_EQ(to_text(view), "view 3: 1.1 4.1 2.1");
}

TEST(View, TheOrderOfTheRingIsNotThatOfRanks) {
  const View view{ViewNumber(3), {member(1), member(4), member(2)}, {}, nodes(1, 2, 4), {}};
  EXPECT_EQ(predecessor(view, NodeId(1)), member(4));
  EXPECT_EQ(successor(view, NodeId(1)), member(2));
  EXPECT_EQ(ring_of(view), (std::vector<Member>{member(1), member(2), member(4)}));
  EXPECT_EQ(rank_of(view, NodeId(2)), 2U);
  EXPECT_EQ(to_text(view), "view 3: 1.1 4.1 2.1, ring 1 2 4");
}

TEST(View, WithTwoMembersEachIsTheOthersBackup) {
  const View view{ViewNumber(1), {member(1), member(2)}, {}, nodes(1, 2), {}};
  EXPECT_EQ(backup_of(view, NodeId(1)), member(2));
  EXPECT_EQ(backup_of(view, NodeId(2)), member(1));
}

TEST(Memory, RoundTripsAndFindsDamage) {
  const Memory memory{Incarnation(7),
                      {ViewNumber(3), {member(1), member(2, 5)}, {member(3)}, nodes(2, 1), {}},
                      {ViewNumber(4), {member(1)}, {member(2, 5), member(3)}, nodes(1), {}},
                      {5, NodeId(6)},
                      {3, NodeId(1)}};
  const Bytes bytes = encode_memory(memory);
  const auto read = decode_memory(bytes);
  ASSERT_TRUE(read);
  EXPECT_EQ(*read, memory);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    Bytes damaged = bytes;
    damaged[i] ^= std::byte{1};
    EXPECT_FALSE(decode_memory(damaged)) << i;
    EXPECT_FALSE(decode_memory(ByteView(bytes).first(i))) << i;
  }
}

TEST(Memory, AHigherMinorVersionMayHaveAppendedToIt) {
  const Memory memory{Incarnation(7), {ViewNumber(3), {member(1, 2)}, {}, nodes(1), {}}, {}, {5, NodeId(6)}, {}};
  const auto appended = [&](std::byte minor, std::byte required, std::byte optional) {
    Bytes bytes = encode_memory(memory);
    bytes.resize(bytes.size() - 8);
    bytes[6] = minor;
    bytes[8] = required;
    bytes[10] = optional;
    ByteWriter(bytes).text("appended");
    ByteWriter(bytes).integer(checksum(bytes));
    return decode_memory(bytes);
  };
  const auto next = appended(std::byte{1}, std::byte{0}, std::byte{1});
  ASSERT_TRUE(next) << next.error().message;
  EXPECT_EQ(*next, memory);
  EXPECT_EQ(appended(std::byte{0}, std::byte{0}, std::byte{0}).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(appended(std::byte{1}, std::byte{1}, std::byte{0}).error().code, ErrorCode::kVersionMismatch);
}

TEST(Memory, GoldenBytesOfRelease_0_1) {
  const Memory memory{Incarnation(7), {ViewNumber(3), {member(1, 2)}, {}, nodes(1), {}}, {}, {5, NodeId(6)}, {}};
  EXPECT_EQ(to_hex(encode_memory(memory)),
            "524b5253"
            "0100"
            "0000"
            "00000000"
            "0700000000000000"
            "0300000000000000"
            "01000000"
            "01000000"
            "0200000000000000"
            "00000000"
            "01000000"
            "01000000"
            "00000000"
            "0000000000000000"
            "0000000000000000"
            "00000000"
            "0000000000000000"
            "00000000"
            "00000000"
            "00000000"
            "00000000"
            "00000000"
            "0000000000000000"
            "0000000000000000"
            "00000000"
            "00000000"
            "05000000"
            "06000000"
            "00000000"
            "00000000"
            "2ee1763b7a61b8ee");
}

Config valid_config() {
  Config config;
  config.self = NodeId(1);
  config.incarnation = Incarnation(1);
  config.roster = {{NodeId(1), "a:1"}, {NodeId(2), "b:1"}};
  return config;
}

TEST(Config, RefusesWhatCanNotWork) {
  ASSERT_TRUE(Core::create(valid_config()));
  const auto code = [](auto change) {
    Config config = valid_config();
    change(config);
    const auto core = Core::create(config);
    return core ? ErrorCode::kOk : core.error().code;
  };
  EXPECT_EQ(code([](Config& c) { c.self = NodeId(3); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([](Config& c) { c.incarnation = {}; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([](Config& c) { c.roster.clear(); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([](Config& c) { c.roster.edit()[1].node = NodeId(1); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([](Config& c) { c.roster.edit()[1].node = NodeId(); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([](Config& c) { c.timings.suspicion_ms = 1; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([](Config& c) { c.timings.tick_ms = 0; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([](Config& c) { c.durable.resize(30); }), ErrorCode::kCorrupt);
  EXPECT_EQ(code([](Config& c) {
              for (std::uint32_t node = 3; node < 3 + wire::kMaxServers; ++node)
                c.roster.push_back({NodeId(node), "x:1"});
            }),
            ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace rk::ring

// SPDX-License-Identifier: Apache-2.0
// The ring's messages: exact bytes of each release, and what a reader refuses.
#include <gtest/gtest.h>

#include "wire/ring_messages.h"

namespace rk::wire {
namespace {

const RingLease kLease{1000, 900, 800, 300, 500};
const std::string kLeaseHex =
    "e803000000000000"
    "8403000000000000"
    "2003000000000000"
    "2c010000"
    "f4010000";
const RingView kView{ViewNumber(2),
                     {{NodeId(1), Incarnation(3)}, {NodeId(4), Incarnation(5)}},
                     {{NodeId(2), {}}},
                     {NodeId(4)},
                     NodeId(1),
                     {NodeId(4), ViewNumber(9), 17},
                     {{NodeId(4), Incarnation(4)}}};
const char kViewHex[] =
    "0200000000000000"
    "02000000"
    "01000000"
    "0300000000000000"
    "04000000"
    "0500000000000000"
    "01000000"
    "02000000"
    "0000000000000000"
    "01000000"
    "04000000"
    "01000000"
    "04000000"
    "0900000000000000"
    "1100000000000000"
    "01000000"
    "04000000"
    "0400000000000000";

TEST(RingGolden, Release_0_1_MessageNumbers) {
  EXPECT_EQ(static_cast<int>(MessageType::kRingHeartbeat), 0x210);
  EXPECT_EQ(static_cast<int>(MessageType::kRingAccuse), 0x211);
  EXPECT_EQ(static_cast<int>(MessageType::kRingProbeRequest), 0x212);
  EXPECT_EQ(static_cast<int>(MessageType::kRingPropose), 0x213);
  EXPECT_EQ(static_cast<int>(MessageType::kRingAck), 0x214);
  EXPECT_EQ(static_cast<int>(MessageType::kRingCommit), 0x215);
  EXPECT_EQ(static_cast<int>(MessageType::kRingJoin), 0x216);
  EXPECT_EQ(static_cast<int>(MessageType::kRingLeave), 0x217);
  EXPECT_EQ(static_cast<int>(MessageType::kRingPrepare), 0x218);
  EXPECT_EQ(static_cast<int>(MessageType::kRingPromise), 0x219);
}

TEST(RingGolden, Release_0_1_Bytes) {
  EXPECT_EQ(to_hex(encode(RingHeartbeat{ViewNumber(9), Incarnation(2), true, NodeId(3), kLease})),
            "0900000000000000"
            "0200000000000000"
            "01"
            "03000000" +
                kLeaseHex);
  EXPECT_EQ(to_hex(encode(RingAccuse{ViewNumber(9), {NodeId(7), Incarnation(8)}})),
            "0900000000000000"
            "07000000"
            "0800000000000000");
  EXPECT_EQ(to_hex(encode(RingProbeRequest{ViewNumber(9), {NodeId(7), Incarnation(8)}})),
            "0900000000000000"
            "07000000"
            "0800000000000000");
  EXPECT_EQ(to_hex(encode(RingPropose{Incarnation(6), {7, NodeId(3)}, kView, kView, kLease})),
            std::string("0600000000000000"
                        "07000000"
                        "03000000") +
                kViewHex + kViewHex + kLeaseHex);
  EXPECT_EQ(to_hex(encode(RingAck{ViewNumber(9), {7, NodeId(3)}, Incarnation(1), kLease})),
            "0900000000000000"
            "07000000"
            "03000000"
            "0100000000000000" +
                kLeaseHex);
  EXPECT_EQ(to_hex(encode(RingCommit{kView, kLease, 450})), kViewHex + kLeaseHex + "c2010000");
  EXPECT_EQ(to_hex(encode(RingJoin{ViewNumber(9), Incarnation(1)})),
            "0900000000000000"
            "0100000000000000");
  EXPECT_EQ(to_hex(encode(RingLeave{ViewNumber(9)})), "0900000000000000");
  EXPECT_EQ(to_hex(encode(RingPrepare{Incarnation(6), {7, NodeId(3)}, kView})), std::string("0600000000000000"
                                                                                            "07000000"
                                                                                            "03000000") +
                                                                                    kViewHex);
  EXPECT_EQ(to_hex(encode(RingPromise{ViewNumber(3), {7, NodeId(3)}, Incarnation(6), {1, NodeId(2)}, kView, 450})),
            std::string("0300000000000000"
                        "07000000"
                        "03000000"
                        "0600000000000000"
                        "01000000"
                        "02000000") +
                kViewHex + "c2010000");
}

TEST(RingMessages, EveryKindSurvivesItsFrame) {
  const std::vector<RingMessage> messages = {RingHeartbeat{ViewNumber(9), Incarnation(2), true, NodeId(3), kLease},
                                             RingAccuse{ViewNumber(9), {NodeId(7), {}}},
                                             RingProbeRequest{ViewNumber(9), {NodeId(7), {}}},
                                             RingPropose{Incarnation(6), {7, NodeId(3)}, kView, kView, kLease},
                                             RingAck{ViewNumber(9), {}, Incarnation(1), kLease},
                                             RingCommit{kView, kLease, 450},
                                             RingJoin{ViewNumber(9), Incarnation(1)},
                                             RingLeave{ViewNumber(9)},
                                             RingPrepare{Incarnation(6), {7, NodeId(3)}, kView},
                                             RingPromise{ViewNumber(3), {7, NodeId(3)}, Incarnation(6), {}, {}, 0}};
  for (const RingMessage& message : messages) {
    const Frame frame = ring_message_to_frame(message, Incarnation(5));
    EXPECT_TRUE(is_ring_message(frame.type));
    EXPECT_EQ(frame.sender, Incarnation(5));
    const auto read = ring_message_from_frame(frame);
    ASSERT_TRUE(read);
    EXPECT_EQ(*read, message);
    for (std::size_t size = 0; size < frame.payload.size(); ++size) {
      Frame cut = frame;
      cut.payload.resize(size);
      EXPECT_FALSE(ring_message_from_frame(cut)) << size;
    }
  }
}

TEST(RingMessages, RefusesViewsThatAreNone) {
  const auto accepted = [](auto change) {
    RingView view = kView;
    change(view);
    return ring_message_from_frame(to_frame(RingCommit{view, kLease, 0})).has_value();
  };
  EXPECT_TRUE(accepted([](RingView&) {}));
  EXPECT_FALSE(accepted([](RingView& view) { view.members.edit()[1].node = NodeId(1); }));
  EXPECT_FALSE(accepted([](RingView& view) { view.members.edit()[1].node = NodeId(2); }));  // member and retired
  EXPECT_FALSE(
      accepted([](RingView& view) { view.succeeded.edit()[0].incarnation = Incarnation(5); }));  // no older life
  EXPECT_FALSE(accepted([](RingView& view) { view.succeeded.edit()[0].node = NodeId(2); }));     // of no member
  EXPECT_FALSE(accepted([](RingView& view) { view.members.edit()[0].node = NodeId(); }));
  EXPECT_FALSE(accepted([](RingView& view) { view.members.clear(); }));
  // The ring is a permutation of the members but the witness.
  EXPECT_TRUE(accepted([](RingView& view) {
    view.ring = {NodeId(4), NodeId(1)};
    view.witness = {};
  }));
  EXPECT_FALSE(accepted([](RingView& view) { view.witness = {}; }));
  EXPECT_FALSE(accepted([](RingView& view) { view.witness = NodeId(4); }));
  EXPECT_FALSE(accepted([](RingView& view) { view.witness = NodeId(2); }));
  EXPECT_FALSE(accepted([](RingView& view) { view.ring = {NodeId(4), NodeId(1)}; }));
  EXPECT_FALSE(accepted([](RingView& view) { view.ring = {NodeId(1)}; }));
  EXPECT_FALSE(accepted([](RingView& view) { view.ring = {NodeId(1), NodeId(1)}; }));
  EXPECT_FALSE(accepted([](RingView& view) { view.ring = {NodeId(1), NodeId(2)}; }));
  EXPECT_FALSE(accepted([](RingView& view) { view.ring = {NodeId(1), NodeId(4), NodeId(2)}; }));
  EXPECT_FALSE(accepted([](RingView& view) { view.ring.clear(); }));
  EXPECT_FALSE(accepted([](RingView& view) {
    for (std::uint32_t node = 10; node < 10 + kMaxServers; ++node) {
      view.members.push_back({NodeId(node), {}});
      view.ring.push_back(NodeId(node));
    }
  }));
  EXPECT_FALSE(ring_message_from_frame(to_frame(Refusal{})));
  EXPECT_FALSE(is_ring_message(MessageType::kKeepFirst));
}

}  // namespace
}  // namespace rk::wire

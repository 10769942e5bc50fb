// SPDX-License-Identifier: Apache-2.0
// The exact bytes of each release stay here for ever: a change of any of them breaks clusters of mixed releases.
#include <gtest/gtest.h>

#include "wire/client_messages.h"
#include "wire/control_messages.h"
#include "wire/peer_messages.h"

namespace rk::wire {
namespace {

std::string frame_hex(const Frame& frame) { return to_hex(encode_frame(frame)); }

TEST(Golden, Release_0_1_ClientHello) {
  const ClientHello hello{{0, 0}, ClusterId(0x1122334455667788), "heat2d"};
  EXPECT_EQ(to_hex(encode(hello)),
            "00000000"
            "8877665544332211"
            "06000000"
            "686561743264"
            "00");
}

TEST(Golden, Release_0_1_PeerHello) {
  const PeerHello hello{
      {0, 1}, ClusterId(2), NodeId(3), NodeId(4), Incarnation(5), Bytes(2, std::byte{6}), Bytes(1, std::byte{7})};
  EXPECT_EQ(to_hex(encode(hello)),
            "00000100"
            "0200000000000000"
            "03000000"
            "04000000"
            "0500000000000000"
            "020000000606"
            "0100000007");
}

TEST(Golden, Release_0_1_FrameHeader) {
  const std::string hex = frame_hex(to_frame(StatusQuery{}, 5, Incarnation(9)));
  EXPECT_EQ(hex.substr(0, 80),
            "524b6631"
            "0100"
            "0000"
            "00000000"
            "02010000"
            "0500000000000000"
            "0900000000000000"
            "00000000"
            "00000000");
  EXPECT_EQ(hex.size(), 2 * kHeaderSize);
}

TEST(Golden, Release_0_1_MessageNumbers) {
  EXPECT_EQ(static_cast<int>(MessageType::kRefusal), 0x1);
  EXPECT_EQ(static_cast<int>(MessageType::kStatusAnswer), 0x103);
  EXPECT_EQ(static_cast<int>(MessageType::kDone), 0x11d);
  EXPECT_EQ(static_cast<int>(MessageType::kJobRemove), 0x138);
  EXPECT_EQ(static_cast<int>(MessageType::kServerNotice), 0x139);
  EXPECT_EQ(static_cast<int>(MessageType::kPeerProof), 0x202);
  EXPECT_EQ(static_cast<int>(MessageType::kLayerFinished), 0x309);
  EXPECT_EQ(static_cast<int>(MessageType::kOutputSuspend), 0x30a);
}

TEST(Golden, Release_0_1_ErrorNumbers) {
  EXPECT_EQ(static_cast<int>(ErrorCode::kLost), 12);
  EXPECT_EQ(static_cast<int>(ErrorCode::kPeerGone), 16);
}

}  // namespace
}  // namespace rk::wire

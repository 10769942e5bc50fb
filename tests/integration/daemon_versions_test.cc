// SPDX-License-Identifier: Apache-2.0
// A server and its neighbours of the next minor version (wire/frame.h has the rules): a client and a peer whose frames
// say the next minor, with fields that this release does not know.
#include <gtest/gtest.h>

#include "io/peer_handshake.h"
#include "tests/integration/ring_fixture.h"

namespace rk::testing {
namespace {

constexpr std::uint16_t kNextMinor = wire::kFormatMinor + 1;

// As the next minor version sends it: with a field behind those that we know.
template <class Message>
wire::Frame next_minor(const Message& message, std::uint64_t request = 0) {
  wire::Frame frame = wire::to_frame(message, request);
  frame.minor = kNextMinor;
  ByteWriter(frame.payload).text("appended");
  return frame;
}

class Versions : public ::testing::Test {
 protected:
  template <class Answer, class Request>
  static Result<Answer> ask(TestClient& client, const Request& request) {
    RK_TRY(const auto received, client.ask_frame(next_minor(request)));
    EXPECT_EQ(received.frame.minor, wire::kFormatMinor) << "the server speaks its own";
    return wire::from_frame<Answer>(received.frame);
  }
  RingFixture ring_{2};
};

TEST_F(Versions, AClientOfTheNextMinorVersionIsServed) {
  TestClient client = TestClient::connect_local(ring_.socket(1)).value();
  const auto hello = ask<wire::ServerHello>(client, wire::ClientHello{{wire::kFormatMinor, kNextMinor}, {}, "next"});
  ASSERT_TRUE(hello) << hello.error().message;
  EXPECT_EQ(hello->version, wire::kFormatMinor);
  const auto status = ask<wire::StatusAnswer>(client, wire::StatusQuery{});
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(status->state, "serving");
  const auto slot = ask<wire::CheckpointSlot>(client, wire::CheckpointBegin{"next", {{"data", 100}}});
  ASSERT_TRUE(slot) << slot.error().message;
  const auto committed =
      ask<wire::CommitAnswer>(client, wire::CheckpointCommit{slot->slot, wire::CommitLevel::kReplicated, 10'000});
  ASSERT_TRUE(committed) << committed.error().message;
  EXPECT_EQ(committed->result, wire::CommitResult::kOk) << committed->reason;
  EXPECT_TRUE(ask<wire::Done>(client, wire::JobCreate{JobId(5), {CommunityId(0), CommunityId(1)}, 1U << 20U}));
  EXPECT_TRUE(ask<wire::Done>(client, wire::JobRemove{JobId(5)}));
}

TEST_F(Versions, TheSameBytesOfOurMinorVersionAreRefused) {
  TestClient client = ring_.client(1).value();
  wire::Frame frame = next_minor(wire::StatusQuery{});
  frame.minor = wire::kFormatMinor;
  const auto refused = client.ask_frame(frame);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kCorrupt);
}

// Only the next but one has left this release behind.
TEST_F(Versions, AClientThatNoLongerSpeaksOursIsToldWhy) {
  TestClient client = TestClient::connect_local(ring_.socket(1)).value();
  const auto refused = ask<wire::ServerHello>(client, wire::ClientHello{{kNextMinor, kNextMinor + 1}, {}, "later"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kVersionMismatch);
  EXPECT_NE(refused.error().message.find("one release at a time"), std::string::npos) << refused.error().message;
}

TEST_F(Versions, APeerOfTheNextMinorVersionIsProven) {
  const io::PeerIdentity self{
      ClusterId(RingFixture::kCluster), NodeId(2), Incarnation(1), {wire::kFormatMinor, kNextMinor}};
  auto handshake = io::PeerHandshake::dial(self, ring_.keys().first(), NodeId(1), keys::random_bytes(wire::kNonceSize));
  TestClient connection = ring_.peer(1).value();
  std::optional<wire::Frame> frame = handshake.first();
  while (frame) {
    frame->minor = kNextMinor;
    ByteWriter(frame->payload).text("appended");
    ASSERT_TRUE(connection.send(*frame));
    if (handshake.proven()) break;
    const auto received = connection.receive();
    ASSERT_TRUE(received) << received.error().message;
    auto answer = handshake.on_frame(received->frame);
    ASSERT_TRUE(answer) << answer.error().message;
    frame = std::move(*answer);
  }
  EXPECT_TRUE(handshake.proven());
  EXPECT_EQ(handshake.peer().version, wire::kFormatMinor);
}

}  // namespace
}  // namespace rk::testing

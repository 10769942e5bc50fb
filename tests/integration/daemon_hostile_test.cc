// SPDX-License-Identifier: Apache-2.0
// Whatever is sent to a server's two sockets, it answers with one clear refusal, ends that connection, and serves
// everybody else on.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <csignal>
#include <vector>

#include "base/prng.h"
#include "io/peer_handshake.h"
#include "tests/integration/ring_fixture.h"

namespace rk::testing {
namespace {

Bytes garbage(std::uint64_t seed, std::size_t size) {
  Prng prng(seed);
  Bytes bytes(size);
  for (auto& byte : bytes) byte = static_cast<std::byte>(prng.below(256));
  return bytes;
}

// What the server says before it closes the connection; kPeerGone if nothing.
Error last_words(TestClient& client) {
  Error words{ErrorCode::kPeerGone, "nothing"};
  for (;;) {
    auto received = client.receive();
    if (!received) {
      EXPECT_EQ(received.error().code, ErrorCode::kPeerGone) << "the connection stays open";
      return words;
    }
    const auto refusal = wire::from_frame<wire::Refusal>(received->frame);
    if (refusal) words = Error{static_cast<ErrorCode>(refusal->code), refusal->message};
  }
}

class Hostile : public ::testing::Test {
 protected:
  Hostile() : witness_(ring_.client(1).value()) {}
  // A client that was there before, and a new one, are both served.
  void expect_unharmed() {
    EXPECT_TRUE(witness_.ask<wire::StatusAnswer>(wire::StatusQuery{}));
    const auto status = ring_.status(1);
    ASSERT_TRUE(status) << status.error().message;
    EXPECT_EQ(status->state, "serving");
    EXPECT_EQ(status->members.size(), 2U);
    EXPECT_TRUE(ring_.server(1).running());
  }
  TestClient local() { return TestClient::connect_local(ring_.socket(1)).value(); }
  TestClient peer() { return TestClient::connect_tcp(ring_.port(1)).value(); }
  // Runs the dialer's side of the handshake as server 2 would, inside TLS with the right key; the refusal of the
  // server, or ok.
  Status dial(const io::PeerIdentity& self, const keys::ClusterKey& key, NodeId to = NodeId(1)) {
    auto handshake = io::PeerHandshake::dial(self, key, to, keys::random_bytes(wire::kNonceSize));
    RK_TRY(TestClient connection, ring_.peer(1));
    RK_TRY_VOID(connection.send(*handshake.first()));
    while (!handshake.proven()) {
      RK_TRY(const auto received, connection.receive());
      RK_TRY(const auto answer, handshake.on_frame(received.frame));
      if (answer) RK_TRY_VOID(connection.send(*answer));
    }
    return {};
  }

  RingFixture ring_{2};
  TestClient witness_;
};

TEST_F(Hostile, GarbageOnTheClientsSocket) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    TestClient client = local();
    (void)client.send_raw(garbage(seed, 16 + 40 * seed));
    client.shut_writing();
    EXPECT_NE(last_words(client).code, ErrorCode::kOk);
  }
  expect_unharmed();
}

TEST_F(Hostile, GarbageIsNamedAsSuch) {
  TestClient client = local();
  ASSERT_TRUE(client.send_raw(as_bytes("GET / HTTP/1.1\r\nHost: a name long enough to fill a header\r\n\r\n")));
  const Error words = last_words(client);
  EXPECT_EQ(words.code, ErrorCode::kCorrupt);
  EXPECT_NE(words.message.find("not a ringkeep frame"), std::string::npos) << words.message;
  expect_unharmed();
}

TEST_F(Hostile, GarbageOnThePeersSocket) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    TestClient client = peer();
    (void)client.send_raw(garbage(seed, 16 + 40 * seed));
    client.shut_writing();
    EXPECT_NE(last_words(client).code, ErrorCode::kOk);
  }
  expect_unharmed();
}

TEST_F(Hostile, GarbageInsideTls) {
  TestClient client = ring_.peer(1).value();
  ASSERT_TRUE(client.channel()->seal(garbage(1, 500)));
  const ByteView sealed = client.channel()->outgoing();
  ASSERT_TRUE(client.send_raw(sealed));
  EXPECT_NE(last_words(client).message.find("not a ringkeep frame"), std::string::npos);
  expect_unharmed();
}

TEST_F(Hostile, AFrameThatEndsInTheMiddle) {
  const Bytes whole = wire::encode_frame(wire::to_frame(wire::ClientHello{{}, {}, "half"}, 1));
  for (const bool tcp : {false, true}) {
    TestClient client = tcp ? peer() : local();
    ASSERT_TRUE(client.send_raw(ByteView(whole).first(whole.size() - 3)));
    client.shut_writing();
    (void)last_words(client);
  }
  expect_unharmed();
}

TEST_F(Hostile, ALargeFrameBeforeTheHello) {
  TestClient client = local();
  Bytes bytes = wire::encode_frame(wire::Frame{wire::MessageType::kClientHello, 1, {}, 0, Bytes(wire::kMaxPayload)});
  bytes.pop_back();
  (void)client.send_raw(bytes);
  EXPECT_EQ(last_words(client).code, ErrorCode::kCorrupt);
  expect_unharmed();
}

TEST_F(Hostile, AClientOfAnotherCluster) {
  const auto refused = TestClient::greet(ring_.socket(1), ClusterId(0xbad));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kWrongCluster);
  expect_unharmed();
}

TEST_F(Hostile, AClientOfAnotherVersion) {
  TestClient client = local();
  const auto refused = client.ask<wire::ServerHello>(wire::ClientHello{{700, 701}, {}, "newer"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kVersionMismatch);
  EXPECT_NE(refused.error().message.find("700 to 701"), std::string::npos) << refused.error().message;

  TestClient other = local();
  Bytes frame = wire::encode_frame(wire::to_frame(wire::ClientHello{}, 1));
  frame[4] = std::byte{9};
  ASSERT_TRUE(other.send_raw(frame));
  EXPECT_EQ(last_words(other).code, ErrorCode::kVersionMismatch);
  expect_unharmed();
}

TEST_F(Hostile, RequestsOutOfOrderOrUnknownOrMalformed) {
  const std::vector<wire::Frame> frames{
      wire::to_frame(wire::ClientHello{}, 1),  // a second hello
      wire::to_frame(wire::PeerProof{}, 1),    // of another conversation
      wire::Frame{static_cast<wire::MessageType>(0x13f), 1, {}, 0, {}},
      wire::Frame{static_cast<wire::MessageType>(0x12f), 1, {}, 0, {}},
      wire::Frame{wire::MessageType::kJobCreate, 1, {}, 0, Bytes(5)},
      wire::Frame{wire::MessageType::kCheckpointBegin, 1, {}, 0, Bytes(5)},
      wire::Frame{wire::MessageType::kStatusQuery, 1, {}, 0, Bytes(1)},
  };
  for (const wire::Frame& frame : frames) {
    TestClient client = ring_.client(1).value();
    ASSERT_TRUE(client.send(frame));
    EXPECT_EQ(last_words(client).code, ErrorCode::kCorrupt) << static_cast<std::uint32_t>(frame.type);
  }
  TestClient early = local();
  ASSERT_TRUE(early.send(wire::to_frame(wire::StatusQuery{}, 1)));
  EXPECT_EQ(last_words(early).code, ErrorCode::kCorrupt);
  expect_unharmed();
}

TEST_F(Hostile, AClientThatNeverReadsIsDisconnected) {
  TestClient client = ring_.client(1).value();
  const Bytes query = wire::encode_frame(wire::to_frame(wire::StatusQuery{}, 1));
  bool disconnected = false;
  for (int i = 0; i < 2'000'000 && !disconnected; ++i) disconnected = !client.send_raw(query);
  EXPECT_TRUE(disconnected);
  expect_unharmed();
}

TEST_F(Hostile, APeerWithAnotherKey) {
  const auto stranger = ring_.peer(1, keys::KeySet::generate());
  ASSERT_FALSE(stranger);
  EXPECT_EQ(stranger.error().code, ErrorCode::kWrongCluster);
  EXPECT_NE(stranger.error().message.find("does not accept key 1"), std::string::npos) << stranger.error().message;
  const auto elsewhere = ring_.peer(1, ring_.keys(), ClusterId(0xbad));
  ASSERT_FALSE(elsewhere);
  EXPECT_NE(elsewhere.error().message.find("another cluster"), std::string::npos) << elsewhere.error().message;
  // Inside TLS, as where it is switched off.
  const auto refused =
      dial({ClusterId(RingFixture::kCluster), NodeId(2), Incarnation(~0ULL), {}}, keys::ClusterKey::generate(1));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("does not have this cluster's key"), std::string::npos)
      << refused.error().message;
  expect_unharmed();
}

TEST_F(Hostile, APeerOfAnotherClusterVersionOrRoster) {
  const ClusterId ours(RingFixture::kCluster);
  const auto cluster = dial({ClusterId(0xbad), NodeId(2), Incarnation(1), {}}, ring_.keys().first());
  ASSERT_FALSE(cluster);
  EXPECT_NE(cluster.error().message.find("cluster 0000000000000bad"), std::string::npos) << cluster.error().message;
  const auto version = dial({ours, NodeId(2), Incarnation(1), {700, 701}}, ring_.keys().first());
  ASSERT_FALSE(version);
  EXPECT_NE(version.error().message.find("700 to 701"), std::string::npos) << version.error().message;
  const auto stranger = dial({ours, NodeId(9), Incarnation(1), {}}, ring_.keys().first());
  ASSERT_FALSE(stranger);
  EXPECT_NE(stranger.error().message.find("server 9"), std::string::npos) << stranger.error().message;
  const auto lost = dial({ours, NodeId(2), Incarnation(1), {}}, ring_.keys().first(), NodeId(7));
  ASSERT_FALSE(lost);
  EXPECT_NE(lost.error().message.find("looks for server 7"), std::string::npos) << lost.error().message;
  const auto older = dial({ours, NodeId(2), Incarnation(1), {}}, ring_.keys().first());
  EXPECT_TRUE(older) << "an older life knows the key, and is refused only after it has proved that";
  expect_unharmed();
}

TEST_F(Hostile, AReplayedHelloIsNoProof) {
  const io::PeerIdentity self{ClusterId(RingFixture::kCluster), NodeId(2), Incarnation(~0ULL), {}};
  const auto overheard =
      io::PeerHandshake::dial(self, ring_.keys().first(), NodeId(1), keys::random_bytes(wire::kNonceSize)).first();
  TestClient attacker = ring_.peer(1).value();
  ASSERT_TRUE(attacker.send(*overheard));
  const auto challenge = attacker.receive();
  ASSERT_TRUE(challenge);
  EXPECT_EQ(challenge->frame.type, wire::MessageType::kPeerChallenge);
  ASSERT_TRUE(attacker.send(wire::to_frame(wire::PeerProof{Bytes(wire::kProofSize)})));
  EXPECT_EQ(last_words(attacker).code, ErrorCode::kWrongCluster);
  expect_unharmed();
}

TEST(Flood, SilentConnectionsAreDroppedAndServersGetThrough) {
  const TemporaryDirectory directory;
  const std::string config = directory.write("limits.toml", "[limits]\nunproven_peers = 4\nhello_ms = 100\n");
  RingFixture ring({3, "64M", {"--config", config}, true});
  std::vector<TestClient> silent;
  for (int i = 0; i < 64; ++i) {
    silent.push_back(TestClient::connect_tcp(ring.port(3)).value());
    silent.push_back(TestClient::connect_local(ring.socket(3)).value());
  }
  ring.server(2).kill(SIGKILL);
  ring.server(2).wait();
  ASSERT_TRUE(ring.start(2).output.empty());
  // Server 2 dials server 3, whose places are taken until their deadline.
  EXPECT_TRUE(ring.await_status(2, [](const wire::StatusAnswer& status) {
    return status.state == "serving" && status.members.size() == 3 &&
           std::all_of(status.members.begin(), status.members.end(), [](const auto& m) { return m.connected; });
  }));
  for (TestClient& client : silent) (void)last_words(client);
}

}  // namespace
}  // namespace rk::testing

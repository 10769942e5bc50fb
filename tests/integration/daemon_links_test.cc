// SPDX-License-Identifier: Apache-2.0
// What somebody without the key can send to a server's peer port: bytes of a real link again, changed, cut off, or in
// plain. Each is refused and counted, and the others are served meanwhile.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/prng.h"
#include "io/peer_handshake.h"
#include "tests/integration/ring_fixture.h"
#include "wire/keep_messages.h"
#include "wire/ring_messages.h"

namespace rk::testing {
namespace {

class HostileLinks : public ::testing::Test {
 protected:
  HostileLinks() : witness_(ring_.client(1).value()) {}

  // What server 2 sends to server 1 until it has proved itself: the TLS hello, the end of the TLS handshake, the hello,
  // the proof. It is an earlier life of server 2, so that the real one keeps its link.
  std::vector<Bytes> record_link() {
    const io::PeerIdentity self{ClusterId(RingFixture::kCluster), NodeId(2), Incarnation(1), {}};
    auto handshake =
        io::PeerHandshake::dial(self, ring_.keys().first(), NodeId(1), keys::random_bytes(wire::kNonceSize));
    TestClient client = TestClient::connect_tcp(ring_.port(1)).value();
    client.recording = true;
    EXPECT_TRUE(client.secure(std::make_unique<io::TlsChannel>(
        std::make_shared<const io::TlsContext>(ring_.keys(), self.cluster), io::TlsChannel::Side::kDialer)));
    std::optional<wire::Frame> frame = handshake.first();
    while (frame) {
      EXPECT_TRUE(client.send(*frame));
      if (handshake.proven()) break;
      auto received = client.receive();
      EXPECT_TRUE(received);
      frame = handshake.on_frame(received->frame).value();
    }
    EXPECT_TRUE(handshake.proven()) << "the recording would be of no link";
    std::vector<Bytes> sent;
    for (Bytes& bytes : client.recorded)
      if (!bytes.empty()) sent.push_back(std::move(bytes));
    EXPECT_GE(sent.size(), 4U);
    return sent;
  }

  // Sends the flights, awaiting an answer to the first if `in_turn`, and then the end of the connection.
  void attack(const std::vector<Bytes>& flights, bool in_turn = false) {
    TestClient client = TestClient::connect_tcp(ring_.port(1)).value();
    for (const Bytes& bytes : flights) {
      if (!client.send_raw(bytes)) break;  // refused already
      if (in_turn && &bytes == &flights.front()) client.await_bytes();
    }
    await_end(client);
  }
  void await_end(TestClient& client) {
    client.shut_writing();
    EXPECT_TRUE(client.await_end()) << "the connection stays open";
    ++attacks_;
  }
  wire::LinkStatus links() { return ring_.status(1)->links; }
  void expect_served() {
    const auto slot = witness_.ask<wire::CheckpointSlot>(wire::CheckpointBegin{"witness", {{"data", 100}}});
    ASSERT_TRUE(slot) << slot.error().message;
    const auto committed =
        witness_.ask<wire::CommitAnswer>(wire::CheckpointCommit{slot->slot, wire::CommitLevel::kReplicated, 30'000});
    ASSERT_TRUE(committed) << committed.error().message;
    EXPECT_EQ(committed->result, wire::CommitResult::kOk) << committed->reason;
  }

  RingFixture ring_{2};
  TestClient witness_;
  std::uint64_t attacks_ = 0;
};

Bytes joined(const std::vector<Bytes>& flights) {
  Bytes all;
  for (const Bytes& bytes : flights) all.insert(all.end(), bytes.begin(), bytes.end());
  return all;
}

TEST_F(HostileLinks, FiveHundredReplayedOrMangledConversationsAreRefusedAndCounted) {
  const std::vector<Bytes> link = record_link();
  const Bytes whole = joined(link);
  // The recorded life was refused at its end, as an older one.
  ASSERT_TRUE(ring_.await_status(1, [](const wire::StatusAnswer& status) { return status.links.refused == 1; }));
  const wire::StatusAnswer before = ring_.status(1).value();
  Prng prng(1);
  const auto somewhere = [&](const Bytes& bytes) { return static_cast<std::size_t>(prng.below(bytes.size())); };
  const auto flip = [&](Bytes bytes, std::size_t at) {
    bytes[at] ^= static_cast<std::byte>(1U << prng.below(8));
    return bytes;
  };
  const io::PeerIdentity self{ClusterId(RingFixture::kCluster), NodeId(2), Incarnation(~0ULL), {}};
  const auto hello = [&] {
    const auto handshake =
        io::PeerHandshake::dial(self, ring_.keys().first(), NodeId(1), keys::random_bytes(wire::kNonceSize));
    return wire::encode_frame(*handshake.first());
  };
  const auto seal = [](TestClient& client, const Bytes& bytes) {
    EXPECT_TRUE(client.channel()->seal(bytes));
    const ByteView view = client.channel()->outgoing();
    Bytes out(view.begin(), view.end());
    client.channel()->drop_outgoing(out.size());
    return out;
  };
  for (int i = 0; i < 50; ++i) {
    attack({whole});     // replayed at once
    attack(link, true);  // replayed in turn: the right hello, then what answered another one
    for (int three = 0; three < 3; ++three) attack({flip(whole, somewhere(whole))});
    for (int two = 0; two < 2; ++two) attack({Bytes(whole.begin(), whole.begin() + 1 + somewhere(whole))});
    attack({hello()});  // a plain frame of somebody with the key
    attack({flip(hello(), 0), whole});
    // In the middle of a link that is being made: a changed record, then the same record twice.
    TestClient client = ring_.peer(1).value();
    Bytes record = seal(client, hello());
    if (i % 2 == 0) {
      record = flip(record, 5 + prng.below(record.size() - 5));
    } else {
      const Bytes once = record;
      record.insert(record.end(), once.begin(), once.end());
    }
    EXPECT_TRUE(client.send_raw(record));
    client.drop_channel();
    await_end(client);
    if (i % 10 == 0) expect_served();
  }
  ASSERT_EQ(attacks_, 500U);
  EXPECT_TRUE(ring_.await_status(1, [&](const wire::StatusAnswer& status) {
    return status.links.refused == before.links.refused + attacks_;
  })) << links().refused;
  const wire::StatusAnswer after = ring_.status(1).value();
  EXPECT_EQ(after.links.made, before.links.made);
  EXPECT_EQ(after.links.malformed, 0U) << "the real link is untouched";
  EXPECT_EQ(after.links.turned_away, 0U);
  EXPECT_EQ(after.view, before.view);
  EXPECT_EQ(after.members.size(), 2U);
  for (const auto& member : after.members) EXPECT_TRUE(member.connected);
  expect_served();
  const std::string log = ring_.server(1).output();
  std::size_t told = 0;
  for (std::size_t at = log.find("a stranger"); at != std::string::npos; at = log.find("a stranger", at + 1)) ++told;
  EXPECT_GE(told, 3U);
  EXPECT_LE(told, 32U) << "strangers do not fill the log";
}

// A member whose bytes go bad after its link was made: the link ends, is counted and is made anew.
TEST_F(HostileLinks, AFrameThatNoServerSendsEndsTheLinkOfItsSenderOnly) {
  const io::PeerIdentity self{ClusterId(RingFixture::kCluster), NodeId(2), Incarnation(~0ULL), {}};
  auto handshake = io::PeerHandshake::dial(self, ring_.keys().first(), NodeId(1), keys::random_bytes(wire::kNonceSize));
  TestClient client = ring_.peer(1).value();
  std::optional<wire::Frame> frame = handshake.first();
  while (frame) {
    ASSERT_TRUE(client.send(*frame));
    if (handshake.proven()) break;
    frame = handshake.on_frame(client.receive().value().frame).value();
  }
  ASSERT_TRUE(handshake.proven());
  ASSERT_TRUE(client.send(wire::to_frame(wire::StatusQuery{}, 1)));
  EXPECT_TRUE(client.await_end());
  EXPECT_TRUE(ring_.await_status(1, [](const auto& status) { return status.links.malformed == 1; }));
  EXPECT_TRUE(ring_.server(1).running());
}

}  // namespace
}  // namespace rk::testing

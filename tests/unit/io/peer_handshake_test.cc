// SPDX-License-Identifier: Apache-2.0
#include "io/peer_handshake.h"

#include <gtest/gtest.h>

namespace rk::io {
namespace {

const keys::ClusterKey& key(char letter = 'k') {
  static const auto kRight = keys::ClusterKey::generate(1);
  static const auto kWrong = keys::ClusterKey::generate(1);
  return letter == 'k' ? kRight : kWrong;
}

PeerIdentity server(std::uint32_t node) { return {ClusterId(7), NodeId(node), Incarnation(node * 10), {0, 0}}; }

PeerHandshake dialer(const PeerIdentity& self = server(1), const keys::ClusterKey& with = key(),
                     NodeId to = NodeId(2)) {
  return PeerHandshake::dial(self, with, to, Bytes(wire::kNonceSize, std::byte{1}));
}
PeerHandshake listener(const PeerIdentity& self = server(2), const keys::ClusterKey& with = key()) {
  return PeerHandshake::listen(
      self, {with}, [](NodeId node) { return node.value <= 4; }, Bytes(wire::kNonceSize, std::byte{2}));
}

// Carries frames to and fro; the first refusal, or ok when both have proved themselves.
Status converse(PeerHandshake& dial, PeerHandshake& listen) {
  std::optional<wire::Frame> frame = dial.first();
  for (bool to_listener = true; frame; to_listener = !to_listener) {
    RK_TRY(frame, (to_listener ? listen : dial).on_frame(*frame));
  }
  EXPECT_TRUE(dial.proven());
  EXPECT_TRUE(listen.proven());
  return {};
}

TEST(PeerHandshake, BothSidesLearnTheOther) {
  auto dial = dialer();
  auto listen = listener();
  ASSERT_TRUE(converse(dial, listen));
  EXPECT_EQ(dial.peer().node, NodeId(2));
  EXPECT_EQ(dial.peer().incarnation, Incarnation(20));
  EXPECT_EQ(listen.peer().node, NodeId(1));
  EXPECT_EQ(listen.peer().incarnation, Incarnation(10));
}

TEST(PeerHandshake, TheHighestCommonVersionIsAgreed) {
  auto self = server(1);
  self.versions = {1, 5};
  auto other = server(2);
  other.versions = {3, 9};
  auto dial = dialer(self);
  auto listen = listener(other);
  ASSERT_TRUE(converse(dial, listen));
  EXPECT_EQ(dial.peer().version, 5);
  EXPECT_EQ(listen.peer().version, 5);
}

// A server of the next minor version: its frames say so, and every message has a field behind those we know.
Status converse_with_next_minor(PeerHandshake& dial, PeerHandshake& listen, bool next_dials) {
  std::optional<wire::Frame> frame = dial.first();
  for (bool to_listener = true; frame; to_listener = !to_listener) {
    if (to_listener == next_dials) {
      frame->minor = wire::kFormatMinor + 1;
      ByteWriter(frame->payload).text("appended");
    }
    RK_TRY(frame, (to_listener ? listen : dial).on_frame(*frame));
  }
  EXPECT_TRUE(dial.proven() && listen.proven());
  return {};
}

TEST(PeerHandshake, AServerOfTheNextMinorVersionIsProven) {
  for (const bool next_dials : {false, true}) {
    auto ours = server(next_dials ? 2 : 1);
    ours.versions = {};
    auto next = server(next_dials ? 1 : 2);
    next.versions = {wire::kFormatMinor, wire::kFormatMinor + 1};
    auto dial = dialer(next_dials ? next : ours);
    auto listen = listener(next_dials ? ours : next);
    const auto status = converse_with_next_minor(dial, listen, next_dials);
    ASSERT_TRUE(status) << status.error().message;
    EXPECT_EQ(dial.peer().version, wire::kFormatMinor);
    EXPECT_EQ(listen.peer().version, wire::kFormatMinor);
  }
}

TEST(PeerHandshake, BytesBehindAMessageOfOurMinorVersionAreRefused) {
  auto hello = *dialer().first();
  ByteWriter(hello.payload).text("appended");
  EXPECT_EQ(listener().on_frame(hello).error().code, ErrorCode::kCorrupt);
}

TEST(PeerHandshake, EveryWrongDialerIsRefused) {
  auto cluster = server(1);
  cluster.cluster = ClusterId(8);
  auto version = server(1);
  version.versions = {4, 5};
  struct Case {
    PeerHandshake dial;
    ErrorCode code;
  };
  const Case cases[] = {{dialer(server(1), key('x')), ErrorCode::kWrongCluster},
                        {dialer(cluster), ErrorCode::kWrongCluster},
                        {dialer(version), ErrorCode::kVersionMismatch},
                        {dialer(server(9)), ErrorCode::kInvalidArgument},
                        {dialer(server(1), key(), NodeId(3)), ErrorCode::kInvalidArgument}};
  for (const Case& one : cases) {
    auto dial = one.dial;
    auto listen = listener();
    const auto status = converse(dial, listen);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, one.code) << status.error().message;
    EXPECT_FALSE(listen.proven());
  }
}

TEST(PeerHandshake, TheListenerAcceptsAnyOfItsKeysAndTellsWhich) {
  auto dial = dialer(server(1), key('x'));
  auto listen = PeerHandshake::listen(
      server(2), {key('k'), key('x')}, [](NodeId) { return true; }, Bytes(wire::kNonceSize, std::byte{2}));
  ASSERT_TRUE(converse(dial, listen));
  EXPECT_EQ(listen.key().id(), key('x').id());
  EXPECT_EQ(dial.key().id(), key('x').id());
}

TEST(PeerHandshake, AChangedHelloIsRefused) {
  auto hello = wire::from_frame<wire::PeerHello>(*dialer().first()).value();
  hello.incarnation = Incarnation(99);
  auto listen = listener();
  EXPECT_EQ(listen.on_frame(wire::to_frame(hello)).error().code, ErrorCode::kWrongCluster);
}

TEST(PeerHandshake, AnImpostorListenerIsFound) {
  auto dial = dialer();
  auto impostor = listener(server(2), key('x'));
  // It cannot even check the hello; it makes up a challenge and reflects what it gets.
  EXPECT_FALSE(impostor.on_frame(*dial.first()));
  const auto proof = dial.on_frame(wire::to_frame(
      wire::PeerChallenge{{0, 0}, ClusterId(7), NodeId(2), Incarnation(20), Bytes(wire::kNonceSize, std::byte{2})}));
  ASSERT_TRUE(proof && *proof);
  EXPECT_EQ(dial.on_frame(**proof).error().code, ErrorCode::kWrongCluster) << "a reflected proof counts";
  EXPECT_FALSE(dial.proven());
}

TEST(PeerHandshake, AProofOfAnotherConversationIsRefused) {
  auto first = dialer();
  auto first_listener = listener();
  const auto challenge = first_listener.on_frame(*first.first()).value();
  const auto old_proof = first.on_frame(*challenge).value();
  // The same hello again, to a listener with a fresh nonce.
  auto fresh = PeerHandshake::listen(
      server(2), {key()}, [](NodeId) { return true; }, Bytes(wire::kNonceSize, std::byte{3}));
  ASSERT_TRUE(fresh.on_frame(*first.first()));
  EXPECT_EQ(fresh.on_frame(*old_proof).error().code, ErrorCode::kWrongCluster);
}

TEST(PeerHandshake, FramesOutOfOrderAreRefused) {
  auto listen = listener();
  EXPECT_FALSE(listen.on_frame(wire::to_frame(wire::PeerProof{Bytes(32)})));
  auto dial = dialer();
  EXPECT_FALSE(dial.on_frame(*dialer().first()));
  auto short_nonce = wire::PeerChallenge{{0, 0}, ClusterId(7), NodeId(2), Incarnation(20), Bytes(3)};
  EXPECT_FALSE(dialer().on_frame(wire::to_frame(short_nonce)));
}

}  // namespace
}  // namespace rk::io

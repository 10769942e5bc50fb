// SPDX-License-Identifier: Apache-2.0
#include "io/peer_handshake.h"

#include <algorithm>
#include <utility>

namespace rk::io {
namespace {

// The bytes of a hello that its own proof covers.
Bytes hello_message(const wire::PeerHello& hello) {
  wire::PeerHello bare = hello;
  bare.proof.clear();
  Bytes out;
  ByteWriter(out).text("ringkeep peer hello");
  ByteWriter(out).raw(wire::encode(bare));
  return out;
}

tl::unexpected<Error> wrong_key(NodeId node) {
  return fail(ErrorCode::kWrongCluster,
              "server " + std::to_string(node.value) +
                  " does not have this cluster's key: copy the same key file to every server");
}

Status check_nonce(const Bytes& nonce) {
  if (nonce.size() != wire::kNonceSize) return fail(ErrorCode::kCorrupt, "a handshake with a nonce of another size");
  return {};
}

}  // namespace

PeerHandshake PeerHandshake::dial(const PeerIdentity& self, const keys::ClusterKey& key, NodeId expected, Bytes nonce) {
  PeerHandshake handshake(Stage::kAwaitChallenge, self, {key}, std::move(nonce));
  handshake.dialer_ = true;
  handshake.peer_.node = expected;
  return handshake;
}

PeerHandshake PeerHandshake::listen(const PeerIdentity& self, std::vector<keys::ClusterKey> keys,
                                    std::function<bool(NodeId)> in_roster, Bytes nonce) {
  PeerHandshake handshake(Stage::kAwaitHello, self, std::move(keys), std::move(nonce));
  handshake.in_roster_ = std::move(in_roster);
  return handshake;
}

std::optional<wire::Frame> PeerHandshake::first() const {
  if (!dialer_) return std::nullopt;
  wire::PeerHello hello{self_.versions, self_.cluster, self_.node, peer_.node, self_.incarnation, own_nonce_, {}};
  hello.proof = key().authenticate(hello_message(hello));
  return wire::to_frame(hello, 0, self_.incarnation);
}

Result<std::optional<wire::Frame>> PeerHandshake::on_frame(const wire::Frame& frame) {
  if (frame.type == wire::MessageType::kRefusal) {
    RK_TRY(const auto refusal, wire::from_frame<wire::Refusal>(frame));
    return fail(ErrorCode::kWrongCluster, "the other server refused the link: " + refusal.message);
  }
  switch (stage_) {
    case Stage::kAwaitHello:
      return on_hello(frame);
    case Stage::kAwaitChallenge:
      return on_challenge(frame);
    case Stage::kAwaitDialerProof:
      return on_dialer_proof(frame);
    case Stage::kAwaitListenerProof:
      return on_listener_proof(frame);
    case Stage::kProven:
      break;
  }
  return fail(ErrorCode::kCorrupt, "a handshake frame after the handshake");
}

Status PeerHandshake::check_cluster(ClusterId theirs) const {
  if (theirs == self_.cluster) return {};
  return fail(ErrorCode::kWrongCluster, "the other server belongs to cluster " + to_hex(theirs.value) +
                                            ", this one to " + to_hex(self_.cluster.value) +
                                            ": correct the roster or the cluster id");
}

Result<std::optional<wire::Frame>> PeerHandshake::on_hello(const wire::Frame& frame) {
  RK_TRY(const auto hello, wire::from_frame<wire::PeerHello>(frame));
  RK_TRY_VOID(check_cluster(hello.cluster));
  RK_TRY(peer_.version, wire::agree(self_.versions, hello.versions));
  RK_TRY_VOID(check_nonce(hello.nonce));
  const Bytes message = hello_message(hello);
  const auto proved = std::find_if(keys_.begin(), keys_.end(),
                                   [&](const keys::ClusterKey& key) { return key.verify(message, hello.proof); });
  if (proved == keys_.end()) return wrong_key(hello.from);
  keys_ = {*proved};
  if (hello.to != self_.node)
    return fail(ErrorCode::kInvalidArgument, "server " + std::to_string(hello.from.value) + " looks for server " +
                                                 std::to_string(hello.to.value) + " here, but this is server " +
                                                 std::to_string(self_.node.value) + ": make the rosters equal");
  if (!in_roster_(hello.from))
    return fail(ErrorCode::kInvalidArgument, "server " + std::to_string(hello.from.value) +
                                                 " is not in this server's roster: make the rosters equal");
  peer_.node = hello.from;
  peer_.incarnation = hello.incarnation;
  their_nonce_ = hello.nonce;
  stage_ = Stage::kAwaitDialerProof;
  return wire::to_frame(wire::PeerChallenge{self_.versions, self_.cluster, self_.node, self_.incarnation, own_nonce_},
                        0, self_.incarnation);
}

Result<std::optional<wire::Frame>> PeerHandshake::on_challenge(const wire::Frame& frame) {
  RK_TRY(const auto challenge, wire::from_frame<wire::PeerChallenge>(frame));
  RK_TRY_VOID(check_cluster(challenge.cluster));
  RK_TRY(peer_.version, wire::agree(self_.versions, challenge.versions));
  RK_TRY_VOID(check_nonce(challenge.nonce));
  if (challenge.from != peer_.node)
    return fail(ErrorCode::kInvalidArgument, "server " + std::to_string(challenge.from.value) +
                                                 " answers where the roster has server " +
                                                 std::to_string(peer_.node.value) + ": make the rosters equal");
  peer_.incarnation = challenge.incarnation;
  their_nonce_ = challenge.nonce;
  stage_ = Stage::kAwaitListenerProof;
  return wire::to_frame(wire::PeerProof{key().authenticate(transcript("dialer"))}, 0, self_.incarnation);
}

Result<std::optional<wire::Frame>> PeerHandshake::on_dialer_proof(const wire::Frame& frame) {
  RK_TRY(const auto proof, wire::from_frame<wire::PeerProof>(frame));
  if (!key().verify(transcript("dialer"), proof.proof)) return wrong_key(peer_.node);
  stage_ = Stage::kProven;
  return wire::to_frame(wire::PeerProof{key().authenticate(transcript("listener"))}, 0, self_.incarnation);
}

Result<std::optional<wire::Frame>> PeerHandshake::on_listener_proof(const wire::Frame& frame) {
  RK_TRY(const auto proof, wire::from_frame<wire::PeerProof>(frame));
  if (!key().verify(transcript("listener"), proof.proof)) return wrong_key(peer_.node);
  stage_ = Stage::kProven;
  return std::nullopt;
}

Bytes PeerHandshake::transcript(std::string_view role) const {
  struct Side {
    NodeId node;
    Incarnation incarnation;
    const Bytes* nonce;
  };
  const Side own{self_.node, self_.incarnation, &own_nonce_};
  const Side theirs{peer_.node, peer_.incarnation, &their_nonce_};
  Bytes out;
  ByteWriter writer(out);
  writer.text("ringkeep peer proof");
  writer.text(role);
  writer.integer(self_.cluster.value);
  writer.integer(peer_.version);
  for (const Side& side : {dialer_ ? own : theirs, dialer_ ? theirs : own}) {
    writer.integer(side.node.value);
    writer.integer(side.incarnation.value);
    writer.blob(*side.nonce);
  }
  return out;
}

}  // namespace rk::io

// SPDX-License-Identifier: Apache-2.0
// The handshake of wire/peer_messages.h as a state machine without sockets: frames in, frames out, until both sides
// have proved the cluster key, or an error that ends the connection. One object a connection.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "base/ids.h"
#include "keys/cluster_key.h"
#include "wire/peer_messages.h"

namespace rk::io {

struct PeerIdentity {
  ClusterId cluster;
  NodeId node;
  Incarnation incarnation;
  wire::VersionRange versions;
};

struct ProvenPeer {
  NodeId node;
  Incarnation incarnation;
  std::uint16_t version = 0;
};

class PeerHandshake {
 public:
  // `expected`: the server dialled. `nonce`: kNonceSize fresh random bytes.
  static PeerHandshake dial(const PeerIdentity& self, const keys::ClusterKey& key, NodeId expected, Bytes nonce);
  // Any of `keys` is accepted. `in_roster`: whether a server of that number may join.
  static PeerHandshake listen(const PeerIdentity& self, std::vector<keys::ClusterKey> keys,
                              std::function<bool(NodeId)> in_roster, Bytes nonce);

  // What the dialer sends first; nothing for the listener.
  std::optional<wire::Frame> first() const;
  // The frame to answer with, if any. The error says why the other side is refused.
  Result<std::optional<wire::Frame>> on_frame(const wire::Frame& frame);
  bool proven() const { return stage_ == Stage::kProven; }
  // Valid once proven.
  const ProvenPeer& peer() const { return peer_; }
  // The key that both sides proved; valid once proven.
  const keys::ClusterKey& key() const { return keys_.front(); }

 private:
  enum class Stage { kAwaitHello, kAwaitChallenge, kAwaitDialerProof, kAwaitListenerProof, kProven };

  PeerHandshake(Stage stage, const PeerIdentity& self, std::vector<keys::ClusterKey> keys, Bytes nonce)
      : stage_(stage), self_(self), keys_(std::move(keys)), own_nonce_(std::move(nonce)) {}
  Result<std::optional<wire::Frame>> on_hello(const wire::Frame& frame);
  Result<std::optional<wire::Frame>> on_challenge(const wire::Frame& frame);
  Result<std::optional<wire::Frame>> on_dialer_proof(const wire::Frame& frame);
  Result<std::optional<wire::Frame>> on_listener_proof(const wire::Frame& frame);
  Status check_cluster(ClusterId theirs) const;
  // What both sides authenticate at the end.
  Bytes transcript(std::string_view role) const;

  Stage stage_;
  PeerIdentity self_;
  std::vector<keys::ClusterKey> keys_;  // for the listener, all until the hello has shown which
  Bytes own_nonce_;
  Bytes their_nonce_;
  bool dialer_ = false;
  std::function<bool(NodeId)> in_roster_;
  ProvenPeer peer_;
};

}  // namespace rk::io

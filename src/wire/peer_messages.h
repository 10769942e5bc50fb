// SPDX-License-Identifier: Apache-2.0
// Handshake of two servers on a fresh TCP connection. Each proves that it knows the cluster key without showing it:
//
//   dialer                                         listener
//     PeerHello (nonce, proof over the hello) ->     refuses another cluster, version, key or roster place
//                                             <-   PeerChallenge (its own nonce)
//     PeerProof (role "dialer", both nonces)  ->     refuses a replayed hello here
//                                             <-   PeerProof (role "listener", both nonces)
//
// A proof is HMAC-SHA256 under the cluster key over the role, both nonces, the cluster id, the two node ids, the two
// incarnations and the agreed minor version; the role makes a reflected proof useless. io/peer_handshake.h has the
// rules.
//
// The hello's own proof covers the fields before it; a minor version that appends fields to a handshake message adds
// them to the transcript of PeerProof only where that version is agreed.
#pragma once

#include <cstdint>

#include "wire/codec.h"

namespace rk::wire {

inline constexpr std::size_t kNonceSize = 32;
inline constexpr std::size_t kProofSize = 32;

struct PeerHello {
  static constexpr MessageType kType = MessageType::kPeerHello;
  VersionRange versions;
  ClusterId cluster;
  NodeId from;
  NodeId to;
  Incarnation incarnation;
  Bytes nonce;  // kNonceSize random bytes
  Bytes proof;  // over this hello: a stranger is refused at its first frame
  RK_FIELDS(versions, cluster, from, to, incarnation, nonce, proof)
};

struct PeerChallenge {
  static constexpr MessageType kType = MessageType::kPeerChallenge;
  VersionRange versions;
  ClusterId cluster;
  NodeId from;
  Incarnation incarnation;
  Bytes nonce;
  RK_FIELDS(versions, cluster, from, incarnation, nonce)
};

struct PeerProof {
  static constexpr MessageType kType = MessageType::kPeerProof;
  Bytes proof;
  RK_FIELDS(proof)
};

// One-way, over a proven link, before the sender asks the ring to let it go: who is missing from the next view has left
// and is not lost. For people; nothing is decided by it.
struct PeerLeaving {
  static constexpr MessageType kType = MessageType::kPeerLeaving;
  RK_NO_FIELDS()
};

}  // namespace rk::wire

// SPDX-License-Identifier: Apache-2.0
// Messages of the ring, server to server: heartbeats, accusations, the agreement on the next view, leases, requests to
// join and to leave. The sender's node and incarnation are those of the peer link and the frame, never a field.
//
// `memory_since`: the first incarnation of the sender since which its voting memory (accepted and committed views) is
// unbroken; 0 for a server that has never lost it. Its vote counts as that of a member (node, incarnation) of a view
// only if memory_since <= incarnation: a server that lost its memory is no voter of views before the loss.
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "wire/codec.h"

namespace rk::wire {

// Of a roster, so of a view too. Two views of so many fit into a PROPOSE four times over (kMaxPayload); what a peer
// that has proved the cluster key can make a reader hold is bounded by that, not by this.
inline constexpr std::size_t kMaxServers = 16384;

struct RingMember {
  NodeId node;
  Incarnation incarnation;
  RK_FIELDS(node, incarnation)
  auto operator<=>(const RingMember&) const = default;  // NOLINT(modernize-use-nullptr): a false alarm
};

// The operator's word that took the place of a quorum: `by` went on from view `from` with those that it heard.
struct RingOverride {
  NodeId by;                // 0: there was none
  ViewNumber from;          // the newest view that it knew; what later views of that line decided is dropped
  std::uint64_t at_ms = 0;  // of its wall clock, since 1970-01-01 UTC; for people
  RK_FIELDS(by, from, at_ms)
  bool operator==(const RingOverride&) const = default;
};

// `members` are in the order of ranks: members[0] leads (rank 0), the others are the line of succession. `retired` are
// the newest incarnations of nodes that were members and are not now: such a life never returns. `ring` has the nodes
// of the members in the order of the ring: ring[i + 1] is the successor of ring[i], ring[0] that of the last. Whoever
// proposes the view chooses it (ring/placement.h). `witness` is a member that votes and holds no data, so it is not in
// the ring; 0: there is none. `overridden`: the last override that the view descends from. `succeeded`: lives that were
// members of the view before, and whose node is a member in a newer life in this one.
struct RingView {
  ViewNumber number;
  NodeList<RingMember> members;
  NodeList<RingMember> retired;
  NodeList<NodeId> ring;
  NodeId witness;
  RingOverride overridden{};
  NodeList<RingMember> succeeded{};
  RK_FIELDS(number, members, retired, ring, witness, overridden, succeeded)
  bool operator==(const RingView&) const = default;
};

// Orders the attempts to decide one view number. Round 0 (node 0) belongs to rank 0 of the view before, which proposes
// without asking first; a higher one to the node it names, which prepares it first.
struct RingBallot {
  std::uint32_t round = 0;
  NodeId node;
  RK_FIELDS(round, node)
  auto operator<=>(const RingBallot&) const = default;  // NOLINT(modernize-use-nullptr): a false alarm
};

// What keeps leases going (ring/lease.cc), part of the messages that are sent anyway. Each time is of the clock of the
// server that is named, in ms; nobody compares two servers' clocks.
struct RingLease {
  std::uint64_t sent_ms = 0;  // of the sender, now
  std::uint64_t echo_ms = 0;  // newest sent_ms that the sender has of the receiver's life; 0: none
  // The sender holds for the receiver until hold_ms after it had the receiver's message of that time: a PROMISE that it
  // gives another meanwhile says so. 0: it does not hold for the receiver.
  std::uint64_t held_ms = 0;
  std::uint32_t grant_ms = 0;  // the receiver may act in the message's committed view until echo_ms + grant_ms; 0: none
  std::uint32_t hold_ms = 0;   // as the sender is configured: the same on every server
  RK_FIELDS(sent_ms, echo_ms, held_ms, grant_ms, hold_ms)
  bool operator==(const RingLease&) const = default;
};

// From the leader to every member (answer wanted), from every member to its predecessor in the ring (from the witness
// to the leader), as the answer to another, and as a probe. A receiver that knows a newer committed view answers with
// RingCommit.
struct RingHeartbeat {
  static constexpr MessageType kType = MessageType::kRingHeartbeat;
  ViewNumber committed;
  Incarnation memory_since;
  bool answer_wanted = false;
  NodeId missing;  // of a leader that may not act: the server it misses; otherwise 0
  RingLease lease;
  RK_FIELDS(committed, memory_since, answer_wanted, missing, lease)
  bool operator==(const RingHeartbeat&) const = default;
};

// To the leader: I have heard nothing of this member, probes included.
struct RingAccuse {
  static constexpr MessageType kType = MessageType::kRingAccuse;
  ViewNumber committed;  // of the accuser
  RingMember suspect;
  RK_FIELDS(committed, suspect)
  bool operator==(const RingAccuse&) const = default;
};

// From the leader: probe this member and accuse it if it does not answer.
struct RingProbeRequest {
  static constexpr MessageType kType = MessageType::kRingProbeRequest;
  ViewNumber committed;
  RingMember suspect;
  RK_FIELDS(committed, suspect)
  bool operator==(const RingProbeRequest&) const = default;
};

// The only value of this ballot for the number after `committed`. Before the first view `committed` is view 0: the
// roster in node order, incarnations 0.
struct RingPropose {
  static constexpr MessageType kType = MessageType::kRingPropose;
  Incarnation memory_since;
  RingBallot ballot;
  RingView committed;
  RingView proposed;
  RingLease lease;
  RK_FIELDS(memory_since, ballot, committed, proposed, lease)
  bool operator==(const RingPropose&) const = default;
};

// The sender has the proposed view of this number and ballot in durable memory.
struct RingAck {
  static constexpr MessageType kType = MessageType::kRingAck;
  ViewNumber number;
  RingBallot ballot;
  Incarnation memory_since;
  RingLease lease;
  RK_FIELDS(number, ballot, memory_since, lease)
  bool operator==(const RingAck&) const = default;
};

struct RingCommit {
  static constexpr MessageType kType = MessageType::kRingCommit;
  RingView view;
  RingLease lease;
  std::uint32_t fence_ms = 0;  // for so long servers that the views up to this one have removed may still have a lease
  RK_FIELDS(view, lease, fence_ms)
  bool operator==(const RingCommit&) const = default;
};

// From a member of `committed` that takes over the decision on the next number: promise to accept no lower ballot.
struct RingPrepare {
  static constexpr MessageType kType = MessageType::kRingPrepare;
  Incarnation memory_since;
  RingBallot ballot;
  RingView committed;
  RK_FIELDS(memory_since, ballot, committed)
  bool operator==(const RingPrepare&) const = default;
};

// The highest ballot that the sender has promised for this number, in durable memory, and the value it has accepted
// (number 0: none) with its ballot. The answer to a PREPARE of that ballot; to one or a PROPOSE of a lower ballot it is
// the refusal.
struct RingPromise {
  static constexpr MessageType kType = MessageType::kRingPromise;
  ViewNumber number;
  RingBallot ballot;
  Incarnation memory_since;
  RingBallot accepted_ballot;
  RingView accepted;
  std::uint32_t held_ms = 0;  // for so long leases may run that rest on the sender's hold for another
  RK_FIELDS(number, ballot, memory_since, accepted_ballot, accepted, held_ms)
  bool operator==(const RingPromise&) const = default;
};

// To every server of the roster, repeated until a committed view contains the sender; answered by a heartbeat.
struct RingJoin {
  static constexpr MessageType kType = MessageType::kRingJoin;
  ViewNumber committed;
  Incarnation memory_since;
  RK_FIELDS(committed, memory_since)
  bool operator==(const RingJoin&) const = default;
};

// To the leader, repeated until a committed view lacks the sender.
struct RingLeave {
  static constexpr MessageType kType = MessageType::kRingLeave;
  ViewNumber committed;
  RK_FIELDS(committed)
  bool operator==(const RingLeave&) const = default;
};

using RingMessage = std::variant<RingHeartbeat, RingAccuse, RingProbeRequest, RingPropose, RingAck, RingCommit,
                                 RingJoin, RingLeave, RingPrepare, RingPromise>;

constexpr bool is_ring_message(MessageType type) {
  return type >= MessageType::kRingFirst && type < MessageType::kKeepFirst;
}

// kCorrupt for another type, malformed bytes, or a view that is none: above kMaxServers, a node twice, node 0, a
// ring of other servers.
Result<RingMessage> ring_message_from_frame(const Frame& frame);
Frame ring_message_to_frame(const RingMessage& message, Incarnation sender);

// kCorrupt unless every node is named once, none is 0, the number of members and retired is within kMaxServers, and
// `ring` has every member but the witness once and nobody else.
Status check_view(const RingView& view);

}  // namespace rk::wire

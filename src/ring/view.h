// SPDX-License-Identifier: Apache-2.0
// The agreed list of servers, and where copies lie in it. The order of the members is that of ranks: who leads, and who
// is next in line. Who is next to whom in the ring is a part of the view of its own (placement.h). The second copy of a
// server's data is on its predecessor in the ring, so every server keeps the copies of its successor, which is also the
// server it watches.
//
// Quorum of a view: more than half of its members, or exactly half with rank 0 among them; so any two quorums share a
// member. View 0 stands for the roster before the first view: its quorum is more than half.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "wire/ring_messages.h"

namespace rk::ring {

using Ballot = wire::RingBallot;
using Member = wire::RingMember;
using View = wire::RingView;

// Position in the line of succession, from 0; nullopt if the node is no member.
std::optional<std::size_t> rank_of(const View& view, NodeId node);
// The member of that node, whichever its incarnation.
const Member* find(const View& view, NodeId node);
bool contains(const View& view, const Member& member);

// Neighbours in the ring of a member; nullopt if the node is no member, the witness, or the only one in the ring.
std::optional<Member> predecessor(const View& view, NodeId node);
std::optional<Member> successor(const View& view, NodeId node);

// The members that hold data, in the order of the ring.
std::vector<Member> ring_of(const View& view);

// Placement: who holds the second copy of what clients of `home` commit, and whose second copies `holder` keeps.
inline std::optional<Member> backup_of(const View& view, NodeId home) { return predecessor(view, home); }
inline std::optional<Member> kept_by(const View& view, NodeId holder) { return successor(view, holder); }

// View numbers are below 2^32 (the keep puts them into the high half of its versions). Their highest 8 bits are the
// generation: how often an operator has gone on without a quorum, at most 255 times. The views of a generation count on
// from its first number, which is another one for each server that may have been asked (override_number): at least 2^23
// views until the numbers of the next generation, in generation 0 2^24. That is a view a minute for 16 years.
inline constexpr unsigned kGenerationShift = 24;
inline constexpr std::uint64_t kMaxGeneration = 255;
inline constexpr std::uint64_t generation(ViewNumber number) { return number.value >> kGenerationShift; }
// The first view of the generation after that of `known`, made by the server that is number `place` (from 0) of the
// `servers` of the roster, at most wire::kMaxServers. Two servers that are asked at once, and do not hear each other,
// make different numbers: 2^23 / servers views apart (512 of 16,384, 8,192 of 1,024), of which the higher one wins.
ViewNumber override_number(ViewNumber known, std::size_t place, std::size_t servers);

// Above every round that a server can have come to in its life.
inline constexpr std::uint32_t kMaxRound = 1U << 30U;

// Does the vote of the member's node count as that member's? Only if it has not lost its memory since that life.
inline bool may_vote(const Member& member, Incarnation memory_since) { return memory_since <= member.incarnation; }

// Do the members for which `votes` holds form a quorum?
bool is_quorum(const View& view, const std::function<bool(const Member&)>& votes);
// Do so many of them, rank 0 among them or not?
bool is_quorum(const View& view, std::size_t votes, bool first_votes);

// For people: "view 3: 1.1 2.1 4.2" (node.incarnation, leader first), "ring 1 4 2" if that is another order, and
// "witness 3".
std::string to_text(const View& view);
// "0" or "round.node".
std::string to_text(Ballot ballot);

}  // namespace rk::ring

// SPDX-License-Identifier: Apache-2.0
// Strong types for the numbers that must not be mixed up. All are plain values; 0 means "none" unless said otherwise.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace rk {

template <class Tag, class Value>
struct StrongId {
  using value_type = Value;
  Value value{};

  constexpr StrongId() = default;
  constexpr explicit StrongId(Value v) : value(v) {}
  constexpr auto operator<=>(const StrongId&) const = default;  // NOLINT(modernize-use-nullptr): a false alarm
  constexpr explicit operator bool() const { return value != Value{}; }
};

// A server's place in the roster; from 1. Never reused for another host.
using NodeId = StrongId<struct NodeIdTag, std::uint32_t>;
// One life of a server, a writer, a job or a community; rises by one or more with each life.
using Incarnation = StrongId<struct IncarnationTag, std::uint64_t>;
// Number of an agreed list of servers; rises by one with each change.
using ViewNumber = StrongId<struct ViewNumberTag, std::uint64_t>;
// Identity of a cluster: random, chosen when the cluster key is made.
using ClusterId = StrongId<struct ClusterIdTag, std::uint64_t>;
// Identity of a parallel job: random, chosen by the launcher.
using JobId = StrongId<struct JobIdTag, std::uint64_t>;
// Community of a job, from 0.
using CommunityId = StrongId<struct CommunityIdTag, std::uint32_t>;
// Process of a job as its program sees it (rank in MPI_COMM_WORLD), from 0.
using Rank = StrongId<struct RankTag, std::uint32_t>;
// The uid that SO_PEERCRED gave: who owns a checkpoint or a job. 0 is root, a valid owner.
using OwnerId = StrongId<struct OwnerIdTag, std::uint32_t>;
// Version of a checkpoint, from 1; never used twice for different bytes.
using Version = StrongId<struct VersionTag, std::uint64_t>;
// Sequence number that the sender gives a message, per (sender, receiver), from 1 (MISSION.md C.10).
using Ssn = StrongId<struct SsnTag, std::uint64_t>;
// Sequence number that the receiver gives a message when it is matched, per receiver, from 1 (MISSION.md C.10).
using Rsn = StrongId<struct RsnTag, std::uint64_t>;

}  // namespace rk

template <class Tag, class Value>
struct std::hash<rk::StrongId<Tag, Value>> {
  std::size_t operator()(const rk::StrongId<Tag, Value>& id) const noexcept { return std::hash<Value>{}(id.value); }
};

// SPDX-License-Identifier: Apache-2.0
// Conversation of a client (libringkeep, libringkeep-mpi, the launcher, the command) with its node's server over the
// local socket. The client asks, the server answers with the frame's request number; a failed request is answered by
// Refusal. The owner of everything is the uid that SO_PEERCRED gives, never a field.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "wire/codec.h"
#include "wire/status_counts.h"

namespace rk::wire {

// First frame of a connection, once. `cluster` 0: whichever cluster this server belongs to.
struct ClientHello {
  static constexpr MessageType kType = MessageType::kClientHello;
  VersionRange versions;
  ClusterId cluster;
  std::string program;  // for people: "heat2d", "ringkeep run"
  bool fenced = false;  // this process must not outlive the server's lease for long: the guard of the node kills it
  RK_FIELDS(versions, cluster, program, fenced)
};

struct ServerHello {
  static constexpr MessageType kType = MessageType::kServerHello;
  std::uint16_t version = 0;  // the minor version agreed
  ClusterId cluster;
  NodeId node;
  Incarnation incarnation;
  std::string release;  // "0.1.0"
  RK_FIELDS(version, cluster, node, incarnation, release)
};

// An empty success.
struct Done {
  static constexpr MessageType kType = MessageType::kDone;
  RK_NO_FIELDS()
};

// --- status ---------------------------------------------------------------------------------------------------------

struct StatusQuery {
  static constexpr MessageType kType = MessageType::kStatusQuery;
  RK_NO_FIELDS()
};

struct MemberStatus {
  NodeId node;
  Incarnation incarnation;
  std::string address;  // host:port of the peer link
  bool connected = false;
  std::string key;       // id of the cluster key that the link was proven with; empty without a link
  bool witness = false;  // votes and holds no data: it is no part of the ring, and the last of the list
  RK_FIELDS(node, incarnation, address, connected, key, witness)
};

// The links of a server to the others since it started.
struct LinkStatus {
  bool encrypted = false;
  std::uint64_t made = 0;
  std::uint64_t refused = 0;      // connections that ended before the other side had proved who it is
  std::uint64_t malformed = 0;    // links that ended with malformed bytes
  std::uint64_t turned_away = 0;  // connections for which there was no place
  RK_FIELDS(encrypted, made, refused, malformed, turned_away)
};

struct JobStatus {
  JobId job;
  OwnerId owner;
  std::uint32_t ranks = 0;
  std::uint32_t attached = 0;  // processes connected now
  std::uint64_t log_bytes = 0;
  RK_FIELDS(job, owner, ranks, attached, log_bytes)
};

// The last override of the ring: how often an operator has gone on without a quorum, and the last time. What was
// committed elsewhere before it, and since the view `from`, may be stale or lost.
struct OverrideMark {
  std::uint32_t generation = 0;  // 0: never; the rest is empty then
  NodeId by;                     // the server that was asked
  ViewNumber from;               // the view it went on from
  std::uint64_t at_ms = 0;       // of its wall clock, since 1970-01-01 UTC
  RK_FIELDS(generation, by, from, at_ms)
  bool operator==(const OverrideMark&) const = default;
};

struct StatusAnswer {
  static constexpr MessageType kType = MessageType::kStatusAnswer;
  ClusterId cluster;
  NodeId node;
  Incarnation incarnation;
  std::uint32_t pid = 0;
  ViewNumber view;                    // 0: no view yet
  std::string state;                  // "serving", "forming", "wedged"
  std::string reason;                 // why it is not serving, with the name of the server that is missing
  std::vector<MemberStatus> members;  // ring order: members[0] leads, members[i+1] is the successor of members[i]
  std::uint64_t budget_bytes = 0;
  std::uint64_t used_bytes = 0;
  std::uint64_t checkpoints = 0;  // names with a committed version, copies kept for others included
  std::vector<JobStatus> jobs;
  LinkStatus links;
  OverrideMark overridden{};
  IntegrityStatus integrity{};
  ClientStatus clients{};
  ReplicationStatus replication{};
  RK_FIELDS(cluster, node, incarnation, pid, view, state, reason, members, budget_bytes, used_bytes, checkpoints, jobs,
            links, overridden, integrity, clients, replication)
};

// --- events ---------------------------------------------------------------------------------------------------------

// The newest events of this server, oldest first, each a ServerEvent with this request's number. Done ends them unless
// `follow`: then new ones come as they happen, until the connection ends. One a connection.
struct EventsSubscribe {
  static constexpr MessageType kType = MessageType::kEventsSubscribe;
  bool follow = false;
  RK_FIELDS(follow)
};

// One life of a server.
struct ServerLife {
  NodeId node;
  Incarnation incarnation;
  RK_FIELDS(node, incarnation)
  bool operator==(const ServerLife&) const = default;
};

// docs/events.md lists the events and the fields that each has.
struct ServerEvent {
  static constexpr MessageType kType = MessageType::kServerEvent;
  std::uint64_t sequence = 0;      // counts from 1 in the life of the server
  std::uint64_t missed = 0;        // events before this one that this connection was too slow for
  std::uint64_t time_us = 0;       // since 1970-01-01 UTC
  std::uint64_t monotonic_ns = 0;  // CLOCK_MONOTONIC
  NodeId server;                   // the one that tells it
  std::string event;               // "view_installed" and so on
  NodeId node;                     // the server that it is about
  Incarnation incarnation;
  std::string reason;  // for people: printable
  ViewNumber view;
  ViewNumber previous;              // the view before, as far as this server knows
  std::vector<ServerLife> members;  // ring order: members[0] leads; without the witness
  std::vector<ServerLife> joined;
  std::vector<ServerLife> restarted;  // under the new incarnation
  std::vector<ServerLife> lost;
  std::vector<ServerLife> left;
  std::uint64_t count = 0;  // of what the event is about: copies, refusals
  std::uint64_t bytes = 0;
  JobId job;
  OwnerId owner;
  std::uint32_t ranks = 0;
  NodeId witness;             // of the view; 0: none
  OverrideMark overridden{};  // of the view
  std::string checkpoint;     // its name
  Version version;            // of the checkpoint
  RK_FIELDS(sequence, missed, time_us, monotonic_ns, server, event, node, incarnation, reason, view, previous, members,
            joined, restarted, lost, left, count, bytes, job, owner, ranks, witness, overridden, checkpoint, version)
};

// --- ring -----------------------------------------------------------------------------------------------------------

// What this server knows of the ring. Answer: RingAnswer.
struct RingQuery {
  static constexpr MessageType kType = MessageType::kRingQuery;
  RK_NO_FIELDS()
};

struct RingServer {
  NodeId node;
  Incarnation incarnation;  // of the member; 0 for a server that is none
  std::string address;      // host:port of the peer link
  bool member = false;
  bool connected = false;
  std::string state;  // "up", "suspected", "not a member", "unknown"; of the server that answers also as StatusAnswer
  std::string reason;
  std::string rack;      // as this server is configured; empty: none
  bool witness = false;  // votes and holds no data
  RK_FIELDS(node, incarnation, address, member, connected, state, reason, rack, witness)
};

// Frames of one kind since the start of this server, with their headers.
struct RingMessageCount {
  std::string kind;  // "heartbeat", "propose", ...
  std::uint64_t sent = 0;
  std::uint64_t sent_bytes = 0;
  std::uint64_t received = 0;
  std::uint64_t received_bytes = 0;
  RK_FIELDS(kind, sent, sent_bytes, received, received_bytes)
};

struct RingAnswer {
  static constexpr MessageType kType = MessageType::kRingAnswer;
  std::uint64_t monotonic_ns = 0;  // CLOCK_MONOTONIC, of this answer
  ClusterId cluster;
  NodeId node;
  Incarnation incarnation;
  ViewNumber view;       // that it acts in; 0: none yet
  ViewNumber committed;  // the newest that it knows
  std::string state;     // as StatusAnswer
  std::string reason;
  NodeId missing;                   // the server without which it does not act; 0: none
  std::vector<RingServer> servers;  // members in ring order, the leader first; then the rest of the roster
  std::vector<RingMessageCount> messages;
  std::uint64_t refused_peers = 0;      // connections that ended before they had proved themselves
  std::uint64_t turned_away_peers = 0;  // connections for which there was no place
  std::uint64_t malformed_peers = 0;    // links that ended with a malformed frame
  std::uint64_t refused_messages = 0;   // of the ring, that no correct server of this cluster sends
  OverrideMark overridden{};
  RK_FIELDS(monotonic_ns, cluster, node, incarnation, view, committed, state, reason, missing, servers, messages,
            refused_peers, turned_away_peers, malformed_peers, refused_messages, overridden)
};

// Go on without a quorum: the servers that answer this one become a view of a new generation (ring/override.cc), and
// those that do not are given up. Only for the user that runs the server, and root. Answer: OverrideAnswer, after the
// server has asked all others who is there.
struct OverrideRequest {
  static constexpr MessageType kType = MessageType::kOverrideRequest;
  bool confirmed = false;  // false: only say what it would be; answered at once
  RK_FIELDS(confirmed)
};

struct OverrideAnswer {
  static constexpr MessageType kType = MessageType::kOverrideAnswer;
  bool done = false;
  std::string refusal;  // why not: cause and cure; empty: it is done, or would be
  ViewNumber view;      // done: the new one; otherwise the newest that the server knows
  OverrideMark overridden;
  std::vector<NodeId> members;  // done: of the new view; otherwise of that view, those that have a link to the server
  std::vector<NodeId> missing;  // the other members of the view before
  std::vector<NodeId> ring;     // of the view before: the second copies of ring[i + 1] are at ring[i]
  RK_FIELDS(done, refusal, view, overridden, members, missing, ring)
};

// --- keep -----------------------------------------------------------------------------------------------------------

inline constexpr std::size_t kMaxNameBytes = 255;  // checkpoint, group and section names: printable, no control bytes
inline constexpr std::size_t kMaxSections = 1024;  // of one version
inline constexpr std::uint64_t kMaxVersionBytes = std::uint64_t{1} << 40U;

enum class CommitLevel : std::uint8_t { kLocal = 0, kReplicated = 1 };
enum class CommitResult : std::uint8_t { kOk = 0, kFailed = 1, kUnknown = 2 };

struct SectionSpec {
  std::string name;
  std::uint64_t size = 0;
  RK_FIELDS(name, size)
  bool operator==(const SectionSpec&) const = default;
};

// A section inside a version's memory. Offsets are multiples of 4096.
struct SectionPlace {
  std::string name;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  std::uint64_t sum = 0;  // XXH3-64 of the section; 0 while it is being written
  RK_FIELDS(name, offset, size, sum)
  bool operator==(const SectionPlace&) const = default;
};

// Takes memory for a new version. Answer: CheckpointSlot with one descriptor, a memfd of `total` bytes, writable.
struct CheckpointBegin {
  static constexpr MessageType kType = MessageType::kCheckpointBegin;
  std::string name;
  std::vector<SectionSpec> sections;
  RK_FIELDS(name, sections)
};

struct CheckpointSlot {
  static constexpr MessageType kType = MessageType::kCheckpointSlot;
  std::uint64_t slot = 0;  // this connection's handle for the version being written
  std::uint64_t total = 0;
  std::vector<SectionPlace> sections;
  RK_FIELDS(slot, total, sections)
};

// The client has unmapped the slot. Answer: CommitAnswer, at the latest `timeout_ms` after the request arrived.
struct CheckpointCommit {
  static constexpr MessageType kType = MessageType::kCheckpointCommit;
  std::uint64_t slot = 0;
  CommitLevel level = CommitLevel::kReplicated;
  std::uint32_t timeout_ms = 0;
  RK_FIELDS(slot, level, timeout_ms)
};

struct CommitAnswer {
  static constexpr MessageType kType = MessageType::kCommitAnswer;
  CommitResult result = CommitResult::kFailed;
  Version version;        // of an OK
  std::uint64_t sum = 0;  // checksum over the version's section table (names, sizes, sums): identifies its content
  std::string reason;     // of a FAILED or UNKNOWN
  // Of an OK: the server's lease of the ring, on CLOCK_BOOTTIME of this machine. An OK that a client takes later does
  // not count: ask again. 0: not said.
  std::uint64_t lease_until_ms = 0;
  RK_FIELDS(result, version, sum, reason, lease_until_ms)
};

struct PutSection {
  std::string name;
  ByteView bytes;
  RK_FIELDS(name, bytes)
};

inline constexpr std::size_t kMaxPutBytes = std::size_t{1} << 20U;  // of all sections of a CheckpointPut
inline constexpr std::uint64_t kPutAlignment = 64;                  // of its sections, so that no gaps travel

// A small version in one message: begun, written and committed. Answer: CommitAnswer, at the latest `timeout_ms` after
// the request arrived.
struct CheckpointPut {
  static constexpr MessageType kType = MessageType::kCheckpointPut;
  std::string name;
  std::vector<PutSection> sections;
  CommitLevel level = CommitLevel::kReplicated;
  std::uint32_t timeout_ms = 0;
  RK_FIELDS(name, sections, level, timeout_ms)
};

// Gives the slot back. Answer: Done.
struct CheckpointAbandon {
  static constexpr MessageType kType = MessageType::kCheckpointAbandon;
  std::uint64_t slot = 0;
  RK_FIELDS(slot)
};

// Version 0: the newest committed one. Answer: CheckpointContent with one read-only descriptor. The version stays as it
// is until CheckpointRelease or the end of this connection.
struct CheckpointOpen {
  static constexpr MessageType kType = MessageType::kCheckpointOpen;
  std::string name;
  Version version;
  RK_FIELDS(name, version)
};

struct CheckpointContent {
  static constexpr MessageType kType = MessageType::kCheckpointContent;
  Version version;
  std::uint64_t total = 0;
  std::uint64_t sum = 0;  // as in CommitAnswer
  std::vector<SectionPlace> sections;
  NodeId holder;                     // where the bytes came from: this server, or its predecessor
  std::uint64_t slot = 0;            // this connection's handle for CheckpointRelease; 0: nothing to release
  std::uint64_t lease_until_ms = 0;  // as in CommitAnswer
  RK_FIELDS(version, total, sum, sections, holder, slot, lease_until_ms)
};

// The client has unmapped an opened version: it need not stay as it is for this connection any more. Answer: Done.
struct CheckpointRelease {
  static constexpr MessageType kType = MessageType::kCheckpointRelease;
  std::uint64_t slot = 0;
  RK_FIELDS(slot)
};

// The owner's names of the whole ring that start with `prefix`, in order, those greater than `after`. Answer:
// CheckpointListAnswer; ask again with its `next` as `after` until that is empty. It tells what the servers have at
// this moment, not under one lease: a read is what decides.
struct CheckpointList {
  static constexpr MessageType kType = MessageType::kCheckpointList;
  std::string prefix;
  std::string after;
  RK_FIELDS(prefix, after)
};

struct CheckpointEntry {
  std::string name;
  // The server whose clients write it, or that keeps it for its safety since that one is gone; 0: there is none.
  NodeId home;
  bool lost = false;            // newer versions than those in `kept` are gone
  Version newest;               // that can be read; 0: none
  std::vector<Version> kept;    // that can be read
  std::uint64_t bytes = 0;      // of the newest version's sections
  std::vector<NodeId> holders;  // complete copies of the newest version
  RK_FIELDS(name, home, lost, newest, kept, bytes, holders)
};

// What the owner's checkpoints take of a server's memory, copies for other servers and open writes included.
struct ServerUsage {
  NodeId node;
  std::uint64_t bytes = 0;
  std::uint64_t quota_bytes = 0;  // of an owner; UINT64_MAX: no other limit than the server's memory
  RK_FIELDS(node, bytes, quota_bytes)
};

struct CheckpointListAnswer {
  static constexpr MessageType kType = MessageType::kCheckpointListAnswer;
  std::vector<CheckpointEntry> entries;
  std::string next;  // there may be more behind this name; empty: that is all
  std::vector<ServerUsage> servers;
  RK_FIELDS(entries, next, servers)
};

// All that the ring has of a name. Answer: CheckpointInspected; kNotFound if nothing was ever committed.
struct CheckpointInspect {
  static constexpr MessageType kType = MessageType::kCheckpointInspect;
  std::string name;
  RK_FIELDS(name)
};

struct InspectedVersion {
  Version version;
  Incarnation incarnation;  // of the community that wrote it; 0 outside of a job
  std::uint64_t total = 0;  // bytes of memory
  std::uint64_t sum = 0;    // as in CommitAnswer
  std::vector<SectionPlace> sections;
  std::vector<NodeId> holders;  // complete copies
  RK_FIELDS(version, incarnation, total, sum, sections, holders)
};

struct CheckpointInspected {
  static constexpr MessageType kType = MessageType::kCheckpointInspected;
  NodeId home;                             // as in CheckpointEntry
  std::string lost;                        // why the newest version cannot be read, for people; empty: it can
  std::vector<InspectedVersion> versions;  // oldest first
  std::uint64_t lease_until_ms = 0;        // as in CommitAnswer
  RK_FIELDS(home, lost, versions, lease_until_ms)
};

// Removes all versions of the owner's name. Answer: Done; kNotFound if there is none.
struct CheckpointDelete {
  static constexpr MessageType kType = MessageType::kCheckpointDelete;
  std::string name;
  RK_FIELDS(name)
};

// What this connection read of that version does not have its checksum. The server believes nothing of it: it sums its
// own copy, and replaces it by another server's if it is damaged. Answer: Done when the sum is known; open it again.
struct CheckpointDamaged {
  static constexpr MessageType kType = MessageType::kCheckpointDamaged;
  std::string name;
  Version version;
  RK_FIELDS(name, version)
};

// Every server of the ring sums its copies of the name now; of version 0: of all that are kept. Answer:
// CheckpointVerified, at the latest after `timeout_ms`; kNotFound if nobody has anything of it.
struct CheckpointVerify {
  static constexpr MessageType kType = MessageType::kCheckpointVerify;
  std::string name;
  Version version;
  std::uint32_t timeout_ms = 0;
  RK_FIELDS(name, version, timeout_ms)
};

enum class CopyState : std::uint8_t {
  kGood = 0,
  kRepaired = 1,    // it was damaged, and has been replaced by another server's
  kDamaged = 2,     // and not replaced: there is no other good copy, or it did not come in time
  kAbsent = 3,      // not here; only a home says so, of what it answers for
  kUnreadable = 4,  // it could not be mapped, so that nothing is known of it
};

struct VerifiedCopy {
  NodeId server;
  CopyState state = CopyState::kGood;
  RK_FIELDS(server, state)
};

struct VerifiedVersion {
  Version version;
  std::uint64_t bytes = 0;  // of memory
  std::vector<VerifiedCopy> copies;
  RK_FIELDS(version, bytes, copies)
};

struct CheckpointVerified {
  static constexpr MessageType kType = MessageType::kCheckpointVerified;
  std::vector<VerifiedVersion> versions;  // oldest first
  RK_FIELDS(versions)
};

struct GroupPart {
  std::string name;  // of the part's checkpoint
  Version version;
  std::uint64_t sum = 0;  // CommitAnswer.sum of that version
  RK_FIELDS(name, version, sum)
  bool operator==(const GroupPart&) const = default;
};

// Commits a community's version: it exists when this record is replicated. Every part must be committed with the sum
// given. The incarnation (frame header) fences older lives of the community. Answer: CommitAnswer with the group's
// version.
struct GroupCommit {
  static constexpr MessageType kType = MessageType::kGroupCommit;
  std::string group;
  std::vector<GroupPart> parts;
  std::uint32_t timeout_ms = 0;
  RK_FIELDS(group, parts, timeout_ms)
};

// Answer: GroupAnswer with the newest committed record; version 0 if there is none.
struct GroupQuery {
  static constexpr MessageType kType = MessageType::kGroupQuery;
  std::string group;
  RK_FIELDS(group)
};

struct GroupAnswer {
  static constexpr MessageType kType = MessageType::kGroupAnswer;
  Version version;
  Version oldest_retained;  // the oldest group version that a restart could still use; logs are trimmed by it
  std::vector<GroupPart> parts;
  std::uint64_t lease_until_ms = 0;  // as in CommitAnswer
  RK_FIELDS(version, oldest_retained, parts, lease_until_ms)
};

// --- log ------------------------------------------------------------------------------------------------------------

inline constexpr std::size_t kMaxRanks = 4096;

// The launcher registers a job. It lives as long as the launcher's connection or until JobRemove. Answer: Done.
struct JobCreate {
  static constexpr MessageType kType = MessageType::kJobCreate;
  JobId job;
  std::vector<CommunityId> community_of;  // one entry a rank
  std::uint64_t log_limit_bytes = 0;      // of one rank's segment: the size of its mapping
  RK_FIELDS(job, community_of, log_limit_bytes)
};

// A process of the job introduces itself; the community's incarnation stands in the frame header, an older one than the
// job's record is refused (kFenced). Answer: JobAttached with two descriptors: the job's bells and the process's own
// segment, both writable.
struct JobAttach {
  static constexpr MessageType kType = MessageType::kJobAttach;
  JobId job;
  Rank rank;
  RK_FIELDS(job, rank)
};

struct JobAttached {
  static constexpr MessageType kType = MessageType::kJobAttached;
  std::vector<CommunityId> community_of;
  std::uint64_t bells_bytes = 0;
  std::uint64_t segment_bytes = 0;  // size of the mapping
  std::uint64_t usable_bytes = 0;   // from its start: touched and charged; LogGrow moves it
  RK_FIELDS(community_of, bells_bytes, segment_bytes, usable_bytes)
};

// Another process's segment, read-only. Answer: SegmentOpened with one descriptor.
struct SegmentOpen {
  static constexpr MessageType kType = MessageType::kSegmentOpen;
  JobId job;
  Rank rank;
  RK_FIELDS(job, rank)
};

struct SegmentOpened {
  static constexpr MessageType kType = MessageType::kSegmentOpened;
  std::uint64_t segment_bytes = 0;
  RK_FIELDS(segment_bytes)
};

// Asks for `bytes` more usable memory in the own segment. kNoMemory when the limit, budget or machine is full.
struct LogGrow {
  static constexpr MessageType kType = MessageType::kLogGrow;
  JobId job;
  Rank rank;
  std::uint64_t bytes = 0;
  RK_FIELDS(job, rank, bytes)
};

struct LogGrown {
  static constexpr MessageType kType = MessageType::kLogGrown;
  std::uint64_t usable_bytes = 0;
  RK_FIELDS(usable_bytes)
};

// The launcher starts a new incarnation (frame header) of a community: processes of older ones are refused from now on,
// and writes of a still-connected older one no longer count. Answer: Done.
struct JobFence {
  static constexpr MessageType kType = MessageType::kJobFence;
  JobId job;
  CommunityId community;
  RK_FIELDS(job, community)
};

// Frees the job's segments and its checkpoints (names below "job/ID/"). Answer: Done.
struct JobRemove {
  static constexpr MessageType kType = MessageType::kJobRemove;
  JobId job;
  RK_FIELDS(job)
};

// Server -> every connection that created a job, one-way: a server of the ring is gone, or the ring stopped serving.
// `fatal`: what the job committed or logged here is no longer safe; the launcher ends the job and shows the text.
struct ServerNotice {
  static constexpr MessageType kType = MessageType::kServerNotice;
  bool fatal = false;
  std::string text;  // names the server
  RK_FIELDS(fatal, text)
};

}  // namespace rk::wire

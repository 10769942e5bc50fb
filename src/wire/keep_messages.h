// SPDX-License-Identifier: Apache-2.0
// Conversation of the servers about checkpoints. Every message names the view it was sent in; a receiver in another
// view does nothing but say so. Bytes travel as CopyChunks behind their CopyOffer on the same link.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "wire/client_messages.h"
#include "wire/codec.h"

namespace rk::wire {

enum class KeepKind : std::uint8_t { kCheckpoint = 0, kGroup = 1 };

// What is kept, cluster-wide: names of different owners and kinds never meet.
struct KeepKey {
  OwnerId owner;
  KeepKind kind = KeepKind::kCheckpoint;
  std::string name;
  RK_FIELDS(owner, kind, name)
  auto operator<=>(const KeepKey&) const = default;  // NOLINT(modernize-use-nullptr): false alarm
};

// A version without its bytes. A group record has parts and no sections, a checkpoint the reverse.
struct VersionContent {
  Version version;
  Incarnation incarnation;  // of the community that wrote it; 0 for a checkpoint outside of a job
  std::uint64_t total = 0;  // bytes of memory
  std::uint64_t sum = 0;    // version_sum()
  std::vector<SectionPlace> sections;
  std::vector<GroupPart> parts;
  RK_FIELDS(version, incarnation, total, sum, sections, parts)
  bool operator==(const VersionContent&) const = default;
};

// A version's memory in pages, the last of which may be shorter.
inline constexpr std::uint64_t kChangedPageBytes = 4096;
inline constexpr std::size_t kMaxChangedRanges = 16384;  // every other page of 128 MiB

struct PageRange {
  std::uint32_t first = 0;
  std::uint32_t count = 0;
  RK_FIELDS(first, count)
  bool operator==(const PageRange&) const = default;
};

// The version that is offered has the bytes of another one but for these pages, which alone travel.
struct CopyDelta {
  Version base;                // 0: all bytes travel
  std::uint64_t base_sum = 0;  // version_sum() of that one: under its number the receiver must have just this content
  std::vector<PageRange> changed;
  RK_FIELDS(base, base_sum, changed)
  bool operator==(const CopyDelta&) const = default;
};

// Home -> a server that shall hold a copy. If `eager`, the chunks follow at once; else after an answer kWanted. The
// receiver is current from now on (KeepOutdate).
struct CopyOffer {
  static constexpr MessageType kType = MessageType::kCopyOffer;
  ViewNumber view;
  std::uint64_t copy = 0;  // number of this attempt, rising in each life of the sender
  bool eager = false;
  KeepKey key;
  VersionContent content;
  Version committed;  // newest version known to have been confirmed
  Version owed;       // what a reader must get, or a newer one
  CopyDelta delta{};
  RK_FIELDS(view, copy, eager, key, content, committed, owed, delta)
};

inline constexpr std::size_t kCopyChunkBytes = std::size_t{256} << 10U;
// A fetch's number has this bit, a copy's has not: the two are counted by different servers.
inline constexpr std::uint64_t kFetchBit = std::uint64_t{1} << 63U;

// In order and without gaps; anything else breaks the copy. Of a delta the changed pages, one behind the other.
struct CopyChunk {
  static constexpr MessageType kType = MessageType::kCopyChunk;
  std::uint64_t copy = 0;
  std::uint64_t offset = 0;  // in all that travels
  ByteView bytes;
  RK_FIELDS(copy, offset, bytes)
};
inline constexpr std::size_t kCopyChunkHeadBytes = 20;  // of its payload, before the bytes

enum class CopyResult : std::uint8_t {
  kComplete = 0,   // all bytes are here and have their checksums
  kWanted = 1,     // memory is ready: send the chunks
  kRefused = 2,    // nothing of the version is here; the reason says why
  kDamaged = 3,    // bytes arrived that do not have their checksums, or out of order: nothing of it is here
  kOtherView = 4,  // try again when both are in the same view
  kHadIt = 5,      // as kDamaged or kRefused, but it was complete here once, and damaged since: it may be known
  // Of a delta: its base is not here, or what came of both has not its checksums. Nothing of it is here.
  kNeedsWhole = 6,
};

// Answer to CopyOffer, and to a CopyFetch that cannot be served.
struct CopyAnswer {
  static constexpr MessageType kType = MessageType::kCopyAnswer;
  ViewNumber view;
  std::uint64_t copy = 0;
  CopyResult result = CopyResult::kRefused;
  std::string reason;
  RK_FIELDS(view, copy, result, reason)
};

// Asks a holder for the bytes: CopyChunks with this number follow, or a CopyAnswer.
struct CopyFetch {
  static constexpr MessageType kType = MessageType::kCopyFetch;
  ViewNumber view;
  std::uint64_t copy = 0;  // has kFetchBit
  KeepKey key;
  Version version;
  RK_FIELDS(view, copy, key, version)
};

// Home -> holder, one-way: of the versions up to `up_to`, those in `retained` stay and the others go.
struct CopyRetain {
  static constexpr MessageType kType = MessageType::kCopyRetain;
  ViewNumber view;
  KeepKey key;
  Version up_to;
  Version committed;  // as in CopyOffer
  Version owed;
  std::vector<Version> retained;
  RK_FIELDS(view, key, up_to, committed, owed, retained)
};

// What do you know of this name? With `claim`: I am its home from now on, unless somebody else is. With `keeps`: for
// the safety of what is there; I leave it to whoever claims it without.
struct KeepLookup {
  static constexpr MessageType kType = MessageType::kKeepLookup;
  ViewNumber view;
  std::uint64_t round = 0;
  bool claim = false;
  KeepKey key;
  bool keeps = false;
  RK_FIELDS(view, round, claim, key, keeps)
};

struct HeldVersion {
  VersionContent content;
  bool committed = false;  // known to be; a holder that is not the home may not know it yet
  bool here = false;       // a complete copy is at the server that says so
  RK_FIELDS(content, committed, here)
};

struct KeepLookupAnswer {
  static constexpr MessageType kType = MessageType::kKeepLookupAnswer;
  ViewNumber view;
  std::uint64_t round = 0;
  bool home = false;                  // I am the home: what I say is all there is
  bool known = false;                 // I have heard of the name before this lookup
  bool current = false;               // no version newer than `owed` was confirmed: its home would have told me before
  Version floor;                      // versions up to this one were removed
  Version highest;                    // no number up to this one may be used again
  Version committed;                  // newest version known to have been confirmed
  Version owed;                       // what a reader must get, or a newer one; else it is lost
  std::vector<HeldVersion> versions;  // complete copies here; of the home: all that is committed
  bool since_first = false;           // I was in every view from the first on: I know each name that was ever claimed
  KeepKey key;
  bool claimants_live = false;  // every server that claimed the name, as far as I heard, is a member: it can be asked
  bool claiming = false;        // `home` is what I am about to become, unless it fails
  // Of who was the home in this view, for the safety of what is there: members that it may have made current, with
  // offers up to this number, which may be on their way still.
  std::vector<NodeId> informed;
  std::uint64_t last_copy = 0;
  Incarnation fence;  // a writer of this life of its community was heard of: older ones are refused
  RK_FIELDS(view, round, home, known, current, floor, highest, committed, owed, versions, since_first, key,
            claimants_live, claiming, informed, last_copy, fence)
};

// CopyOffers of that server up to that number come too late.
struct CopyFence {
  NodeId node;
  std::uint64_t last_copy = 0;
  RK_FIELDS(node, last_copy)
  bool operator==(const CopyFence&) const = default;
};

// Home -> a server that may be current and will not have `version`: a version newer than those that it knows is about
// to be confirmed. It is confirmed after the answer only.
struct KeepOutdate {
  static constexpr MessageType kType = MessageType::kKeepOutdate;
  ViewNumber view;
  KeepKey key;
  Version version;
  std::vector<CopyFence> fences;  // of this view
  RK_FIELDS(view, key, version, fences)
};

struct KeepOutdated {
  static constexpr MessageType kType = MessageType::kKeepOutdated;
  ViewNumber view;
  KeepKey key;
  Version version;
  Version has;  // I have a complete copy of this one, `version` or newer, and stay current; 0: I have none
  RK_FIELDS(view, key, version, has)
};

// Any member that knows them -> one that may have come later: names whose home is a member no more, so that they are
// not forgotten with those that know them. What is said of each is a lower bound.
struct KeepName {
  KeepKey key;
  Version floor;
  Version highest;
  Version committed;
  Version owed;
  bool claimants_live = false;  // as in KeepLookupAnswer
  RK_FIELDS(key, floor, highest, committed, owed, claimants_live)
};

struct KeepNames {
  static constexpr MessageType kType = MessageType::kKeepNames;
  ViewNumber view;
  std::uint64_t batch = 0;
  std::vector<KeepName> names;
  RK_FIELDS(view, batch, names)
};

struct KeepNamesHeard {
  static constexpr MessageType kType = MessageType::kKeepNamesHeard;
  ViewNumber view;
  std::uint64_t batch = 0;
  RK_FIELDS(view, batch)
};

// One page of what the receiver has of an owner's names: CheckpointList, put to every member.
struct KeepList {
  static constexpr MessageType kType = MessageType::kKeepList;
  ViewNumber view;
  std::uint64_t round = 0;
  OwnerId owner;
  std::string prefix;
  std::string after;
  RK_FIELDS(view, round, owner, prefix, after)
};

// Of a name that its sender is the home of, has copies of, or that has no home.
struct ListedName {
  std::string name;
  bool home = false;          // I am the home: `kept`, `bytes` and `lost` are what there is
  bool lost = false;          // of the home
  Version owed;               // as in KeepLookupAnswer; 0 if that was removed
  std::vector<Version> here;  // complete copies at the sender
  std::vector<Version> kept;  // of the home: what can be read
  std::uint64_t bytes = 0;    // of the newest version in `kept`, or in `here`
  RK_FIELDS(name, home, lost, owed, here, kept, bytes)
};

struct KeepListed {
  static constexpr MessageType kType = MessageType::kKeepListed;
  ViewNumber view;
  std::uint64_t round = 0;
  std::vector<ListedName> names;  // in order
  bool more = false;              // behind the last of them
  ServerUsage usage;
  RK_FIELDS(view, round, names, more, usage)
};

// Holder -> home: the sender's copy does not have its checksums, and it has let go of it. It counts for nothing until
// it is complete again. Sent until it is heard, and now and then while the copy is not repaired.
struct KeepDamaged {
  static constexpr MessageType kType = MessageType::kKeepDamaged;
  ViewNumber view;
  KeepKey key;
  Version version;
  RK_FIELDS(view, key, version)
};

struct KeepDamagedHeard {
  static constexpr MessageType kType = MessageType::kKeepDamagedHeard;
  ViewNumber view;
  KeepKey key;
  Version version;
  bool lost = false;  // no server is known to have a good copy
  RK_FIELDS(view, key, version, lost)
};

// What came of the receiver's copy did not have its checksums: sum it again. One-way.
struct KeepSuspect {
  static constexpr MessageType kType = MessageType::kKeepSuspect;
  ViewNumber view;
  KeepKey key;
  Version version;
  RK_FIELDS(view, key, version)
};

// CheckpointVerify, put to every member.
struct KeepVerify {
  static constexpr MessageType kType = MessageType::kKeepVerify;
  ViewNumber view;
  std::uint64_t round = 0;
  KeepKey key;
  Version version;  // 0: all
  RK_FIELDS(view, round, key, version)
};

struct HeldCopy {
  Version version;
  std::uint64_t bytes = 0;
  CopyState state = CopyState::kGood;
  RK_FIELDS(version, bytes, state)
};

struct KeepVerified {
  static constexpr MessageType kType = MessageType::kKeepVerified;
  ViewNumber view;
  std::uint64_t round = 0;
  bool home = false;             // I am the home: no other versions are there
  std::vector<HeldCopy> copies;  // of the home: all that is committed
  RK_FIELDS(view, round, home, copies)
};

// Removes a name's versions up to `up_to`; with `prefix` every name of that owner, of both kinds, that starts with
// key.name, for good: such names are never used again.
struct KeepRemove {
  static constexpr MessageType kType = MessageType::kKeepRemove;
  ViewNumber view;
  std::uint64_t round = 0;
  bool prefix = false;
  KeepKey key;
  Version up_to;
  RK_FIELDS(view, round, prefix, key, up_to)
};

struct KeepRemoved {
  static constexpr MessageType kType = MessageType::kKeepRemoved;
  ViewNumber view;
  std::uint64_t round = 0;
  RK_FIELDS(view, round)
};

}  // namespace rk::wire

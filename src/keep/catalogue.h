// SPDX-License-Identifier: Apache-2.0
// What one server knows of each name: its versions, where complete copies of them are, and which numbers are used up.
//
// Numbers: a home gives versions rising numbers. It starts at 1 if a member that was in every view from the first on
// has not heard of the name; else at view << 32, so that no number of an earlier home comes again, whether that was
// committed, failed or only local.
//
// Kept versions: the two newest committed ones, those that a retained group record names, and those whose commit is
// still open. Group records: the two newest committed ones; so only a group record lets go what an older one named.
//
// Who knows the newest version: the home does. A member that is not the home is *current* for a name while the home
// confirms no version without its word: it gave that word by holding a copy of the version, or is told first that it is
// current no more (currency.cc). If the home is gone, any member that is current says what a reader is *owed*; if none
// is left, a newer version than all that are found may have been confirmed, and the name is lost until somebody
// commits.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "keep/events.h"

namespace rk::keep {

struct VersionRecord {
  wire::VersionContent content;
  wire::CommitLevel level = wire::CommitLevel::kReplicated;
  bool committed = false;
  bool here = false;         // a complete copy is in this server
  bool damaged = false;      // it was, until its bytes no longer had their checksums; it is known, and not here
  SlotId slot;               // its bytes; 0 for a version without bytes
  std::set<Member> holders;  // other servers known to have a complete copy
};

struct Entry {
  wire::KeepKey key;
  bool home = false;           // this server answers for the name: it has heard every member of a view (Keep::claim)
  bool keeps = false;          // of the home: for the safety of what is there, without a writer (adopting.cc)
  bool home_heard = false;     // of others: home_member has spoken as the home, not only claimed the name
  bool current = false;        // of others than the home: nothing above reach() was confirmed
  bool shared = false;         // known from others than its newest home too
  bool orphaned = false;       // a claimant is a member no more: versions may have gone with it
  Member home_member;          // who answered for the name last, as far as known
  Version highest;             // no number up to this one is free
  Version floor;               // copies of versions up to this one are refused: they were removed
  Version committed;           // newest version known to have been confirmed at level replicated
  Version owed;                // what a reader must get, or a newer one; if there is no copy of such, it is lost
  Incarnation fence;           // writers of an older life of the community are refused
  std::set<Member> claimants;  // members, other than this server, that have claimed it
  std::set<Member> told;       // of the home: members that know who is home
  std::set<Member> aware;      // of others, without a home: members that know the name
  std::set<Member> offered;    // servers that may have copies of some versions
  std::map<Member, Version> informed;      // of the home: who may be current; and up to where that was told them last
  std::set<Member> surely_current;         // those of them that have said so
  std::map<Member, std::uint64_t> former;  // homes of this view before, and the last number of their offers
  std::map<Member, std::uint64_t> last_copy;  // newest attempt heard of each sender: older ones come too late
  std::map<Version, VersionRecord> versions;
  std::uint64_t heal_at_ms = 0;      // of the home: copies in the background wait until then
  unsigned refused_heals = 0;        // in a row, in this view
  bool touched = false;              // in Catalogue::take_touched()
  std::uint64_t remembered_sum = 0;  // of what is remembered of it

  const VersionRecord* newest_committed() const;
  // Of the home: what a reader is owed is gone.
  bool lost() const;
  // The newest version that can have been confirmed, for a server that is current: owed, or one whose complete copy is
  // here, or was before it was damaged.
  Version reach() const;
};

class Catalogue {
 public:
  // For changing it: it counts as touched.
  Entry* find(const wire::KeepKey& key);
  const Entry* find(const wire::KeepKey& key) const;
  // Creates it if there is none; nullptr if that would make more than `limit` names of the owner.
  Entry* obtain(const wire::KeepKey& key, std::size_t limit);
  void erase(const wire::KeepKey& key);

  // Names that may have changed since the last call.
  std::vector<wire::KeepKey> take_touched();
  void touch(Entry& entry);
  void touch_missing(const wire::KeepKey& key) { touched_.push_back(key); }
  // Without touching it.
  Entry* peek(const wire::KeepKey& key);

  // Versions of the entry that must stay. `open`: commits that are not decided.
  std::set<Version> retained(const Entry& entry, const std::set<Version>& open) const;
  // To be called when the records of a group changed: what they name stays retained, also while a record's own commit
  // is open.
  void refresh_holds(const Entry& group);

  // Sorted by key; for walking. Who changes one touches it.
  std::map<wire::KeepKey, Entry>& entries() { return entries_; }
  const std::map<wire::KeepKey, Entry>& entries() const { return entries_; }

 private:
  std::map<wire::KeepKey, Entry> entries_;
  std::map<OwnerId, std::size_t> names_;
  std::vector<wire::KeepKey> touched_;
  // By part, then by the group that names it.
  std::map<wire::KeepKey, std::map<wire::KeepKey, std::set<Version>>> held_;
  std::map<wire::KeepKey, std::set<wire::KeepKey>> parts_of_;  // by group
};

}  // namespace rk::keep

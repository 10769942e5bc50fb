// SPDX-License-Identifier: Apache-2.0
// The ring's promises, checked from outside: from what servers make durable, send and install, never from their state.
//
//  - one committed value per view number, and one accepted value per ballot of it
//  - view v+1 has been durably accepted, in one ballot, by a quorum of v's members, each with unbroken memory
//  - what a server has promised never falls within a number, and it accepts no lower ballot
//  - what a PROMISE or an ACK says was durable before
//  - a server acts only in views that contain its life, and only after it was told of the commit
//  - view numbers and incarnations only rise
//  - who wedges says why and names a server
//  - a generation begins with an operator's override only, and of those who acted in the one before only the servers of
//    its first view act in it; who has heard of a newer generation acts no more in its own
//  - of the n servers of a view that hold data, m with the most frequent rack, max(0, 2m - n) have a predecessor of
//  their own rack;
//    the witness, and it alone, is not in the ring, and leads only if nobody else is there
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "ring/config.h"
#include "ring/events.h"
#include "ring/memory.h"

namespace rk::ring {

class RingChecker {
 public:
  explicit RingChecker(const std::vector<RosterEntry>& roster);

  void on_start(const Member& self, bool memory_lost);
  void on_durable(NodeId node, const Memory& memory);
  void on_sent(NodeId node, const wire::RingMessage& message);
  void on_told(NodeId node, ViewNumber committed);      // a message with that view was delivered there
  void on_heard_of(NodeId node, ViewNumber committed);  // a message that names it
  void on_acts(const Member& self, const View& view);   // it may act now
  void on_committed(const View& view);                  // somebody says that it is committed
  void on_override(const Member& by);                   // an operator has asked it
  void on_installed(const Member& self, const View& view);
  void on_wedged(const Member& self, const Wedged& wedged);

  // Is the view the one that the server was asked for by an operator, in place of a quorum?
  bool is_override(NodeId by, const View& view) const;

  // The first violation; empty if there is none.
  const std::string& violation() const { return violation_; }
  void violate(const std::string& what);

  // What happened.
  struct Counts {
    std::uint64_t takeovers = 0;      // views committed by another ballot than 0
    std::uint64_t adopted = 0;        // of them, with a value that a lower ballot had accepted
    std::uint64_t ties = 0;           // views committed by exactly half with rank 0
    std::uint64_t witness_votes = 0;  // views that would not be decided without the witness's vote
    std::uint64_t single = 0;         // views of one server that holds data, and the witness
    std::uint64_t apart = 0;          // views in which racks keep the ring from the order of ranks
    std::uint64_t moved = 0;          // views in which a server's keeper stays, and is not its keeper any more
  };
  const Counts& counts() const { return counts_; }

  const Memory& durable(NodeId node) { return durable_[node]; }
  // In truth, whatever the server says.
  Incarnation memory_since(NodeId node) const { return memory_since_.at(node); }
  // The committed view of that number, if one is known; number 0 is the roster.
  const View* committed(ViewNumber number) const;
  static bool quorum(const View& view, const std::set<NodeId>& votes);
  // The newest view that any durable memory holds as committed.
  const View& newest_committed() const;
  // Can no server decide the view after `view` any more, because its quorum has lost its memory?
  bool beyond_recovery(const View& view) const;

 private:
  void check_successor(const View& before, const View& view);
  void check_lives(const View& before, const View& view);
  void check_generation(const Member& self, ViewNumber before, const View& view);
  void check_placement(const View& before, const View& view);
  void check_ballots(NodeId node, const Memory& before, const Memory& memory);
  bool leads(NodeId node, const View& view) const;

  std::map<NodeId, std::string> addresses_;
  std::map<NodeId, std::string> racks_;
  NodeId witness_;
  std::map<std::uint64_t, View> committed_;  // by number
  struct Accepted {
    View value;
    std::map<NodeId, Incarnation> by;  // with the start of the memory, then
  };
  std::map<std::uint64_t, std::map<Ballot, Accepted>> accepted_;  // by number
  std::map<NodeId, Memory> durable_;
  std::map<NodeId, Incarnation> memory_since_;  // in truth, whatever the server says
  std::map<NodeId, ViewNumber> told_;
  std::map<std::uint64_t, Member> overridden_by_;  // by generation
  std::map<std::uint64_t, View> first_views_;      // likewise
  std::map<NodeId, ViewNumber> heard_of_;          // the newest view that a message there has named
  std::map<NodeId, std::pair<Incarnation, ViewNumber>> installed_;
  std::map<std::uint64_t, std::map<NodeId, Incarnation>> newest_life_;  // in any committed view of that generation
  Counts counts_;
  std::string violation_;
};

}  // namespace rk::ring

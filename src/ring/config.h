// SPDX-License-Identifier: Apache-2.0
// What the shell gives a ring core at the start of a server's life.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "wire/node_list.h"

namespace rk::ring {

struct RosterEntry {
  NodeId node;
  std::string address;   // host:port, for messages to people
  std::string rack{};    // failure domain; empty: none. The same on every server, like the rest of the roster
  bool witness = false;  // votes and holds no data; at most one, and not the only one
};

// The same on every server.
struct Timings {
  std::uint64_t tick_ms = 25;         // the shell's promise: a Tick at least this often
  std::uint64_t heartbeat_ms = 100;   // between heartbeats, joins, leaves and accusations repeated
  std::uint64_t suspicion_ms = 500;   // silence that makes a server suspect
  std::uint64_t probe_ms = 200;       // silence after a probe (which a broken link or a leader's request triggers)
  std::uint64_t hold_ms = 500;        // for which a member that hears its leader answers no other's PREPARE
  std::uint64_t lease_ms = 350;       // that rests on it: shorter, by the error of two clocks of 10% each and two ticks
  std::uint64_t propose_ms = 100;     // before an unanswered proposal is sent again
  std::uint64_t formation_ms = 3000;  // how long the first view waits for servers of the roster beyond a majority
  std::uint64_t late_ms = 100;        // gap between events after which this server trusts none of its own silences

  // All that follow from how soon a silent server is to be suspected.
  static Timings with_suspicion(std::uint64_t suspicion_ms);
};

// Faults that a simulation plants, one at a time, to show that its checkers find them. Never set by a shell.
enum class PlantedBug : std::uint8_t {
  kNone,
  kInstallOnPropose,   // acts in v+1 at the leader's proposal, before its commit
  kNoMajority,         // the leader commits alone
  kForgetAccepted,     // accepted views are not in the durable state
  kForgetPromise,      // promised ballots are not in the durable state
  kNoAdoption,         // a taker chooses freely, whatever was accepted before
  kAckBeforeDurable,   // ACK before the accepted view is durable
  kActOutside,         // acts in views that do not contain this server
  kVoteWithoutMemory,  // a server that lost its memory claims that it has not
  kColdStartByRoster,  // more than half of the roster is a quorum too
  kNoLeaderLease,      // the leader grants leases whether or not a quorum holds
  kNoHold,             // members answer PREPAREs although they hold
  kNoFence,            // nobody waits for the leases of those that a view removes
  kIgnoreRacks,        // the ring is in the order in which the servers came
  kSurviveOverride,    // who acted in an older generation joins the new one with all that it holds
  kIgnoreWitness,      // the witness is in the ring like any other server
};

struct Config {
  NodeId self;
  // Higher than in every life before; the same one only if all that the server held has outlived its process, and it
  // had not asked to leave: whoever asks acts no more, and others rely on that.
  Incarnation incarnation;
  wire::NodeList<RosterEntry> roster;
  Timings timings;
  // The bytes of the last Persist that was completed in a life before; empty if there are none.
  Bytes durable;
  // True if `durable` is empty although this server has run before (its state was lost). It then votes in no view of
  // before the loss, the first one included.
  bool memory_lost = false;
  PlantedBug planted_bug = PlantedBug::kNone;
};

}  // namespace rk::ring

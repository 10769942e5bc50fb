// SPDX-License-Identifier: Apache-2.0
// Rings of up to ten thousand real cores (ring::Core) on one simulated network and clock, and what a change costs
// there. Every message is encoded and decoded for real. What differs from so many real servers, so that they fit into
// one process: what equal views and equal durable states hold is kept once and shared, and the time that a core
// computes is measured but does not pass on the simulated clock; nor does the time that bytes need on a wire.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/prng.h"
#include "ring/core.h"
#include "sim/scheduler.h"

namespace rk::scale {

// Messages that reached a living server's link.
struct Traffic {
  std::uint64_t propose = 0, ack = 0, commit = 0, prepare = 0, promise = 0;  // the rounds'
  std::uint64_t healing = 0;    // COMMITs for a server that asks to join, or is behind
  std::uint64_t detection = 0;  // accusations and requests to probe
  std::uint64_t asking = 0;     // to join or to leave
  std::uint64_t heartbeats = 0;
  std::uint64_t round_bytes = 0;  // whole frames of the rounds
  std::uint64_t bytes = 0;        // of all

  std::uint64_t rounds() const { return propose + ack + commit + prepare + promise; }
};

// What one change took, from its cause until every server that is to act does so in the view that it led to.
struct Change {
  std::string name;
  std::uint64_t servers = 0;    // in the new view
  std::uint64_t views = 0;      // new numbers until then
  std::uint64_t expected = 0;   // messages of the rounds, by the formula
  std::uint64_t proposals = 0;  // sent by ballots; more than `views` if one was repeated with another ballot
  std::uint64_t simulated_us = 0;
  Traffic traffic;
  double decider_cpu_ms = 0;  // of the server that led the round: its core and its codec
  double member_cpu_ms = 0;   // mean of the others
  bool complete = false;      // false: not within the time
};

class ScaleRing {
 public:
  ScaleRing(std::size_t servers, std::uint64_t seed);

  // Starts all; they form the first view.
  Change form();
  // The change leads to a view of exactly the living servers that did not ask to leave.
  Change join(const std::string& name, const std::vector<NodeId>& nodes);
  Change leave(const std::string& name, const std::vector<NodeId>& nodes);
  // Processes end; the others find at once that nothing listens there, unless the whole host is `silent`.
  Change crash(const std::string& name, const std::vector<NodeId>& nodes, bool silent = false);

  // Heartbeats, and whatever else is sent, in a time in which nothing happens.
  Traffic idle(std::uint64_t duration_us);
  const ring::View& view() const;
  std::size_t size() const { return servers_.size(); }
  // The first thing that a correct ring never does; empty if none was seen.
  const std::string& violation() const { return violation_; }

 private:
  struct Server {
    ring::Member self;
    std::unique_ptr<ring::Core> core;
    std::shared_ptr<const Bytes> durable;
    ViewNumber acts_in;
    std::uint64_t acts_since_us = 0;
    std::uint64_t cpu_ns = 0;
    bool leaves = false;
  };
  using Nodes = std::vector<NodeId>;

  Server& at(NodeId node) { return servers_[node.value - 1]; }
  void start(NodeId node);
  void tick(NodeId node, std::uint64_t life);
  void step(NodeId node, decltype(ring::Event::what) what);
  void carry(NodeId node, ring::Effect& effect);
  void post(NodeId from, NodeId to, const wire::RingMessage& message);
  void persist(NodeId node, ring::Persist& persist);
  void count(NodeId from, NodeId to, const wire::RingMessage& message, std::uint64_t bytes);
  void share(ring::View& view);
  void installed(NodeId node, const ring::View& view);
  bool settled();
  // Runs until the change is complete, and for a moment longer; then says what it took.
  Change measure(const std::string& name, const std::function<void()>& cause);
  std::uint64_t expected_messages(const std::set<NodeId>& living) const;

  sim::Scheduler clock_;
  Prng prng_;
  std::vector<ring::RosterEntry> roster_;
  std::vector<Server> servers_;
  std::vector<ring::View> views_;                                // shared by all cores, the newest last
  std::map<std::uint64_t, std::weak_ptr<const Bytes>> durable_;  // by checksum
  std::map<ViewNumber, ring::View> agreed_;                      // as the first server acted in it
  ViewNumber before_;                                            // the newest number when the change began
  std::set<std::pair<ViewNumber, ring::Ballot>> proposals_;
  std::set<std::tuple<ViewNumber, NodeId, NodeId>> asked_;       // of PROPOSEs: the COMMIT is still to come
  std::unordered_map<std::uint64_t, std::uint64_t> arrives_us_;  // the newest message of each connection
  Traffic traffic_;
  std::string violation_;
};

}  // namespace rk::scale

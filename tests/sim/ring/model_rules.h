// SPDX-License-Identifier: Apache-2.0
// The rules of models/agreement.pml, checked on the trace of a simulated ring: each PREPARE, PROMISE, PROPOSE and ACK
// that the core sends, and each view that it makes durable as committed, must be a step that the model takes with what
// was durable and delivered there. Functions have the model's names. The model is searched for all its states, the core
// runs in simulated clusters; this is what ties the one to the other.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>

#include "tests/sim/ring/ring_checker.h"

namespace rk::ring {

class ModelRules {
 public:
  // Violations go to the checker, which must outlive this.
  explicit ModelRules(RingChecker& checker) : checker_(checker) {}

  // What a server knows besides its memory is lost with every restart.
  void on_start(NodeId node) { heard_[node] = {}; }
  void on_sent(NodeId node, const wire::RingMessage& message);
  void on_delivered(NodeId node, const Member& from, const wire::RingMessage& message);
  // The server's memory is about to become `memory`.
  void on_durable(NodeId node, const Memory& memory);

 private:
  using Slot = std::pair<ViewNumber, Ballot>;  // the number that is decided, and the attempt
  // What a PROMISE told: the value that its sender had accepted (number 0: none), by which ballot.
  struct Told {
    Ballot ballot;
    View value;
  };
  struct Heard {
    std::map<Slot, std::map<NodeId, Told>> promises;
    std::map<Slot, std::set<NodeId>> acks;
    ViewNumber committed;  // as somebody said
  };

  void prepare(NodeId node, const wire::RingPrepare& message);
  void promise(NodeId node, const wire::RingPromise& message);
  void propose(NodeId node, const wire::RingPropose& message);
  void choose(NodeId node, const Memory& before, const Memory& memory);
  void take_over(NodeId node, const Memory& memory);
  void accept(NodeId node, const wire::RingAck& message);
  bool can_commit(NodeId node, const View& value) const;

  static bool owns(NodeId node, const View& view, Ballot ballot);
  bool is_voter(const View& view, NodeId node) const;
  void violate(NodeId node, const std::string& what, ViewNumber number, Ballot ballot);

  RingChecker& checker_;
  std::map<Slot, View> proposed_;
  std::map<Slot, Told> own_promises_;  // of each ballot's owner, which prepares it by that
  std::map<NodeId, Heard> heard_;
};

}  // namespace rk::ring

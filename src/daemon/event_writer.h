// SPDX-License-Identifier: Apache-2.0
// Turns what the parts of the server do and see into events, with their causes. Called where the thing happens: an
// effect of the ring's core is told when it is carried out.
#pragma once

#include <map>
#include <set>
#include <string>

#include "daemon/event_log.h"
#include "daemon/job_registry.h"
#include "io/peer_handshake.h"
#include "ring/core.h"

namespace rk::daemon {

// For people and clients: the last override that the view descends from.
wire::OverrideMark mark_of(const ring::View& view);

class EventWriter {
 public:
  // At most one refusal of a link is told in this time: strangers must not push everything else out of the buffer.
  static constexpr std::uint64_t kRefusalMs = 1000;

  explicit EventWriter(EventLog& log) : log_(log) {}

  // First. `known`: the newest view that this server remembers from the life before. `why_again`: empty if somebody
  // started it.
  void started(const ring::Member& self, const ring::View& known, const std::string& why_again = {});
  void stopping(const std::string& reason);
  void on_effect(const ring::Effect& effect);
  void link_up(const io::ProvenPeer& peer);
  void link_down(NodeId node, const std::string& reason);
  void peer_refused(NodeId node, const std::string& reason, std::uint64_t now_ms);
  // It has said that it is about to leave the ring.
  void peer_leaves(const io::ProvenPeer& peer) { leaving_.insert({peer.node, peer.incarnation}); }
  // A message of the ring came from it: only then is a suspect heard again. That the core counts its silence anew, as
  // after a change of the view, is none.
  void spoke(NodeId node) { silent_.erase(node); }
  void job_created(OwnerId owner, const wire::JobCreate& request);
  void job_ended(const JobRegistry::Ended& job);
  // Suspicions come with time alone.
  void on_tick(const ring::Core& core);
  // Why it is suspected, for people; empty if it is not, or not watched by this server.
  std::string suspicion(NodeId node) const;
  // Why the link to it is down; empty if it is up or was never there.
  std::string down_reason(NodeId node) const;

 private:
  void write(const ring::ViewInstalled& effect);
  void write_override(const ring::View& view);
  void write(const ring::Wedged& effect);
  void write(const ring::Unwedged& effect);
  void write(const ring::Evicted& effect);
  template <class Other>
  void write(const Other&) {}  // sent, made durable: nothing has happened yet

  EventLog& log_;
  ring::Member self_;
  ring::View view_;                     // installed last
  std::set<ring::Member> leaving_;      // lives that have said so
  std::map<NodeId, std::string> down_;  // links that were up, with the reason
  std::map<NodeId, bool> heard_;        // watched members that have been heard: are they now?
  std::map<NodeId, std::string> suspected_;
  std::set<NodeId> silent_;  // suspects that have not spoken since
  std::uint64_t refused_ms_ = 0;
  std::uint64_t refusals_ = 0;  // since the last that was told
};

}  // namespace rk::daemon

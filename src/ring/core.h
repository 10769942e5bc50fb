// SPDX-License-Identifier: Apache-2.0
// The ring's core, first form: which servers are members, agreed in one round.
//
// A view v+1 is proposed by rank 0 of v alone (ballot 0), one value only, durable at the proposer before it is sent:
// PROPOSE to every server concerned, ACK once it is durable there, and COMMIT, one-way, when a quorum of v has it:
// 3(N-1) messages. Nobody acts in v+1 before its commit. View 0 is the roster, so the lowest node of the roster
// proposes the first view. What one proposer cannot decide is refused: the core wedges and names the server that is
// missing (a leader that is dead, or whose memory is lost; no quorum; a silent server that no third one can confirm
// dead).
//
// Detection: members send heartbeats to their predecessor, the leader exchanges them with all. A member that hears
// nothing of its successor accuses it; the leader evicts when it hears nothing itself and one other member accuses (it
// asks others to probe). A newer incarnation proves the older one dead at once. Heartbeats carry the committed number,
// so that whoever has missed a COMMIT gets it again.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "ring/config.h"
#include "ring/events.h"
#include "ring/memory.h"

namespace rk::ring {

enum class State : std::uint8_t {
  kForming,  // no view yet
  kServing,  // acts in view()
  kWedged,   // must not act: reason()
  kLeft,     // left on request
  kEvicted,  // this life is over
};
const char* to_string(State state);

class Core {
 public:
  // kInvalidArgument for a roster or timings that can not work, kFenced for an incarnation lower than the durable state
  // names, kCorrupt for damaged durable state.
  static Result<Core> create(Config config);

  void step(const Event& event, Effects& out);

  State state() const { return state_; }
  // The view installed last; number 0 if this life has installed none.
  const View& view() const { return installed_; }
  // The newest view known to be committed; it may lack this server.
  const View& committed() const { return memory_.committed; }
  const std::string& reason() const { return reason_; }
  NodeId missing() const { return missing_; }
  // Heard of within the suspicion time.
  bool hears(NodeId node) const;
  // Messages ignored because they can not come from a correct server of this cluster.
  std::uint64_t refused_messages() const { return refused_; }

 private:
  // What is known of another server of the roster.
  struct Peer {
    Incarnation incarnation;                     // newest seen; messages of older lives are ignored
    bool known = false;                          // that life has been heard
    ViewNumber committed;                        // as it said last
    Incarnation memory_since;                    // likewise
    std::uint64_t heard_ms = 0;                  // or when the watch over it began
    std::optional<std::uint64_t> probed_ms;      // probed then, and not heard since
    NodeId missing;                              // likewise
    bool joins = false;                          // wants to join
    bool leaves = false;                         // wants to leave
    bool probe_asked = false;                    // the leader wants to know whether we hear it
    std::map<NodeId, std::uint64_t> accused_ms;  // by which member, and when last
    std::optional<std::uint64_t> reported_ms;    // accused by us, or its confirmation sought, last
  };
  struct Proposal {
    View value;
    std::set<NodeId> recipients;
    std::set<NodeId> acked;  // recipients that need no further PROPOSE
    std::set<NodeId> voted;  // members of the committed view whose vote counts
    std::uint64_t sent_ms = 0;
    bool durable = false;  // here: nothing is sent before
  };
  // What waits until a token is durable.
  struct Held {
    std::uint64_t token = 0;
    Effects effects;
    bool installs = false;  // act in the committed view
    ViewNumber proposes;    // our proposal of that number may be sent
  };

  explicit Core(Config config, Memory memory);

  // core.cc: events, persistence, views
  void on(const Start& event, Effects& out);
  void on(const Tick& event, Effects& out);
  void on(const Received& event, Effects& out);
  void on(const LinkUp& event, Effects& out);
  void on(const LinkDown& event, Effects& out);
  void on(const Persisted& event, Effects& out);
  void on(const LeaveRequest& event, Effects& out);
  Held& persist(Effects& out);
  void learn(const View& view, Effects& out);
  void act_in_committed(Effects& out);
  bool ends_this_life(const View& view) const;
  void end_life(Effects& out);
  void watch_anew(const View& before);
  void on_time(Effects& out);
  Peer* admit(const Member& from);
  bool over() const { return state_ == State::kLeft || state_ == State::kEvicted; }
  static void send(NodeId to, wire::RingMessage message, Effects& out);

  // agreement.cc
  void handle(const Member& from, const wire::RingPropose& message, Effects& out);
  void handle(const Member& from, const wire::RingAck& message, Effects& out);
  void handle(const Member& from, const wire::RingCommit& message, Effects& out);
  void propose(View value, Effects& out);
  void take_up(const View& value);  // as our proposal, durable or not
  void send_proposal(Effects& out);
  void count_votes(Effects& out);
  bool leads() const;

  // membership.cc
  void handle(const Member& from, const wire::RingJoin& message, Effects& out);
  void handle(const Member& from, const wire::RingLeave& message, Effects& out);
  void consider_change(Effects& out);
  std::optional<View> wanted_view() const;
  View wanted_first_view() const;
  bool stays(const Member& member) const;
  bool rejoins(NodeId node) const;
  bool hears_quorum() const;
  void watch_quorum();
  void ask_for_membership(Effects& out);
  void hand_over(Effects& out);

  // detection.cc
  void handle(const Member& from, const wire::RingHeartbeat& message, Effects& out);
  void handle(const Member& from, const wire::RingAccuse& message, Effects& out);
  void handle(const Member& from, const wire::RingProbeRequest& message, Effects& out);
  wire::RingHeartbeat heartbeat(bool answer_wanted) const;
  void heal(NodeId node, ViewNumber theirs, Effects& out);
  void send_heartbeats(Effects& out);
  void probe(NodeId node, Effects& out);
  void report_silent(Effects& out);
  void seek_confirmation(const Member& suspect, Effects& out);
  bool silent(const Member& member) const;
  bool superseded(const Member& member) const;
  bool confirmed_dead(const Member& member) const;
  void forgive(Peer& peer) const;

  // condition.cc
  struct Fault {
    NodeId server;
    std::string reason;  // empty: none
  };
  void settle_condition(Effects& out);
  Fault find_fault() const;
  Fault first_view_fault() const;
  Fault leader_fault() const;
  Fault member_fault() const;
  std::string name(NodeId node) const;
  std::string names(const std::vector<NodeId>& nodes) const;

  Config config_;
  Member self_;
  std::map<NodeId, Peer> peers_;  // the roster without this server
  Memory memory_;
  View installed_;
  std::optional<Proposal> proposal_;
  std::vector<Held> held_;
  std::uint64_t last_token_ = 0;
  std::uint64_t now_ms_ = 0;
  std::uint64_t start_ms_ = 0;
  std::uint64_t beat_ms_ = 0;
  bool ready_ = false;         // the memory is durable: we may speak
  bool heard_quorum_ = false;  // after the event before
  bool leaving_ = false;
  bool handing_over_ = false;  // we led, have left, and make sure that the next leader knows
  bool conflict_ = false;      // two values of one view number were seen
  NodeId roster_differs_;      // server whose roster is another
  State state_ = State::kForming;
  NodeId missing_;
  std::string reason_;
  std::uint64_t refused_ = 0;
};

}  // namespace rk::ring

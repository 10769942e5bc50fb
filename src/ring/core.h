// SPDX-License-Identifier: Apache-2.0
// The ring's core: which servers are members, agreed in one round while rank 0 is there.
//
// Each view number is decided once, by a quorum of the view before. Ballot 0 of a number belongs to rank 0 of that view
// alone, which therefore proposes without asking first: PROPOSE to every server concerned, ACK once it is durable
// there, and COMMIT, one-way, when a quorum has it: 3(N-1) messages. View 0 is the roster. Nobody acts in a view before
// its commit.
//
// Takeover: when every member of a lower rank is silent or has lost its memory, the next in line PREPAREs a ballot of
// its own; a member that finds the same promises to accept no lower one, and says what it has accepted. With the
// promises of a quorum the taker adopts the accepted value of the highest ballot, or is free to choose, and proposes:
// 5(N-2) messages. A leader whose ballot 0 was overtaken meanwhile goes on in the same way. models/agreement.pml is the
// model of this part.
//
// What no quorum can decide is refused: the core wedges and names the server that is missing.
//
// Leases: a server acts only while it has one, which rests on a quorum that holds for the leader (lease.cc).
//
// Detection: members send heartbeats to their predecessor in the ring, the leader exchanges them with all. A member
// that hears nothing of its successor accuses it; the leader evicts when it hears nothing itself and one other member
// accuses (it asks others to probe). A leader is evicted with the promises of a quorum that hears nothing of it. A
// newer incarnation proves the older one dead at once. Heartbeats carry the committed number, so that whoever has
// missed a COMMIT gets it again.
#pragma once

#include <algorithm>
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
#include "ring/peers.h"
#include "ring/placement.h"

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
  // Until then, on the clock of the events, this server may act: confirm a commit, answer a read. 0: it may not. A
  // lease of this server's leader, or of the quorum that holds for it; it ends with the view.
  std::uint64_t lease_until_ms() const;
  // How long servers that the view, or one before it, has removed may still act: nobody takes their place meanwhile. 0:
  // not any more.
  std::uint64_t fence_left_ms() const { return fenced_until_ms_ - std::min(fenced_until_ms_, waited_ms_); }
  const std::string& reason() const { return reason_; }
  NodeId missing() const { return missing_; }
  // Why an operator's override is refused before anybody is asked: cause and cure; empty: it is not.
  std::string override_refusal() const;
  // Heard of within the suspicion time.
  bool hears(NodeId node) const;
  // Messages ignored because they can not come from a correct server of this cluster.
  std::uint64_t refused_messages() const { return refused_; }

 private:
  static constexpr std::size_t kAskedAtOnce = 16;  // for membership, beside who should decide
  // What is known of another server of the roster.
  struct Peer {
    Incarnation incarnation;                     // newest seen; messages of older lives are ignored
    bool known = false;                          // that life has been heard
    ViewNumber committed;                        // as it said last
    Incarnation memory_since;                    // likewise
    std::uint64_t heard_ms = 0;                  // or when the watch over it began
    std::optional<std::uint64_t> probed_ms;      // probed then, and not heard since
    bool refused = false;                        // nothing listens at its address, and it was not heard since
    std::uint64_t echo_ms = 0;                   // newest time of its clock that a message of this life had
    std::uint64_t echo_at_ms = 0;                // when it came
    std::uint64_t echo_waited_ms = 0;            // the same on the clock of waits
    std::uint64_t held_ms = 0;                   // newest time of ours from which it holds for us
    NodeId missing;                              // likewise
    std::optional<std::uint64_t> helpless_ms;    // leads, and says since then that it lacks a quorum
    bool joins = false;                          // wants to join
    bool leaves = false;                         // wants to leave
    bool probe_asked = false;                    // the leader wants to know whether we hear it
    std::map<NodeId, std::uint64_t> accused_ms;  // by which member, and when last
    std::optional<std::uint64_t> reported_ms;    // accused by us, or its confirmation sought, last
    mutable bool counted = false;                // in tally_.heard
    mutable bool counted_odd = false;            // in tally_.odd
  };
  // A ballot of ours for the next number, while promises come in and until it is used.
  struct Preparation {
    Ballot ballot;
    std::uint64_t token = 0;          // nothing is sent before it is durable
    std::uint64_t sent_ms = 0;        // 0: not yet
    std::set<NodeId> promised;        // members whose promise counts
    std::uint64_t leases_end_ms = 0;  // of those that the promises told of, on the clock of waits
    Ballot best;                      // of the accepted value that must be adopted
    View adopted;                     // number 0: none, free to choose
  };
  struct Proposal {
    Ballot ballot;
    View value;
    std::uint64_t token = 0;    // nothing is sent before it is durable
    std::uint64_t sent_ms = 0;  // 0: not yet
    std::set<NodeId> recipients;
    std::set<NodeId> acked;           // recipients that need no further PROPOSE
    std::set<NodeId> voted;           // members of the committed view whose vote counts
    std::uint64_t leases_end_ms = 0;  // of the leader that the ballot takes over from, on the clock of waits
  };
  // A PREPARE that is answered once this server finds the same silence.
  struct Asked {
    NodeId by;
    Ballot ballot;
  };
  // What is known of all peers together, brought up to date peer by peer (tally.cc): a leader of thousands can not look
  // at each with every message. Valid until until_ms, when one of those that are heard may have become silent.
  struct Tally {
    std::size_t heard = 0;  // other members that are heard and whose vote counts
    std::size_t odd =
        0;  // peers that may make the next view another one: they join, leave, are accused, have restarted
    std::uint64_t until_ms = 0;
  };
  // Our time since which a quorum of the committed view holds for us, 0: none does; and how many votes since later.
  struct HeldSince {
    std::uint64_t since_ms = 0;
    std::size_t later = 0;
  };
  // What waits until a token is durable.
  struct Held {
    std::uint64_t token = 0;
    Effects effects;
    std::optional<View> installs;  // act in it: it is durable as the committed one
  };

  // An operator wants to go on without a quorum; all servers are asked who is there.
  struct Override {
    std::uint64_t at_ms = 0;     // wall clock of the request
    std::uint64_t since_ms = 0;  // all are asked since then
    ViewNumber from;             // the committed view, then
    std::set<NodeId> heard;      // have answered
  };

  explicit Core(Config config, Memory memory);

  // core.cc: events, persistence, views
  void on(const Start& event, Effects& out);
  void on(const Tick& event, Effects& out);
  void on(const Received& event, Effects& out);
  void on(const LinkUp& event, Effects& out);
  void on(const LinkDown& event, Effects& out);
  void on(const Refused& event, Effects& out);
  void on(const Persisted& event, Effects& out);
  void on(const LeaveRequest& event, Effects& out);
  Held& persist(Effects& out);
  void learn(const View& view, std::uint64_t fence_ms, Effects& out);
  void act_in(const View& view, Effects& out);
  bool ends_this_life(const View& view) const;
  bool names_older_life(const View& view) const;
  void end_life(Effects& out);
  void watch_anew(const View& before);
  void on_time(Effects& out);
  Peer* admit(const Member& from);
  void pass_time(std::uint64_t now_ms);
  bool over() const { return state_ == State::kLeft || state_ == State::kEvicted; }
  static void send(NodeId to, wire::RingMessage message, Effects& out);

  // agreement.cc: one round
  void handle(const Member& from, const wire::RingPropose& message, Effects& out);
  void handle(const Member& from, const wire::RingAck& message, Effects& out);
  void handle(const Member& from, const wire::RingCommit& message, Effects& out);
  bool same_ground(const Member& from, const View& committed, Effects& out);
  bool may_use(const Member& from, Ballot ballot, Incarnation memory_since) const;
  bool owns(Ballot ballot) const;
  void decide(Effects& out);
  void propose(View value, Effects& out);
  void take_up_accepted(std::uint64_t token);
  void send_durable(Effects& out);
  void send_proposal(Effects& out);
  void count_votes(Effects& out);
  wire::RingAck acknowledge(const Member& proposer) const;
  void send_commit(NodeId to, Effects& out) const;
  bool quorum_of(const std::set<NodeId>& voters) const;
  bool all_is_settled() const;
  bool leads() const;

  // tally.cc
  bool hears_quorum() const;
  void count_peers() const;
  void count_again(NodeId node) const;
  void count_again(NodeId node, const Peer& peer) const;
  bool is_odd(NodeId node, const Peer& peer) const;
  std::uint64_t silent_from_ms(const Peer& peer) const;
  void forgive_all();
  void note_memory(NodeId node, Incarnation since);
  void note_held(const Member& from, std::uint64_t held_ms);

  // takeover.cc: another ballot than rank 0's
  void handle(const Member& from, const wire::RingPrepare& message, Effects& out);
  void handle(const Member& from, const wire::RingPromise& message, Effects& out);
  bool votes() const { return is_voter(self_.node, memory_.since); }
  bool is_voter(NodeId node, Incarnation memory_since) const;
  bool is_gone(const Member& member) const;
  bool is_helpless(const Member& member) const;
  bool is_unheard(const Member& member) const;
  const Member& head_of_line() const;
  bool heads_line() const;
  bool found_dead(const Member& member) const;
  void watch_line(Effects& out);
  void prepare(Effects& out);
  void send_prepare(Effects& out);
  void consider_promise(Effects& out);
  wire::RingPromise promise(NodeId to) const;
  void stand_back(Ballot overtaken_by);

  // lease.cc
  std::optional<std::uint64_t> held_since() const;
  wire::RingLease lease_to(NodeId node) const;
  bool holds() const { return waited_ms_ < hold_until_ms_; }
  std::uint64_t held_against_ms(NodeId asker) const;
  void hold(const Member& leader, std::uint64_t sent_ms);
  void take_lease(const Member& from, ViewNumber committed, const wire::RingLease& lease);
  void fence(std::uint64_t for_ms);
  std::uint64_t longest_lease_without(const View& next) const;
  bool must_win_back() const;
  bool needs_lease() const;
  std::uint64_t lease_end() const;

  // membership.cc
  void handle(const Member& from, const wire::RingJoin& message, Effects& out);
  void handle(const Member& from, const wire::RingLeave& message, Effects& out);
  std::optional<View> wanted_view() const;
  View wanted_first_view() const;
  View view_again() const;
  bool stays(const Member& member) const;
  bool rejoins(NodeId node) const;
  void watch_quorum();
  void ask_for_membership(Effects& out);
  void hand_over(Effects& out);

  // override.cc
  void on(const OverrideRequest& event, Effects& out);
  void ask_all(Effects& out) const;
  void note_answer(NodeId node, const wire::RingLease& lease);
  void watch_override(Effects& out);
  std::string refusal_of_others(const std::set<NodeId>& heard) const;
  void go_on_without_quorum(const Override& asked, Effects& out);
  bool is_overridden() const;
  bool overridden_by(const View& view) const;
  void note_generation(NodeId node, ViewNumber committed);

  // detection.cc
  void handle(const Member& from, const wire::RingHeartbeat& message, Effects& out);
  void handle(const Member& from, const wire::RingAccuse& message, Effects& out);
  void handle(const Member& from, const wire::RingProbeRequest& message, Effects& out);
  void send_heartbeat(NodeId to, bool answer_wanted, Effects& out) const;
  void heal(NodeId node, ViewNumber theirs, Effects& out);
  void send_heartbeats(Effects& out);
  void probe(NodeId node, Effects& out);
  void report_silent(Effects& out);
  void seek_confirmation(const Member& suspect, Effects& out);
  bool probe_failed(const Peer& peer) const;
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
  Fault line_fault() const;
  Fault quorum_fault() const;
  Fault lease_fault() const;
  void watch_lease();
  std::string name(NodeId node) const;
  std::string names(const std::vector<NodeId>& nodes) const;

  Config config_;
  Racks racks_;
  NodeId witness_;  // as configured; 0: none
  Member self_;
  Peers<Peer> peers_;  // the roster without this server
  mutable std::optional<Tally> tally_;
  std::uint64_t silence_due_ms_ = 0;  // nobody that we report becomes silent before
  std::size_t asked_turn_ = 0;        // of the roster: who is asked for membership next
  Memory memory_;
  View installed_;
  std::optional<Preparation> preparation_;
  std::optional<Proposal> proposal_;
  std::optional<Asked> asked_;
  std::optional<Override> override_;
  ViewNumber told_;      // the newest view that another server has said that it knows
  NodeId told_by_;       // likewise
  Ballot overtaken_by_;  // highest one that refused ours, for the next number
  std::uint64_t prepared_ms_ = 0;
  std::optional<std::uint64_t> leaderless_ms_;   // since then the leader of the committed view is gone
  NodeId hold_for_;                              // whose leases may rest on our hold
  std::uint64_t hold_from_ms_ = 0;               // time of that server's clock from which we hold
  std::uint64_t hold_until_ms_ = 0;              // of the clock of waits
  std::uint64_t held_before_ms_ = 0;             // the end of holds for others before
  mutable std::optional<HeldSince> held_since_;  // while the votes are the same
  ViewNumber lease_view_;
  std::uint64_t lease_until_ms_ = 0;          // as the leader of that view granted it
  std::uint64_t fenced_until_ms_ = 0;         // this and the next two likewise
  std::uint64_t led_since_ms_ = 0;            // this server leads since then, in this life
  std::uint64_t learned_ms_ = 0;              // when the committed view was learned
  std::optional<std::uint64_t> unleased_ms_;  // since then it would act and has no lease
  std::vector<Held> held_;
  std::uint64_t last_token_ = 0;
  std::uint64_t durable_token_ = 0;
  std::uint64_t now_ms_ = 0;
  // The clock of waits, which goes on by at most two ticks from one event to the next: a clock that jumps must not end
  // what was promised for a time.
  std::uint64_t waited_ms_ = 0;
  std::uint64_t start_ms_ = 0;
  std::uint64_t beat_ms_ = 0;
  bool fresh_ = false;         // nothing was remembered at the start, and nothing says that there was a life before
  bool ready_ = false;         // the memory is durable: we may speak
  bool heard_quorum_ = false;  // after the event before
  bool leaving_ = false;
  bool handing_over_ = false;  // we led, have left, and make sure that the next leader knows
  bool conflict_ = false;      // two values of one view number were seen
  NodeId roster_differs_;      // server whose roster is another
  NodeId timings_differ_;      // likewise
  State state_ = State::kForming;
  NodeId missing_;
  std::string reason_;
  std::uint64_t refused_ = 0;
};

}  // namespace rk::ring

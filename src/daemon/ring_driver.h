// SPDX-License-Identifier: Apache-2.0
// Joins the ring's core (ring/core.h) to links, ticks and the state directory: turns what happens into events, carries
// the effects out in order, and tells the server what changed.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>

#include "daemon/ports.h"
#include "daemon/state_files.h"
#include "io/peer_handshake.h"
#include "ring/core.h"

namespace rk::daemon {

class RingDriver {
 public:
  struct Hooks {
    std::function<void(const ring::Effect&)> on_effect;  // before it is carried out
    std::function<void(const RingState&)> on_state;      // after every change
    std::function<void(const ring::Member&)> on_member_lost;
    std::function<void()> on_left;
    std::function<void(const ring::Evicted&)> on_evicted;
    // Makes the bytes durable, then calls on_persisted(); not before it has returned.
    std::function<void(std::uint64_t token, Bytes bytes)> persist;
  };

  // Reads the ring's memory of the life before. `peers` outlives the driver.
  static Result<std::unique_ptr<RingDriver>> create(ring::Config config, const StateFiles& files, PeerPort& peers,
                                                    Hooks hooks);

  void start(std::uint64_t now_ms) { feed(now_ms, ring::Start{}); }
  void on_tick(std::uint64_t now_ms) { feed(now_ms, ring::Tick{}); }
  void on_link_up(std::uint64_t now_ms, const io::ProvenPeer& peer);
  void on_link_down(std::uint64_t now_ms, NodeId node) { feed(now_ms, ring::LinkDown{node}); }
  void on_refused(std::uint64_t now_ms, NodeId node) { feed(now_ms, ring::Refused{node}); }
  // The error closes the link.
  Status on_frame(std::uint64_t now_ms, const io::ProvenPeer& from, const wire::Frame& frame);
  void on_persisted(std::uint64_t now_ms, std::uint64_t token) { feed(now_ms, ring::Persisted{token}); }
  void leave(std::uint64_t now_ms) { feed(now_ms, ring::LeaveRequest{}); }
  // The answer is an effect: ViewInstalled or OverrideRefused. `at_ms`: wall clock.
  void override_quorum(std::uint64_t now_ms, std::uint64_t at_ms) { feed(now_ms, ring::OverrideRequest{at_ms}); }

  RingState state() const;
  const ring::Core& core() const { return core_; }

 private:
  using What = decltype(ring::Event::what);

  RingDriver(ring::Core core, PeerPort& peers, Hooks hooks, ring::Member self)
      : core_(std::move(core)), peers_(peers), hooks_(std::move(hooks)), self_(self) {}
  void feed(std::uint64_t now_ms, What what);
  void carry_out(const ring::Effects& effects);
  void carry(const ring::Send& effect);
  void carry(const ring::Persist& effect);
  void carry(const ring::MemberLost& effect) { hooks_.on_member_lost(effect.member); }
  void carry(const ring::Left&) { hooks_.on_left(); }
  void carry(const ring::Evicted& effect) { hooks_.on_evicted(effect); }
  // What these change is seen in state().
  void carry(const ring::ViewInstalled&) {}
  void carry(const ring::Wedged&) {}
  void carry(const ring::Unwedged&) {}
  // Who asked is told by the hook.
  void carry(const ring::OverrideRefused&) {}

  ring::Core core_;
  PeerPort& peers_;
  Hooks hooks_;
  ring::Member self_;
  std::deque<ring::Event> events_;  // what effects lead to, behind the event that is being handled
  bool feeding_ = false;
  RingState reported_;
};

}  // namespace rk::daemon

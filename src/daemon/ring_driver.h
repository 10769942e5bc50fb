// SPDX-License-Identifier: Apache-2.0
// Joins the ring's core (ring/core.h) to links, ticks and the state directory: turns what happens into events, carries
// the effects out in order, and tells the server what changed. A Persist is durable before its Persisted is given to
// the core; views change rarely, so the loop waits for the disk.
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
    std::function<void(const RingState&)> on_state;  // after every change
    std::function<void(const ring::Member&)> on_member_lost;
    std::function<void()> on_left;
    std::function<void()> on_evicted;
    std::function<void(const Error&)> on_state_file_failed;  // the server must end: it cannot keep its word
  };

  // Reads the ring's memory of the life before. Both references outlive the driver.
  static Result<std::unique_ptr<RingDriver>> create(ring::Config config, const StateFiles& files, PeerPort& peers,
                                                    Hooks hooks);

  void start(std::uint64_t now_ms) { feed(now_ms, ring::Start{}); }
  void on_tick(std::uint64_t now_ms) { feed(now_ms, ring::Tick{}); }
  void on_link_up(std::uint64_t now_ms, const io::ProvenPeer& peer);
  void on_link_down(std::uint64_t now_ms, NodeId node) { feed(now_ms, ring::LinkDown{node}); }
  // The error closes the link.
  Status on_frame(std::uint64_t now_ms, const io::ProvenPeer& from, const wire::Frame& frame);
  void leave(std::uint64_t now_ms) { feed(now_ms, ring::LeaveRequest{}); }

  RingState state() const;

 private:
  using What = decltype(ring::Event::what);

  RingDriver(ring::Core core, const StateFiles& files, PeerPort& peers, Hooks hooks, Incarnation incarnation)
      : core_(std::move(core)), files_(files), peers_(peers), hooks_(std::move(hooks)), incarnation_(incarnation) {}
  void feed(std::uint64_t now_ms, What what);
  void carry_out(const ring::Effects& effects);
  void carry(const ring::Send& effect);
  void carry(const ring::Persist& effect);
  void carry(const ring::MemberLost& effect) { hooks_.on_member_lost(effect.member); }
  void carry(const ring::Left&) { hooks_.on_left(); }
  void carry(const ring::Evicted&) { hooks_.on_evicted(); }
  // What these change is seen in state().
  void carry(const ring::ViewInstalled&) {}
  void carry(const ring::Wedged&) {}
  void carry(const ring::Unwedged&) {}

  ring::Core core_;
  const StateFiles& files_;
  PeerPort& peers_;
  Hooks hooks_;
  Incarnation incarnation_;
  std::deque<ring::Event> events_;  // what effects lead to, behind the event that is being handled
  bool feeding_ = false;
  std::uint64_t now_ms_ = 0;  // of the event that is being handled
  RingState reported_;
};

}  // namespace rk::daemon

// SPDX-License-Identifier: Apache-2.0
// What goes into the ring's core and what comes out of it.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "ring/view.h"

namespace rk::ring {

// --- events ---------------------------------------------------------------------------------------------------------

struct Start {};  // first event, once
struct Tick {};   // every Timings::tick_ms
struct Received {
  Member from;  // as the peer link proved it
  wire::RingMessage message;
};
struct LinkUp {
  Member peer;
};
// End of file, or no link for another reason. Proves nothing: it makes the core probe.
struct LinkDown {
  NodeId node;
};
// Nothing listens at the server's address: a probe that failed at once.
struct Refused {
  NodeId node;
};
// The bytes of this token, and of every token before it, are durable.
struct Persisted {
  std::uint64_t token = 0;
};
// This server wants to leave the ring; Left comes when it has.
struct LeaveRequest {};
// The operator wants a view of those that answer this server, whatever became of the others: they have suspicion_ms for
// it. Answered by ViewInstalled or OverrideRefused. `at_ms`: wall clock, for the view (wire::RingOverride).
struct OverrideRequest {
  std::uint64_t at_ms = 0;
};

// `now_ms` is any clock that never goes back and counts the time in which the machine slept; only differences count.
struct Event {
  std::uint64_t now_ms = 0;
  std::variant<Start, Tick, Received, LinkUp, LinkDown, Refused, Persisted, LeaveRequest, OverrideRequest> what;
};

// --- effects, to be carried out in order ----------------------------------------------------------------------------

// Best effort: no link to that node now means that the message is lost.
struct Send {
  NodeId to;
  wire::RingMessage message;
};
// Replace the durable state by these bytes, then report Persisted{token}. What depends on it is held back until then.
struct Persist {
  std::uint64_t token = 0;
  Bytes bytes;
};
// A member of the view before is not in the one installed next (evicted, left, or restarted under a newer incarnation).
struct MemberLost {
  Member member;
};
// From now on this server acts in this view, which contains it, whenever it has a lease (Core::lease_until_ms).
struct ViewInstalled {
  View view;
};
// This server must stop acting (no commit may be confirmed, no job accepted). Sent again when the reason changes.
struct Wedged {
  NodeId server;       // the one that is missing; 0 if it is not one server's fault
  std::string reason;  // for people: cause and cure, with the server's node and address
};
// It may act again, in the view installed last.
struct Unwedged {};
// The leave is complete: the process may end.
struct Left {};
// Nothing has changed. Otherwise ViewInstalled follows, of a view whose `overridden` names this server.
struct OverrideRefused {
  std::string reason;  // for people: cause and cure
};
// A committed view has ended this life of the server. Only a new incarnation, which holds nothing, can join again.
struct Evicted {
  ViewNumber view;
  std::string reason{};  // for people; empty: it was silent for too long
};

using Effect = std::variant<Send, Persist, MemberLost, ViewInstalled, Wedged, Unwedged, Left, Evicted, OverrideRefused>;
using Effects = std::vector<Effect>;

}  // namespace rk::ring

// SPDX-License-Identifier: Apache-2.0
// What the parts of the server see of each other. A driver (ring_driver, keep_driver) and a session handler know a
// client by its session number and a server by its node id; sockets stay in server.cc. All calls happen on the one loop
// thread, and no call re-enters the part that made it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "ring/config.h"
#include "wire/client_messages.h"
#include "wire/codec.h"
#include "wire/keep_messages.h"

namespace rk::daemon {

// One client connection. `session` is never used twice in the life of the server.
struct ClientIdentity {
  std::uint64_t session = 0;
  OwnerId owner;          // SO_PEERCRED
  std::uint32_t pid = 0;  // SO_PEERCRED
};

// Answers to clients. A session that is gone meanwhile swallows its answers.
class ClientPort {
 public:
  virtual ~ClientPort() = default;
  // The descriptors stay the caller's; the frame carries duplicates of them.
  virtual void send(std::uint64_t session, const wire::Frame& frame, std::span<const int> descriptors) = 0;

  template <class Message>
  void answer(std::uint64_t session, std::uint64_t request, const Message& message,
              std::span<const int> descriptors = {}) {
    wire::Frame frame = wire::to_frame(message, request);
    frame.descriptors = static_cast<std::uint32_t>(descriptors.size());
    send(session, frame, descriptors);
  }
  void refuse(std::uint64_t session, std::uint64_t request, const Error& error) {
    answer(session, request, wire::Refusal{static_cast<std::int32_t>(error.code), error.message});
  }
};

// Frames to other servers, in order on each link; lost when the link breaks.
class PeerPort {
 public:
  virtual ~PeerPort() = default;
  // False if there is no link. A peer that does not read until kMaxPeerSendBytes wait is disconnected.
  virtual bool send(NodeId to, const wire::Frame& frame) = 0;
  virtual bool send(NodeId to, const wire::CopyChunk& chunk) = 0;
  virtual std::size_t queued_bytes(NodeId to) const = 0;
};

struct RingMember {
  NodeId node;
  Incarnation incarnation;
  bool operator==(const RingMember&) const = default;
};

// The ring as this server has it now.
struct RingState {
  ViewNumber view;                  // 0: none yet
  std::vector<RingMember> members;  // ring order: members[0] leads, the successor of members[i] is members[i+1]
  RingMember keeper;                // predecessor of this server: keeps its second copies; node 0: nobody
  RingMember succeeded;             // life of this node whose place this life took in the view; node 0: none
  RingMember witness;               // member that holds no data, not in `members`; node 0: none
  bool serving = false;             // false: forming, or wedged; nothing may be committed
  std::string reason;               // why not serving
  std::string word;                 // "serving", "forming", "wedged": for people
  bool operator==(const RingState&) const = default;
};

// What the ring allows this server now.
struct LeaveToAct {
  std::uint64_t lease_until_ms = 0;  // on the clock of the ticks; 0: nothing
  std::uint64_t fence_left_ms = 0;   // for so long servers that are not members any more may still act
};

// What the server needs of the keep (keep_driver.h implements it).
class KeepHandler {
 public:
  virtual ~KeepHandler() = default;
  // A Checkpoint* or Group* request; answered through the ClientPort, now or later. The error closes the connection
  // (a malformed frame); a request that is merely refused is answered by refuse() and returns OK.
  virtual Status on_request(const ClientIdentity& client, const wire::Frame& frame) = 0;
  virtual void on_session_closed(std::uint64_t session) = 0;
  // A frame of the keep family; the error closes the link.
  virtual Status on_peer_frame(NodeId from, Incarnation incarnation, const wire::Frame& frame) = 0;
  virtual void on_peer_down(NodeId peer) = 0;
  virtual void on_ring(const RingState& ring) = 0;
  // Every kTickMs of the server, and once before each of the calls above with a newer time.
  virtual void on_tick(std::uint64_t now_ms) = 0;
  // A link that was full has room again.
  virtual void on_room() = 0;
  // With the work that was put off so that others have their turn.
  virtual void go_on() = 0;
  // Removes every checkpoint and group of that owner whose name starts with `prefix` ("job/0123456789abcdef/").
  virtual void remove_prefix(OwnerId owner, std::string_view prefix) = 0;
  virtual std::uint64_t checkpoints() const = 0;
  // The server ends in good order: nothing is to outlive it.
  virtual void on_end() = 0;
  virtual wire::IntegrityStatus integrity() const = 0;
  virtual wire::ReplicationStatus replication() const = 0;
};

inline constexpr std::uint64_t kTickMs = ring::Timings{}.tick_ms;
// A message of the keep up to this size is part of a small commit, or small beside it: the next one is worth waiting
// for awake.
inline constexpr std::size_t kSmallBytes = std::size_t{128} << 10U;
inline constexpr std::size_t kMaxPeerSendBytes = std::size_t{64} << 20U;

}  // namespace rk::daemon

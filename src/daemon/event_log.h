// SPDX-License-Identifier: Apache-2.0
// What this server has seen happen: the newest events in a buffer, and the clients that read along. A reader has a
// place in the buffer and no queue of its own: one that does not keep up is told how many events it missed.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>

#include "base/result.h"
#include "daemon/ports.h"
#include "wire/client_messages.h"

namespace rk::daemon {

// Names of the events; docs/events.md says what they mean.
namespace events {
inline constexpr char kServerStarted[] = "server_started";
inline constexpr char kServerStopping[] = "server_stopping";
inline constexpr char kViewInstalled[] = "view_installed";
inline constexpr char kOverridden[] = "overridden";
inline constexpr char kWedged[] = "wedged";
inline constexpr char kUnwedged[] = "unwedged";
inline constexpr char kEvicted[] = "evicted";
inline constexpr char kMemberSuspected[] = "member_suspected";
inline constexpr char kMemberHeard[] = "member_heard";
inline constexpr char kLinkUp[] = "link_up";
inline constexpr char kLinkDown[] = "link_down";
inline constexpr char kPeerRefused[] = "peer_refused";
inline constexpr char kCopiesLost[] = "copies_lost";
inline constexpr char kCopyingStarted[] = "copying_started";
inline constexpr char kCopyingProgress[] = "copying_progress";
inline constexpr char kCopyingDone[] = "copying_done";
inline constexpr char kCopyDamaged[] = "copy_damaged";
inline constexpr char kCopyRepaired[] = "copy_repaired";
inline constexpr char kCopyUnrepaired[] = "copy_unrepaired";
inline constexpr char kJobCreated[] = "job_created";
inline constexpr char kJobEnded[] = "job_ended";
}  // namespace events

// Text of a client, a peer or a message for people, cut to `limit` bytes: nothing in it may act on a terminal.
std::string printable(std::string text, std::size_t limit);

class EventLog {
 public:
  static constexpr std::size_t kMaxEvents = 1024;
  static constexpr std::size_t kMaxReasonBytes = 512;
  // Bytes that wait for a reader's socket before it gets no more.
  static constexpr std::size_t kWindowBytes = std::size_t{256} << 10U;

  // `queued`: bytes that wait for a session's socket. All references outlive the log.
  EventLog(NodeId self, ClientPort& clients, std::function<std::size_t(std::uint64_t session)> queued)
      : self_(self), clients_(clients), queued_(std::move(queued)) {}

  // Numbers it, stamps it with the time, and sends it to the readers that have kept up.
  void record(wire::ServerEvent event);
  // kExists if the session has subscribed already.
  Status subscribe(std::uint64_t session, std::uint64_t request, const wire::EventsSubscribe& message);
  void on_session_closed(std::uint64_t session) { readers_.erase(session); }
  // Readers that were too slow go on; to be called now and then.
  void on_tick();

 private:
  struct Reader {
    std::uint64_t request = 0;
    std::uint64_t sent = 0;  // sequence of the newest event that it has
    std::uint64_t end = 0;   // the last one it wants
  };
  // False once it has all that it wants.
  bool feed(std::uint64_t session, Reader& reader);

  NodeId self_;
  ClientPort& clients_;
  std::function<std::size_t(std::uint64_t)> queued_;
  std::uint64_t last_ = 0;
  std::deque<wire::ServerEvent> events_;  // the newest, without gaps
  std::map<std::uint64_t, Reader> readers_;
};

}  // namespace rk::daemon

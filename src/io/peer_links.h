// SPDX-License-Identifier: Apache-2.0
// The links of a server to the others of its roster: one TCP connection a pair, dialled by the server with the lower
// number, with back-off, for as long as the server lives. When a link is lost both sides find out at once whether
// anything listens at the other's address still. A connection counts as a link only after the handshake of
// peer_handshake.h, inside TLS unless that is switched off (tls_channel.h); until then it has a deadline, a small frame
// limit, and few places. A newer proven connection of the same or a newer incarnation replaces the link; one of an
// older incarnation is refused.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/ids.h"
#include "base/prng.h"
#include "io/address.h"
#include "io/connection.h"
#include "io/event_loop.h"
#include "io/listener.h"
#include "io/peer_handshake.h"
#include "io/tls_channel.h"
#include "keys/key_set.h"

namespace rk::io {

struct RosterEntry {
  NodeId node;
  HostPort address;
};

struct PeerSecurity {
  keys::KeySet keys;
  bool encrypt = true;  // alike on all servers
};

struct PeerLinkLimits {
  std::size_t max_unproven = 16;
  std::uint64_t handshake_ms = 5000;
  std::uint64_t first_retry_ms = 5;  // doubled each time: a process that ends closes its links before its listener
  std::uint64_t last_retry_ms = 1000;
  std::size_t max_send_bytes = std::size_t{64} << 20U;
};

struct PeerCounters {
  std::uint64_t links_up = 0;
  std::uint64_t refused = 0;      // connections that ended before they were proven, by the other side's fault
  std::uint64_t malformed = 0;    // links that ended with a malformed frame
  std::uint64_t turned_away = 0;  // no place for one more unproven connection
};

class PeerLinks {
 public:
  struct Callbacks {
    std::function<void(const ProvenPeer&)> on_up;
    std::function<void(NodeId, const Error&)> on_down;  // once for each on_up
    // An error closes the link.
    std::function<Status(const ProvenPeer&, wire::Frame)> on_frame;
    // No connection to the server's address; `refused`: its host answers that nothing listens there.
    std::function<void(NodeId, bool refused)> on_unreachable;
    // For the log: an unproven connection ended. The node is 0 where nothing is known of it: of such strangers, the
    // same words are repeated after ten minutes only, and no more than 32 different ones told in that time.
    std::function<void(NodeId, const Error&)> on_refused;
    // A link that had more to send than its socket took has sent some of it.
    std::function<void()> on_moved = {};
  };

  // `roster` contains the server itself, whose address it listens on unless `listening` is a socket that listens
  // already. Dials at once.
  static Result<std::unique_ptr<PeerLinks>> create(EventLoop& loop, const PeerIdentity& self, PeerSecurity security,
                                                   const std::vector<RosterEntry>& roster, shm::Descriptor listening,
                                                   PeerLinkLimits limits, Callbacks callbacks);
  ~PeerLinks();

  // False if there is no link now.
  bool send(NodeId to, const wire::Frame& frame);
  bool send(NodeId to, wire::Packet packet);
  bool connected(NodeId node) const;
  std::size_t queued_bytes(NodeId to) const;
  // The key that the link was proven with; empty without a link.
  std::string key_id(NodeId node) const;
  const PeerCounters& counters() const { return counters_; }
  // From now on these keys are used to dial and accepted. A link whose key is not among them is closed and made anew.
  void replace_keys(keys::KeySet keys);

 private:
  struct Peer;
  struct Unproven;

  PeerLinks(EventLoop& loop, const PeerIdentity& self, PeerSecurity security, PeerLinkLimits limits,
            Callbacks callbacks);
  Status add_peers(const std::vector<RosterEntry>& roster);
  Status listen(const std::vector<RosterEntry>& roster, shm::Descriptor listening);
  void accept(shm::Descriptor socket);
  void connect(Peer& peer, std::function<void(int error, shm::Descriptor socket)> done);
  void dial(Peer& peer);
  void dial_later(Peer& peer);
  void retry_later(Peer& peer, std::function<void()> action);
  void knock(Peer& peer);
  void tell_unreachable(NodeId node, int error) const;
  void start(shm::Descriptor socket, PeerHandshake handshake, NodeId dialled);
  Status check_key(const PeerHandshake& handshake, const Connection& connection) const;
  Status on_unproven_frame(std::uint64_t id, const wire::Frame& frame);
  void end_unproven(std::uint64_t id, const Error& why);
  bool worth_telling(const std::string& of_stranger);
  Status promote(std::uint64_t id);
  void on_link_closed(NodeId node, const Connection* connection, const Error& why);

  EventLoop& loop_;
  PeerIdentity self_;
  PeerSecurity security_;
  std::shared_ptr<const TlsContext> tls_;  // null: frames travel as they are
  PeerLinkLimits limits_;
  Callbacks callbacks_;
  PeerCounters counters_;
  Prng jitter_;
  std::map<NodeId, std::unique_ptr<Peer>> peers_;
  std::map<std::uint64_t, std::unique_ptr<Unproven>> unproven_;
  std::uint64_t next_unproven_ = 1;
  std::shared_ptr<int> alive_ = std::make_shared<int>();  // for what is posted
  std::size_t accepted_unproven_ = 0;
  std::map<std::string, std::uint64_t> told_ms_;  // of strangers, and when
  std::unique_ptr<Listener> listener_;
};

}  // namespace rk::io

// SPDX-License-Identifier: Apache-2.0
#include "io/peer_links.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace rk::io {
namespace {

constexpr std::uint64_t kLastKnockMs = 160;
constexpr int kNothingLearned = -1;  // in place of an errno: no socket, or no answer in time
constexpr std::size_t kUnprovenFrameBytes = wire::kHeaderSize + 1024;
constexpr std::uint64_t kTellAgainMs = 600'000;
constexpr std::size_t kMaxTold = 32;
constexpr unsigned kUnacknowledgedMs = 10'000;  // sent bytes that long without an acknowledgement break the link
constexpr int kProbeS = 1;                      // of silence, after which the kernel asks the other end's

void set_link_options(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  // Whoever has nothing to send would never learn that the other end is gone: a server that came back waits for it to
  // dial.
  ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &kProbeS, sizeof(kProbeS));
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &kProbeS, sizeof(kProbeS));
  ::setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &kUnacknowledgedMs, sizeof(kUnacknowledgedMs));
}

std::string remote_host(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  std::array<char, NI_MAXHOST> host{};
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0 ||
      ::getnameinfo(reinterpret_cast<const sockaddr*>(&address), size, host.data(), host.size(), nullptr, 0,
                    NI_NUMERICHOST) != 0)
    return "an unknown address";
  return host.data();
}

}  // namespace

struct PeerLinks::Peer {
  explicit Peer(EventLoop& loop) : retry(loop) {}
  NodeId node;
  SocketAddress address;
  bool dialled_by_us = false;
  std::uint64_t backoff_ms = 0;
  Timer retry;
  shm::Descriptor connecting;  // a TCP connect under way
  std::unique_ptr<Watch> connect_watch;
  std::shared_ptr<Connection> link;
  std::uint64_t linked_ms = 0;
  ProvenPeer proven;
  std::string key_id;  // that `link` was proven with
};

struct PeerLinks::Unproven {
  Unproven(EventLoop& loop, PeerHandshake h) : handshake(std::move(h)), deadline(loop) {}
  PeerHandshake handshake;
  Timer deadline;
  std::shared_ptr<Connection> connection;
  NodeId dialled;       // 0: accepted
  std::string address;  // of whom was accepted
};

PeerLinks::PeerLinks(EventLoop& loop, const PeerIdentity& self, PeerSecurity security, PeerLinkLimits limits,
                     Callbacks callbacks)
    : loop_(loop),
      self_(self),
      security_(std::move(security)),
      limits_(limits),
      callbacks_(std::move(callbacks)),
      jitter_(keys::random_u64()) {
  if (security_.encrypt) tls_ = std::make_shared<const TlsContext>(security_.keys, self_.cluster);
}

PeerLinks::~PeerLinks() {
  for (auto& [id, unproven] : unproven_) unproven->connection->abandon();
  for (auto& [node, peer] : peers_)
    if (peer->link) peer->link->abandon();
}

Result<std::unique_ptr<PeerLinks>> PeerLinks::create(EventLoop& loop, const PeerIdentity& self, PeerSecurity security,
                                                     const std::vector<RosterEntry>& roster, shm::Descriptor listening,
                                                     PeerLinkLimits limits, Callbacks callbacks) {
  std::unique_ptr<PeerLinks> links(new PeerLinks(loop, self, std::move(security), limits, std::move(callbacks)));
  RK_TRY_VOID(links->add_peers(roster));
  RK_TRY_VOID(links->listen(roster, std::move(listening)));
  for (auto& [node, peer] : links->peers_)
    if (peer->dialled_by_us) links->dial(*peer);
  return links;
}

Status PeerLinks::add_peers(const std::vector<RosterEntry>& roster) {
  for (const RosterEntry& entry : roster) {
    if (entry.node == self_.node) continue;
    auto peer = std::make_unique<Peer>(loop_);
    peer->node = entry.node;
    RK_TRY(peer->address, resolve(entry.address));
    peer->dialled_by_us = self_.node < entry.node;
    peers_.emplace(entry.node, std::move(peer));
  }
  return {};
}

Status PeerLinks::listen(const std::vector<RosterEntry>& roster, shm::Descriptor listening) {
  const auto own =
      std::find_if(roster.begin(), roster.end(), [&](const auto& entry) { return entry.node == self_.node; });
  if (own == roster.end() || peers_.empty()) return {};  // nobody to listen for
  if (!listening) {
    RK_TRY(listening, listen_tcp(own->address));
  }
  listener_ =
      std::make_unique<Listener>(loop_, std::move(listening), [this](shm::Descriptor fd) { accept(std::move(fd)); });
  return {};
}

bool PeerLinks::send(NodeId to, const wire::Frame& frame) {
  const auto at = peers_.find(to);
  if (at == peers_.end() || !at->second->link || at->second->link->closed()) return false;
  at->second->link->send(frame);
  return !at->second->link->closed();
}

bool PeerLinks::send(NodeId to, wire::Packet packet) {
  const auto at = peers_.find(to);
  if (at == peers_.end() || !at->second->link || at->second->link->closed()) return false;
  at->second->link->send(std::move(packet));
  return !at->second->link->closed();
}

bool PeerLinks::connected(NodeId node) const {
  const auto at = peers_.find(node);
  return at != peers_.end() && at->second->link && !at->second->link->closed();
}

std::size_t PeerLinks::queued_bytes(NodeId to) const {
  const auto at = peers_.find(to);
  return at != peers_.end() && at->second->link ? at->second->link->queued_bytes() : 0;
}

std::string PeerLinks::key_id(NodeId node) const { return connected(node) ? peers_.at(node)->key_id : ""; }

void PeerLinks::replace_keys(keys::KeySet keys) {
  security_.keys = std::move(keys);
  if (security_.encrypt) tls_ = std::make_shared<const TlsContext>(security_.keys, self_.cluster);
  for (auto& [node, peer] : peers_)
    if (peer->link && security_.keys.find(peer->key_id) == nullptr)
      peer->link->close(Error{ErrorCode::kPeerGone, "the key that it was made with was removed from the key file"});
}

void PeerLinks::accept(shm::Descriptor socket) {
  if (accepted_unproven_ >= limits_.max_unproven) {
    ++counters_.turned_away;
    return;  // closes it; an honest server dials again
  }
  set_link_options(socket.get());
  ++accepted_unproven_;
  start(std::move(socket),
        PeerHandshake::listen(
            self_, security_.keys.all(), [this](NodeId node) { return peers_.find(node) != peers_.end(); },
            keys::random_bytes(wire::kNonceSize)),
        NodeId());
}

// Calls back from the loop, with 0 and the socket, or with an errno or kNothingLearned. Replaces what waits on the
// peer's timer.
void PeerLinks::connect(Peer& peer, std::function<void(int error, shm::Descriptor socket)> done) {
  const auto finish = [this, &peer, done = std::move(done)](int error) {
    peer.retry.cancel();
    // A watch may be what calls this: it ends afterwards.
    if (peer.connect_watch) peer.connect_watch->want_write(false);
    auto socket = std::make_shared<shm::Descriptor>(std::move(peer.connecting));
    loop_.post([&peer, done, error, socket, alive = std::weak_ptr<int>(alive_)] {
      if (alive.expired()) return;
      peer.connect_watch.reset();
      done(error, std::move(*socket));
    });
  };
  peer.connecting =
      shm::Descriptor(::socket(peer.address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!peer.connecting) return finish(kNothingLearned);
  set_link_options(peer.connecting.get());
  const auto* address = reinterpret_cast<const sockaddr*>(&peer.address.storage);
  if (::connect(peer.connecting.get(), address, peer.address.size) != 0 && errno != EINPROGRESS) return finish(errno);
  peer.connect_watch = std::make_unique<Watch>(loop_, peer.connecting.get(), nullptr, [&peer, finish] {
    int error = 0;
    socklen_t size = sizeof(error);
    ::getsockopt(peer.connecting.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    finish(error);
  });
  peer.connect_watch->want_write(true);
  // A host that is gone answers nothing: do not wait for the kernel's minutes.
  peer.retry.start(limits_.handshake_ms, [finish] { finish(kNothingLearned); });
}

void PeerLinks::dial(Peer& peer) {
  connect(peer, [this, &peer](int error, shm::Descriptor socket) {
    if (error != 0) {
      dial_later(peer);
      return tell_unreachable(peer.node, error);
    }
    start(std::move(socket),
          PeerHandshake::dial(self_, security_.keys.first(), peer.node, keys::random_bytes(wire::kNonceSize)),
          peer.node);
  });
}

void PeerLinks::dial_later(Peer& peer) {
  retry_later(peer, [this, &peer] { dial(peer); });
}

void PeerLinks::retry_later(Peer& peer, std::function<void()> action) {
  peer.backoff_ms =
      peer.backoff_ms == 0 ? limits_.first_retry_ms : std::min(peer.backoff_ms * 2, limits_.last_retry_ms);
  peer.retry.start(peer.backoff_ms + jitter_.below(peer.backoff_ms / 2 + 1), std::move(action));
}

void PeerLinks::tell_unreachable(NodeId node, int error) const {
  if (error != kNothingLearned && callbacks_.on_unreachable) callbacks_.on_unreachable(node, error == ECONNREFUSED);
}

// Does anything listen there? For the side that does not dial: a connection that says nothing and ends.
void PeerLinks::knock(Peer& peer) {
  connect(peer, [this, &peer](int error, const shm::Descriptor&) {
    if (error != 0) return tell_unreachable(peer.node, error);
    // A process that is about to end may be listening still.
    if (peer.link || peer.backoff_ms >= kLastKnockMs) return;
    retry_later(peer, [this, &peer] {
      if (!peer.link) knock(peer);
    });
  });
}

void PeerLinks::start(shm::Descriptor socket, PeerHandshake handshake, NodeId dialled) {
  const std::uint64_t id = next_unproven_++;
  auto unproven = std::make_unique<Unproven>(loop_, std::move(handshake));
  unproven->dialled = dialled;
  if (!dialled) unproven->address = remote_host(socket.get());
  Connection::Callbacks callbacks;
  callbacks.on_frame = [this, id](const wire::Frame& frame, const std::vector<shm::Descriptor>&) {
    return on_unproven_frame(id, frame);
  };
  callbacks.on_closed = [this, id](const Error& why) { end_unproven(id, why); };
  std::unique_ptr<TlsChannel> channel;
  if (tls_)
    channel = std::make_unique<TlsChannel>(tls_, dialled ? TlsChannel::Side::kDialer : TlsChannel::Side::kListener);
  unproven->connection = Connection::create(loop_, std::move(socket), {limits_.max_send_bytes, kUnprovenFrameBytes},
                                            std::move(callbacks), std::move(channel));
  unproven->deadline.start(limits_.handshake_ms, [connection = unproven->connection.get()] {
    connection->close(Error{ErrorCode::kTimeout, "the other side did not prove itself in time"});
  });
  const auto first = unproven->handshake.first();
  const auto connection = unproven->connection;
  unproven_.emplace(id, std::move(unproven));
  if (first) connection->send(*first);
}

Status PeerLinks::on_unproven_frame(std::uint64_t id, const wire::Frame& frame) {
  const auto at = unproven_.find(id);
  if (at == unproven_.end()) return {};
  Unproven& unproven = *at->second;
  RK_TRY(const auto answer, unproven.handshake.on_frame(frame));
  if (answer) unproven.connection->send(*answer);
  if (!unproven.handshake.proven()) return {};
  return promote(id);
}

void PeerLinks::end_unproven(std::uint64_t id, const Error& why) {
  const auto at = unproven_.find(id);
  if (at == unproven_.end()) return;
  const NodeId dialled = at->second->dialled;
  const NodeId claimed = dialled ? dialled : at->second->handshake.peer().node;
  const bool knocked = !dialled && why.code == ErrorCode::kPeerGone && !at->second->connection->heard();
  Error reason = why;
  if (!claimed) reason.message += "; it connected from " + at->second->address;
  unproven_.erase(at);
  if (!dialled) --accepted_unproven_;
  if (knocked) return;
  ++counters_.refused;
  if (callbacks_.on_refused && (claimed || worth_telling(reason.message))) callbacks_.on_refused(claimed, reason);
  if (!dialled) return;
  Peer& peer = *peers_.at(dialled);
  if (!peer.link) dial_later(peer);
}

// Whoever can connect could fill the log.
bool PeerLinks::worth_telling(const std::string& of_stranger) {
  const std::uint64_t now_ms = loop_.now_ms();
  std::erase_if(told_ms_, [&](const auto& told) { return told.second + kTellAgainMs <= now_ms; });
  return told_ms_.size() < kMaxTold && told_ms_.emplace(of_stranger, now_ms).second;
}

// The keys may have been replaced while the other side proved one.
Status PeerLinks::check_key(const PeerHandshake& handshake, const Connection& connection) const {
  const keys::ClusterKey& key = handshake.key();
  if (security_.keys.find(key.id()) == nullptr)
    return fail(ErrorCode::kWrongCluster, key.name() + " was removed from this server's key file a moment ago");
  if (connection.channel() != nullptr && connection.channel()->key_id() != key.id())
    return fail(ErrorCode::kWrongCluster, "the other server proved another key than the one that it encrypts with");
  return {};
}

Status PeerLinks::promote(std::uint64_t id) {
  const auto at = unproven_.find(id);
  const ProvenPeer proven = at->second->handshake.peer();
  RK_TRY_VOID(check_key(at->second->handshake, *at->second->connection));
  const std::string key_id = at->second->handshake.key().id();
  Peer& peer = *peers_.at(proven.node);
  if (peer.proven.incarnation > proven.incarnation)
    return fail(ErrorCode::kFenced, "an older incarnation of server " + std::to_string(proven.node.value) +
                                        " than the one already seen: end the older process");
  const std::shared_ptr<Connection> connection = at->second->connection;
  if (!at->second->dialled) --accepted_unproven_;
  unproven_.erase(at);
  if (peer.link) {
    const std::shared_ptr<Connection> old = std::move(peer.link);
    peer.link = nullptr;
    old->abandon();
    callbacks_.on_down(proven.node, Error{ErrorCode::kPeerGone, "the server made a new connection"});
  }
  peer.proven = proven;
  peer.key_id = key_id;
  peer.backoff_ms = 0;
  peer.link = connection;
  peer.linked_ms = loop_.now_ms();
  connection->raise_frame_limit();
  Connection::Callbacks callbacks;
  callbacks.on_frame = [this, &peer](wire::Frame frame, const std::vector<shm::Descriptor>&) -> Status {
    if (frame.type == wire::MessageType::kRefusal) {
      RK_TRY(const auto refusal, wire::from_frame<wire::Refusal>(frame));
      return fail(ErrorCode::kPeerGone, "the other server closed the link: " + refusal.message);
    }
    return callbacks_.on_frame(peer.proven, std::move(frame));
  };
  callbacks.on_closed = [this, &peer, raw = connection.get()](const Error& why) {
    on_link_closed(peer.node, raw, why);
  };
  callbacks.on_moved = callbacks_.on_moved;
  connection->replace_callbacks(std::move(callbacks));
  ++counters_.links_up;
  callbacks_.on_up(proven);
  return {};
}

void PeerLinks::on_link_closed(NodeId node, const Connection* connection, const Error& why) {
  Peer& peer = *peers_.at(node);
  if (peer.link.get() != connection) return;
  if (why.code == ErrorCode::kCorrupt || why.code == ErrorCode::kVersionMismatch) ++counters_.malformed;
  peer.link = nullptr;
  callbacks_.on_down(node, why);
  const bool lived = loop_.now_ms() - peer.linked_ms >= limits_.last_retry_ms;
  if (!peer.dialled_by_us)
    knock(peer);
  else if (lived)
    dial(peer);
  else
    dial_later(peer);
}

}  // namespace rk::io

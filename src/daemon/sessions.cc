// SPDX-License-Identifier: Apache-2.0
// Client connections: accept, dispatch by message family, end.
#include <unistd.h>

#include <utility>

#include "daemon/logger.h"
#include "daemon/server.h"

namespace rk::daemon {
namespace {

constexpr std::size_t kMaxClientSendBytes = std::size_t{8} << 20U;
constexpr std::size_t kHelloFrameBytes = wire::kHeaderSize + 8192;

bool in_range(wire::MessageType type, wire::MessageType first, wire::MessageType end) {
  return type >= first && type < end;
}

}  // namespace

void Server::accept_client(shm::Descriptor socket) {
  const auto credentials = io::peer_credentials(socket.get());
  if (!credentials) return;
  if (sessions_.size() >= config_.limits.clients) {
    const auto connection = io::Connection::create(loop_, std::move(socket), {}, {});
    const std::string text = "this server has its " + std::to_string(config_.limits.clients) +
                             " clients already: close some, or raise limits.clients";
    connection->send(wire::to_frame(wire::Refusal{static_cast<std::int32_t>(ErrorCode::kUnavailable), text}));
    connection->close(Error{ErrorCode::kUnavailable, text});
    return;
  }
  auto session = std::make_unique<Session>(loop_);
  Session* const raw = session.get();
  const std::uint64_t number = next_session_++;
  session->client = {number, OwnerId(credentials->uid), static_cast<std::uint32_t>(credentials->pid)};
  io::Connection::Callbacks callbacks;
  callbacks.on_frame = [this, raw](const wire::Frame& frame, const std::vector<shm::Descriptor>&) {
    return on_client_frame(*raw, frame);
  };
  callbacks.on_closed = [this, number](const Error& why) { on_client_closed(number, why); };
  session->connection =
      io::Connection::create(loop_, std::move(socket), {kMaxClientSendBytes, kHelloFrameBytes}, std::move(callbacks));
  session->hello_deadline.start(config_.limits.hello_ms, [connection = session->connection.get()] {
    connection->close(Error{ErrorCode::kTimeout, "the client did not say who it is in time"});
  });
  sessions_.emplace(number, std::move(session));
}

Status Server::on_client_frame(Session& session, const wire::Frame& frame) {
  using wire::MessageType;
  if (frame.descriptors != 0) return fail(ErrorCode::kCorrupt, "no request of a client carries descriptors");
  if (!session.greeted) return handle_hello(session, frame);
  if (frame.type == MessageType::kStatusQuery) return handle_status(session, frame);
  if (frame.type == MessageType::kRingQuery) return handle_ring(session, frame);
  if (frame.type == MessageType::kOverrideRequest) return handle_override(session, frame);
  if (frame.type == MessageType::kEventsSubscribe) return handle_events(session, frame);
  if (in_range(frame.type, MessageType::kJobCreate, static_cast<MessageType>(0x150))) return handle_job(session, frame);
  if (in_range(frame.type, MessageType::kCheckpointBegin, MessageType::kJobCreate)) return handle_keep(session, frame);
  return fail(ErrorCode::kCorrupt, "message type " + std::to_string(static_cast<std::uint32_t>(frame.type)) +
                                       " is no request to a server: use a client of this release");
}

void Server::on_client_closed(std::uint64_t number, const Error& why) {
  const auto at = sessions_.find(number);
  if (at == sessions_.end()) return;
  const std::unique_ptr<Session> session = std::move(at->second);
  sessions_.erase(at);
  const std::string who = "client " + (session->program.empty() ? "(unknown)" : session->program) + ", pid " +
                          std::to_string(session->client.pid);
  if (why.code == ErrorCode::kPeerGone) {
    logger::debug(who + ": " + why.message);
  } else {
    ++malformed_clients_;
    logger::warn(who + " disconnected: " + why.message + " (" + std::to_string(malformed_clients_) + " such so far)");
  }
  // An eviction ends connections, and nobody's fence.
  if (guard_ != nullptr && !evicted_) guard_->unwatch(number);
  events_.on_session_closed(number);
  jobs_.on_session_closed(number, loop_.now_ms());
  if (keep_) keep_->on_session_closed(number);
  drop_ended_jobs();
}

void Server::send(std::uint64_t session, const wire::Frame& frame, std::span<const int> descriptors) {
  const auto at = sessions_.find(session);
  if (at == sessions_.end()) return;
  wire::Frame ours = frame;
  ours.sender = incarnation_;
  at->second->connection->send(ours, descriptors);
}

Status Server::fence(const ClientIdentity& client) {
  return guard_ == nullptr ? Status() : guard_->watch(client.session, client.pid);
}

// Request 0: it is the whole connection that ends.
void Server::end_sessions(const Error& why) {
  for (const auto& [number, session] : sessions_) {
    refuse(number, 0, why);
    session->connection->close(why);
  }
}

void Server::notify_creators(const wire::ServerNotice& notice) {
  for (const std::uint64_t session : jobs_.creators()) answer(session, 0, notice);
}

}  // namespace rk::daemon

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

// What also those may ask that have only an operators' place.
bool is_operators_question(wire::MessageType type) {
  using wire::MessageType;
  switch (type) {
    case MessageType::kStatusQuery:
    case MessageType::kRingQuery:
    case MessageType::kOverrideRequest:
    case MessageType::kEventsSubscribe:
    case MessageType::kCheckpointList:
    case MessageType::kCheckpointInspect:
    case MessageType::kCheckpointDelete:
      return true;
    default:
      return false;
  }
}

bool in_range(wire::MessageType type, wire::MessageType first, wire::MessageType end) {
  return type >= first && type < end;
}

}  // namespace

void Server::accept_client(shm::Descriptor socket) {
  const auto credentials = io::peer_credentials(socket.get());
  if (!credentials) return;
  auto session = std::make_unique<Session>(loop_);
  Session* const raw = session.get();
  const std::uint64_t number = next_session_++;
  session->client = {number, OwnerId(credentials->uid), static_cast<std::uint32_t>(credentials->pid)};
  io::Connection::Callbacks callbacks;
  callbacks.on_frame = [this, raw](const wire::Frame& frame, const std::vector<shm::Descriptor>&) {
    return on_client_frame(*raw, frame);
  };
  callbacks.on_closed = [this, number](const Error& why) { on_client_closed(number, why); };
  session->connection = io::Connection::create(
      loop_, std::move(socket),
      {.max_send_bytes = kMaxClientSendBytes, .max_frame_bytes = kHelloFrameBytes, .unfinished = &unfinished_},
      std::move(callbacks));
  const OwnerId owner = session->client.owner;
  session->hello_deadline.start(config_.limits.hello_ms, [this, number, owner] {
    const Status place = places_.take_ordinary(number, owner);
    if (place && sessions_.at(number)->greeted) return;  // a place has become free
    dismiss(number, place ? Error{ErrorCode::kTimeout, "the client did not say who it is in time"} : place.error());
  });
  sessions_.emplace(number, std::move(session));
  const auto leaves = places_.admit(number, owner);
  if (!places_.is_operators(number)) return;
  const Error full = places_.take_ordinary(number, owner).error();
  if (turned_away_lines_.admits(loop_.now_ms())) logger::warn("a client is turned away: " + full.message);
  if (leaves) dismiss(*leaves, full);
}

void Server::dismiss(std::uint64_t number, const Error& why) {
  const auto at = sessions_.find(number);
  if (at != sessions_.end()) at->second->connection->refuse(why);
}

// What the log was spared.
void Server::tell_held_back(std::uint64_t now_ms) {
  const auto tell = [&](LogLimit& lines, const std::string& what) {
    if (const std::uint64_t count = lines.take_held_back(now_ms); count > 0)
      logger::warn(std::to_string(count) + " more clients were " + what);
  };
  tell(malformed_lines_, "disconnected (" + std::to_string(malformed_clients_) + " so far)");
  tell(turned_away_lines_, "turned away (" + std::to_string(places_.turned_away()) + " so far)");
}

Status Server::on_client_frame(Session& session, const wire::Frame& frame) {
  using wire::MessageType;
  if (frame.descriptors != 0) return fail(ErrorCode::kCorrupt, "no request of a client carries descriptors");
  if (!session.greeted) return handle_hello(session, frame);
  if (!is_operators_question(frame.type)) {
    const std::uint64_t number = session.client.session;
    if (const Status place = places_.take_ordinary(number, session.client.owner); !place) {
      refuse(number, frame.request, place.error());
      return {};
    }
    session.hello_deadline.cancel();
  }
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
  places_.leave(number);
  const std::string who = "client " + (session->program.empty() ? "(unknown)" : session->program) + ", pid " +
                          std::to_string(session->client.pid);
  if (why.code == ErrorCode::kPeerGone) {
    logger::debug(who + ": " + why.message);
  } else if (why.code != ErrorCode::kUnavailable) {  // that it was turned away is said already
    ++malformed_clients_;
    if (malformed_lines_.admits(loop_.now_ms()))
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

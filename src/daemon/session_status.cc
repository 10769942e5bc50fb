// SPDX-License-Identifier: Apache-2.0
// Hello, status and events.
#include <unistd.h>

#include <algorithm>

#include "daemon/release.h"
#include "daemon/server.h"

namespace rk::daemon {
namespace {

constexpr std::size_t kMaxProgramBytes = 256;

}  // namespace

Status Server::handle_hello(Session& session, const wire::Frame& frame) {
  if (frame.type != wire::MessageType::kClientHello)
    return fail(ErrorCode::kCorrupt, "the first frame of a client must be its hello: use a client of this release");
  RK_TRY(const auto hello, wire::from_frame<wire::ClientHello>(frame));
  if (hello.cluster && hello.cluster != config_.cluster)
    return fail(
        ErrorCode::kWrongCluster,
        "this server belongs to another cluster than the client asks for: give the client this cluster's socket");
  RK_TRY(const std::uint16_t version, wire::agree(wire::VersionRange{}, hello.versions));
  if (hello.fenced) {
    if (Status fenced = fence(session.client); !fenced) return fenced;
  }
  session.greeted = true;
  session.program = printable(hello.program, kMaxProgramBytes);
  if (!places_.is_operators(session.client.session)) session.hello_deadline.cancel();
  session.connection->raise_frame_limit();
  answer(session.client.session, frame.request,
         wire::ServerHello{version, config_.cluster, config_.node, incarnation_, kRelease});
  return {};
}

Status Server::handle_status(Session& session, const wire::Frame& frame) {
  RK_TRY_VOID(wire::from_frame<wire::StatusQuery>(frame).map([](const auto&) {}));
  answer(session.client.session, frame.request, describe());
  return {};
}

Status Server::handle_events(Session& session, const wire::Frame& frame) {
  RK_TRY(const auto request, wire::from_frame<wire::EventsSubscribe>(frame));
  const std::uint64_t number = session.client.session;
  if (const Status subscribed = events_.subscribe(number, frame.request, request); !subscribed)
    refuse(number, frame.request, subscribed.error());
  return {};
}

wire::StatusAnswer Server::describe() const {
  wire::StatusAnswer status;
  status.cluster = config_.cluster;
  status.node = config_.node;
  status.incarnation = incarnation_;
  status.pid = static_cast<std::uint32_t>(::getpid());
  status.view = ring_.view;
  status.overridden = mark_of(ring_driver_->core().committed());
  status.state = ring_.word;
  status.reason = ring_.reason;
  std::vector<RingMember> members = ring_.members;
  if (ring_.witness.node) members.push_back(ring_.witness);
  for (const RingMember& member : members) {
    const auto entry = std::find_if(config_.roster.begin(), config_.roster.end(),
                                    [&](const io::RosterEntry& e) { return e.node == member.node; });
    const std::string address = entry == config_.roster.end() ? "" : io::to_string(entry->address);
    status.members.push_back({member.node, member.incarnation, address,
                              member.node == config_.node || (links_ && links_->connected(member.node)),
                              links_ ? links_->key_id(member.node) : "", member == ring_.witness});
  }
  status.budget_bytes = budget_.budget_bytes();
  status.used_bytes = budget_.used_bytes();
  status.checkpoints = keep_ ? keep_->checkpoints() : 0;
  if (keep_) status.integrity = keep_->integrity();
  if (keep_) status.replication = keep_->replication();
  status.jobs = jobs_.status();
  status.clients = {places_.ordinary(), places_.limits().clients, places_.turned_away(), malformed_clients_};
  if (links_) {
    const io::PeerCounters& counters = links_->counters();
    status.links = {config_.encrypt, counters.links_up, counters.refused, counters.malformed, counters.turned_away};
  }
  return status;
}

}  // namespace rk::daemon

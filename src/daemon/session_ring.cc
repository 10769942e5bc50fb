// SPDX-License-Identifier: Apache-2.0
// What this server knows of the ring and its servers, for `ringkeep ring`.
#include <algorithm>

#include "daemon/clock.h"
#include "daemon/server.h"

namespace rk::daemon {

Status Server::handle_ring(Session& session, const wire::Frame& frame) {
  RK_TRY_VOID(wire::from_frame<wire::RingQuery>(frame).map([](const auto&) {}));
  answer(session.client.session, frame.request, describe_ring());
  return {};
}

wire::RingAnswer Server::describe_ring() const {
  const ring::Core& core = ring_driver_->core();
  wire::RingAnswer out;
  out.monotonic_ns = since_epoch<std::chrono::nanoseconds, std::chrono::steady_clock>();
  out.cluster = config_.cluster;
  out.node = config_.node;
  out.incarnation = incarnation_;
  out.view = ring_.view;
  out.committed = core.committed().number;
  out.state = ring_.word;
  out.reason = ring_.reason;
  out.missing = core.missing();
  // Members in the order of the ring, the witness, then the rest of the roster.
  std::vector<RingMember> members = ring_.members;
  if (ring_.witness.node) members.push_back(ring_.witness);
  for (const RingMember& member : members) out.servers.push_back(describe_server(member.node));
  for (const io::RosterEntry& entry : config_.roster) {
    const auto is_member = [&](const RingMember& member) { return member.node == entry.node; };
    if (std::none_of(members.begin(), members.end(), is_member)) out.servers.push_back(describe_server(entry.node));
  }
  out.messages = traffic_.counts();
  const io::PeerCounters& links = links_->counters();
  out.refused_peers = links.refused;
  out.turned_away_peers = links.turned_away;
  out.malformed_peers = links.malformed;
  out.refused_messages = core.refused_messages();
  out.overridden = mark_of(core.committed());
  return out;
}

wire::RingServer Server::describe_server(NodeId node) const {
  wire::RingServer out;
  out.node = node;
  for (const io::RosterEntry& entry : config_.roster)
    if (entry.node == node) out.address = io::to_string(entry.address);
  if (const auto rack = config_.racks.find(node); rack != config_.racks.end()) out.rack = rack->second;
  out.witness = node == (ring_.witness.node ? ring_.witness.node : config_.witness);
  for (const RingMember& member : ring_.members)
    if (member.node == node) {
      out.member = true;
      out.incarnation = member.incarnation;
    }
  if (ring_.witness.node == node) {
    out.member = out.witness = true;
    out.incarnation = ring_.witness.incarnation;
  }
  const bool here = node == config_.node;
  out.connected = here || links_->connected(node);
  const std::string suspicion = event_writer_.suspicion(node);
  const std::string down = event_writer_.down_reason(node);
  const auto refusal = last_refusal_.find(node);
  std::string unlinked = !down.empty() ? "its link is down: " + down : "there is no link to it";
  if (refusal != last_refusal_.end()) unlinked += "; " + refusal->second;
  if (!out.member) {
    out.state = "not a member";
    if (!here) out.reason = out.connected ? "its link is up: it waits to be admitted" : unlinked;
  } else if (here) {
    out.state = ring_.serving ? "up" : ring_.word;
  } else if (!suspicion.empty()) {
    out.state = "suspected";
    out.reason = suspicion;
  } else if (out.connected) {
    out.state = "up";
  } else {
    out.state = "unknown";
    out.reason = unlinked;
  }
  return out;
}

}  // namespace rk::daemon

// SPDX-License-Identifier: Apache-2.0
#include "wire/ring_messages.h"

#include <algorithm>
#include <string>
#include <utility>

namespace rk::wire {
namespace {

Status check_views(const RingPropose& message) {
  RK_TRY_VOID(check_view(message.committed));
  return check_view(message.proposed);
}
Status check_views(const RingCommit& message) { return check_view(message.view); }
Status check_views(const RingPrepare& message) { return check_view(message.committed); }
Status check_views(const RingPromise& message) {
  return message.accepted == RingView() ? Status() : check_view(message.accepted);
}
template <class Message>
Status check_views(const Message&) {
  return {};
}

template <class Message>
Result<RingMessage> read(const Frame& frame) {
  RK_TRY(Message message, from_frame<Message>(frame));
  RK_TRY_VOID(check_views(message));
  return RingMessage(std::move(message));
}

}  // namespace

Status check_view(const RingView& view) {
  std::vector<NodeId> nodes;
  nodes.reserve(view.members.size() + view.retired.size());
  for (const RingMember& member : view.members) nodes.push_back(member.node);
  for (const RingMember& member : view.retired) nodes.push_back(member.node);
  std::vector<NodeId> ring = view.ring.entries();
  if (view.witness) ring.push_back(view.witness);
  std::sort(ring.begin(), ring.end());
  std::vector<NodeId> members(nodes.begin(), nodes.begin() + static_cast<std::ptrdiff_t>(view.members.size()));
  std::sort(members.begin(), members.end());
  std::sort(nodes.begin(), nodes.end());
  const bool twice = std::adjacent_find(nodes.begin(), nodes.end()) != nodes.end();
  const bool nameless = !nodes.empty() && !nodes.front();
  const bool succeeded_by_members =
      view.succeeded.size() <= view.members.size() &&
      std::all_of(view.succeeded.begin(), view.succeeded.end(), [&](const RingMember& before) {
        const auto rank = view.members.rank_of(before.node);
        return rank && view.members[*rank].incarnation > before.incarnation;
      });
  if (twice || nameless || !succeeded_by_members || nodes.size() > kMaxServers || view.members.empty() ||
      ring != members)
    return fail(ErrorCode::kCorrupt, "view " + std::to_string(view.number.value) +
                                         " is no list of servers; the connection it came over must be closed");
  return {};
}

Result<RingMessage> ring_message_from_frame(const Frame& frame) {
  switch (frame.type) {
    case MessageType::kRingHeartbeat:
      return read<RingHeartbeat>(frame);
    case MessageType::kRingAccuse:
      return read<RingAccuse>(frame);
    case MessageType::kRingProbeRequest:
      return read<RingProbeRequest>(frame);
    case MessageType::kRingPropose:
      return read<RingPropose>(frame);
    case MessageType::kRingAck:
      return read<RingAck>(frame);
    case MessageType::kRingCommit:
      return read<RingCommit>(frame);
    case MessageType::kRingJoin:
      return read<RingJoin>(frame);
    case MessageType::kRingLeave:
      return read<RingLeave>(frame);
    case MessageType::kRingPrepare:
      return read<RingPrepare>(frame);
    case MessageType::kRingPromise:
      return read<RingPromise>(frame);
    default:
      return fail(ErrorCode::kCorrupt, "message type " + std::to_string(static_cast<std::uint32_t>(frame.type)) +
                                           " is not one of the ring; the connection it came over must be closed");
  }
}

Frame ring_message_to_frame(const RingMessage& message, Incarnation sender) {
  return std::visit([&](const auto& body) { return to_frame(body, 0, sender); }, message);
}

}  // namespace rk::wire

// SPDX-License-Identifier: Apache-2.0
#include "daemon/ring_traffic.h"

#include <array>
#include <utility>

#include "wire/ring_messages.h"

namespace rk::daemon {
namespace {

using wire::MessageType;

constexpr std::array<std::pair<MessageType, const char*>, 10> kKinds{{{MessageType::kRingHeartbeat, "heartbeat"},
                                                                      {MessageType::kRingPropose, "propose"},
                                                                      {MessageType::kRingAck, "ack"},
                                                                      {MessageType::kRingCommit, "commit"},
                                                                      {MessageType::kRingPrepare, "prepare"},
                                                                      {MessageType::kRingPromise, "promise"},
                                                                      {MessageType::kRingAccuse, "accuse"},
                                                                      {MessageType::kRingProbeRequest, "probe_request"},
                                                                      {MessageType::kRingJoin, "join"},
                                                                      {MessageType::kRingLeave, "leave"}}};

// A kind without a name here is still counted: what the wire carries must add up.
const char* name_of(MessageType type) {
  for (const auto& [kind, name] : kKinds)
    if (kind == type) return name;
  return "other";
}

std::uint64_t bytes_of(const wire::Frame& frame) { return wire::kHeaderSize + frame.payload.size(); }

}  // namespace

void RingTraffic::sent(const wire::Frame& frame) {
  if (!wire::is_ring_message(frame.type)) return;
  Count& count = counts_[frame.type];
  ++count.sent;
  count.sent_bytes += bytes_of(frame);
}

void RingTraffic::received(const wire::Frame& frame) {
  if (!wire::is_ring_message(frame.type)) return;
  Count& count = counts_[frame.type];
  ++count.received;
  count.received_bytes += bytes_of(frame);
}

std::vector<wire::RingMessageCount> RingTraffic::counts() const {
  std::vector<wire::RingMessageCount> out;
  for (const auto& [type, name] : kKinds) out.push_back({name, 0, 0, 0, 0});
  out.push_back({"other", 0, 0, 0, 0});
  for (const auto& [type, count] : counts_)
    for (wire::RingMessageCount& one : out) {
      if (one.kind != name_of(type)) continue;
      one.sent += count.sent;
      one.sent_bytes += count.sent_bytes;
      one.received += count.received;
      one.received_bytes += count.received_bytes;
    }
  return out;
}

}  // namespace rk::daemon

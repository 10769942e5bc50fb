// SPDX-License-Identifier: Apache-2.0
#include "daemon/ring_traffic.h"

#include <gtest/gtest.h>

#include "wire/keep_messages.h"
#include "wire/ring_messages.h"

namespace rk::daemon {
namespace {

const wire::RingMessageCount& of(const std::vector<wire::RingMessageCount>& counts, const std::string& kind) {
  for (const wire::RingMessageCount& one : counts)
    if (one.kind == kind) return one;
  ADD_FAILURE() << kind;
  return counts.front();
}

template <class... Messages>
std::vector<wire::Frame> one_of_each(const std::variant<Messages...>&) {
  return {wire::to_frame(Messages{})...};
}

TEST(RingTraffic, EveryMessageOfTheRingHasAKindOfItsOwn) {
  RingTraffic traffic;
  const auto frames = one_of_each(wire::RingMessage{});
  for (const wire::Frame& frame : frames) traffic.sent(frame);
  const auto counts = traffic.counts();
  EXPECT_EQ(counts.size(), frames.size() + 1);
  for (const wire::RingMessageCount& one : counts) EXPECT_EQ(one.sent, one.kind == "other" ? 0U : 1U) << one.kind;
}

TEST(RingTraffic, CountsFramesAndBytesInBothDirections) {
  RingTraffic traffic;
  const wire::Frame beat = wire::to_frame(wire::RingHeartbeat{});
  traffic.sent(beat);
  traffic.sent(beat);
  traffic.received(wire::to_frame(wire::RingAck{}));
  traffic.received(wire::to_frame(wire::KeepRemoved{}));
  const auto counts = traffic.counts();
  EXPECT_EQ(of(counts, "heartbeat").sent, 2U);
  EXPECT_EQ(of(counts, "heartbeat").sent_bytes, 2 * wire::encode_frame(beat).size());
  EXPECT_EQ(of(counts, "heartbeat").received, 0U);
  EXPECT_EQ(of(counts, "ack").received, 1U);
  EXPECT_EQ(of(counts, "other").received, 0U) << "the keep's messages are not the ring's";
}

}  // namespace
}  // namespace rk::daemon

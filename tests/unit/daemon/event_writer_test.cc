// SPDX-License-Identifier: Apache-2.0
#include "daemon/event_writer.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace rk::daemon {
namespace {

constexpr wire::RingLease kNoLease{0, 0, 0, 0, ring::Timings{}.hold_ms};

ring::Member member(std::uint32_t node, std::uint64_t incarnation) { return {NodeId(node), Incarnation(incarnation)}; }
wire::ServerLife life(std::uint32_t node, std::uint64_t incarnation) {
  return {NodeId(node), Incarnation(incarnation)};
}
using Lives = std::vector<wire::ServerLife>;

class EventWriterTest : public ::testing::Test, private ClientPort {
 protected:
  EventWriterTest() { EXPECT_TRUE(log_.subscribe(1, 1, {true})); }
  // Its ring begins with the leader and is not in the order of ranks.
  static ring::View view(std::uint64_t number, std::vector<ring::Member> members) {
    ring::View view;
    view.number = ViewNumber(number);
    for (const ring::Member& one : members) view.ring.push_back(one.node);
    if (members.size() > 1) std::reverse(view.ring.edit().begin() + 1, view.ring.edit().end());
    view.members = std::move(members);
    return view;
  }
  void install(std::uint64_t number, std::vector<ring::Member> members) {
    writer_.on_effect(ring::ViewInstalled{view(number, std::move(members))});
  }
  wire::ServerEvent last() const { return sent_.empty() ? wire::ServerEvent{} : sent_.back(); }
  void start(std::uint64_t known, std::vector<ring::Member> members) {
    writer_.started(member(1, 5), view(known, std::move(members)));
  }

  EventLog log_{NodeId(1), *this, [](std::uint64_t) { return std::size_t{0}; }};
  EventWriter writer_{log_};
  std::vector<wire::ServerEvent> sent_;

 private:
  void send(std::uint64_t, const wire::Frame& frame, std::span<const int>) override {
    sent_.push_back(wire::from_frame<wire::ServerEvent>(frame).value());
  }
};

TEST_F(EventWriterTest, InTheFirstViewAllAreNew) {
  start(0, {member(1, 0), member(2, 0)});
  EXPECT_EQ(last().event, "server_started");
  install(1, {member(1, 5), member(2, 6)});
  EXPECT_EQ(last().event, "view_installed");
  EXPECT_EQ(last().node, NodeId(1)) << "it leads";
  EXPECT_EQ(last().members, (Lives{life(1, 5), life(2, 6)}));
  EXPECT_EQ(last().joined, last().members);
  EXPECT_TRUE(last().lost.empty() && last().left.empty() && last().restarted.empty());
}

TEST_F(EventWriterTest, TheWitnessIsNamedApart) {
  start(0, {member(1, 0), member(2, 0), member(3, 0)});
  ring::View first = view(1, {member(1, 5), member(2, 6), member(3, 7)});
  first.witness = NodeId(3);
  std::erase(first.ring.edit(), NodeId(3));
  writer_.on_effect(ring::ViewInstalled{first});
  EXPECT_EQ(last().members, (Lives{life(1, 5), life(2, 6)}));
  EXPECT_EQ(last().witness, NodeId(3));
  EXPECT_EQ(last().joined, (Lives{life(1, 5), life(2, 6), life(3, 7)}));
}

TEST_F(EventWriterTest, TellsWhoIsNewRestartedLostAndLeft) {
  start(4, {member(1, 5), member(2, 6), member(3, 7), member(4, 8)});
  writer_.peer_leaves({NodeId(3), Incarnation(7), 0});
  install(5, {member(1, 5), member(2, 9), member(6, 1)});
  EXPECT_EQ(last().view, ViewNumber(5));
  EXPECT_EQ(last().previous, ViewNumber(4));
  EXPECT_EQ(last().joined, (Lives{life(6, 1)}));
  EXPECT_EQ(last().restarted, (Lives{life(2, 9)}));
  EXPECT_EQ(last().left, (Lives{life(3, 7)}));
  EXPECT_EQ(last().lost, (Lives{life(4, 8)}));
}

TEST_F(EventWriterTest, ALifeThatLeftIsNotWhatANewLifeOfItDoes) {
  start(4, {member(1, 5), member(3, 7)});
  writer_.peer_leaves({NodeId(3), Incarnation(7), 0});
  install(5, {member(1, 5)});
  install(6, {member(1, 5), member(3, 8)});
  EXPECT_EQ(last().joined, (Lives{life(3, 8)}));
  install(7, {member(1, 5)});
  EXPECT_EQ(last().lost, (Lives{life(3, 8)}));
  EXPECT_TRUE(last().left.empty());
}

TEST_F(EventWriterTest, AnOverrideIsToldOnceAndMarksTheViewsBehindIt) {
  start(7, {member(1, 5), member(2, 6), member(3, 7)});
  ring::View first = view(1U << ring::kGenerationShift, {member(1, 5)});
  first.overridden = {NodeId(1), ViewNumber(7), 99};
  const std::size_t before = sent_.size();
  writer_.on_effect(ring::ViewInstalled{first});
  ASSERT_EQ(sent_.size(), before + 2);
  const wire::ServerEvent& event = sent_[before];
  EXPECT_EQ(event.event, "overridden");
  EXPECT_EQ(event.node, NodeId(1));
  EXPECT_EQ(event.view, first.number);
  EXPECT_EQ(event.overridden, (wire::OverrideMark{1, NodeId(1), ViewNumber(7), 99}));
  EXPECT_NE(event.reason.find("may be stale or lost"), std::string::npos) << event.reason;
  EXPECT_EQ(last().event, "view_installed");
  ring::View second = view(first.number.value + 1, {member(1, 5), member(2, 8)});
  second.overridden = first.overridden;
  writer_.on_effect(ring::ViewInstalled{second});
  EXPECT_EQ(sent_.size(), before + 3);
  EXPECT_EQ(last().overridden, event.overridden);
  writer_.on_effect(ring::Evicted{ViewNumber(9), "why"});
  EXPECT_EQ(last().reason, "why");
}

TEST_F(EventWriterTest, TellsWhyItStoppedActing) {
  start(4, {member(1, 5), member(3, 7)});
  writer_.on_effect(ring::Wedged{NodeId(3), "server 3 is silent"});
  EXPECT_EQ(last().event, "wedged");
  EXPECT_EQ(last().node, NodeId(3));
  EXPECT_EQ(last().reason, "server 3 is silent");
  writer_.on_effect(ring::Unwedged{});
  EXPECT_EQ(last().event, "unwedged");
  const std::size_t before = sent_.size();
  writer_.on_effect(ring::Send{NodeId(3), wire::RingHeartbeat{}});
  EXPECT_EQ(sent_.size(), before) << "a message is no event";
}

TEST_F(EventWriterTest, RefusalsAreCountedAndToldNowAndThen) {
  writer_.peer_refused(NodeId(), "no key", 1000);
  EXPECT_EQ(last().count, 1U);
  const std::size_t before = sent_.size();
  for (std::uint64_t i = 1; i < EventWriter::kRefusalMs; ++i) writer_.peer_refused(NodeId(), "no key", 1000 + i);
  EXPECT_EQ(sent_.size(), before) << "a stranger can not flush the buffer";
  writer_.peer_refused(NodeId(2), "another cluster", 1000 + EventWriter::kRefusalMs);
  EXPECT_EQ(last().count, EventWriter::kRefusalMs);
  EXPECT_EQ(last().node, NodeId(2));
}

TEST_F(EventWriterTest, LinksHaveTheirReason) {
  writer_.link_up({NodeId(2), Incarnation(6), 0});
  EXPECT_EQ(last().event, "link_up");
  EXPECT_EQ(last().incarnation, Incarnation(6));
  EXPECT_EQ(writer_.down_reason(NodeId(2)), "");
  writer_.link_down(NodeId(2), "reset");
  EXPECT_EQ(last().reason, "reset");
  EXPECT_EQ(writer_.down_reason(NodeId(2)), "reset");
  writer_.link_up({NodeId(2), Incarnation(6), 0});
  EXPECT_EQ(writer_.down_reason(NodeId(2)), "");
}

// A leader and one other member, driven by hand.
TEST_F(EventWriterTest, SuspectsAMemberThatWasHeardAndFallsSilent) {
  start(0, {});
  ring::Config config;
  config.self = NodeId(1);
  config.incarnation = Incarnation(5);
  config.roster = {{NodeId(1), "h:1"}, {NodeId(2), "h:2"}};
  auto core = ring::Core::create(config).value();
  std::uint64_t token = 0;
  const auto step = [&](std::uint64_t now_ms, decltype(ring::Event::what) what) {
    ring::Effects effects;
    core.step({now_ms, std::move(what)}, effects);
    for (const ring::Effect& effect : effects) {
      writer_.on_effect(effect);
      if (const auto* persist = std::get_if<ring::Persist>(&effect)) token = persist->token;
    }
    writer_.on_tick(core);
  };
  const auto other = member(2, 6);
  const auto settle = [&](std::uint64_t now_ms) {
    for (std::uint64_t done = 0; done < token;) {
      done = token;
      step(now_ms, ring::Persisted{done});
    }
  };
  step(0, ring::Start{});
  settle(0);
  step(1, ring::LinkUp{other});
  step(2, ring::Received{other, wire::RingJoin{}});
  settle(2);
  step(3, ring::Received{other, wire::RingAck{ViewNumber(1), {}, {}, kNoLease}});
  settle(3);
  ASSERT_EQ(core.view().members.size(), 2U);
  const auto heartbeat = wire::RingHeartbeat{ViewNumber(1), {}, false, {}, kNoLease};
  step(4, ring::Received{other, heartbeat});
  writer_.link_down(NodeId(2), "reset");
  std::uint64_t now = 4;
  for (; last().event != "member_suspected" && now < 60'000; now += 50) step(now, ring::Tick{});
  EXPECT_EQ(last().event, "member_suspected");
  EXPECT_EQ(last().node, NodeId(2));
  EXPECT_EQ(last().reason, "its link is down: reset");
  EXPECT_EQ(writer_.suspicion(NodeId(2)), last().reason);
  const auto heard = [this] {
    return std::any_of(sent_.begin(), sent_.end(), [](const auto& event) { return event.event == "member_heard"; });
  };
  step(now, ring::Received{other, heartbeat});
  ASSERT_TRUE(core.hears(NodeId(2)));
  EXPECT_FALSE(heard()) << "the core's word alone is no sign of life";
  EXPECT_NE(writer_.suspicion(NodeId(2)), "");
  writer_.spoke(NodeId(2));
  step(now + 1, ring::Tick{});
  EXPECT_TRUE(heard());
  EXPECT_EQ(writer_.suspicion(NodeId(2)), "");
}

}  // namespace
}  // namespace rk::daemon

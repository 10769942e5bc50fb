// SPDX-License-Identifier: Apache-2.0
// What real servers tell of their ring: events with their causes, and the counts of its messages.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>

#include "tests/integration/ring_fixture.h"

namespace rk::testing {
namespace {

// Reads the events of one server as they come.
class Follower {
 public:
  Follower(RingFixture& ring, std::uint32_t node) : client_(ring.client(node).value()) {
    EXPECT_TRUE(client_.send(wire::to_frame(wire::EventsSubscribe{true}, 1)));
  }
  // The next one for which it holds, within the fixture's patience for each event.
  std::optional<wire::ServerEvent> next(const std::function<bool(const wire::ServerEvent&)>& wanted) {
    for (;;) {
      const auto received = client_.receive();
      if (!received) return std::nullopt;
      auto event = wire::from_frame<wire::ServerEvent>(received->frame);
      if (!event) return std::nullopt;
      EXPECT_EQ(event->missed, 0U);
      EXPECT_EQ(event->sequence, ++sequence_);
      if (wanted(*event)) return *event;
    }
  }
  std::optional<wire::ServerEvent> next(const std::string& name) {
    return next([&](const wire::ServerEvent& event) { return event.event == name; });
  }
  std::optional<wire::ServerEvent> next_view_of(std::size_t members) {
    return next([&](const wire::ServerEvent& event) {
      return event.event == "view_installed" && event.members.size() == members;
    });
  }

 private:
  TestClient client_;
  std::uint64_t sequence_ = 0;
};

std::vector<std::uint32_t> nodes_of(const std::vector<wire::ServerLife>& lives) {
  std::vector<std::uint32_t> out;
  for (const wire::ServerLife& life : lives) out.push_back(life.node.value);
  return out;
}
using Nodes = std::vector<std::uint32_t>;

TEST(DaemonEvents, AViewSaysWhoIsNewLostAndLeft) {
  RingFixture ring(4);
  Follower leader(ring, 1);
  Follower member(ring, 2);
  EXPECT_TRUE(leader.next("server_started"));
  for (Follower* one : {&leader, &member}) EXPECT_TRUE(one->next_view_of(4));
  ring.server(3).kill(SIGKILL);
  for (Follower* one : {&leader, &member}) {
    const auto lost = one->next_view_of(3);
    ASSERT_TRUE(lost);
    EXPECT_EQ(lost->server, NodeId(one == &leader ? 1 : 2));
    EXPECT_EQ(nodes_of(lost->members), (Nodes{1, 2, 4}));
    EXPECT_EQ(lost->node, NodeId(1));
    EXPECT_EQ(nodes_of(lost->lost), Nodes{3});
    EXPECT_TRUE(lost->left.empty());
  }
  ring.server(3).wait();
  ASSERT_TRUE(ring.start(3).output.empty());
  for (Follower* one : {&leader, &member}) {
    const auto back = one->next_view_of(4);
    ASSERT_TRUE(back);
    EXPECT_EQ(nodes_of(back->joined), Nodes{3});
  }
  ring.server(4).kill(SIGTERM);
  for (Follower* one : {&leader, &member}) {
    const auto left = one->next_view_of(3);
    ASSERT_TRUE(left);
    EXPECT_EQ(nodes_of(left->left), Nodes{4}) << "whoever is told by a server that leaves knows that it is not lost";
    EXPECT_TRUE(left->lost.empty());
  }
}

TEST(DaemonEvents, LinksSuspicionAndTheWedgeHaveTheirReasons) {
  RingFixture ring(3);
  Follower leader(ring, 1);
  EXPECT_TRUE(leader.next_view_of(3));
  ring.server(2).kill(SIGKILL);
  ring.server(3).kill(SIGKILL);
  const auto down = leader.next("link_down");
  ASSERT_TRUE(down);
  EXPECT_FALSE(down->reason.empty());
  bool suspected = false;
  const auto wedged = leader.next([&](const wire::ServerEvent& event) {
    suspected = suspected || event.event == "member_suspected";
    return event.event == "wedged";
  });
  ASSERT_TRUE(wedged);
  EXPECT_NE(wedged->reason.find("server "), std::string::npos) << wedged->reason;
  EXPECT_TRUE(suspected || leader.next("member_suspected"));
  for (const std::uint32_t node : {2U, 3U}) {
    ring.server(node).wait();
    ASSERT_TRUE(ring.start(node).output.empty());
  }
  EXPECT_TRUE(leader.next("unwedged"));
}

TEST(DaemonEvents, JobsBeginAndEnd) {
  RingFixture ring(1);
  Follower follower(ring, 1);
  {
    auto launcher = ring.client(1);
    ASSERT_TRUE(launcher->ask<wire::Done>(wire::JobCreate{JobId(5), {CommunityId(0), CommunityId(0)}, 1U << 20U}));
  }
  const auto created = follower.next("job_created");
  ASSERT_TRUE(created);
  EXPECT_EQ(created->job, JobId(5));
  EXPECT_EQ(created->ranks, 2U);
  const auto ended = follower.next("job_ended");
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->job, JobId(5));
}

TEST(DaemonEvents, WithoutFollowingTheyEnd) {
  RingFixture ring(1);
  auto client = ring.client(1);
  ASSERT_TRUE(client->send(wire::to_frame(wire::EventsSubscribe{}, 9)));
  bool view = false;
  for (;;) {
    const auto received = client->receive();
    ASSERT_TRUE(received);
    EXPECT_EQ(received->frame.request, 9U);
    if (received->frame.type == wire::MessageType::kDone) break;
    view = view || wire::from_frame<wire::ServerEvent>(received->frame)->event == "view_installed";
  }
  EXPECT_TRUE(view);
}

TEST(DaemonEvents, TheStopIsTheLastThatAFollowerHears) {
  RingFixture ring(1);
  Follower follower(ring, 1);
  EXPECT_TRUE(follower.next_view_of(1));
  ring.server(1).kill(SIGTERM);
  EXPECT_TRUE(follower.next("server_stopping"));
  EXPECT_EQ(ring.server(1).wait(), 0);
}

TEST(DaemonRingQuery, TellsTheServersAndCountsTheMessages) {
  RingFixture ring(3);
  auto client = ring.client(1);
  auto answer = client->ask<wire::RingAnswer>(wire::RingQuery{});
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->state, "serving");
  EXPECT_EQ(answer->committed, answer->view);
  ASSERT_EQ(answer->servers.size(), 3U);
  EXPECT_EQ(answer->servers[0].node, NodeId(1));
  const auto of = [&](const std::string& kind) {
    return *std::find_if(answer->messages.begin(), answer->messages.end(),
                         [&](const wire::RingMessageCount& one) { return one.kind == kind; });
  };
  EXPECT_GE(of("propose").sent, 2U) << "the leader proposed the first view to both";
  EXPECT_GE(of("ack").received, 1U);
  EXPECT_GE(of("commit").sent, 2U);
  EXPECT_EQ(of("prepare").sent, 0U) << "nobody took over";
  EXPECT_GT(of("propose").sent_bytes, of("propose").sent * wire::kHeaderSize);
  ring.server(3).kill(SIGKILL);
  ASSERT_TRUE(ring.await_ring_of(2));
  answer = client->ask<wire::RingAnswer>(wire::RingQuery{});
  ASSERT_TRUE(answer);
  ASSERT_EQ(answer->servers.size(), 3U);
  EXPECT_EQ(answer->servers[2].node, NodeId(3));
  EXPECT_EQ(answer->servers[2].state, "not a member");
  EXPECT_NE(answer->servers[2].reason.find("link is down"), std::string::npos) << answer->servers[2].reason;
}

TEST(DaemonRingQuery, CountsPeersThatAreNone) {
  RingFixture ring(2);
  auto stranger = TestClient::connect_tcp(ring.port(1));
  ASSERT_TRUE(stranger);
  ASSERT_TRUE(stranger->send(wire::to_frame(wire::StatusQuery{})));
  while (stranger->receive()) {
  }
  auto client = ring.client(1);
  const auto answer = client->ask<wire::RingAnswer>(wire::RingQuery{});
  ASSERT_TRUE(answer);
  EXPECT_GE(answer->refused_peers, 1U);
  Follower follower(ring, 1);
  const auto refused = follower.next("peer_refused");
  ASSERT_TRUE(refused);
  EXPECT_FALSE(refused->node);
}

}  // namespace
}  // namespace rk::testing

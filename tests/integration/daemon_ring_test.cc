// SPDX-License-Identifier: Apache-2.0
// Rings of real servers: they form one view, notice a death, name it, and take a restarted server back.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/integration/ring_fixture.h"

namespace rk::testing {
namespace {

TEST(DaemonRing, FourServersAgreeOnOneView) {
  RingFixture ring(4);
  const auto first = ring.status(1);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->state, "serving");
  for (std::uint32_t node = 1; node <= 4; ++node) {
    const auto status = ring.status(node);
    ASSERT_TRUE(status);
    EXPECT_EQ(status->node, NodeId(node));
    EXPECT_EQ(status->view, first->view);
    ASSERT_EQ(status->members.size(), 4U);
    for (std::size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(status->members[i].node, first->members[i].node);
      EXPECT_EQ(status->members[i].incarnation, first->members[i].incarnation);
    }
  }
  EXPECT_TRUE(ring.await_status(1, [](const wire::StatusAnswer& status) {
    return std::all_of(status.members.begin(), status.members.end(), [](const auto& m) { return m.connected; });
  }));
}

// Two servers that belong together form the ring; the stranger is refused with one line on each side that says why, and
// goes on trying: its operator mends its configuration and starts it again.
void expect_refused(const RingFixture::Options& options, const std::string& at_others, const std::string& at_stranger) {
  RingFixture ring(options);
  const std::uint32_t stranger = options.stranger;
  const std::uint32_t member = stranger == 1 ? 2 : 1;
  for (const std::uint32_t node : {member, 6 - member - stranger})
    EXPECT_TRUE(ring.await_status(node, [](const wire::StatusAnswer& status) {
      return status.state == "serving" && status.members.size() == 2;
    }));
  const auto refusals = [&](std::uint32_t node, const std::string& reason) {
    std::istringstream lines(ring.server(node).output());
    std::vector<std::string> found;
    for (std::string line; std::getline(lines, line);)
      if (line.find("no link to") != std::string::npos && line.find(reason) != std::string::npos) found.push_back(line);
    return found;
  };
  const auto both_say_why = [&](const auto&) {
    return !refusals(member, at_others).empty() && !refusals(stranger, at_stranger).empty();
  };
  EXPECT_TRUE(ring.await_status(member, both_say_why))
      << ring.server(member).output() << ring.server(stranger).output();
  EXPECT_LE(refusals(member, at_others).size(), 2U) << "one for each way of meeting, not one for each attempt";
  EXPECT_TRUE(ring.server(stranger).running());
}

RingFixture::Options with_stranger(std::uint32_t node) {
  return {.servers = 3, .extra_flags = {}, .await_serving = false, .stranger = node};
}

// Who dials is told less than who is dialled: TLS has no words.
TEST(DaemonRing, AServerOfAnotherClusterStaysOutAndBothSidesSayWhy) {
  auto options = with_stranger(3);
  options.stranger_cluster = "bad";
  expect_refused(options, "or belongs to another cluster", "belongs to cluster 00000000000000c1, this one to");
  options.stranger = 1;
  expect_refused(options, "belongs to cluster 0000000000000bad, this one to", "or belongs to another cluster");
}

TEST(DaemonRing, AServerWithAnotherKeyStaysOutAndBothSidesSayWhy) {
  auto options = with_stranger(3);
  options.stranger_key = true;
  expect_refused(options, "does not accept key 1", "which is not in this server's key file");
  options.stranger = 1;
  expect_refused(options, "which is not in this server's key file", "does not accept key 1");
}

// As a server of a release before TLS.
TEST(DaemonRing, AServerThatDoesNotEncryptStaysOutAndBothSidesSayWhy) {
  auto options = with_stranger(3);
  options.stranger_config = "encrypt = false\n";
  expect_refused(options, "set 'encrypt' alike", "set 'encrypt' alike");
  options.stranger = 1;
  expect_refused(options, "set 'encrypt' alike", "set 'encrypt' alike");
}

TEST(DaemonRing, WithoutEncryptionServersStillProveTheKey) {
  const TemporaryDirectory directory;
  const std::string config = directory.write("plain.toml", "encrypt = false\n");
  RingFixture::Options options = with_stranger(3);
  options.extra_flags = {"--config", config};
  options.stranger_key = true;
  expect_refused(options, "does not have this cluster's key", "does not have this cluster's key");
}

TEST(DaemonRing, AKilledServerIsNamedToTheOwnersOfJobs) {
  RingFixture ring(4);
  auto launcher = ring.client(1);
  ASSERT_TRUE(launcher);
  ASSERT_TRUE(launcher->ask<wire::Done>(wire::JobCreate{JobId(5), {CommunityId(0)}, 1U << 20U}));
  ring.server(3).kill(SIGKILL);
  const auto received = launcher->receive();
  ASSERT_TRUE(received) << received.error().message;
  const auto notice = wire::from_frame<wire::ServerNotice>(received->frame);
  ASSERT_TRUE(notice);
  EXPECT_TRUE(notice->fatal);
  EXPECT_NE(notice->text.find("server 3"), std::string::npos) << notice->text;
  EXPECT_TRUE(ring.await_ring_of(3));
  EXPECT_EQ(ring.status(1)->members.size(), 3U);
}

TEST(DaemonRing, TheDeathOfTheLeaderIsNamedTooAndTheOthersGoOn) {
  RingFixture ring(4);
  auto launcher = ring.client(2);
  ASSERT_TRUE(launcher->ask<wire::Done>(wire::JobCreate{JobId(5), {CommunityId(0)}, 1U << 20U}));
  for (std::uint32_t leader = 1; leader <= 2; ++leader) {
    ring.server(leader).kill(SIGKILL);
    if (leader == 1) {
      const auto received = launcher->receive();
      ASSERT_TRUE(received) << received.error().message;
      const auto notice = wire::from_frame<wire::ServerNotice>(received->frame);
      ASSERT_TRUE(notice);
      EXPECT_TRUE(notice->fatal);
      EXPECT_NE(notice->text.find("server 1"), std::string::npos) << notice->text;
    }
    // The next in line leads: the two that are left are still a majority of the view before.
    for (std::uint32_t node = leader + 1; node <= 4; ++node)
      EXPECT_TRUE(ring.await_status(node, [&](const wire::StatusAnswer& status) {
        return status.state == "serving" && status.members.size() == 4 - leader &&
               status.members.front().node == NodeId(leader + 1);
      })) << node;
  }
}

TEST(DaemonRing, AKilledServerComesBackAsANewIncarnation) {
  RingFixture ring(3);
  const Incarnation before = ring.status(2)->incarnation;
  ring.server(2).kill(SIGKILL);
  ring.server(2).wait();
  ASSERT_TRUE(ring.start(2).output.empty());
  EXPECT_TRUE(ring.await_status(1, [&](const wire::StatusAnswer& status) {
    return status.state == "serving" && status.members.size() == 3 &&
           std::any_of(status.members.begin(), status.members.end(),
                       [&](const auto& m) { return m.node == NodeId(2) && m.incarnation > before; });
  }));
}

// Stopped until the others go on without it.
void evict(RingFixture& ring, std::uint32_t node) {
  ring.server(node).kill(SIGSTOP);
  ASSERT_TRUE(ring.await_status(node == 1 ? 2 : 1, [&](const wire::StatusAnswer& status) {
    return status.state == "serving" && std::none_of(status.members.begin(), status.members.end(),
                                                     [&](const auto& m) { return m.node == NodeId(node); });
  }));
  ring.server(node).kill(SIGCONT);
}

std::size_t open_descriptors(pid_t pid) {
  const std::filesystem::directory_iterator folder("/proc/" + std::to_string(pid) + "/fd");
  return static_cast<std::size_t>(std::distance(begin(folder), end(folder)));
}

TEST(DaemonRing, AnEvictedServerBeginsAnewAsTheSameProcess) {
  for (const std::uint32_t node : {3U, 1U}) {  // 1 leads
    RingFixture ring(3);
    const pid_t pid = ring.server(node).pid();
    const Incarnation before = ring.status(node)->incarnation;
    auto creator = ring.client(node);
    ASSERT_TRUE(creator->ask<wire::Done>(wire::JobCreate{JobId(5), {CommunityId(0)}, 1U << 20U}));
    auto other = ring.client(node);
    const std::size_t descriptors = open_descriptors(pid);
    evict(ring, node);
    // Who created a job hears of it first, then all hear that their connection ends.
    const auto notice = creator->receive();
    ASSERT_TRUE(notice);
    ASSERT_TRUE(wire::from_frame<wire::ServerNotice>(notice->frame));
    for (TestClient* client : {&*creator, &*other}) {
      auto last = client->receive();
      while (last && last->frame.type == wire::MessageType::kServerNotice) last = client->receive();
      ASSERT_TRUE(last) << last.error().message;
      const auto why = wire::from_frame<wire::Refusal>(last->frame);
      ASSERT_TRUE(why);
      EXPECT_EQ(last->frame.request, 0U);
      EXPECT_EQ(why->code, static_cast<int>(ErrorCode::kPeerGone));
      EXPECT_NE(why->message.find("went on without server " + std::to_string(node)), std::string::npos) << why->message;
      EXPECT_TRUE(client->await_end());
    }
    EXPECT_TRUE(ring.await_ring_of(3));
    EXPECT_TRUE(ring.await_status(node, [&](const wire::StatusAnswer& status) {
      return status.incarnation > before && status.pid == static_cast<std::uint32_t>(pid) && status.members.size() == 3;
    }));
    EXPECT_TRUE(ring.server(node).running());
    EXPECT_LE(open_descriptors(pid), descriptors);
    std::ifstream name("/proc/" + std::to_string(pid) + "/comm");
    std::string word;
    EXPECT_TRUE(name >> word && word == "ringkeepd") << word;
    EXPECT_NE(ring.server(node).output().find("begins anew in 100 ms"), std::string::npos)
        << ring.server(node).output();
    // It can still be ended as before.
    ring.server(node).close_parent_pipe();
    EXPECT_EQ(ring.server(node).wait(), 0);
  }
}

TEST(DaemonRing, AnEvictedServerSaysInItsEventsWhyItBeganAnew) {
  RingFixture ring(3);
  evict(ring, 2);
  ASSERT_TRUE(ring.await_ring_of(3));
  ASSERT_TRUE(ring.await_status(2, [](const wire::StatusAnswer& status) { return status.members.size() == 3; }));
  auto reader = ring.client(2);
  ASSERT_TRUE(reader);
  ASSERT_TRUE(reader->send(wire::to_frame(wire::EventsSubscribe{false}, 1)));
  const auto first = reader->receive();
  ASSERT_TRUE(first);
  const auto event = wire::from_frame<wire::ServerEvent>(first->frame);
  ASSERT_TRUE(event);
  EXPECT_EQ(event->event, "server_started");
  EXPECT_NE(event->reason.find("went on without"), std::string::npos) << event->reason;
}

// Whether it still waits or has begun anew when the signal comes.
TEST(DaemonRing, AnEvictedServerCanBeTerminatedWhileItWaits) {
  RingFixture ring(3);
  evict(ring, 3);
  ASSERT_TRUE(ring.await_status(
      1, [&](const auto&) { return ring.server(3).output().find("begins anew in") != std::string::npos; }));
  ring.server(3).kill(SIGTERM);
  EXPECT_EQ(ring.server(3).wait(), 0) << ring.server(3).output();
  EXPECT_FALSE(TestClient::connect_local(ring.socket(3)));
}

TEST(DaemonRing, WithoutAMajorityItWedgesAndRefusesJobsByName) {
  RingFixture ring(3);
  auto launcher = ring.client(1);
  ASSERT_TRUE(launcher->ask<wire::Done>(wire::JobCreate{JobId(5), {CommunityId(0)}, 1U << 20U}));
  ring.server(2).kill(SIGKILL);
  ring.server(3).kill(SIGKILL);
  EXPECT_TRUE(ring.await_status(1, [](const wire::StatusAnswer& status) { return status.state == "wedged"; }));
  const auto status = ring.status(1);
  EXPECT_NE(status->reason.find("server "), std::string::npos) << status->reason;
  const auto notice = launcher->receive();
  ASSERT_TRUE(notice);
  EXPECT_EQ(notice->frame.type, wire::MessageType::kServerNotice);
  const auto refused = launcher->ask<wire::Done>(wire::JobCreate{JobId(6), {CommunityId(0)}, 1U << 20U});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
}

TEST(DaemonRing, ATerminatedServerLeavesAndRemovesItsSocket) {
  RingFixture ring(3);
  ring.server(3).kill(SIGTERM);
  EXPECT_EQ(ring.server(3).wait(), 0);
  EXPECT_FALSE(TestClient::connect_local(ring.socket(3)));
  EXPECT_TRUE(ring.await_ring_of(2));
}

TEST(DaemonRing, ServersEndWithTheirParent) {
  RingFixture ring(2);
  for (const std::uint32_t node : {1U, 2U}) ring.server(node).close_parent_pipe();
  EXPECT_EQ(ring.server(1).wait(), 0);
  EXPECT_EQ(ring.server(2).wait(), 0);
}

}  // namespace
}  // namespace rk::testing

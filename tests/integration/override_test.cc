// SPDX-License-Identifier: Apache-2.0
// `ringkeep override` on real servers: the rest of a ring goes on, and whoever was given up comes back as a new member.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/integration/api_client.h"
#include "tests/integration/command.h"
#include "tests/integration/ring_fixture.h"

namespace rk::testing {
namespace {

Ran override_at(RingFixture& ring, std::uint32_t node, const std::string& more = "") {
  return run_ringkeep("override --socket " + ring.socket(node) + more);
}

bool await_wedge(RingFixture& ring, std::uint32_t node) {
  return ring.await_status(node, [](const wire::StatusAnswer& status) {
    return status.state == "wedged" && status.reason.find("no quorum") != std::string::npos;
  });
}

bool await_generation(RingFixture& ring, std::uint32_t node, std::size_t members) {
  return ring.await_status(node, [&](const wire::StatusAnswer& status) {
    return status.state == "serving" && status.overridden.generation == 1 && status.members.size() == members;
  });
}

// A slot of that server's client, to be committed without a second copy.
std::uint64_t begin(TestClient& client, const std::string& name) {
  const auto slot = client.ask<wire::CheckpointSlot>(wire::CheckpointBegin{name, {{"data", 3}}});
  EXPECT_TRUE(slot) << slot.error().message;
  return slot ? slot->slot : 0;
}

TEST(OverrideOnServers, IsRefusedWhileTheRingServes) {
  RingFixture ring(3);
  const Ran plain = override_at(ring, 2);
  EXPECT_EQ(plain.code, 3) << plain.output;
  EXPECT_NE(plain.output.find("no override at server 2: the ring serves view"), std::string::npos) << plain.output;
  EXPECT_EQ(override_at(ring, 2, " --yes").code, 3);
  const Ran json = run_ringkeep("override --yes --json --socket " + ring.socket(2), " 2>/dev/null");
  EXPECT_EQ(json.code, 3);
  EXPECT_FALSE(nlohmann::json::parse(json.output)["done"]);
  EXPECT_EQ(run_ringkeep("override --socket " + ring.directory() + "/none").code, 1);
  EXPECT_EQ(ring.status(2)->overridden.generation, 0U);
}

TEST(OverrideOnServers, TheOneThatIsLeftServesAndTheDeadJoinAgain) {
  RingFixture ring(3);
  std::uint64_t before = 0;
  {
    const Client writer(ring.socket(3));
    ASSERT_EQ(rk_put(writer.handle, "kept", "abc", 3, &before), RK_OK) << rk_last_error();
  }
  for (const std::uint32_t node : {1U, 2U}) {
    ring.server(node).kill(SIGKILL);
    ring.server(node).wait();
  }
  ASSERT_TRUE(await_wedge(ring, 3));
  const Client client(ring.socket(3));
  std::uint64_t version = 0;
  read_all(client.handle, "kept", &version);
  EXPECT_EQ(version, 0U);
  const Ran plan = override_at(ring, 3);
  EXPECT_EQ(plan.code, 2) << plan.output;
  EXPECT_NE(plan.output.find("given up: servers 1, 2"), std::string::npos) << plan.output;
  EXPECT_NE(plan.output.find("what clients of server 2 saved would be lost"), std::string::npos) << plan.output;
  EXPECT_NE(plan.output.find("--yes"), std::string::npos) << plan.output;
  EXPECT_EQ(ring.status(3)->state, "wedged");

  const Ran done = override_at(ring, 3, " --yes");
  EXPECT_EQ(done.code, 0) << done.output;
  ASSERT_TRUE(await_generation(ring, 3, 1));
  EXPECT_EQ(read_all(client.handle, "kept", &version), "abc");
  EXPECT_EQ(version, before);
  auto raw = ring.client(3);
  ASSERT_TRUE(raw);
  const auto committed =
      raw->ask<wire::CommitAnswer>(wire::CheckpointCommit{begin(*raw, "kept"), wire::CommitLevel::kLocal, 30'000});
  ASSERT_TRUE(committed) << committed.error().message;
  EXPECT_EQ(committed->result, wire::CommitResult::kOk) << committed->reason;
  EXPECT_GT(committed->version.value, before);
  // It says so, to whoever asks.
  for (const char* command : {"status", "ring", "events"}) {
    const Ran ran = run_ringkeep(command, "", "RINGKEEP_SOCKET=" + ring.socket(3) + " ");
    EXPECT_EQ(ran.code, 0);
    EXPECT_NE(ran.output.find("generation 1 since an override at server 3"), std::string::npos) << ran.output;
  }

  ASSERT_TRUE(ring.start(1).output.empty());
  EXPECT_TRUE(await_generation(ring, 1, 2));
  EXPECT_EQ(rk_put(client.handle, "kept", "xyz", 3, nullptr), RK_OK) << rk_last_error();
  ASSERT_TRUE(ring.start(2).output.empty());
  for (const std::uint32_t node : {1U, 2U, 3U}) EXPECT_TRUE(await_generation(ring, node, 3));
  EXPECT_EQ(read_all(client.handle, "kept"), "xyz");
}

// A majority that was only paused has lost its place, and says OK to nobody before it knows.
TEST(OverrideOnServers, APausedMajorityNeverServesInItsOldGeneration) {
  RingFixture ring(3);
  std::vector<TestClient> clients;
  std::vector<std::uint64_t> slots;
  std::vector<Incarnation> lives;
  for (const std::uint32_t node : {1U, 2U}) {
    auto client = ring.client(node);
    ASSERT_TRUE(client);
    slots.push_back(begin(*client, "of" + std::to_string(node)));
    clients.push_back(*std::move(client));
    lives.push_back(ring.status(node)->incarnation);
  }
  for (const std::uint32_t node : {1U, 2U}) ring.server(node).kill(SIGSTOP);
  ASSERT_TRUE(await_wedge(ring, 3));
  ASSERT_EQ(override_at(ring, 3, " --yes").code, 0);
  ASSERT_TRUE(await_generation(ring, 3, 1));
  for (std::size_t i = 0; i < clients.size(); ++i)
    ASSERT_TRUE(
        clients[i].send(wire::to_frame(wire::CheckpointCommit{slots[i], wire::CommitLevel::kLocal, 30'000}, 77)));
  std::vector<std::size_t> written;
  for (const std::uint32_t node : {1U, 2U}) written.push_back(ring.server(node).output().size());
  for (const std::uint32_t node : {1U, 2U}) ring.server(node).kill(SIGCONT);
  for (TestClient& client : clients) {
    bool ok = false;
    for (auto last = client.receive(); last; last = client.receive())
      if (last->frame.type == wire::MessageType::kCommitAnswer) {
        const auto answer = wire::from_frame<wire::CommitAnswer>(last->frame);
        ok = ok || (answer && answer->result == wire::CommitResult::kOk);
      }
    EXPECT_FALSE(ok) << "an OK of the old generation";
  }
  for (const std::uint32_t node : {1U, 2U, 3U}) EXPECT_TRUE(await_generation(ring, node, 3));
  for (const std::uint32_t node : {1U, 2U}) {
    EXPECT_GT(ring.status(node)->incarnation, lives[node - 1]);
    const std::string since = ring.server(node).output().substr(written[node - 1]);
    EXPECT_NE(since.find("an operator's override at server 3"), std::string::npos) << since;
    EXPECT_EQ(since.find("ring: serving, view 1 "), std::string::npos) << since;
    EXPECT_EQ(since.find("ring: serving, view 2 "), std::string::npos) << since;
  }
}

}  // namespace
}  // namespace rk::testing

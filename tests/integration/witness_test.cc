// SPDX-License-Identifier: Apache-2.0
// Two servers and a witness, as real processes: either server may be killed, and the other one serves what both had.
#include <gtest/gtest.h>

#include <csignal>
#include <string>

#include "tests/integration/api_client.h"
#include "tests/integration/ring_fixture.h"

namespace rk::testing {
namespace {

TEST(WitnessOnServers, EitherServerMayBeKilledAndTheOtherServes) {
  for (const std::uint32_t lost : {1U, 2U}) {
    const std::uint32_t other = 3 - lost;
    RingFixture ring({.servers = 3, .extra_flags = {"--witness", "3"}});
    for (const std::uint32_t node : {1U, 2U}) {
      const Client writer(ring.socket(node));
      const std::string name = "of" + std::to_string(node);
      ASSERT_EQ(rk_put(writer.handle, name.c_str(), "abc", 3, nullptr), RK_OK) << rk_last_error();
    }
    ring.server(lost).kill(SIGKILL);
    ring.server(lost).wait();
    ASSERT_TRUE(ring.await_status(other, [&](const wire::StatusAnswer& status) {
      return status.state == "serving" && status.members.size() == 2 && status.members.front().node == NodeId(other) &&
             status.members.back().witness;
    }));
    const Client client(ring.socket(other));
    EXPECT_EQ(read_all(client.handle, "of" + std::to_string(other)), "abc");
    EXPECT_EQ(read_all(client.handle, "of" + std::to_string(lost)), "abc");
    // The witness is no second holder.
    const std::string name = "of" + std::to_string(other);
    EXPECT_NE(rk_put(client.handle, name.c_str(), "xyz", 3, nullptr), RK_OK);
    EXPECT_NE(std::string(rk_last_error()).find("alone in its ring"), std::string::npos) << rk_last_error();
    EXPECT_EQ(read_all(client.handle, name), "abc");
    ASSERT_TRUE(ring.start(lost).output.empty());
    ASSERT_TRUE(ring.await_ring_of(3));
    EXPECT_EQ(rk_put(client.handle, name.c_str(), "xyz", 3, nullptr), RK_OK) << rk_last_error();
  }
}

TEST(WitnessOnServers, ItsOwnClientsAreSentElsewhere) {
  RingFixture ring({.servers = 3, .extra_flags = {"--witness", "3"}});
  const Client client(ring.socket(3));
  EXPECT_EQ(rk_put(client.handle, "state", "abc", 3, nullptr), RK_ERR_UNSUPPORTED);
  EXPECT_NE(std::string(rk_last_error()).find("the witness of its ring"), std::string::npos) << rk_last_error();
  rk_reader* reader = nullptr;
  EXPECT_EQ(rk_read(client.handle, "state", 0, &reader), RK_ERR_UNSUPPORTED);
  auto asker = ring.client(3);
  ASSERT_TRUE(asker);
  const auto answer = asker->ask<wire::RingAnswer>(wire::RingQuery{});
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->servers.size(), 3U);
  EXPECT_TRUE(answer->servers[2].witness && answer->servers[2].member);
  EXPECT_EQ(answer->servers[2].state, "up");
}

}  // namespace
}  // namespace rk::testing

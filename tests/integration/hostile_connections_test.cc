// SPDX-License-Identifier: Apache-2.0
// Connections in thousands, connections that say nothing, and what the log and the counters tell of them.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/integration/api_client.h"
#include "tests/integration/hostile_fixture.h"

namespace rk::testing {
namespace {

constexpr std::size_t kMany = 10'000;

// Room for that many connections in this process, if it may have it.
bool may_open(std::size_t count) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return false;
  limit.rlim_cur = limit.rlim_max;
  return ::setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max >= count + 1000;
}

RingFixture::Options with_limits(const std::string& limits) {
  return {.servers = 2, .extra_flags = {}, .config = "[limits]\n" + limits};
}

// What a program that has no place is told, and what an operator is answered all the same.
void expect_full(RingFixture& ring, const std::string& words) {
  auto client = ring.client(1);
  ASSERT_TRUE(client) << client.error().message;
  const auto slot = begin(*client, "hostile/full", 4096);
  ASSERT_FALSE(slot);
  EXPECT_EQ(slot.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(slot.error().message.find(words), std::string::npos) << slot.error().message;
  EXPECT_TRUE(client->ask<wire::StatusAnswer>(wire::StatusQuery{}));
  EXPECT_TRUE(client->ask<wire::RingAnswer>(wire::RingQuery{}));
  EXPECT_TRUE(client->ask<wire::CheckpointListAnswer>(wire::CheckpointList{"", ""}));
}

TEST(HostileConnections, BeyondTheLimitOperatorsAreServedAndOthersAreToldSo) {
  RingFixture ring(with_limits("clients = 8\nhello_ms = 60000\n"));
  std::vector<TestClient> clients;
  for (int i = 0; i < 8; ++i) clients.push_back(ring.client(1).value());
  expect_full(ring, "8 clients already");
  for (TestClient& client : clients) EXPECT_TRUE(client.ask<wire::StatusAnswer>(wire::StatusQuery{}));
  TestClient waiting = ring.client(1).value();
  clients.pop_back();
  ASSERT_TRUE(ring.await_status(1, [](const auto& status) { return status.clients.connected == 7; }));
  EXPECT_TRUE(begin(waiting, "hostile/full", 4096)) << "a place that became free is given to whoever asks";
  const auto status = ring.status(1);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->clients.connected, 8U);
  EXPECT_EQ(status->clients.limit, 8U);
  EXPECT_GE(status->clients.turned_away, 2U);
}

TEST(HostileConnections, OperatorsPlacesCannotBeHeld) {
  RingFixture ring(with_limits("clients = 1\nhello_ms = 300\n"));
  TestClient only = ring.client(1).value();
  std::vector<TestClient> idle;
  for (int i = 0; i < 100; ++i) idle.push_back(TestClient::connect_local(ring.socket(1)).value());
  for (int i = 0; i < 50; ++i) expect_full(ring, "1 clients already");
  for (TestClient& client : idle) {
    const Error words = last_words(client);
    EXPECT_EQ(words.code, ErrorCode::kUnavailable) << words.message;
    EXPECT_NE(words.message.find("raise limits.clients"), std::string::npos) << words.message;
  }
  // One that is greeted and then silent has its place no longer than that either.
  TestClient greeted = ring.client(1).value();
  EXPECT_EQ(last_words(greeted).code, ErrorCode::kUnavailable);
  EXPECT_TRUE(only.ask<wire::StatusAnswer>(wire::StatusQuery{}));
}

TEST(HostileConnections, OneUserLeavesPlacesToOthers) {
  RingFixture ring(with_limits("clients = 20\nowner_clients = 5\n"));
  if (::geteuid() != 0) GTEST_SKIP() << "only root can be another user";
  std::vector<TestClient> greedy;
  for (int i = 0; i < 5; ++i) greedy.push_back(std::move(*connect_as(65534, ring, 1)));
  TestClient beyond = std::move(*connect_as(65534, ring, 1));
  const auto refused = begin(beyond, "hostile/user", 4096);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(refused.error().message.find("user 65534 has the 5 connections"), std::string::npos)
      << refused.error().message;
  const Client honest(ring.socket(1));
  EXPECT_EQ(rk_put(honest.handle, "honest", "x", 1, nullptr), RK_OK) << rk_last_error();
}

TEST(HostileConnections, TenThousandIdleOnesBelowTheLimit) {
  if (!may_open(kMany)) GTEST_SKIP() << "this process may not open " << kMany << " files (ulimit -Hn)";
  HostileRing hostile(with_limits("clients = 11000\nhello_ms = 600000\n"));
  hostile.attack(
      [&] {
        std::vector<TestClient> idle;
        for (std::size_t i = 0; i < kMany; ++i) {
          auto client = TestClient::connect_local(hostile.ring().socket(1));
          ASSERT_TRUE(client) << i << ": " << client.error().message;
          idle.push_back(std::move(*client));
        }
        ASSERT_TRUE(
            hostile.ring().await_status(1, [](const auto& status) { return status.clients.connected > kMany; }));
        const Client honest(hostile.ring().socket(1));
        EXPECT_EQ(rk_put(honest.handle, "honest/among", "x", 1, nullptr), RK_OK) << rk_last_error();
        EXPECT_TRUE(idle.back().ask<wire::ServerHello>(wire::ClientHello{{}, {}, "late"}));
      },
      1, 1);
}

TEST(HostileConnections, TenThousandIdleOnesAboveTheLimit) {
  HostileRing hostile(with_limits("clients = 100\nhello_ms = 600000\n"));
  if (!may_open(kMany)) GTEST_SKIP() << "this process may not open " << kMany << " files (ulimit -Hn)";
  std::vector<TestClient> idle;
  hostile.attack(
      [&] {
        idle.clear();
        for (std::size_t i = 0; i < kMany; ++i) {
          auto client = TestClient::connect_local(hostile.ring().socket(1));
          ASSERT_TRUE(client) << i << ": " << client.error().message;
          idle.push_back(std::move(*client));
        }
        expect_full(hostile.ring(), "100 clients already");
        for (std::size_t i = 200; i < kMany - 100; i += 97)
          EXPECT_EQ(last_words(idle[i]).code, ErrorCode::kUnavailable) << i;
        idle.clear();
        ASSERT_TRUE(hostile.ring().await_status(1, [](const auto& status) { return status.clients.connected <= 3; }));
      },
      1, 1);
  EXPECT_LE(hostile.log_lines("turned away"), 60U) << "the log tells of each";
}

TEST(HostileConnections, TenThousandOpenedAndDroppedInARow) {
  HostileRing hostile(RingFixture::Options{.servers = 2, .extra_flags = {}});
  hostile.attack(
      [&] {
        for (std::size_t i = 0; i < kMany; ++i) {
          auto client = TestClient::connect_local(hostile.ring().socket(1));
          ASSERT_TRUE(client) << i << ": " << client.error().message;
          if (i % 3 == 0) static_cast<void>(client->send(wire::to_frame(wire::ClientHello{}, 1)));
          if (i % 5 == 0) static_cast<void>(client->send(wire::to_frame(wire::StatusQuery{}, 2)));
        }
      },
      1, 1);
}

// Each is counted, and the log has a few of them and the number of the rest.
TEST(HostileConnections, AFloodOfMalformedOnesDoesNotFloodTheLog) {
  constexpr std::uint64_t kBad = 2000;
  RingFixture ring(1);
  for (std::uint64_t i = 0; i < kBad; ++i) {
    TestClient client = TestClient::connect_local(ring.socket(1)).value();
    ASSERT_TRUE(client.send_raw(as_bytes("GET / HTTP/1.1\r\nHost: a name long enough to fill a header\r\n\r\n")));
    EXPECT_EQ(last_words(client).code, ErrorCode::kCorrupt);
  }
  ASSERT_TRUE(ring.await_status(1, [](const auto& status) { return status.clients.disconnected == kBad; }));
  const auto lines = [&] {
    const std::string log = ring.server(1).output();
    return std::count(log.begin(), log.end(), '\n');
  };
  ASSERT_TRUE(ring.await_status(1, [&](const auto&) {
    return ring.server(1).output().find("more clients were disconnected") != std::string::npos;
  })) << "it is not told how many there were";
  EXPECT_LE(lines(), 100);
}

}  // namespace
}  // namespace rk::testing

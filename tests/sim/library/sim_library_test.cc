// SPDX-License-Identifier: Apache-2.0
// The simulator itself: order, lives, cuts, faults, and campaigns that stop at a failing seed and replay it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "sim/campaign.h"
#include "sim/network.h"

namespace rk::sim {
namespace {

TEST(Scheduler, RunsInOrderOfTimeThenOfInsertion) {
  Scheduler clock;
  std::string order;
  clock.after(20, [&] { order += 'c'; });
  clock.after(10, [&] {
    order += 'a';
    clock.after(10, [&] { order += 'd'; });
  });
  clock.after(10, [&] { order += 'b'; });
  clock.run_until(19);
  EXPECT_EQ(order, "ab");
  EXPECT_EQ(clock.now_us(), 19U);
  clock.run_until(20);
  EXPECT_EQ(order, "abcd");
}

struct World {
  Scheduler clock;
  Trace trace{true};
  Hosts hosts{clock, trace, 3};
  Network network{clock, hosts, trace, Prng(7)};
  std::vector<int> received = std::vector<int>(3);
  std::vector<std::byte> first_bytes;  // of all messages, in the order of arrival

  World() {
    for (HostId host = 0; host < 3; ++host) {
      hosts.start(host);
      network.attach(host, [this, host](HostId, const Bytes& message) {
        ++received[host];
        first_bytes.push_back(message.at(0));
      });
    }
  }
  void send(HostId from, HostId to, int times = 1) {
    for (int i = 0; i < times; ++i) network.send(from, to, Bytes(8));
    clock.run_until(clock.now_us() + 10000000);
  }
};

TEST(Hosts, APauseHoldsActionsAndACrashDropsThem) {
  World world;
  int ran = 0;
  world.hosts.after(0, 10, [&] { ++ran; });
  world.hosts.pause(0);
  world.clock.run_until(100);
  EXPECT_EQ(ran, 0);
  world.hosts.resume(0);
  EXPECT_EQ(ran, 1);
  world.hosts.after(0, 10, [&] { ++ran; });
  world.hosts.crash(0);
  world.hosts.start(0);  // another life: the action was of the one before
  world.clock.run_until(200);
  EXPECT_EQ(ran, 1);
}

TEST(Network, ACutHasADirection) {
  World world;
  world.network.cut(0, 1);
  world.send(0, 1);
  world.send(1, 0);
  EXPECT_EQ(world.received, (std::vector<int>{1, 0, 0}));
  world.network.mend(0, 1);
  world.send(0, 1);
  EXPECT_EQ(world.received[1], 1);
  world.network.partition({0, 1, 0});
  world.send(0, 1);
  world.send(2, 0);
  EXPECT_EQ(world.received, (std::vector<int>{2, 1, 0}));
}

TEST(Network, LosesDuplicatesAndReorders) {
  World world;
  world.network.set_faults({50, 500, 200, 100, 300, 90000});
  for (int i = 0; i < 1000; ++i) {
    Bytes message(1, static_cast<std::byte>(i / 4));
    world.network.send(0, 1, message);
  }
  world.clock.run_until(1000000);
  const NetworkCounts& counts = world.network.counts();
  EXPECT_EQ(static_cast<std::uint64_t>(world.received[1]), 1000 - counts.lost + counts.duplicated);
  EXPECT_GT(counts.lost, 100U);
  EXPECT_GT(counts.duplicated, 30U);
  EXPECT_GT(counts.slowed, 100U);
  EXPECT_FALSE(std::is_sorted(world.first_bytes.begin(), world.first_bytes.end()));
}

TEST(Campaign, StopsAtTheFailingSeedAndReplaysIt) {
  if (std::getenv("RINGKEEP_SIM_SEED") != nullptr || std::getenv("RINGKEEP_SIM_SEEDS") != nullptr) GTEST_SKIP();
  const RunSeed run = [](std::uint64_t seed, Trace& trace) {
    trace.note(Scheduler{}, {seed}, [&] { return "the story of " + std::to_string(seed); });
    return std::string(seed == 4 ? "broken" : "");
  };
  const CampaignResult result = run_campaign("Some.Test", {1, 10}, run);
  EXPECT_EQ(result.seeds_run, 4U);
  EXPECT_EQ(result.failing_seed, 4U);
  EXPECT_TRUE(result.replays);
  EXPECT_THAT(result.report, testing::HasSubstr("RINGKEEP_SIM_SEED=4 "));
  EXPECT_THAT(result.report, testing::HasSubstr("--gtest_filter=Some.Test"));
  EXPECT_THAT(result.report, testing::HasSubstr("the story of 4"));
  EXPECT_EQ(run_campaign("Some.Test", {1, 3}, run).seeds_run, 3U);
}

TEST(Campaign, NoticesARunThatIsNotTheSameTwice) {
  std::uint64_t runs = 0;
  const RunSeed run = [&](std::uint64_t, Trace& trace) {
    trace.note(Scheduler{}, {++runs}, [] { return std::string(); });
    return std::string();
  };
  EXPECT_FALSE(replays_exactly(1, run));
}

}  // namespace
}  // namespace rk::sim

// SPDX-License-Identifier: Apache-2.0
// Clients killed while they commit: once at every marked store (client/marked_stores.h), and at random times.
//   RINGKEEP_KILLS       so many at random times, not 200, and a quarter as many of a job
//   RINGKEEP_KILLS_SEED  chooses them
// The last lines of a run tell what was hit; campaign/client-kills reads them.
#include <gtest/gtest.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "tests/integration/api_client.h"
#include "tests/integration/client_kills.h"

namespace rk::testing {
namespace {

constexpr std::uint64_t kKills = 200;
constexpr std::size_t kEnough = 5;  // broken promises: no more are looked for

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* const text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

std::string told(const ClientKills& kills) {
  std::string out;
  for (const std::string& what : kills.wrong()) out += what + "\n";
  return out;
}

void tell(const char* label, const ClientKills::Facts& facts) {
  std::cout << label << ' ' << nlohmann::json{{"kills", facts.kills},
                                              {"oks", facts.oks},
                                              {"unknown_committed", facts.unknown_committed},
                                              {"restored", facts.restored},
                                              {"phases", facts.phases},
                                              {"marks", facts.marks}}
            << '\n';
}

RingFixture::Options ring_of_two() { return {.servers = 2, .memory = "64M", .extra_flags = {}}; }

// Marks that died, of the ways given, each as often as a run passes it.
std::set<std::string> die_everywhere(ClientKills& kills, Way way, std::uint64_t steps) {
  std::set<std::string> died;
  EXPECT_FALSE(kills.run(way, steps, ""));
  kills.judge();
  std::vector<std::uint32_t> passed;
  for (const auto& count : kills.marks().of) passed.push_back(count);
  for (std::size_t mark = 0; mark < passed.size(); ++mark) {
    for (std::uint32_t time = 1; time <= passed[mark] && kills.wrong().size() < kEnough; ++time) {
      // How often a process looks for an answer is not always the same.
      if (kills.run(way, steps, std::string(client::kMarkNames[mark]) + ":" + std::to_string(time)))
        died.insert(client::kMarkNames[mark]);
      kills.judge();
    }
  }
  return died;
}

TEST(ClientKills, OnceAtEveryMarkedStore) {
  RingFixture ring(ring_of_two());
  std::set<std::string> died;
  {
    ClientKills kills(ring, number_from("RINGKEEP_KILLS_SEED", 1));
    for (const Way way : {Way::put, Way::put_large, Way::write, Way::sections, Way::put_async, Way::put_large_async,
                          Way::write_async, Way::abandon, Way::read}) {
      died.merge(die_everywhere(kills, way, 2));
      EXPECT_EQ(told(kills), "") << kWayNames[static_cast<std::size_t>(way)];
    }
    kills.settle();
    EXPECT_EQ(told(kills), "");
    EXPECT_GT(kills.facts().unknown_committed, 0U);
    tell("facts", kills.facts());
  }
  {
    ClientKills kills(ring, number_from("RINGKEEP_KILLS_SEED", 1));
    kills.create_job();
    died.merge(die_everywhere(kills, Way::job, 2));
    // The last one restores what is left.
    EXPECT_FALSE(kills.run(Way::job, 1, ""));
    kills.settle();
    EXPECT_EQ(told(kills), "");
    tell("job_facts", kills.facts());
  }
  for (const char* mark : client::kMarkNames) EXPECT_TRUE(died.contains(mark)) << "nobody died at " << mark;
}

TEST(ClientKills, AtRandomTimes) {
  const std::uint64_t count = number_from("RINGKEEP_KILLS", kKills);
  RingFixture ring(ring_of_two());
  ClientKills kills(ring, number_from("RINGKEEP_KILLS_SEED", 1));
  while (kills.facts().kills < count && kills.wrong().size() < kEnough) {
    kills.kill_at_random();
    kills.judge();
  }
  kills.settle();
  EXPECT_EQ(told(kills), "");
  tell("facts", kills.facts());
}

TEST(ClientKills, OfAJobAtRandomTimes) {
  const std::uint64_t count = number_from("RINGKEEP_KILLS", kKills) / 4;
  RingFixture ring(ring_of_two());
  ClientKills kills(ring, number_from("RINGKEEP_KILLS_SEED", 1));
  kills.create_job();
  while (kills.facts().kills < count && kills.wrong().size() < kEnough) kills.kill_at_random(Way::job);
  EXPECT_FALSE(kills.run(Way::job, 1, ""));
  kills.settle();
  EXPECT_EQ(told(kills), "");
  EXPECT_GT(kills.facts().restored, 0U);
  tell("job_facts", kills.facts());
}

// At a server that has no copy, which fetches the bytes for them.
TEST(ClientKills, WhileTheyRead) {
  RingFixture ring({.servers = 3, .memory = "64M", .extra_flags = {}});
  ClientKills kills(ring, number_from("RINGKEEP_KILLS_SEED", 1));
  for (std::uint64_t i = 0; i < 45 && kills.wrong().size() < kEnough; ++i) {
    kills.commit_all();
    kills.kill_at_random(Way::read_only, static_cast<std::uint32_t>(1 + i % 3));
  }
  kills.settle();
  EXPECT_EQ(told(kills), "");
  EXPECT_GT(kills.facts().phases.at("reading"), 0U);
}

// What they asked for waits: first for the other server's word about the names, then for its copy and the lease.
TEST(ClientKills, WhileTheRingDoesNotServe) {
  RingFixture ring(ring_of_two());
  ClientKills kills(ring, number_from("RINGKEEP_KILLS_SEED", 1));
  for (int i = 0; i < 2; ++i) {
    ring.server(2).kill(SIGSTOP);
    kills.allow_refusals(true);
    for (int kill = 0; kill < 15; ++kill) kills.kill_at_random();
    ASSERT_TRUE(ring.await_status(1, [](const wire::StatusAnswer& status) { return status.state != "serving"; }));
    for (int kill = 0; kill < 15; ++kill) kills.kill_at_random();
    kills.allow_refusals(false);
    ring.server(2).kill(SIGCONT);
    ASSERT_TRUE(ring.await_ring_of(2));
    kills.judge();
    kills.commit_all();
    kills.judge();
  }
  kills.settle();
  EXPECT_EQ(told(kills), "");
}

// Small versions that wait with their bytes, for a ring that does not serve, have a limit of 64 MiB: those of clients
// that are gone do not count.
TEST(ClientKills, WaitingBytesOfDeadClientsAreForgotten) {
  RingFixture ring(ring_of_two());
  const std::string bytes(std::size_t{64} << 10U, 'x');
  ring.server(2).kill(SIGSTOP);
  for (int dead = 0; dead < 6; ++dead) {
    const Client client(ring.socket(1));
    for (std::uint64_t tag = 0; tag < 200; ++tag)
      ASSERT_EQ(rk_put_async(client.handle, "waits", bytes.data(), bytes.size(), RK_LEVEL_REPLICATED, tag, nullptr),
                RK_OK)
          << rk_last_error();
    std::array<rk_outcome, RK_MAX_IN_FLIGHT> outcomes;
    size_t count = 0;
    ASSERT_EQ(rk_outcomes(client.handle, outcomes.data(), outcomes.size(), &count, 0), RK_OK) << rk_last_error();
    for (size_t i = 0; i < count; ++i) ASSERT_NE(outcomes[i].code, RK_ERR_NO_MEMORY) << outcomes[i].words;
  }
  ring.server(2).kill(SIGCONT);
  ASSERT_TRUE(ring.await_ring_of(2));
  const Client client(ring.socket(1));
  EXPECT_EQ(rk_put(client.handle, "waits", bytes.data(), bytes.size(), nullptr), RK_OK) << rk_last_error();
}

TEST(ClientKills, AMarkThatThereIsNotIsAnError) {
  RingFixture ring(ring_of_two());
  for (const char* die_at : {"0", "nowhere", "request_sent:", "request_sent:0", "request_sent:1x", "-1"}) {
    ClientKills kills(ring, 1);
    EXPECT_FALSE(kills.run(Way::put, 1, die_at));
    EXPECT_EQ(told(kills), "a client ended with 64\n") << die_at;
  }
}

TEST(ClientKills, ThePlainLibraryHasNoMarks) {
  const auto has_marks = [](const char* program) {
    std::ostringstream text;
    text << std::ifstream(program, std::ios::binary).rdbuf();
    return text.str().find("RINGKEEP_DIE_AT") != std::string::npos;
  };
  EXPECT_EQ(has_marks(RINGKEEP_LIBRARY_PATH), RINGKEEP_LIBRARY_MARKED != 0);
  EXPECT_TRUE(has_marks(KILL_WRITER_MARKED_PATH));
}

}  // namespace
}  // namespace rk::testing

// SPDX-License-Identifier: Apache-2.0
// Commits that nobody waits for, through the C ABI and the C++ header, on rings of real servers that are killed
// meanwhile.
#include <gtest/gtest.h>
#include <poll.h>

#include <csignal>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "ringkeep/ringkeep.hpp"
#include "tests/integration/api_client.h"
#include "tests/integration/ring_fixture.h"

namespace rk::testing {
namespace {

constexpr std::uint64_t kInFlight = 64;

// Keeps so many commits in flight, and notes the outcome of each tag.
class Stream {
 public:
  Stream(rk_client* client, std::function<std::string(std::uint64_t)> name) : client_(client), name_(std::move(name)) {}

  static std::string value(std::uint64_t tag) { return "value " + std::to_string(tag); }

  // Hands over until `last` is in flight or the connection has ended, and takes outcomes meanwhile; `seen` after each.
  void run_to(
      std::uint64_t last, const std::function<void()>& seen = [] {}) {
    while (next_ <= last) {
      while (next_ <= last && next_ - 1 - outcomes_.size() < kInFlight) {
        const std::string bytes = value(next_);
        const int code = rk_put_async(client_, name_(next_).c_str(), bytes.data(), bytes.size(), RK_LEVEL_REPLICATED,
                                      next_, nullptr);
        if (code != RK_OK) {
          ASSERT_EQ(code, RK_ERR_PEER_GONE) << rk_last_error();
          return;
        }
        ++next_;
      }
      if (!take()) return;
      seen();
    }
  }
  void finish() {
    while (outcomes_.size() < next_ - 1) ASSERT_TRUE(take()) << rk_last_error();
    rk_outcome none;
    size_t count = 1;
    rk_outcomes(client_, &none, 1, &count, 0);
    EXPECT_EQ(count, 0U);
  }
  std::uint64_t handed_over() const { return next_ - 1; }
  std::uint64_t ok() const { return ok_; }
  const std::map<std::uint64_t, std::pair<int, std::uint64_t>>& outcomes() const { return outcomes_; }

 private:
  bool take() {
    rk_outcome list[16];
    size_t count = 0;
    if (rk_outcomes(client_, list, 16, &count, kPatienceMs) != RK_OK) return false;
    EXPECT_GT(count, 0U) << "no outcome within a minute";
    for (size_t i = 0; i < count; ++i) {
      EXPECT_TRUE(outcomes_.emplace(list[i].tag, std::pair{list[i].code, list[i].version}).second)
          << "two outcomes of " << list[i].tag;
      EXPECT_EQ(std::strlen(list[i].words) == 0, list[i].code == RK_OK) << list[i].words;
      ok_ += list[i].code == RK_OK ? 1U : 0U;
    }
    return count > 0;
  }

  rk_client* client_;
  std::function<std::string(std::uint64_t)> name_;
  std::uint64_t next_ = 1;
  std::uint64_t ok_ = 0;
  std::map<std::uint64_t, std::pair<int, std::uint64_t>> outcomes_;
};

std::string same(std::uint64_t) { return "state"; }
std::string each(std::uint64_t tag) { return "each" + std::to_string(tag); }

// Every tag has an outcome; an OK has risen above those before it, and the newest one that is OK, or a later one, is
// read.
void check_one_name(const Stream& stream, const std::string& socket) {
  EXPECT_EQ(stream.outcomes().size(), stream.handed_over());
  std::uint64_t last = 0;
  std::uint64_t newest_ok = 0;
  for (const auto& [tag, outcome] : stream.outcomes()) {
    const auto& [code, version] = outcome;
    EXPECT_TRUE(code == RK_OK || code == RK_ERR_TIMEOUT || code == RK_ERR_UNAVAILABLE) << rk_error_name(code);
    if (code != RK_OK) continue;
    EXPECT_GT(version, last);
    last = version;
    newest_ok = tag;
  }
  const Client reader(socket);
  const std::string read = read_all(reader.handle, "state");
  ASSERT_TRUE(read.starts_with("value ")) << read;
  const std::uint64_t tag = std::stoull(read.substr(6));
  EXPECT_GE(tag, newest_ok);
  EXPECT_LE(tag, stream.handed_over());
}

void check_many_names(const Stream& stream, const std::string& socket) {
  EXPECT_EQ(stream.outcomes().size(), stream.handed_over());
  const Client reader(socket);
  for (const auto& [tag, outcome] : stream.outcomes()) {
    if (outcome.first != RK_OK) continue;
    EXPECT_EQ(read_all(reader.handle, each(tag)), Stream::value(tag));
  }
}

TEST(AsyncCommits, SixtyFourInFlightOfOneNameAndOfManyAreAllOk) {
  RingFixture ring(2);
  for (const bool one : {true, false}) {
    const Client client(ring.socket(1));
    Stream stream(client.handle, one ? same : each);
    stream.run_to(400);
    stream.finish();
    EXPECT_EQ(stream.ok(), 400U);
    if (one)
      check_one_name(stream, ring.socket(2));
    else
      check_many_names(stream, ring.socket(2));
  }
  const Client reader(ring.socket(1));
  EXPECT_EQ(read_all(reader.handle, "state"), Stream::value(400));
}

TEST(AsyncCommits, TheHomeKilledMeanwhileLosesNoOutcomeAndNothingThatWasOk) {
  for (const bool one : {true, false}) {
    RingFixture ring(3);
    const Client client(ring.socket(1));
    Stream stream(client.handle, one ? same : each);
    bool killed = false;
    stream.run_to(UINT64_MAX, [&] {
      if (killed || stream.ok() < 200) return;
      ring.server(1).kill(SIGKILL);
      killed = true;
    });
    stream.finish();
    EXPECT_GE(stream.ok(), 200U);
    rk_outcome none;
    size_t count = 0;
    EXPECT_EQ(rk_outcomes(client.handle, &none, 1, &count, kPatienceMs), RK_ERR_PEER_GONE);
    EXPECT_EQ(rk_put_async(client.handle, "state", "x", 1, RK_LEVEL_REPLICATED, 0, nullptr), RK_ERR_PEER_GONE);
    if (one)
      check_one_name(stream, ring.socket(2));
    else
      check_many_names(stream, ring.socket(2));
  }
}

TEST(AsyncCommits, ThePredecessorKilledMeanwhileLosesNothing) {
  for (const bool one : {true, false}) {
    RingFixture ring(3);
    const Client client(ring.socket(1));
    Stream stream(client.handle, one ? same : each);
    std::uint64_t before = 0;
    stream.run_to(600, [&] {
      if (before != 0 || stream.ok() < 200) return;
      ring.server(3).kill(SIGKILL);
      before = stream.ok();
    });
    stream.finish();
    EXPECT_GT(before, 0U);
    EXPECT_GT(stream.ok(), before + kInFlight) << "nothing went on";
    if (one)
      check_one_name(stream, ring.socket(2));
    else
      check_many_names(stream, ring.socket(2));
  }
}

// The versions of the four commits by their tags; 0: its outcome is unknown, because this machine stopped for longer
// than the ring's lease.
std::map<std::uint64_t, std::uint64_t> large_and_small(rk::Client& client, const std::string& name) {
  const std::vector<std::byte> large(8'000'000, std::byte{7});
  const std::vector<std::byte> small(10, std::byte{8});
  rk::Writer writer = client.begin(name, {{"data", large.size()}});
  std::memcpy(writer.section("data").data(), large.data(), large.size());
  writer.commit_async(1);
  client.put_async(name, small, 2, {.level = RK_LEVEL_LOCAL});
  client.put_async(name, large, 3);
  client.put_async(name, small, 4, {.more = true});
  EXPECT_EQ(client.put("other/" + name, small), 1U);
  EXPECT_EQ(client.read("other/" + name).section("data").size(), small.size());
  std::map<std::uint64_t, std::uint64_t> versions;
  while (versions.size() < 4) {
    const std::vector<rk::Outcome> outcomes = client.outcomes(kPatienceMs);
    if (outcomes.empty()) return versions;
    for (const rk::Outcome& outcome : outcomes) {
      EXPECT_TRUE(outcome.ok() || outcome.code == RK_ERR_TIMEOUT) << outcome.words;
      versions[outcome.tag] = outcome.version;
    }
  }
  return versions;
}

// What is written in place and what is put keep the order of the calls, also where the first takes longer; calls that
// wait work between them.
TEST(AsyncCommits, LargeAndSmallOfOneNameKeepTheirOrderBesideCallsThatWait) {
  RingFixture ring(2);
  rk::Client client(ring.socket(1));
  const std::map<std::uint64_t, std::uint64_t> in_order = {{1, 1}, {2, 2}, {3, 3}, {4, 4}};
  std::map<std::uint64_t, std::uint64_t> versions;
  std::string name;
  for (int round = 0; round < 10 && versions != in_order; ++round) {
    name = "state" + std::to_string(round);
    versions = large_and_small(client, name);
    ASSERT_EQ(versions.size(), 4U) << "one has no outcome";
    for (const auto& [tag, version] : versions) EXPECT_TRUE(version == tag || version == 0) << tag << " " << version;
  }
  EXPECT_EQ(versions, in_order);
  EXPECT_EQ(client.read(name, 3).section("data").size(), 8'000'000U);
}

TEST(AsyncCommits, AnEventLoopNeedsNothingButTheDescriptor) {
  RingFixture ring(2);
  rk::Client client(ring.socket(1));
  const std::vector<std::byte> bytes(100);
  const int descriptor = client.descriptor();
  std::uint64_t handed = 0;
  std::uint64_t ok = 0;
  for (; handed < kInFlight; ++handed) client.put_async("state", bytes, handed);
  while (ok < kInFlight) {
    pollfd item{descriptor, POLLIN, 0};
    ASSERT_EQ(::poll(&item, 1, kPatienceMs), 1);
    for (const rk::Outcome& outcome : client.outcomes(0, 3)) ok += outcome.ok() ? 1U : 0U;
  }
  pollfd item{descriptor, POLLIN, 0};
  EXPECT_EQ(::poll(&item, 1, 0), 0);
}

TEST(AsyncCommits, WrongUseIsOneClearErrorAndChangesNothing) {
  RingFixture ring(2);
  const Client client(ring.socket(1));
  rk_client* handle = client.handle;
  rk_outcome outcome;
  size_t count = 0;
  int descriptor = 0;
  const auto level = RK_LEVEL_REPLICATED;
  EXPECT_EQ(rk_put_async(nullptr, "a", "b", 1, level, 1, nullptr), RK_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(rk_put_async(handle, "a", nullptr, 1, level, 1, nullptr), RK_ERR_INVALID_ARGUMENT);
  rk_level other{};
  const int number = 5;
  std::memcpy(&other, &number, sizeof other);
  EXPECT_EQ(rk_put_async(handle, "a", "b", 1, other, 1, nullptr), RK_ERR_INVALID_ARGUMENT);
  const rk_async_options bad{1, 0, 0};
  EXPECT_EQ(rk_put_async(handle, "a", "b", 1, level, 1, &bad), RK_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(rk_commit_async(nullptr, level, 1, nullptr), RK_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(rk_outcomes(handle, nullptr, 1, &count, 0), RK_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(rk_outcomes(handle, &outcome, 0, &count, 0), RK_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(rk_descriptor(handle, nullptr), RK_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(rk_outcomes(handle, &outcome, 1, &count, kPatienceMs), RK_OK) << "nothing is in flight: no wait";
  EXPECT_EQ(count, 0U);
  // What the server refuses is an outcome.
  ASSERT_EQ(rk_put_async(handle, "", "b", 1, level, 9, nullptr), RK_OK) << rk_last_error();
  ASSERT_EQ(rk_outcomes(handle, &outcome, 1, &count, kPatienceMs), RK_OK) << rk_last_error();
  ASSERT_EQ(count, 1U);
  EXPECT_EQ(outcome.tag, 9U);
  EXPECT_EQ(outcome.code, RK_ERR_INVALID_ARGUMENT);
  EXPECT_NE(std::string(outcome.words).find("name"), std::string::npos) << outcome.words;
  // Too many: the writer lives on.
  const rk_section section{"data", 8};
  rk_writer* writer = nullptr;
  ASSERT_EQ(rk_begin(handle, "late", &section, 1, &writer), RK_OK) << rk_last_error();
  for (std::uint64_t i = 0; i < RK_MAX_IN_FLIGHT; ++i)
    ASSERT_EQ(rk_put_async(handle, "a", "b", 1, level, i, nullptr), RK_OK) << rk_last_error();
  EXPECT_EQ(rk_put_async(handle, "a", "b", 1, level, 999, nullptr), RK_ERR_NO_MEMORY);
  EXPECT_EQ(rk_commit_async(writer, level, 999, nullptr), RK_ERR_NO_MEMORY);
  for (std::uint64_t taken = 0; taken < RK_MAX_IN_FLIGHT; ++taken) {
    ASSERT_EQ(rk_outcomes(handle, &outcome, 1, &count, kPatienceMs), RK_OK) << rk_last_error();
    ASSERT_EQ(count, 1U);
  }
  ASSERT_EQ(rk_commit_async(writer, level, 999, nullptr), RK_OK) << rk_last_error();
  ASSERT_EQ(rk_outcomes(handle, &outcome, 1, &count, kPatienceMs), RK_OK) << rk_last_error();
  EXPECT_EQ(outcome.tag, 999U);
  EXPECT_EQ(outcome.code, RK_OK) << outcome.words;
  EXPECT_EQ(rk_descriptor(handle, &descriptor), RK_OK);
}

}  // namespace
}  // namespace rk::testing

// SPDX-License-Identifier: Apache-2.0
// Only changed pages travel, on rings of real servers. In a ring of 3 the second copies of server 1 are at server 3.
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <string>

#include "base/prng.h"
#include "tests/integration/api_client.h"
#include "tests/integration/ring_fixture.h"
#include "tests/integration/slot_memory.h"

namespace rk::testing {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kPages = 1024;

std::string noise(std::uint64_t seed) {
  Prng prng(seed);
  std::string out(kPages * kPage, '\0');
  for (std::size_t at = 0; at < out.size(); at += 8) {
    const std::uint64_t word = prng.next();
    for (std::size_t i = 0; i < 8; ++i) out[at + i] = static_cast<char>(word >> (i * 8));
  }
  return out;
}

// A byte in one page of a hundred, wherever they lie.
std::size_t change(std::string& data, std::uint64_t seed) {
  Prng prng(seed);
  std::size_t changed = 0;
  for (std::size_t page = 0; page < kPages; ++page)
    if (prng.chance(1, 100)) data[page * kPage + prng.below(kPage)] ^= 1, ++changed;
  return changed;
}

::testing::AssertionResult put(const Client& client, const std::string& data) {
  if (rk_put(client.handle, "state", data.data(), data.size(), nullptr) == RK_OK) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << rk_last_error();
}

wire::ReplicationStatus replication(RingFixture& ring) {
  const auto status = ring.status(1);
  EXPECT_TRUE(status) << status.error().message;
  return status ? status->replication : wire::ReplicationStatus{};
}

// As soon as the others have noticed that a server is gone.
std::string read_in_time(const Client& client, std::uint64_t* version) {
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
  std::string seen = read_all(client.handle, "state", version);
  while (seen.size() < kPage && std::chrono::steady_clock::now() < give_up)
    seen = read_all(client.handle, "state", version);
  return seen;
}

TEST(Delta, OnePercentOfThePagesTravelAndReadBackFromTheSecondCopy) {
  RingFixture ring({3, "256M", {"--scrub", "0"}, true});
  const Client writer(ring.socket(1));
  std::string data = noise(1);
  ASSERT_TRUE(put(writer, data));
  const wire::ReplicationStatus whole = replication(ring);
  EXPECT_GE(whole.sent_bytes, data.size());
  EXPECT_EQ(whole.deltas, 0U);
  for (std::uint64_t seed = 2; seed < 5; ++seed) {
    const wire::ReplicationStatus before = replication(ring);
    const std::size_t bytes = change(data, seed) * kPage;
    ASSERT_GT(bytes, 0U);
    ASSERT_TRUE(put(writer, data));
    const wire::ReplicationStatus after = replication(ring);
    const std::uint64_t offers = after.deltas - before.deltas;  // on a slow machine it may be offered again
    ASSERT_GE(offers, 1U);
    EXPECT_GE(after.sent_bytes - before.sent_bytes, bytes);
    EXPECT_LE(after.sent_bytes - before.sent_bytes, offers * (bytes + bytes / 10));
    EXPECT_EQ(after.saved_bytes - before.saved_bytes, data.size() - bytes);
    EXPECT_EQ(after.deltas_refused, 0U);
  }
  ring.server(1).kill(SIGKILL);
  const Client second(ring.socket(3));
  std::uint64_t version = 0;
  EXPECT_TRUE(read_in_time(second, &version) == data);
  EXPECT_EQ(version, 4U);
}

TEST(Delta, WhatIsWhollyChangedOrNotAtAll) {
  RingFixture ring({3, "256M", {"--scrub", "0"}, true});
  const Client writer(ring.socket(1));
  ASSERT_TRUE(put(writer, noise(1)));
  ASSERT_TRUE(put(writer, noise(2)));
  const wire::ReplicationStatus whole = replication(ring);
  EXPECT_EQ(whole.deltas, 0U);
  EXPECT_GE(whole.sent_bytes, 2 * kPages * kPage);
  ASSERT_TRUE(put(writer, noise(2)));
  const wire::ReplicationStatus nothing = replication(ring);
  EXPECT_GE(nothing.deltas, 1U);
  EXPECT_EQ(nothing.saved_bytes, kPages * kPage);
  EXPECT_LT(nothing.sent_bytes - whole.sent_bytes, nothing.deltas * kPage);
  const Client reader(ring.socket(3));
  std::uint64_t version = 0;
  EXPECT_TRUE(read_all(reader.handle, "state", &version) == noise(2));
  EXPECT_EQ(version, 3U);
}

// Nobody has noticed that the base is not what it was, at either side, and no byte of it comes into the next version.
void spoil_base_of(std::uint32_t spoilt) {
  RingFixture ring({3, "256M", {"--scrub", "0"}, true});
  const Client writer(ring.socket(1));
  std::string data = noise(1);
  const std::string mark = "a mark that nothing else has";
  data.replace(0, mark.size(), mark);
  ASSERT_TRUE(put(writer, data));
  ASSERT_EQ(spoil_slots(ring.server(spoilt).pid(), mark), 1);
  // What the home compares with is spoilt just so: it takes the page for unchanged.
  if (spoilt == 1) data.replace(0, mark.size(), std::string(mark.size(), '#'));
  data[100 * kPage] ^= 1;
  ASSERT_TRUE(put(writer, data));
  const wire::ReplicationStatus status = replication(ring);
  // On a slow machine it may be offered again, over a base that is good again.
  EXPECT_TRUE(status.deltas_refused == 1 || status.deltas > 1) << status.deltas << " " << status.deltas_refused;
  EXPECT_TRUE(ring.await_status(spoilt, [](const wire::StatusAnswer& answer) {
    return answer.integrity.repaired == 1 && answer.integrity.unrepaired == 0;
  })) << "whoever has the damaged base finds it";
  ring.server(1).kill(SIGKILL);
  const Client second(ring.socket(3));
  std::uint64_t version = 0;
  EXPECT_TRUE(read_in_time(second, &version) == data);
  EXPECT_EQ(version, 2U);
}

TEST(Delta, ASpoiltBaseAtTheSecondCopyCostsAWholeCopy) { spoil_base_of(3); }
TEST(Delta, ASpoiltBaseAtTheHomeCostsAWholeCopy) { spoil_base_of(1); }

}  // namespace
}  // namespace rk::testing

// SPDX-License-Identifier: Apache-2.0
#include "daemon/copy_watch.h"

#include <gtest/gtest.h>

#include <utility>

namespace rk::daemon {
namespace {

constexpr std::uint64_t kBytes = 4096;

class CopyWatchTest : public ::testing::Test {
 protected:
  // A committed version of a name that this server, node 1, is home of.
  keep::VersionRecord& add(const std::string& name, std::vector<keep::Member> holders) {
    keep::Entry* entry = catalogue_.obtain({OwnerId(1000), wire::KeepKind::kCheckpoint, name}, 100);
    entry->home = true;
    keep::VersionRecord& record = entry->versions[Version(1)];
    record.content.version = Version(1);
    record.content.total = kBytes;
    record.committed = record.here = true;
    record.holders = {holders.begin(), holders.end()};
    return record;
  }
  static RingState ring(std::uint64_t view, const std::vector<keep::Member>& members) {
    RingState state;
    state.view = ViewNumber(view);
    for (const keep::Member& member : members) state.members.push_back({member.node, member.incarnation});
    state.serving = true;
    if (members.size() > 1) state.keeper = {members.back().node, members.back().incarnation};
    return state;
  }
  std::vector<wire::ServerEvent> take() { return std::exchange(told_, {}); }

  const keep::Member self_{NodeId(1), Incarnation(1)};
  const keep::Member two_{NodeId(2), Incarnation(1)};
  const keep::Member three_{NodeId(3), Incarnation(1)};
  keep::Catalogue catalogue_;
  std::vector<wire::ServerEvent> told_;
  CopyWatch watch_{[this](wire::ServerEvent event) { told_.push_back(std::move(event)); }};
};

TEST_F(CopyWatchTest, SaysNothingWhileAllIsKeptTwice) {
  add("a", {three_});
  watch_.on_ring(ring(1, {self_, two_, three_}), catalogue_, 0);
  watch_.on_tick(catalogue_, 10'000);
  EXPECT_TRUE(take().empty());
}

TEST_F(CopyWatchTest, TellsOfLostCopiesAndOfTheNewOnes) {
  add("a", {});
  keep::VersionRecord& local = add("b", {});
  local.level = wire::CommitLevel::kLocal;
  keep::VersionRecord& record = add("c", {});
  watch_.on_ring(ring(2, {self_, two_}), catalogue_, 0);
  auto told = take();
  ASSERT_EQ(told.size(), 2U);
  EXPECT_EQ(told[0].event, "copies_lost");
  EXPECT_EQ(told[0].count, 2U);
  EXPECT_EQ(told[0].bytes, 2 * kBytes);
  EXPECT_EQ(told[1].event, "copying_started");
  EXPECT_EQ(told[1].node, NodeId(2));
  record.holders.insert(two_);
  watch_.on_tick(catalogue_, CopyWatch::kLookMs);
  EXPECT_TRUE(take().empty()) << "progress is told once a second";
  watch_.on_tick(catalogue_, CopyWatch::kProgressMs);
  told = take();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].event, "copying_progress");
  EXPECT_EQ(told[0].count, 1U);
  catalogue_.find({OwnerId(1000), wire::KeepKind::kCheckpoint, "a"})->versions[Version(1)].holders.insert(two_);
  watch_.on_tick(catalogue_, 2 * CopyWatch::kProgressMs);
  told = take();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].event, "copying_done");
  EXPECT_EQ(told[0].count, 2U);
  watch_.on_tick(catalogue_, 10 * CopyWatch::kProgressMs);
  EXPECT_TRUE(take().empty());
}

TEST_F(CopyWatchTest, ANewPredecessorMeansCopiesButNoLoss) {
  add("a", {two_});
  watch_.on_ring(ring(3, {self_, two_, three_}), catalogue_, 0);
  const auto told = take();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].event, "copying_started");
  EXPECT_EQ(told[0].node, NodeId(3));
}

TEST_F(CopyWatchTest, AloneThereIsNoPlaceForThem) {
  add("a", {});
  watch_.on_ring(ring(4, {self_}), catalogue_, 0);
  const auto told = take();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].event, "copies_lost");
  EXPECT_NE(told[0].reason.find("alone"), std::string::npos);
}

TEST_F(CopyWatchTest, AHomeThatLostItsOwnCopyFetchesIt) {
  add("a", {two_}).here = false;
  watch_.on_ring(ring(5, {self_, two_}), catalogue_, 0);
  const auto told = take();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].event, "copying_started");
  EXPECT_EQ(told[0].count, 1U);
}

}  // namespace
}  // namespace rk::daemon

// SPDX-License-Identifier: Apache-2.0
// CheckpointVerify: every member sums its copies and says how they are.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/keep/keep_core.h"

namespace rk::keep {
namespace {

using wire::CopyState;

const wire::KeepKey kKey{kOwner, wire::KeepKind::kCheckpoint, "state"};

class KeepVerifying : public KeepCore {
 protected:
  // What is to be put to the others.
  std::map<NodeId, wire::KeepVerify> asked() const {
    std::map<NodeId, wire::KeepVerify> out;
    for (const Send& send : all<Send>())
      if (const auto* message = std::get_if<wire::KeepVerify>(&send.message)) out[send.to] = *message;
    return out;
  }
  void begin(Version version = {}) {
    ask(wire::CheckpointVerify{"state", version, 5000});
    ASSERT_EQ(asked().size(), 2U);
    round_ = asked().begin()->second.round;
    checks_ = all<CheckSlot>();
  }
  void says(std::uint32_t node, std::vector<wire::HeldCopy> copies, bool home = false) {
    step(PeerFrame{member(node), wire::KeepVerified{ViewNumber(view_), round_, home, std::move(copies)}});
  }
  void summed(std::size_t check, std::uint64_t sum) { step(SlotChecked{checks_.at(check).slot, {sum}}); }
  // Whoever is asked for the bytes has none.
  void nobody_has_it() {
    for (bool asked = true; asked;) {
      asked = false;
      for (const Send& send : all<Send>())
        if (const auto* fetch = std::get_if<wire::CopyFetch>(&send.message)) {
          asked = true;
          copy_answer(member(send.to.value), fetch->copy, wire::CopyResult::kRefused);
          break;
        }
    }
  }
  static std::vector<std::pair<std::uint32_t, CopyState>> copies(const wire::VerifiedVersion& version) {
    std::vector<std::pair<std::uint32_t, CopyState>> out;
    for (const wire::VerifiedCopy& copy : version.copies) out.emplace_back(copy.server.value, copy.state);
    return out;
  }

  std::uint64_t round_ = 0;
  std::vector<CheckSlot> checks_;
};

TEST_F(KeepVerifying, EveryMemberIsAskedAndTheAnswersAreJoined) {
  commit_ok("state");
  commit_ok("state");
  begin();
  ASSERT_EQ(checks_.size(), 2U);
  says(1, {{Version(1), 4096, CopyState::kGood}, {Version(2), 4096, CopyState::kRepaired}});
  says(3, {});
  EXPECT_FALSE(answered<wire::CheckpointVerified>());
  summed(0, 7);
  summed(1, 7);
  const auto answer = answered<wire::CheckpointVerified>();
  ASSERT_TRUE(answer);
  ASSERT_EQ(answer->versions.size(), 2U);
  EXPECT_EQ(answer->versions[0].bytes, 4096U);
  EXPECT_THAT(copies(answer->versions[0]),
              testing::ElementsAre(std::pair(1U, CopyState::kGood), std::pair(2U, CopyState::kGood)));
  EXPECT_THAT(copies(answer->versions[1]),
              testing::ElementsAre(std::pair(1U, CopyState::kRepaired), std::pair(2U, CopyState::kGood)));
}

TEST_F(KeepVerifying, WhatIsDamagedIsWaitedForUntilItIsRepaired) {
  commit_ok("state");
  begin(Version(1));
  says(1, {{Version(1), 4096, CopyState::kGood}});
  says(3, {});
  summed(0, 8);
  EXPECT_FALSE(answered<wire::CheckpointVerified>());
  step(CopyArrived{all<ReceiveCopy>().at(0).slot, true, {7}});
  ASSERT_TRUE(answered<wire::CheckpointVerified>());
  EXPECT_THAT(copies(answered<wire::CheckpointVerified>()->versions.at(0)),
              testing::ElementsAre(std::pair(1U, CopyState::kGood), std::pair(2U, CopyState::kRepaired)));
}

TEST_F(KeepVerifying, WhatNobodyCanRepairIsSaidAtOnce) {
  commit_ok("state");
  begin();
  says(3, {});
  summed(0, 8);
  step(PeerFrame{member(1), wire::KeepDamaged{ViewNumber(1), kKey, Version(1)}});
  nobody_has_it();
  says(1, {{Version(1), 4096, CopyState::kDamaged}});
  ASSERT_TRUE(answered<wire::CheckpointVerified>());
  EXPECT_THAT(copies(answered<wire::CheckpointVerified>()->versions.at(0)),
              testing::ElementsAre(std::pair(1U, CopyState::kDamaged), std::pair(2U, CopyState::kDamaged)));
}

TEST_F(KeepVerifying, AHolderThatIsAskedTwiceSumsOnceAndHasPatienceForARepair) {
  commit_ok("state");
  const wire::KeepVerify question{ViewNumber(1), 77, kKey, {}};
  step(PeerFrame{member(3), question});
  ASSERT_EQ(all<CheckSlot>().size(), 1U);
  checks_ = all<CheckSlot>();
  step(PeerFrame{member(3), question});
  EXPECT_TRUE(all<CheckSlot>().empty());
  summed(0, 8);
  const auto verified = [&]() -> std::optional<wire::KeepVerified> {
    for (const Send& send : all<Send>())
      if (const auto* message = std::get_if<wire::KeepVerified>(&send.message)) return *message;
    return std::nullopt;
  };
  EXPECT_FALSE(verified());
  later(9000);
  EXPECT_FALSE(verified());
  later(1000);
  ASSERT_TRUE(verified());
  EXPECT_TRUE(verified()->home);
  EXPECT_EQ(verified()->round, 77U);
  EXPECT_EQ(verified()->copies.at(0).state, CopyState::kDamaged);
}

// The home says what there is; who still has more is about to let go of it.
TEST_F(KeepVerifying, TheHomesWordCounts) {
  ask(wire::CheckpointVerify{"state", {}, 5000});
  round_ = asked().begin()->second.round;
  says(1, {{Version(3), 10, CopyState::kAbsent}, {Version(4), 10, CopyState::kGood}}, true);
  says(3, {{Version(2), 10, CopyState::kGood}, {Version(4), 10, CopyState::kDamaged}});
  const auto answer = answered<wire::CheckpointVerified>();
  ASSERT_TRUE(answer);
  ASSERT_EQ(answer->versions.size(), 2U);
  EXPECT_TRUE(answer->versions[0].copies.empty()) << "known, and nowhere";
  EXPECT_THAT(copies(answer->versions[1]),
              testing::ElementsAre(std::pair(1U, CopyState::kGood), std::pair(3U, CopyState::kDamaged)));
}

TEST_F(KeepVerifying, NothingAnywhereIsNotFoundAndSilenceHasAnEnd) {
  begin();
  says(1, {});
  says(3, {});
  ASSERT_TRUE(answered<wire::Refusal>());
  EXPECT_EQ(answered<wire::Refusal>()->code, static_cast<int>(ErrorCode::kNotFound));
  begin();
  says(1, {});
  later(200);
  EXPECT_EQ(asked().size(), 1U) << "who has not answered is asked again";
  later(5000);
  ASSERT_TRUE(answered<wire::Refusal>());
  EXPECT_THAT(answered<wire::Refusal>()->message, testing::HasSubstr("server 3 does not answer"));
}

TEST_F(KeepVerifying, AnOpenCommitIsNoCopy) {
  commit("state");
  begin();
  EXPECT_TRUE(checks_.empty());
}

TEST_F(KeepVerifying, InANewViewAllAreAskedAnew) {
  commit_ok("state");
  begin();
  says(1, {{Version(1), 4096, CopyState::kGood}});
  view(2, {1, 2});
  ASSERT_EQ(asked().size(), 1U);
  says(1, {{Version(1), 4096, CopyState::kRepaired}});
  summed(0, 7);
  ASSERT_TRUE(answered<wire::CheckpointVerified>());
  EXPECT_THAT(copies(answered<wire::CheckpointVerified>()->versions.at(0)),
              testing::ElementsAre(std::pair(1U, CopyState::kRepaired), std::pair(2U, CopyState::kGood)));
}

}  // namespace
}  // namespace rk::keep

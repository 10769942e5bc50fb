// SPDX-License-Identifier: Apache-2.0
// Copies at rest that are damaged: found, let go of, told, and replaced by nothing but the bytes of their version.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/keep/keep_core.h"
#include "wire/version_sum.h"

namespace rk::keep {
namespace {

using ::testing::HasSubstr;

const wire::KeepKey kKey{kOwner, wire::KeepKind::kCheckpoint, "state"};

class KeepScrubbing : public KeepCore {
 protected:
  // The version of server 3, whose predecessor this server is, arrives with its bytes; it may be confirmed by now.
  void copy_arrives(std::uint64_t sum = 7, std::uint64_t copy = 1) {
    wire::VersionContent content;
    content.version = Version(4);
    content.total = 4096;
    content.sections = {{"data", 0, 100, 7}};
    content.sum = wire::version_sum(content.sections);
    step(PeerFrame{member(3), wire::CopyOffer{ViewNumber(view_), copy, true, kKey, content, Version(3), Version(3)}});
    ASSERT_EQ(all<ReceiveCopy>().size(), 1U);
    step(CopyArrived{all<ReceiveCopy>()[0].slot, true, {sum}});
  }
  void suspect(std::uint32_t from, Version version = Version(4)) {
    step(PeerFrame{member(from), wire::KeepSuspect{ViewNumber(view_), kKey, version}});
  }
  void report(Version version) { ask(wire::CheckpointDamaged{"state", version}); }
  // The slot that is to be summed has this sum now.
  void summed(std::uint64_t sum) {
    ASSERT_EQ(all<CheckSlot>().size(), 1U);
    step(SlotChecked{all<CheckSlot>()[0].slot, {sum}});
  }
  template <class T>
  std::optional<std::pair<NodeId, T>> sent() const {
    for (const Send& send : all<Send>())
      if (const auto* message = std::get_if<T>(&send.message)) return std::pair{send.to, *message};
    return std::nullopt;
  }
  std::vector<CopyNews::Kind> news() const {
    std::vector<CopyNews::Kind> out;
    for (const CopyNews& item : all<CopyNews>()) out.push_back(item.kind);
    return out;
  }
  const VersionRecord& record(Version version = Version(1)) const {
    return core_.catalogue().find(kKey)->versions.at(version);
  }
  int refusal() const { return answered<wire::Refusal>() ? answered<wire::Refusal>()->code : 0; }
  void with_scrub(std::uint64_t bytes_per_s) {
    Config config;
    config.self = member(2);
    config.scrub_bytes_per_s = bytes_per_s;
    config.scrub_pass_ms = 10'000;
    core_ = Keep(config);
    view(1, {1, 2, 3});
  }

  using Kind = CopyNews::Kind;
};

TEST_F(KeepScrubbing, TheHomeReplacesItsDamagedCopyByTheOther) {
  commit_ok("state");
  report(Version(1));
  ASSERT_EQ(all<CheckSlot>().size(), 1U);
  EXPECT_EQ(all<CheckSlot>()[0].bytes_per_s, 0U) << "somebody waits";
  EXPECT_FALSE(answered<wire::Done>());
  const SlotId damaged = all<CheckSlot>()[0].slot;
  summed(8);
  EXPECT_TRUE(answered<wire::Done>());
  ASSERT_EQ(all<FreeSlot>().size(), 1U);
  EXPECT_EQ(all<FreeSlot>()[0].slot, damaged);
  EXPECT_TRUE(all<FreeSlot>()[0].damaged);
  EXPECT_THAT(news(), testing::ElementsAre(Kind::kDamaged));
  ASSERT_TRUE(sent<wire::CopyFetch>());
  EXPECT_EQ(sent<wire::CopyFetch>()->first, NodeId(1));
  ASSERT_EQ(all<TakeSlot>().size(), 1U);
  EXPECT_FALSE(all<TakeSlot>()[0].writable) << "no client may ever have written there";
  const SlotId good = all<ReceiveCopy>().at(0).slot;
  ask(wire::CheckpointOpen{"state", {}});
  EXPECT_TRUE(all<Answer>().empty()) << "readers wait for the repair";
  EXPECT_EQ(core_.integrity().unrepaired, 1U);
  step(CopyArrived{good, true, {7}});
  EXPECT_THAT(news(), testing::ElementsAre(Kind::kRepaired));
  EXPECT_EQ(all<CopyNews>()[0].from, NodeId(1));
  ASSERT_TRUE(answered<wire::CheckpointContent>());
  EXPECT_EQ(all<Answer>()[0].slot, good);
  EXPECT_TRUE(record().here);
  const wire::IntegrityStatus counts = core_.integrity();
  EXPECT_EQ(counts.checked, 1U);
  EXPECT_EQ(counts.damaged, 1U);
  EXPECT_EQ(counts.repaired, 1U);
  EXPECT_EQ(counts.unrepaired, 0U);
}

TEST_F(KeepScrubbing, AReaderIsNotBelieved) {
  commit_ok("state");
  report(Version(1));
  summed(7);
  EXPECT_TRUE(answered<wire::Done>());
  EXPECT_TRUE(all<FreeSlot>().empty());
  EXPECT_TRUE(news().empty());
  report(Version(9));
  EXPECT_TRUE(answered<wire::Done>()) << "what is not here is read anew";
  EXPECT_TRUE(all<CheckSlot>().empty());
}

TEST_F(KeepScrubbing, ASlotThatCannotBeMappedIsNotDamaged) {
  commit_ok("state");
  report(Version(1));
  step(SlotChecked{all<CheckSlot>().at(0).slot, {}});
  EXPECT_TRUE(answered<wire::Done>());
  EXPECT_TRUE(news().empty());
  EXPECT_EQ(core_.integrity().checked, 0U);
  EXPECT_TRUE(record().here);
}

TEST_F(KeepScrubbing, DamagedBytesOfTheTwinAreNotTakenAndBothDamagedIsLost) {
  commit_ok("state");
  report(Version(1));
  summed(8);
  const SlotId slot = all<ReceiveCopy>().at(0).slot;
  ask(wire::CheckpointOpen{"state", {}});
  step(CopyArrived{slot, true, {9}});
  EXPECT_FALSE(record().here);
  EXPECT_TRUE(all<Answer>().empty());
  ASSERT_TRUE(sent<wire::KeepSuspect>()) << "the twin must look at its own";
  EXPECT_EQ(sent<wire::KeepSuspect>()->first, NodeId(1));
  later(200);
  EXPECT_TRUE(sent<wire::CopyFetch>()) << "it may have a good one by now";
  step(PeerFrame{member(1), wire::KeepDamaged{ViewNumber(1), kKey, Version(1)}});
  ASSERT_TRUE(sent<wire::KeepDamagedHeard>());
  EXPECT_FALSE(sent<wire::KeepDamagedHeard>()->second.lost);
  // Nobody is known to have it; all are asked before it is called lost.
  std::set<NodeId> asked;
  while (sent<wire::CopyFetch>()) {
    EXPECT_TRUE(all<Answer>().empty());
    const auto [node, fetch] = *sent<wire::CopyFetch>();
    asked.insert(node);
    copy_answer(member(node.value), fetch.copy, wire::CopyResult::kRefused);
  }
  EXPECT_THAT(asked, testing::ElementsAre(NodeId(1), NodeId(3)));
  EXPECT_EQ(refusal(), static_cast<int>(ErrorCode::kLost));
  EXPECT_THAT(answered<wire::Refusal>()->message, HasSubstr("commit a new one"));
  EXPECT_THAT(news(), testing::ElementsAre(Kind::kUnrepairable));
  ask(wire::CheckpointOpen{"state", {}});
  EXPECT_EQ(refusal(), static_cast<int>(ErrorCode::kLost));
  // Told once.
  step(PeerFrame{member(1), wire::KeepDamaged{ViewNumber(1), kKey, Version(1)}});
  EXPECT_TRUE(sent<wire::KeepDamagedHeard>()->second.lost);
  EXPECT_TRUE(news().empty());
  // The next commit is read, and what is damaged is forgotten with its version.
  EXPECT_EQ(commit_ok("state").version, Version(2));
  EXPECT_EQ(commit_ok("state").version, Version(3));
  EXPECT_EQ(core_.integrity().unrepaired, 0U);
}

// Its completion was never heard, so that the home does not count it.
TEST_F(KeepScrubbing, ACopyThatTheHomeDoesNotKnowOfIsFound) {
  commit("state", {}, wire::CommitLevel::kLocal);
  report(Version(1));
  summed(8);
  ASSERT_TRUE(sent<wire::CopyFetch>());
  const SlotId slot = all<ReceiveCopy>().at(0).slot;
  ask(wire::CheckpointOpen{"state", {}});
  EXPECT_TRUE(all<Answer>().empty()) << "nobody knows yet that it is lost";
  step(CopyArrived{slot, true, {7}});
  EXPECT_TRUE(answered<wire::CheckpointContent>());
  EXPECT_THAT(news(), testing::ElementsAre(Kind::kRepaired));
}

TEST_F(KeepScrubbing, WhileItIsDamagedNobodyIsToldToDropIt) {
  commit_ok("state");
  view(2, {1, 3, 2});  // the predecessor is another one
  report(Version(1));
  summed(8);
  step(PeerFrame{member(1), wire::KeepDamaged{ViewNumber(2), kKey, Version(1)}});
  int told = 0;
  for (const Send& send : all<Send>())
    if (const auto* retain = std::get_if<wire::CopyRetain>(&send.message)) {
      ++told;
      EXPECT_THAT(retain->retained, testing::ElementsAre(Version(1))) << "at server " << send.to.value;
    }
  EXPECT_EQ(told, 2);
}

// The newest version is lost, and who may have it is kept in mind. That one need not repair what two others have.
TEST_F(KeepScrubbing, ADamagedCopyThatIsNotNeededIsDropped) {
  commit_ok("state");
  commit_ok("state");
  report(Version(2));
  summed(8);
  step(CopyArrived{all<ReceiveCopy>().at(0).slot, true, {9}});
  step(PeerFrame{member(1), wire::KeepDamaged{ViewNumber(1), kKey, Version(2)}});
  later(200);
  while (const auto fetch = sent<wire::CopyFetch>())
    copy_answer(member(fetch->first.value), fetch->second.copy, wire::CopyResult::kRefused);
  ASSERT_FALSE(record(Version(2)).here);
  step(PeerFrame{member(3), wire::KeepDamaged{ViewNumber(1), kKey, Version(1)}});
  EXPECT_TRUE(sent<wire::KeepDamagedHeard>());
  later(1000);
  std::map<NodeId, std::vector<Version>> kept;
  for (const Send& send : all<Send>())
    if (const auto* retain = std::get_if<wire::CopyRetain>(&send.message)) kept[send.to] = retain->retained;
  EXPECT_THAT(kept[NodeId(1)], testing::ElementsAre(Version(1), Version(2)));
  EXPECT_THAT(kept[NodeId(3)], testing::ElementsAre(Version(2)));
}

TEST_F(KeepScrubbing, ADamagedCopyOfARetiredVersionIsDropped) {
  for (int i = 0; i < 3; ++i) commit_ok("state");
  step(PeerFrame{member(3), wire::KeepDamaged{ViewNumber(1), kKey, Version(1)}});
  EXPECT_TRUE(sent<wire::KeepDamagedHeard>());
  std::map<NodeId, std::vector<Version>> kept;
  for (const Send& send : all<Send>())
    if (const auto* retain = std::get_if<wire::CopyRetain>(&send.message)) kept[send.to] = retain->retained;
  EXPECT_EQ(kept.count(NodeId(3)), 1U) << "it would ask for ever";
  EXPECT_TRUE(kept[NodeId(3)].empty());
}

TEST_F(KeepScrubbing, AHolderLetsGoAndTellsTheHomeUntilItHears) {
  copy_arrives();
  suspect(1);
  summed(8);
  ASSERT_TRUE(sent<wire::KeepDamaged>());
  EXPECT_EQ(sent<wire::KeepDamaged>()->first, NodeId(3));
  EXPECT_FALSE(core_.quiet());
  // It is given to nobody.
  step(PeerFrame{member(1), wire::CopyFetch{ViewNumber(1), wire::kFetchBit | 5, kKey, Version(4)}});
  EXPECT_TRUE(all<SendCopy>().empty());
  step(PeerFrame{member(1), wire::KeepLookup{ViewNumber(1), 9, false, kKey, false}});
  EXPECT_TRUE(sent<wire::KeepLookupAnswer>()->second.versions.empty());
  EXPECT_EQ(sent<wire::KeepLookupAnswer>()->second.owed, Version(4)) << "nothing older will do";
  later(200);
  EXPECT_TRUE(sent<wire::KeepDamaged>());
  step(PeerFrame{member(3), wire::KeepDamagedHeard{ViewNumber(1), kKey, Version(4), false}});
  later(200);
  EXPECT_FALSE(sent<wire::KeepDamaged>());
  later(5000);
  EXPECT_TRUE(sent<wire::KeepDamaged>()) << "what was said before may have been heard after it";
  copy_arrives(7, 2);
  EXPECT_THAT(news(), testing::ElementsAre(Kind::kRepaired));
  EXPECT_TRUE(record(Version(4)).here);
  EXPECT_TRUE(core_.quiet());
}

TEST_F(KeepScrubbing, AHomeThatIsNotWhereItWasIsFound) {
  copy_arrives();
  // Server 1 claims in vain: server 3 is the home.
  step(PeerFrame{member(1), wire::KeepLookup{ViewNumber(1), 9, true, kKey, false}});
  suspect(3);
  summed(8);
  std::set<NodeId> told;
  for (int i = 0; i < 10; ++i) {
    later(200);
    for (const Send& send : all<Send>())
      if (std::holds_alternative<wire::KeepDamaged>(send.message)) told.insert(send.to);
  }
  EXPECT_THAT(told, testing::ElementsAre(NodeId(1), NodeId(3)));
}

TEST_F(KeepScrubbing, TheHomeDoesNotCountAHolderThatFoundDamageAndMakesTheCopyAgain) {
  commit("state");
  const std::uint64_t before = offered()->second.copy;
  copy_answer(member(1), before, wire::CopyResult::kComplete);
  ASSERT_TRUE(record().holders.contains(member(1)));
  step(PeerFrame{member(1), wire::KeepDamaged{ViewNumber(1), kKey, Version(1)}});
  EXPECT_FALSE(record().holders.contains(member(1)));
  ASSERT_TRUE(offered());
  EXPECT_EQ(offered()->first, NodeId(1));
  EXPECT_FALSE(sent<wire::KeepDamagedHeard>()->second.lost);
  // An answer to the offer of before says nothing of now.
  const std::uint64_t again = offered()->second.copy;
  copy_answer(member(1), before, wire::CopyResult::kComplete);
  EXPECT_FALSE(record().holders.contains(member(1)));
  copy_answer(member(1), again, wire::CopyResult::kComplete);
  EXPECT_TRUE(record().holders.contains(member(1)));
}

// The holder said that it is complete, then that it is damaged, and the home hears it the other way round.
TEST_F(KeepScrubbing, WhatWasSaidBeforeTheDamageDoesNotCount) {
  commit("state");
  const std::uint64_t before = offered()->second.copy;
  step(PeerFrame{member(1), wire::KeepDamaged{ViewNumber(1), kKey, Version(1)}});
  ASSERT_TRUE(offered());
  const std::uint64_t again = offered()->second.copy;
  copy_answer(member(1), before, wire::CopyResult::kComplete);
  EXPECT_FALSE(answered<wire::CommitAnswer>());
  copy_answer(member(1), again, wire::CopyResult::kComplete);
  EXPECT_EQ(answered<wire::CommitAnswer>()->result, wire::CommitResult::kOk);
}

TEST_F(KeepScrubbing, ACommitWhoseCopyIsDamagedBeforeOkNeedsAnother) {
  commit("state");
  lease_until_ms_ = now_ms_;
  copy_answer(member(1), offered()->second.copy, wire::CopyResult::kComplete);
  step(PeerFrame{member(1), wire::KeepDamaged{ViewNumber(1), kKey, Version(1)}});
  ASSERT_TRUE(offered());
  const std::uint64_t again = offered()->second.copy;
  lease_until_ms_ = UINT64_MAX;
  later(25);
  EXPECT_FALSE(answered<wire::CommitAnswer>()) << "one copy alone is no replicated version";
  copy_answer(member(1), again, wire::CopyResult::kComplete);
  EXPECT_EQ(answered<wire::CommitAnswer>()->result, wire::CommitResult::kOk);
}

TEST_F(KeepScrubbing, AWriterThatWroteOnAfterItsCommitFailsIt) {
  commit("state");
  const std::uint64_t copy = offered()->second.copy;
  copy_answer(member(1), copy, wire::CopyResult::kDamaged);
  later(400);
  EXPECT_FALSE(offered()) << "not again before the slot is summed";
  copy_answer(member(1), copy, wire::CopyResult::kDamaged);
  step(SlotChecked{SlotId(1), {8}});
  ASSERT_TRUE(answered<wire::CommitAnswer>());
  EXPECT_EQ(answered<wire::CommitAnswer>()->result, wire::CommitResult::kFailed);
  EXPECT_THAT(answered<wire::CommitAnswer>()->reason, HasSubstr("end whoever still writes"));
  EXPECT_TRUE(all<FreeSlot>().at(0).damaged);
  EXPECT_TRUE(core_.catalogue().find(kKey)->versions.empty());
  EXPECT_EQ(commit_ok("state").version, Version(2));
}

TEST_F(KeepScrubbing, ACommitThatWasOfferedAgainMeanwhileIsUnknown) {
  commit("state");
  copy_answer(member(1), offered()->second.copy, wire::CopyResult::kDamaged);
  view(2, {1, 2});
  ASSERT_TRUE(offered());
  step(SlotChecked{SlotId(1), {8}});
  ASSERT_TRUE(answered<wire::CommitAnswer>());
  EXPECT_EQ(answered<wire::CommitAnswer>()->result, wire::CommitResult::kUnknown);
}

// The first copy was complete, its answer got lost, and it was damaged since.
TEST_F(KeepScrubbing, ACommitThatAServerHadBeforeIsUnknown) {
  commit("state");
  later(200);
  ASSERT_TRUE(offered()) << "to the same server";
  copy_answer(member(1), offered()->second.copy, wire::CopyResult::kHadIt);
  step(SlotChecked{SlotId(1), {8}});
  ASSERT_TRUE(answered<wire::CommitAnswer>());
  EXPECT_EQ(answered<wire::CommitAnswer>()->result, wire::CommitResult::kUnknown);
}

// It is known here, so that its home must not call it FAILED.
TEST_F(KeepScrubbing, WhoHadAnOpenCommitDoesNotSayThatItHasNothingOfIt) {
  copy_arrives();
  suspect(3);
  summed(8);
  EXPECT_TRUE(record(Version(4)).damaged);
  const auto refusal_of = [this](Version committed, std::uint64_t copy) {
    wire::VersionContent content = record(Version(4)).content;
    effects_.clear();
    const wire::CopyOffer again{ViewNumber(view_), copy, false, kKey, content, committed, committed};
    core_.step({now_ms_, lease_until_ms_, 0, PeerFrame{member(3), again}}, effects_);
    core_.step({now_ms_, lease_until_ms_, 0, SlotReady{all<TakeSlot>().at(0).slot, fail(ErrorCode::kNoMemory, "full")}},
               effects_);
    return sent<wire::CopyAnswer>()->second.result;
  };
  EXPECT_EQ(refusal_of(Version(3), 8), wire::CopyResult::kHadIt);
  step(PeerFrame{member(3), wire::CopyOffer{ViewNumber(view_), 9, true, kKey, record(Version(4)).content, Version(3),
                                            Version(3)}});
  step(CopyArrived{all<ReceiveCopy>().at(0).slot, true, {8}});
  EXPECT_EQ(sent<wire::CopyAnswer>()->second.result, wire::CopyResult::kHadIt);
  EXPECT_EQ(refusal_of(Version(4), 10), wire::CopyResult::kRefused) << "it is confirmed, and is not called FAILED";
}

TEST_F(KeepScrubbing, BytesThatWereDamagedOnTheirWayAreSentAgain) {
  commit("state");
  copy_answer(member(1), offered()->second.copy, wire::CopyResult::kDamaged);
  summed(7);
  later(50);
  ASSERT_TRUE(offered());
  copy_answer(member(1), offered()->second.copy, wire::CopyResult::kComplete);
  EXPECT_EQ(answered<wire::CommitAnswer>()->result, wire::CommitResult::kOk);
}

TEST_F(KeepScrubbing, WithoutAHomeTheOthersAreAskedForTheBytes) {
  copy_arrives();
  view(2, {1, 2, 4});
  for (const Send& send : all<Send>()) ASSERT_FALSE(std::holds_alternative<wire::CopyFetch>(send.message));
  suspect(1);
  summed(8);
  ASSERT_TRUE(sent<wire::CopyFetch>());
  EXPECT_EQ(sent<wire::CopyFetch>()->first, NodeId(1));
  copy_answer(member(1), sent<wire::CopyFetch>()->second.copy, wire::CopyResult::kRefused);
  ASSERT_TRUE(sent<wire::CopyFetch>());
  EXPECT_EQ(sent<wire::CopyFetch>()->first, NodeId(4));
  step(CopyArrived{all<ReceiveCopy>().at(0).slot, true, {7}});
  EXPECT_THAT(news(), testing::ElementsAre(Kind::kRepaired));
  EXPECT_TRUE(record(Version(4)).here);
}

TEST_F(KeepScrubbing, TheScrubSumsOneCopyAtATimeAtItsRateAndThenRests) {
  with_scrub(1 << 20);
  commit_ok("state");
  commit_ok("other");
  EXPECT_TRUE(core_.scrub_due(now_ms_));
  later(1);
  ASSERT_EQ(all<CheckSlot>().size(), 1U);
  EXPECT_EQ(all<CheckSlot>()[0].bytes_per_s, 1U << 20U);
  const SlotId first = all<CheckSlot>()[0].slot;
  later(1000);
  EXPECT_TRUE(all<CheckSlot>().empty());
  step(SlotChecked{first, {7}});
  ASSERT_EQ(all<CheckSlot>().size(), 1U);
  const SlotId second = all<CheckSlot>()[0].slot;
  EXPECT_NE(first, second);
  step(SlotChecked{second, {7}});
  later(1000);
  EXPECT_TRUE(all<CheckSlot>().empty()) << "the pass is over";
  EXPECT_FALSE(core_.scrub_due(now_ms_));
  EXPECT_TRUE(core_.quiet());
  later(9000);
  EXPECT_EQ(all<CheckSlot>().size(), 1U);
  EXPECT_EQ(core_.integrity().checked, 2U);
}

TEST_F(KeepScrubbing, TheScrubDoesNotGoFasterThanItsRate) {
  with_scrub(1 << 20);
  ask(wire::CheckpointBegin{"big", {{"data", 1 << 20}}});
  ask(wire::CheckpointCommit{answered<wire::CheckpointSlot>()->slot, wire::CommitLevel::kLocal, 1000});
  ask(wire::CheckpointBegin{"small", {{"data", 100}}});
  ask(wire::CheckpointCommit{answered<wire::CheckpointSlot>()->slot, wire::CommitLevel::kLocal, 1000});
  later(1);
  summed(7);
  EXPECT_TRUE(all<CheckSlot>().empty());
  later(800);
  EXPECT_TRUE(all<CheckSlot>().empty()) << "a second has its rate";
  later(300);
  EXPECT_EQ(all<CheckSlot>().size(), 1U);
}

TEST_F(KeepScrubbing, TheScrubRestsWhileACommitIsSummedAndIsOffWithZero) {
  with_scrub(1 << 20);
  commit_ok("state");
  ask(wire::CheckpointBegin{"other", {{"data", 100}}});
  const std::uint64_t slot = answered<wire::CheckpointSlot>()->slot;
  effects_.clear();
  core_.step({now_ms_, lease_until_ms_, 0,
              ClientRequest{kSession, kOwner, ++request_, {}, wire::CheckpointCommit{slot, wire::CommitLevel::kLocal}}},
             effects_);  // its sum has not come yet
  later(1);
  EXPECT_TRUE(all<CheckSlot>().empty());
  step(SlotSummed{SlotId(slot), {7}});
  later(1);
  EXPECT_EQ(all<CheckSlot>().size(), 1U);
  with_scrub(0);
  commit_ok("state");
  EXPECT_FALSE(core_.scrub_due(UINT64_MAX / 2000));
  later(100'000);
  EXPECT_TRUE(all<CheckSlot>().empty());
}

TEST_F(KeepScrubbing, WhatTheScrubFindsIsRepairedAndAReportSpeedsItUp) {
  with_scrub(1 << 20);
  commit_ok("state");
  later(1);
  ASSERT_EQ(all<CheckSlot>().size(), 1U);
  report(Version(1));
  ASSERT_EQ(all<CheckSlot>().size(), 1U);
  EXPECT_EQ(all<CheckSlot>()[0].bytes_per_s, 0U);
  summed(8);
  EXPECT_TRUE(answered<wire::Done>());
  EXPECT_TRUE(sent<wire::CopyFetch>());
}

TEST_F(KeepScrubbing, ACopyThatGoesWhileItIsSummedEndsTheQuestion) {
  commit_ok("state");
  report(Version(1));
  const SlotId slot = all<CheckSlot>().at(0).slot;
  step(PeerFrame{member(1), wire::KeepRemove{ViewNumber(1), 4, false, kKey, Version(1)}});
  EXPECT_TRUE(answered<wire::Done>());
  step(SlotChecked{slot, {8}});
  EXPECT_TRUE(effects_.empty());
}

}  // namespace
}  // namespace rk::keep

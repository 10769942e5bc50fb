// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/keep/keep_core.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "wire/version_sum.h"

namespace rk::keep {
namespace {

TEST_F(KeepCore, OkWaitsForThePredecessor) {
  commit("state");
  EXPECT_FALSE(answered<wire::CommitAnswer>());
  const auto offer = offered();
  ASSERT_TRUE(offer);
  EXPECT_EQ(offer->first, NodeId(1));
  EXPECT_TRUE(offer->second.eager);
  EXPECT_EQ(all<SendCopy>().size(), 1U);
  // Not visible before.
  ask(wire::CheckpointOpen{"state", {}});
  EXPECT_EQ(answered<wire::Refusal>()->code, static_cast<int>(ErrorCode::kNotFound));
  copy_answer(member(1), offer->second.copy, wire::CopyResult::kComplete);
  ASSERT_TRUE(answered<wire::CommitAnswer>());
  EXPECT_EQ(answered<wire::CommitAnswer>()->result, wire::CommitResult::kOk);
  EXPECT_EQ(answered<wire::CommitAnswer>()->version, Version(1));
  ask(wire::CheckpointOpen{"state", {}});
  EXPECT_EQ(answered<wire::CheckpointContent>()->version, Version(1));
}

TEST_F(KeepCore, AnAnswerFromAnotherServerOrViewDoesNotCount) {
  commit("state");
  const std::uint64_t copy = offered()->second.copy;
  copy_answer(member(3), copy, wire::CopyResult::kComplete);
  EXPECT_FALSE(answered<wire::CommitAnswer>());
  copy_answer({NodeId(1), Incarnation(2)}, copy, wire::CopyResult::kComplete);
  EXPECT_FALSE(answered<wire::CommitAnswer>());
  copy_answer(member(1), copy, wire::CopyResult::kComplete, 9);
  EXPECT_FALSE(answered<wire::CommitAnswer>());
}

TEST_F(KeepCore, ANewViewOffersTheOpenCommitToTheNewPredecessor) {
  commit("state");
  const std::uint64_t before = offered()->second.copy;
  view(2, {2, 3});
  const auto again = offered();
  ASSERT_TRUE(again);
  EXPECT_EQ(again->first, NodeId(3));
  EXPECT_EQ(again->second.view, ViewNumber(2));
  EXPECT_EQ(again->second.content.version, Version(1));
  copy_answer(member(1), before, wire::CopyResult::kComplete, 1);
  EXPECT_FALSE(answered<wire::CommitAnswer>());
  copy_answer(member(3), again->second.copy, wire::CopyResult::kComplete);
  EXPECT_EQ(answered<wire::CommitAnswer>()->result, wire::CommitResult::kOk);
}

TEST_F(KeepCore, ARefusalIsFailedAndItsNumberIsNotUsedAgain) {
  commit("state");
  copy_answer(member(1), offered()->second.copy, wire::CopyResult::kRefused);
  ASSERT_TRUE(answered<wire::CommitAnswer>());
  EXPECT_EQ(answered<wire::CommitAnswer>()->result, wire::CommitResult::kFailed);
  EXPECT_NE(answered<wire::CommitAnswer>()->reason.find("full"), std::string::npos);
  EXPECT_EQ(commit_ok("state").version, Version(2));
}

TEST_F(KeepCore, CopiesThatCannotBeMadeDoNotTakeThePlacesOfOthers) {
  std::vector<std::string> names;
  for (int i = 1; i <= 9; ++i) {
    names.push_back("name " + std::to_string(i));
    commit_ok(names.back());
  }
  const auto refuse_all_but_the_last = [&](std::set<std::string>& made) {
    const auto sent = all<Send>();
    for (const Send& send : sent) {
      const auto* offer = std::get_if<wire::CopyOffer>(&send.message);
      if (offer == nullptr) continue;
      const bool last = offer->key.name == names.back();
      copy_answer(member(3), offer->copy, last ? wire::CopyResult::kComplete : wire::CopyResult::kRefused);
      if (last) made.insert(offer->key.name);
    }
  };
  std::set<std::string> made;
  view(2, {2, 3});
  refuse_all_but_the_last(made);
  for (int i = 0; i < 20 && made.empty(); ++i) {
    later(10);
    refuse_all_but_the_last(made);
  }
  EXPECT_EQ(made, std::set<std::string>{names.back()});
}

TEST_F(KeepCore, NoAnswerInTimeIsUnknownAndMayStillBecomeVisible) {
  commit("state");
  const auto offer = offered();
  later(1001);
  ASSERT_TRUE(answered<wire::CommitAnswer>());
  EXPECT_EQ(answered<wire::CommitAnswer>()->result, wire::CommitResult::kUnknown);
  const auto again = offered();  // the copy is still tried
  ASSERT_TRUE(again);
  EXPECT_FALSE(again->second.eager);
  copy_answer(member(1), again->second.copy, wire::CopyResult::kComplete);
  EXPECT_FALSE(answered<wire::CommitAnswer>());
  ask(wire::CheckpointOpen{"state", {}});
  EXPECT_EQ(answered<wire::CheckpointContent>()->version, Version(1));
}

TEST_F(KeepCore, AServerAloneFailsReplicatedAndKeepsLocal) {
  view(2, {2});
  commit("state");
  EXPECT_EQ(answered<wire::CommitAnswer>()->result, wire::CommitResult::kFailed);
  EXPECT_NE(answered<wire::CommitAnswer>()->reason.find("alone"), std::string::npos);
  EXPECT_FALSE(offered());
  commit("state", {}, wire::CommitLevel::kLocal);
  EXPECT_EQ(answered<wire::CommitAnswer>()->result, wire::CommitResult::kOk);
}

TEST_F(KeepCore, WithoutALeaseNothingIsConfirmedOrRead) {
  commit_ok("state");
  commit("state");
  lease_until_ms_ = now_ms_;  // over
  copy_answer(member(1), offered()->second.copy, wire::CopyResult::kComplete);
  EXPECT_FALSE(answered<wire::CommitAnswer>());
  ask(wire::CheckpointOpen{"state", {}});
  EXPECT_TRUE(all<Answer>().empty());
  lease_until_ms_ = now_ms_ + 100;
  later(20);
  ASSERT_TRUE(answered<wire::CommitAnswer>());
  EXPECT_EQ(answered<wire::CommitAnswer>()->version, Version(2));
  EXPECT_EQ(answered<wire::CommitAnswer>()->lease_until_ms, lease_until_ms_);
  EXPECT_EQ(answered<wire::CheckpointContent>()->lease_until_ms, lease_until_ms_);
  EXPECT_EQ(answered<wire::CheckpointContent>()->version, Version(2));  // asked again, after the commit
}

TEST_F(KeepCore, WithoutALeaseInTimeACommitIsUnknown) {
  commit("state");
  lease_until_ms_ = 0;
  copy_answer(member(1), offered()->second.copy, wire::CopyResult::kComplete);
  later(1000);
  ASSERT_TRUE(answered<wire::CommitAnswer>());
  EXPECT_EQ(answered<wire::CommitAnswer>()->result, wire::CommitResult::kUnknown);
  EXPECT_THAT(answered<wire::CommitAnswer>()->reason, testing::HasSubstr("no lease in time"));
}

TEST_F(KeepCore, ANameIsClaimedWhenTheFenceIsOver) {
  fence_left_ms_ = 100;
  ask(wire::CheckpointBegin{"state", {{"data", 100}}});
  EXPECT_TRUE(all<Send>().empty());
  fence_left_ms_ = 0;
  later(100);
  answer_claims();
  EXPECT_TRUE(answered<wire::CheckpointSlot>());
}

TEST_F(KeepCore, WhatIsLostStaysLostUntilTheNextCommit) {
  known_ = true;
  ask(wire::CheckpointBegin{"state", {{"data", 100}}});  // this server is the home now, and nobody has a copy
  const auto slot = answered<wire::CheckpointSlot>();
  ASSERT_TRUE(slot);
  ask(wire::CheckpointAbandon{slot->slot});
  ask(wire::CheckpointOpen{"state", {}});
  EXPECT_EQ(answered<wire::Refusal>()->code, static_cast<int>(ErrorCode::kLost));
  EXPECT_THAT(answered<wire::Refusal>()->message, testing::HasSubstr("its last version is unknown"));
  commit_ok("state");
  ask(wire::CheckpointOpen{"state", {}});
  EXPECT_TRUE(answered<wire::CheckpointContent>());
}

// Nobody who claimed the name is gone, so nothing of it can be.
TEST_F(KeepCore, ANameThatMembersOnlyBeganIsNotLost) {
  known_ = true;
  claimants_live_ = true;
  ask(wire::CheckpointOpen{"read", {}});
  EXPECT_EQ(answered<wire::Refusal>()->code, static_cast<int>(ErrorCode::kNotFound));
  ask(wire::CheckpointBegin{"state", {{"data", 100}}});
  ask(wire::CheckpointAbandon{answered<wire::CheckpointSlot>()->slot});
  ask(wire::CheckpointOpen{"state", {}});
  EXPECT_EQ(answered<wire::Refusal>()->code, static_cast<int>(ErrorCode::kNotFound));
}

TEST_F(KeepCore, AServerThatClaimedANameAndIsGoneMayHaveTakenVersionsWithIt) {
  const wire::KeepKey key{kOwner, wire::KeepKind::kCheckpoint, "state"};
  const auto claimants_live = [&] {
    step(PeerFrame{member(1), wire::KeepLookup{ViewNumber(view_), 5, false, key}});
    const auto answer = std::get<wire::KeepLookupAnswer>(all<Send>().at(0).message);
    EXPECT_TRUE(answer.known);
    return answer.claimants_live;
  };
  step(PeerFrame{member(3), wire::KeepLookup{ViewNumber(view_), 4, true, key}});
  EXPECT_TRUE(claimants_live());
  step(PeerFrame{member(1), wire::KeepLookup{ViewNumber(view_), 4, true, key}});  // it need not know of the first
  view(2, {1, 2});
  EXPECT_FALSE(claimants_live());
  ask(wire::CheckpointOpen{"state", {}});  // the only other member answers that it knows nothing
  answer_claims();                         // twice
  EXPECT_EQ(answered<wire::Refusal>()->code, static_cast<int>(ErrorCode::kLost));
}

TEST_F(KeepCore, WhoIsAboutToBecomeTheHomeSaysNothingOfTheName) {
  step(ClientRequest{kSession, kOwner, ++request_, {}, wire::CheckpointBegin{"state", {{"data", 100}}}});
  const wire::KeepKey key{kOwner, wire::KeepKind::kCheckpoint, "state"};
  step(PeerFrame{member(3), wire::KeepLookup{ViewNumber(view_), 5, false, key}});
  EXPECT_TRUE(all<Send>().empty());
}

TEST_F(KeepCore, WithoutAServingViewNothingIsCommitted) {
  ask(wire::CheckpointBegin{"state", {{"data", 100}}});
  const auto slot = answered<wire::CheckpointSlot>();
  step(ViewInstalled{ViewNumber(1), {member(1), member(2), member(3)}, false, "server 1 is silent"});
  ask(wire::CheckpointCommit{slot->slot, wire::CommitLevel::kReplicated, 1000});
  ASSERT_TRUE(answered<wire::Refusal>());
  EXPECT_EQ(answered<wire::Refusal>()->code, static_cast<int>(ErrorCode::kUnavailable));
  EXPECT_NE(answered<wire::Refusal>()->message.find("server 1 is silent"), std::string::npos);
  EXPECT_EQ(all<FreeSlot>().size(), 1U);
  ask(wire::CheckpointOpen{"state", {}});
  EXPECT_EQ(answered<wire::Refusal>()->code, static_cast<int>(ErrorCode::kUnavailable));
}

TEST_F(KeepCore, TwoVersionsAreKept) {
  for (int i = 0; i < 3; ++i) commit_ok("state");
  EXPECT_EQ(all<FreeSlot>().size(), 1U);
  const auto retained = [&]() -> std::vector<Version> {
    for (const Send& send : all<Send>())
      if (const auto* retain = std::get_if<wire::CopyRetain>(&send.message)) return retain->retained;
    return {};
  };
  EXPECT_TRUE(retained().empty()) << "nobody waits for it";
  later(1);
  EXPECT_EQ(retained(), (std::vector{Version(2), Version(3)}));
  // The holder lets go before the next one comes, whenever that is.
  commit_ok("state");
  commit("state");
  EXPECT_EQ(retained(), (std::vector{Version(3), Version(4), Version(5)}));
  const auto sent = all<Send>();
  EXPECT_TRUE(std::holds_alternative<wire::CopyRetain>(sent.front().message));
  EXPECT_TRUE(std::holds_alternative<wire::CopyOffer>(sent.back().message));
}

TEST_F(KeepCore, APutIsBegunFilledAndCommittedInOneStep) {
  ask(Put{"state", {{"a", 100}, {"b", 28}}, wire::CommitLevel::kReplicated, 1000});
  ASSERT_EQ(all<FillSlot>().size(), 1U);
  EXPECT_EQ(all<FillSlot>()[0].request, request_);
  EXPECT_EQ(all<FillSlot>()[0].sections[1].offset, 128U) << "sections lie close together";
  EXPECT_FALSE(answered<wire::CheckpointSlot>());
  const auto offer = offered();
  ASSERT_TRUE(offer);
  EXPECT_EQ(offer->second.content.total, 192U);
  copy_answer(member(1), offer->second.copy, wire::CopyResult::kComplete);
  ASSERT_TRUE(answered<wire::CommitAnswer>());
  EXPECT_EQ(answered<wire::CommitAnswer>()->result, wire::CommitResult::kOk);
}

TEST_F(KeepCore, APutWithoutItsBytesFails) {
  commit_ok("state");
  effects_.clear();
  core_.step({now_ms_, lease_until_ms_, 0, ClientRequest{kSession, kOwner, 90, {}, Put{"state", {{"a", 1}}, {}, 0}}},
             effects_);
  const SlotId slot = all<TakeSlot>().at(0).slot;
  core_.step({now_ms_, lease_until_ms_, 0, SlotReady{slot, {}}}, effects_);
  core_.step({now_ms_, lease_until_ms_, 0, SlotSummed{slot, {}}}, effects_);
  ASSERT_TRUE(answered<wire::CommitAnswer>());
  EXPECT_EQ(answered<wire::CommitAnswer>()->result, wire::CommitResult::kFailed);
  EXPECT_FALSE(all<FreeSlot>().empty());
  EXPECT_FALSE(offered());
}

TEST_F(KeepCore, APutThatBreaksALimitIsRefused) {
  ask(Put{"state", {}, wire::CommitLevel::kReplicated, 0});
  EXPECT_TRUE(answered<wire::Refusal>());
  ask(Put{"state", {{"a", 1}, {"a", 1}}, wire::CommitLevel::kReplicated, 0});
  EXPECT_TRUE(answered<wire::Refusal>());
  ask(Put{"", {{"a", 1}}, wire::CommitLevel::kReplicated, 0});
  EXPECT_TRUE(answered<wire::Refusal>());
  EXPECT_TRUE(all<TakeSlot>().empty());
}

// Its answer to who is home can get lost, and be asked for only later; the commits of that time fill it up.
TEST_F(KeepCore, APredecessorThatAnswersLateIsToldWhatToLetGoOf) {
  commit_ok("state");
  const Member again{NodeId(1), Incarnation(2)};
  step(ViewInstalled{ViewNumber(2), {again, member(2), member(3)}, true, {}});
  view_ = 2;
  const auto retained = [this]() -> std::optional<std::vector<Version>> {
    for (const Send& send : all<Send>())
      if (const auto* retain = std::get_if<wire::CopyRetain>(&send.message); retain && send.to == NodeId(1))
        return retain->retained;
    return std::nullopt;
  };
  for (int i = 0; i < 4; ++i) {
    ask(wire::CheckpointBegin{"state", {{"data", 100}}});
    const auto slot = answered<wire::CheckpointSlot>();
    ASSERT_TRUE(slot);
    step(ClientRequest{
        kSession, kOwner, ++request_, {}, wire::CheckpointCommit{slot->slot, wire::CommitLevel::kReplicated, 1000}});
    ASSERT_TRUE(offered());
    copy_answer(again, offered()->second.copy, wire::CopyResult::kComplete);
    ASSERT_TRUE(answered<wire::CommitAnswer>());
    EXPECT_EQ(answered<wire::CommitAnswer>()->result, wire::CommitResult::kOk);
    EXPECT_FALSE(retained()) << "it may hold what nobody has heard of yet";
    later(1);
    EXPECT_FALSE(retained());
  }
  wire::KeepLookupAnswer answer;
  answer.view = ViewNumber(2);
  answer.key = {kOwner, wire::KeepKind::kCheckpoint, "state"};
  step(PeerFrame{again, answer});
  later(1);
  ASSERT_TRUE(retained());
  EXPECT_EQ(retained()->size(), 2U);
}

TEST_F(KeepCore, OnlyAGroupRecordLetsGoOfAnOlderGroupsParts) {
  const auto part = commit_ok("job/1/c0/r0");
  const auto group_commit = [&](const wire::GroupPart& each) {
    ask(wire::GroupCommit{"job/1/c0", {each}, 1000}, Incarnation(1));
    const auto offer = offered();
    ASSERT_TRUE(offer);
    EXPECT_EQ(offer->second.content.parts.size(), 1U);
    copy_answer(member(1), offer->second.copy, wire::CopyResult::kComplete);
    EXPECT_EQ(answered<wire::CommitAnswer>()->result, wire::CommitResult::kOk);
  };
  group_commit(part);
  wire::GroupPart newest;
  for (int i = 0; i < 4; ++i) newest = commit_ok("job/1/c0/r0");
  const auto kept = [&](Version version) {
    const auto& versions = core_.catalogue().find({kOwner, wire::KeepKind::kCheckpoint, "job/1/c0/r0"})->versions;
    return versions.contains(version);
  };
  EXPECT_TRUE(kept(part.version));
  EXPECT_FALSE(kept(Version(2)));
  group_commit(newest);
  EXPECT_TRUE(kept(part.version));  // the group before the newest is retained too
  group_commit(newest);
  EXPECT_FALSE(kept(part.version));
  ask(wire::GroupQuery{"job/1/c0"});
  ASSERT_TRUE(answered<wire::GroupAnswer>());
  EXPECT_EQ(answered<wire::GroupAnswer>()->version, Version(3));
  EXPECT_EQ(answered<wire::GroupAnswer>()->oldest_retained, Version(2));
  EXPECT_EQ(answered<wire::GroupAnswer>()->parts, (std::vector{newest}));
}

TEST_F(KeepCore, AGroupOfPartsThatAreNotCommittedFails) {
  auto part = commit_ok("r0");
  part.sum ^= 1;
  ask(wire::GroupCommit{"g", {part}, 1000}, Incarnation(1));
  EXPECT_EQ(answered<wire::CommitAnswer>()->result, wire::CommitResult::kFailed);
  part.sum ^= 1;
  part.version = Version(9);
  ask(wire::GroupCommit{"g", {part}, 1000}, Incarnation(1));
  EXPECT_EQ(answered<wire::CommitAnswer>()->result, wire::CommitResult::kFailed);
}

TEST_F(KeepCore, AnOlderLifeOfTheCommunityIsFenced) {
  const auto part = commit_ok("r0");
  ask(wire::GroupCommit{"g", {part}, 1000}, Incarnation(5));
  ASSERT_TRUE(offered());
  ask(wire::GroupCommit{"g", {part}, 1000}, Incarnation(4));
  ASSERT_TRUE(answered<wire::Refusal>());
  EXPECT_EQ(answered<wire::Refusal>()->code, static_cast<int>(ErrorCode::kFenced));
}

// It was told of the newer life; nothing that this one wrote needs to be there still.
TEST_F(KeepCore, ANewHomeKnowsTheFenceWithoutAVersion) {
  known_ = true;
  known_fence_ = Incarnation(2);
  ask(wire::CheckpointBegin{"state", {{"data", 100}}}, Incarnation(1));
  ASSERT_TRUE(answered<wire::Refusal>());
  EXPECT_EQ(answered<wire::Refusal>()->code, static_cast<int>(ErrorCode::kFenced));
  ask(wire::CheckpointBegin{"state", {{"data", 100}}}, Incarnation(2));
  EXPECT_TRUE(answered<wire::CheckpointSlot>());
}

TEST_F(KeepCore, ACopyWithOtherBytesThanOfferedIsDamaged) {
  wire::CopyOffer offer{ViewNumber(1), 1, true, {kOwner, wire::KeepKind::kCheckpoint, "far"}, {}, {}, {}};
  offer.content.version = Version(4);
  offer.content.total = 4096;
  offer.content.sections = {{"data", 0, 100, 77}};
  offer.content.sum = wire::version_sum(offer.content.sections);
  const auto result_of = [&](std::uint64_t copy, std::uint64_t sum) {
    offer.copy = copy;
    step(PeerFrame{member(3), offer});
    const auto receive = all<ReceiveCopy>();
    EXPECT_EQ(receive.size(), 1U);
    step(CopyArrived{receive.at(0).slot, true, {sum}});
    return std::get<wire::CopyAnswer>(all<Send>().at(0).message).result;
  };
  EXPECT_EQ(result_of(1, 78), wire::CopyResult::kDamaged);
  EXPECT_EQ(all<FreeSlot>().size(), 1U);
  EXPECT_EQ(result_of(2, 77), wire::CopyResult::kComplete);
}

TEST_F(KeepCore, BadRequestsAreRefusedAndChangeNothing) {
  const auto code = [&](ClientMessage message) {
    ask(std::move(message));
    const auto refusal = answered<wire::Refusal>();
    return refusal ? static_cast<ErrorCode>(refusal->code) : ErrorCode::kOk;
  };
  EXPECT_EQ(code(wire::CheckpointBegin{"", {{"data", 1}}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(wire::CheckpointBegin{"a\nb", {{"data", 1}}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(wire::CheckpointBegin{std::string(256, 'n'), {{"data", 1}}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(wire::CheckpointBegin{"a", {}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(wire::CheckpointBegin{"a", {{"d", 1}, {"d", 1}}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(wire::CheckpointBegin{"a", {{"d", UINT64_MAX}, {"e", 2}}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(wire::CheckpointCommit{77, wire::CommitLevel::kReplicated, 1}), ErrorCode::kNotFound);
  EXPECT_EQ(code(wire::CheckpointAbandon{77}), ErrorCode::kNotFound);
  EXPECT_EQ(code(wire::GroupCommit{"g", {}, 1}), ErrorCode::kInvalidArgument);
  EXPECT_TRUE(core_.catalogue().entries().empty());
}

TEST_F(KeepCore, WhatALostClientWroteIsFreed) {
  ask(wire::CheckpointBegin{"state", {{"data", 100}}});
  step(ClientGone{kSession});
  EXPECT_EQ(all<FreeSlot>().size(), 1U);
}

TEST_F(KeepCore, AJobsNamesGoWithIt) {
  commit_ok("job/1/c0/r0");
  commit_ok("other");
  step(PrefixRemoved{kOwner, "job/1/"});
  EXPECT_EQ(all<FreeSlot>().size(), 1U);
  EXPECT_EQ(core_.catalogue().entries().size(), 1U);
  std::size_t told = 0;
  for (const Send& send : all<Send>())
    if (const auto* remove = std::get_if<wire::KeepRemove>(&send.message)) told += remove->prefix ? 1U : 0U;
  EXPECT_EQ(told, 2U);
}

}  // namespace
}  // namespace rk::keep

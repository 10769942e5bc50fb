// SPDX-License-Identifier: Apache-2.0
// Who knows the newest version, and what is said when nobody is left who does.
#include <gmock/gmock.h>

#include "tests/unit/keep/keep_core.h"
#include "wire/version_sum.h"

namespace rk::keep {
namespace {

const wire::KeepKey kKey{kOwner, wire::KeepKind::kCheckpoint, "state"};

wire::VersionContent content(std::uint64_t version) {
  wire::VersionContent out;
  out.version = Version(version);
  out.sections = {{"data", 0, 0, 7}};
  out.sum = wire::version_sum(out.sections);
  return out;
}

class KeepCurrency : public KeepCore {
 protected:
  // Server 3 is the home: this server gets a copy from it.
  void copy_arrives(std::uint64_t version, std::uint64_t copy, Version owed) {
    step(PeerFrame{member(3), wire::CopyOffer{ViewNumber(view_), copy, true, kKey, content(version), owed, owed}});
    ASSERT_EQ(std::get<wire::CopyAnswer>(all<Send>().at(0).message).result, wire::CopyResult::kComplete);
  }
  wire::KeepLookupAnswer looked_up() {
    step(PeerFrame{member(1), wire::KeepLookup{ViewNumber(view_), 5, false, kKey}});
    return std::get<wire::KeepLookupAnswer>(all<Send>().at(0).message);
  }
  // This server asks about the name; server 1 answers so, twice if it must.
  void open(Version version, const wire::KeepLookupAnswer& from_1) {
    step(ClientRequest{kSession, kOwner, ++request_, {}, wire::CheckpointOpen{kKey.name, version}});
    for (int times = 0; times < 2; ++times) {
      std::optional<wire::KeepLookup> lookup;
      for (const Send& send : all<Send>())
        if (const auto* message = std::get_if<wire::KeepLookup>(&send.message)) lookup = *message;
      if (!lookup) return;
      wire::KeepLookupAnswer answer = from_1;
      answer.view = ViewNumber(view_);
      answer.round = lookup->round;
      answer.key = kKey;
      step(PeerFrame{member(1), answer});
    }
  }
  ErrorCode refused() const {
    const auto refusal = answered<wire::Refusal>();
    return refusal ? static_cast<ErrorCode>(refusal->code) : ErrorCode::kOk;
  }
  std::optional<wire::KeepOutdate> outdate(NodeId to) const {
    for (const Send& send : all<Send>())
      if (const auto* message = std::get_if<wire::KeepOutdate>(&send.message); message && send.to == to)
        return *message;
    return std::nullopt;
  }
};

TEST_F(KeepCurrency, OkWaitsForTheWordOfThePredecessorBefore) {
  commit_ok("state");
  view(2, {1, 4, 2, 3});  // 4 joined between 1 and this server
  commit("state");
  EXPECT_FALSE(outdate(NodeId(1)));  // not before 4 knows: there is always one
  copy_answer(member(4), offered()->second.copy, wire::CopyResult::kComplete);
  EXPECT_FALSE(answered<wire::CommitAnswer>());
  const auto word = outdate(NodeId(1));
  ASSERT_TRUE(word);
  EXPECT_EQ(word->version, Version(2));
  step(PeerFrame{member(3), wire::KeepOutdated{ViewNumber(2), kKey, Version(2)}});
  EXPECT_FALSE(answered<wire::CommitAnswer>());
  later(200);
  EXPECT_TRUE(outdate(NodeId(1)));  // again
  step(PeerFrame{member(1), wire::KeepOutdated{ViewNumber(2), kKey, Version(2)}});
  ASSERT_TRUE(answered<wire::CommitAnswer>());
  EXPECT_EQ(answered<wire::CommitAnswer>()->result, wire::CommitResult::kOk);
  // From now on 4 is the only one that must know.
  commit("state");
  copy_answer(member(4), offered()->second.copy, wire::CopyResult::kComplete);
  EXPECT_TRUE(answered<wire::CommitAnswer>());
}

TEST_F(KeepCurrency, NobodyWaitsForAServerThatIsGone) {
  commit_ok("state");
  view(2, {1, 4, 2, 3});
  commit("state");
  copy_answer(member(4), offered()->second.copy, wire::CopyResult::kComplete);
  view(3, {4, 2, 3});
  copy_answer(member(4), offered()->second.copy, wire::CopyResult::kComplete);
  EXPECT_TRUE(answered<wire::CommitAnswer>());
}

TEST_F(KeepCurrency, AServerThatDoesNotAnswerIsNamed) {
  commit_ok("state");
  view(2, {1, 4, 2, 3});
  commit("state");
  copy_answer(member(4), offered()->second.copy, wire::CopyResult::kComplete);
  later(1000);
  ASSERT_TRUE(answered<wire::CommitAnswer>());
  EXPECT_EQ(answered<wire::CommitAnswer>()->result, wire::CommitResult::kUnknown);
  EXPECT_THAT(answered<wire::CommitAnswer>()->reason, testing::HasSubstr("server 1 did not answer in time"));
}

TEST_F(KeepCurrency, AHolderIsCurrentUntilItIsTold) {
  EXPECT_FALSE(looked_up().current);
  copy_arrives(1, 1, Version());
  EXPECT_TRUE(looked_up().current);
  EXPECT_EQ(looked_up().owed, Version(1));
  step(PeerFrame{member(3), wire::KeepOutdate{ViewNumber(1), kKey, Version(2)}});
  EXPECT_TRUE(std::holds_alternative<wire::KeepOutdated>(all<Send>().at(0).message));
  EXPECT_FALSE(looked_up().current);
  EXPECT_EQ(looked_up().highest, Version(2));
}

TEST_F(KeepCurrency, WhatACurrentMemberOwesAndNobodyHasIsLost) {
  view(2, {1, 2});
  wire::KeepLookupAnswer answer;
  answer.known = answer.current = true;
  answer.committed = answer.owed = answer.highest = Version(8);
  answer.versions = {{content(6), true, true}};
  open({}, answer);
  EXPECT_EQ(refused(), ErrorCode::kLost);
  EXPECT_THAT(answered<wire::Refusal>()->message,
              testing::HasSubstr("its last known version is 8; version 6 is left: ask for it by its number"));
  open(Version(6), answer);
  EXPECT_TRUE(answered<wire::CheckpointContent>());
}

TEST_F(KeepCurrency, AnOlderCopyIsNotTakenForTheNewest) {
  copy_arrives(1, 1, Version());
  step(PeerFrame{member(3), wire::KeepOutdate{ViewNumber(1), kKey, Version(2)}});
  view(2, {1, 2});  // 3 is gone, and whoever had version 2
  open({}, {});
  EXPECT_EQ(refused(), ErrorCode::kLost);
  // Nor by the one that goes on with the name, until it has written.
  ask(wire::CheckpointBegin{"state", {{"data", 100}}});
  answer_claims();
  ask(wire::CheckpointAbandon{answered<wire::CheckpointSlot>()->slot});
  ask(wire::CheckpointOpen{"state", {}});
  EXPECT_EQ(refused(), ErrorCode::kLost);
  ask(wire::CheckpointOpen{"state", Version(1)});
  EXPECT_TRUE(answered<wire::CheckpointContent>());
  commit_ok("state");
  ask(wire::CheckpointOpen{"state", {}});
  EXPECT_TRUE(answered<wire::CheckpointContent>());
}

// Version 2 reached this server and not the other one, which would know if it had been confirmed.
TEST_F(KeepCurrency, WhatWasNotConfirmedIsNotShown) {
  copy_arrives(2, 1, Version(1));
  view(2, {1, 2});
  wire::KeepLookupAnswer answer;
  answer.known = answer.current = true;
  answer.committed = answer.owed = Version(1);
  answer.versions = {{content(1), true, true}};
  open({}, answer);
  ASSERT_TRUE(answered<wire::CheckpointContent>());
  EXPECT_EQ(answered<wire::CheckpointContent>()->version, Version(1));
}

TEST_F(KeepCurrency, ARemovalIsKnownUntilTheNextCommit) {
  copy_arrives(1, 1, Version());
  const auto remove = [&](std::uint64_t up_to) {
    step(PeerFrame{member(3), wire::KeepRemove{ViewNumber(view_), 4, false, kKey, Version(up_to)}});
  };
  step(PeerFrame{member(3), wire::KeepOutdate{ViewNumber(1), kKey, Version(2)}});
  remove(1);  // from before: version 2 came after it
  EXPECT_FALSE(looked_up().current);
  remove(2);
  EXPECT_TRUE(looked_up().current);
  view(2, {1, 2});
  open({}, {});
  EXPECT_EQ(refused(), ErrorCode::kNotFound);
}

TEST_F(KeepCurrency, AfterARemovalAllMustKnowOfTheNextCommit) {
  commit_ok("state");
  ask(wire::CheckpointDelete{"state"});
  for (const Send& send : all<Send>())
    if (const auto* remove = std::get_if<wire::KeepRemove>(&send.message))
      step(PeerFrame{{send.to, Incarnation(1)}, wire::KeepRemoved{ViewNumber(view_), remove->round}});
  ASSERT_TRUE(answered<wire::Done>());
  commit("state");
  copy_answer(member(1), offered()->second.copy, wire::CopyResult::kComplete);
  EXPECT_TRUE(outdate(NodeId(3)));
  // An answer to something from before the removal does not count.
  step(PeerFrame{member(3), wire::KeepOutdated{ViewNumber(1), kKey, Version(1)}});
  EXPECT_FALSE(answered<wire::CommitAnswer>());
  step(PeerFrame{member(3), wire::KeepOutdated{ViewNumber(1), kKey, Version(2)}});
  EXPECT_TRUE(answered<wire::CommitAnswer>());
}

TEST_F(KeepCurrency, ALostNameCanBeRemoved) {
  known_ = true;
  ask(wire::CheckpointDelete{"state"});
  EXPECT_EQ(refused(), ErrorCode::kOk);
  for (const Send& send : all<Send>())
    if (const auto* remove = std::get_if<wire::KeepRemove>(&send.message))
      step(PeerFrame{{send.to, Incarnation(1)}, wire::KeepRemoved{ViewNumber(view_), remove->round}});
  EXPECT_TRUE(answered<wire::Done>());
  ask(wire::CheckpointOpen{"state", {}});
  EXPECT_EQ(refused(), ErrorCode::kNotFound);
}

// A newcomer that is asked must also be told: it may be the last that knows the name.
TEST_F(KeepCurrency, TheHomesQuestionTellsWhoIsHome) {
  commit_ok("state");
  view(2, {1, 2, 3, 4});
  step(ClientRequest{kSession, kOwner, ++request_, {}, wire::CheckpointOpen{"state", {}}});
  bool told = false;
  for (const Send& send : all<Send>())
    if (const auto* lookup = std::get_if<wire::KeepLookup>(&send.message))
      if (send.to == NodeId(4) && lookup->round != 0) told = lookup->claim;
  EXPECT_TRUE(told);
}

}  // namespace
}  // namespace rk::keep

// SPDX-License-Identifier: Apache-2.0
// Who knows the newest version, and what is said when nobody is left who does.
#include <gmock/gmock.h>

#include <set>

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
  step(PeerFrame{member(3), wire::KeepOutdated{ViewNumber(2), kKey, Version(2), {}}});
  EXPECT_FALSE(answered<wire::CommitAnswer>());
  later(200);
  EXPECT_TRUE(outdate(NodeId(1)));  // again
  step(PeerFrame{member(1), wire::KeepOutdated{ViewNumber(2), kKey, Version(2), {}}});
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
  step(PeerFrame{member(3), wire::KeepOutdate{ViewNumber(1), kKey, Version(2), {}}});
  EXPECT_TRUE(std::holds_alternative<wire::KeepOutdated>(all<Send>().at(0).message));
  EXPECT_FALSE(looked_up().current);
  EXPECT_EQ(looked_up().highest, Version(2));
}

// Its word that it has the copy was lost.
TEST_F(KeepCurrency, WhoHasTheVersionStaysCurrentAndSaysSo) {
  copy_arrives(1, 1, Version());
  step(PeerFrame{member(3), wire::KeepOutdate{ViewNumber(1), kKey, Version(1), {}}});
  EXPECT_EQ(std::get<wire::KeepOutdated>(all<Send>().at(0).message).has, Version(1));
  EXPECT_TRUE(looked_up().current);
  step(PeerFrame{member(3), wire::KeepOutdate{ViewNumber(1), kKey, Version(2), {}}});
  EXPECT_EQ(std::get<wire::KeepOutdated>(all<Send>().at(0).message).has, Version());
  // It would have to be told anew.
  step(PeerFrame{member(3), wire::KeepOutdate{ViewNumber(1), kKey, Version(1), {}}});
  EXPECT_EQ(std::get<wire::KeepOutdated>(all<Send>().at(0).message).has, Version());
}

// What it had of the version itself was lost on the way, or never sent.
TEST_F(KeepCurrency, WhoHasANewerVersionStaysCurrentAndSaysWhich) {
  copy_arrives(4, 1, Version());
  step(PeerFrame{member(3), wire::KeepOutdate{ViewNumber(1), kKey, Version(3), {}}});
  EXPECT_EQ(std::get<wire::KeepOutdated>(all<Send>().at(0).message).has, Version(4));
  EXPECT_TRUE(looked_up().current);
  EXPECT_EQ(looked_up().owed, Version(4));
}

// Two commits at once, of which the predecessor before has the second only.
TEST_F(KeepCurrency, WhoHasANewerVersionIsNotToldOfAnOlderOne) {
  commit("state");
  commit("state");
  copy_answer(member(1), offered()->second.copy, wire::CopyResult::kComplete);
  EXPECT_EQ(answered<wire::CommitAnswer>()->version, Version(2));
  view(2, {1, 4, 2, 3});
  std::vector<std::uint64_t> copies;
  for (const Send& send : all<Send>())
    if (const auto* offer = std::get_if<wire::CopyOffer>(&send.message); offer && offer->content.version == Version(1))
      copies.push_back(offer->copy);
  ASSERT_EQ(copies.size(), 1U);
  copy_answer(member(4), copies[0], wire::CopyResult::kComplete);
  EXPECT_FALSE(outdate(NodeId(1)));
  EXPECT_TRUE(answered<wire::CommitAnswer>());
}

TEST_F(KeepCurrency, WhoRestsOnAVersionThatWasGivenUpIsToldToDropIt) {
  commit_ok("state");
  view(2, {1, 4, 2, 3});
  commit("state");
  copy_answer(member(4), offered()->second.copy, wire::CopyResult::kComplete);
  ASSERT_TRUE(outdate(NodeId(1)));
  step(PeerFrame{member(1), wire::KeepOutdated{ViewNumber(2), kKey, Version(2), Version(9)}});
  EXPECT_FALSE(answered<wire::CommitAnswer>());
  bool told = false;
  for (const Send& send : all<Send>())
    told = told || (std::holds_alternative<wire::CopyRetain>(send.message) && send.to == NodeId(1));
  EXPECT_TRUE(told);
  later(200);
  EXPECT_TRUE(outdate(NodeId(1)));
}

TEST_F(KeepCurrency, WhoHasTheVersionIsAskedAtTheNextOneAgain) {
  commit_ok("state");
  view(2, {1, 4, 2, 3});
  commit("state");
  copy_answer(member(4), offered()->second.copy, wire::CopyResult::kComplete);
  ASSERT_TRUE(outdate(NodeId(1)));
  step(PeerFrame{member(1), wire::KeepOutdated{ViewNumber(2), kKey, Version(2), Version(2)}});
  EXPECT_TRUE(answered<wire::CommitAnswer>());
  commit("state");
  copy_answer(member(4), offered()->second.copy, wire::CopyResult::kComplete);
  EXPECT_FALSE(answered<wire::CommitAnswer>());
  EXPECT_TRUE(outdate(NodeId(1)));
}

// Its copy may be overtaken by the removal.
TEST_F(KeepCurrency, ARemovalOfANewNameIsRemembered) {
  step(PeerFrame{member(3), wire::KeepRemove{ViewNumber(1), 4, false, kKey, Version(2)}});
  step(PeerFrame{member(3), wire::CopyOffer{ViewNumber(1), 1, true, kKey, content(2), Version(2), Version(2)}});
  EXPECT_EQ(std::get<wire::CopyAnswer>(all<Send>().at(0).message).result, wire::CopyResult::kRefused);
  EXPECT_TRUE(looked_up().versions.empty());
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
  step(PeerFrame{member(3), wire::KeepOutdate{ViewNumber(1), kKey, Version(2), {}}});
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
  step(PeerFrame{member(3), wire::KeepOutdate{ViewNumber(1), kKey, Version(2), {}}});
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
  step(PeerFrame{member(3), wire::KeepOutdated{ViewNumber(1), kKey, Version(1), {}}});
  EXPECT_FALSE(answered<wire::CommitAnswer>());
  step(PeerFrame{member(3), wire::KeepOutdated{ViewNumber(1), kKey, Version(2), {}}});
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

// A removal that comes once more must not undo it.
TEST_F(KeepCurrency, WhoIsToldOfANewVersionRemembersItOfANewNameToo) {
  step(PeerFrame{member(3), wire::KeepOutdate{ViewNumber(1), kKey, Version(6), {}}});
  step(PeerFrame{member(3), wire::KeepRemove{ViewNumber(1), 4, false, kKey, Version(5)}});
  EXPECT_FALSE(looked_up().current);
  EXPECT_EQ(looked_up().highest, Version(6));
}

TEST_F(KeepCurrency, OnlyTheHomesRemovalIsTheLastWord) {
  step(PeerFrame{member(3), wire::KeepLookup{ViewNumber(1), 4, true, kKey}});
  step(PeerFrame{member(1), wire::KeepRemove{ViewNumber(1), 4, false, kKey, Version(5)}});
  EXPECT_FALSE(looked_up().current);
  step(PeerFrame{member(3), wire::KeepRemove{ViewNumber(1), 4, false, kKey, Version(5)}});
  EXPECT_TRUE(looked_up().current);
}

TEST_F(KeepCurrency, ARemovalIsBegunAnewByWhoIsNoLongerTheHome) {
  commit_ok("state");
  ask(wire::CheckpointDelete{"state"});
  view(3, {1, 2, 3});  // view 2 was missed
  std::size_t claims = 0;
  for (const Send& send : all<Send>()) {
    EXPECT_FALSE(std::holds_alternative<wire::KeepRemove>(send.message));
    if (const auto* lookup = std::get_if<wire::KeepLookup>(&send.message)) claims += lookup->claim ? 1U : 0U;
  }
  EXPECT_EQ(claims, 2U);
}

// A holder that was told of a newer version, which then was lost, has all bytes and must hear that they are the newest.
TEST_F(KeepCurrency, APredecessorThatHasAllIsMadeCurrent) {
  view(2, {1, 2});
  step(ClientRequest{kSession, kOwner, ++request_, {}, wire::CheckpointBegin{"state", {{"data", 100}}}});
  for (const Send& send : all<Send>()) {
    const auto* lookup = std::get_if<wire::KeepLookup>(&send.message);
    if (lookup == nullptr) continue;
    wire::KeepLookupAnswer answer;
    answer.view = ViewNumber(2);
    answer.round = lookup->round;
    answer.key = kKey;
    answer.known = answer.claimants_live = true;
    answer.versions = {{content(7), true, true}};
    step(PeerFrame{member(1), answer});
  }
  later(200);
  ASSERT_TRUE(offered());
  EXPECT_EQ(offered()->second.content.version, Version(7));
  EXPECT_FALSE(offered()->second.eager);
  copy_answer(member(1), offered()->second.copy, wire::CopyResult::kComplete);
  EXPECT_FALSE(offered());
}

// What members held when this server was the home before says nothing of what they hold now.
TEST_F(KeepCurrency, AHomeAnewKnowsOnlyTheHoldersThatSaySo) {
  commit_ok("state");
  view(3, {1, 2, 3});  // view 2 was missed
  answer_claims();
  ask(wire::CheckpointBegin{"state", {{"data", 100}}});
  later(200);
  EXPECT_TRUE(offered());  // to server 1, which answered that it has nothing
}

TEST_F(KeepCurrency, AQuestionIsAskedAnewWhenSomebodyClaimsTheName) {
  step(ClientRequest{kSession, kOwner, ++request_, {}, wire::CheckpointOpen{"state", {}}});
  const auto rounds = [&] {
    std::set<std::uint64_t> out;
    for (const Send& send : all<Send>())
      if (const auto* lookup = std::get_if<wire::KeepLookup>(&send.message)) out.insert(lookup->round);
    return out;
  };
  const auto before = rounds();
  step(PeerFrame{member(3), wire::KeepLookup{ViewNumber(1), 4, true, kKey}});
  ASSERT_EQ(rounds().size(), 1U);
  EXPECT_NE(rounds(), before);
}

// Server 1 is about to become the home of the group, and has not heard yet what exists.
TEST_F(KeepCurrency, AGroupQuestionThatLosesAClaimIsAskedOfTheHome) {
  step(ClientRequest{kSession, kOwner, ++request_, {}, wire::GroupQuery{"g"}});
  std::optional<wire::KeepLookup> claim;
  for (const Send& send : all<Send>())
    if (const auto* message = std::get_if<wire::KeepLookup>(&send.message)) claim = *message;
  ASSERT_TRUE(claim && claim->claim);
  wire::KeepLookupAnswer answer;
  answer.view = ViewNumber(1);
  answer.round = claim->round;
  answer.key = claim->key;
  step(PeerFrame{member(3), answer});
  answer.home = true;
  step(PeerFrame{member(1), answer});
  EXPECT_TRUE(all<Answer>().empty());
  std::size_t asked = 0;
  for (const Send& send : all<Send>())
    if (const auto* lookup = std::get_if<wire::KeepLookup>(&send.message)) asked += lookup->claim ? 0U : 1U;
  EXPECT_EQ(asked, 2U);
}

TEST_F(KeepCurrency, WhatNoCorrectServerSendsIsRefused) {
  wire::CopyOffer offer{ViewNumber(1), 1, true, kKey, content(1), {}, {}};
  offer.content.total = 4096;
  const auto refused_with = [&](std::uint64_t offset, std::uint64_t size) {
    offer.content.sections = {{"data", offset, size, 7}};
    offer.content.sum = wire::version_sum(offer.content.sections);
    ++offer.copy;
    step(PeerFrame{member(3), offer});
    const auto sent = all<Send>();
    const auto* answer = sent.empty() ? nullptr : std::get_if<wire::CopyAnswer>(&sent.at(0).message);
    return answer != nullptr && answer->result == wire::CopyResult::kRefused;
  };
  EXPECT_TRUE(refused_with(8192, 1));
  EXPECT_TRUE(refused_with(UINT64_MAX, 2));
  EXPECT_TRUE(refused_with(1, 4096));
  step(PeerFrame{member(3), wire::KeepOutdate{ViewNumber(1), kKey, Version(UINT64_MAX), {}}});
  EXPECT_TRUE(all<Send>().empty());
  EXPECT_TRUE(core_.catalogue().entries().empty());
  EXPECT_FALSE(refused_with(0, 4096));
}

// It is all in the offer: nobody has bytes to ask for.
TEST_F(KeepCurrency, AVersionWithoutBytesIsNotFetched) {
  copy_arrives(1, 1, Version());
  step(PeerFrame{member(1), wire::CopyFetch{ViewNumber(1), wire::kFetchBit + 1, kKey, Version(1)}});
  EXPECT_TRUE(all<SendCopy>().empty());
  EXPECT_EQ(std::get<wire::CopyAnswer>(all<Send>().at(0).message).result, wire::CopyResult::kRefused);
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

class KeepTelling : public KeepCurrency {
 protected:
  std::vector<std::pair<NodeId, wire::KeepNames>> passed_on() const {
    std::vector<std::pair<NodeId, wire::KeepNames>> out;
    for (const Send& send : all<Send>())
      if (const auto* names = std::get_if<wire::KeepNames>(&send.message)) out.emplace_back(send.to, *names);
    return out;
  }
  void heard(std::uint32_t node, std::uint64_t batch) {
    step(PeerFrame{member(node), wire::KeepNamesHeard{ViewNumber(view_), batch}});
  }
};

TEST_F(KeepTelling, ANameWithoutAHomeIsPassedOnUntilAllHaveHeard) {
  step(PeerFrame{member(3), wire::KeepLookup{ViewNumber(1), 7, true, kKey}});
  later(1000);
  EXPECT_TRUE(passed_on().empty()) << "its home lives";
  view(2, {1, 2, 4});
  const auto first = passed_on();
  ASSERT_EQ(first.size(), 2U);
  EXPECT_EQ(first[0].first, NodeId(1));
  EXPECT_EQ(first[1].first, NodeId(4));
  ASSERT_EQ(first[1].second.names.size(), 1U);
  EXPECT_EQ(first[1].second.names[0].key, kKey);
  EXPECT_FALSE(first[1].second.names[0].claimants_live);
  heard(1, first[0].second.batch);
  heard(4, first[1].second.batch + 100);  // of another time
  EXPECT_FALSE(core_.quiet());
  later(200);
  const auto second = passed_on();
  ASSERT_EQ(second.size(), 1U);
  EXPECT_EQ(second[0].first, NodeId(4));
  heard(4, second[0].second.batch);
  EXPECT_TRUE(core_.quiet());
  // Who comes later is told as well, and nobody twice.
  view(3, {1, 2, 4, 5});
  const auto third = passed_on();
  ASSERT_EQ(third.size(), 1U);
  EXPECT_EQ(third[0].first, NodeId(5));
}

TEST_F(KeepTelling, WhoeverTellsIsNotTold) {
  step(PeerFrame{member(3), wire::KeepLookup{ViewNumber(1), 7, true, kKey}});
  view(2, {1, 2});
  ASSERT_EQ(passed_on().size(), 1U);
  step(PeerFrame{member(1), wire::KeepNames{ViewNumber(2), 9, {{kKey, {}, {}, {}, {}, false}}}});
  EXPECT_EQ(std::get<wire::KeepNamesHeard>(all<Send>().at(0).message).batch, 9U);
  later(200);
  EXPECT_TRUE(passed_on().empty());
  EXPECT_TRUE(core_.quiet());
}

TEST_F(KeepTelling, AClaimTellsAll) {
  step(PeerFrame{member(3), wire::KeepLookup{ViewNumber(1), 7, true, kKey}});
  view(2, {1, 2, 4});
  step(PeerFrame{member(4), wire::KeepLookup{ViewNumber(2), 8, true, kKey}});
  later(200);
  EXPECT_TRUE(passed_on().empty());
  EXPECT_TRUE(core_.quiet());
}

// It joined after the name's home and everybody that knew it from there had gone.
TEST_F(KeepTelling, WhatItOnlyWasToldOfIsLostAndNotUnknown) {
  view(2, {1, 2});
  step(PeerFrame{member(1),
                 wire::KeepNames{ViewNumber(2), 9, {{kKey, Version(1), Version(6), Version(5), Version(5), false}}}});
  open({}, {});
  EXPECT_EQ(refused(), ErrorCode::kLost);
  EXPECT_NE(answered<wire::Refusal>()->message.find("its last known version is 5"), std::string::npos);
}

TEST_F(KeepTelling, WhatWasRemovedSinceIsNotLost) {
  step(PeerFrame{member(3), wire::KeepLookup{ViewNumber(1), 7, true, kKey}});
  step(PeerFrame{member(3), wire::KeepRemove{ViewNumber(1), 8, false, kKey, Version(6)}});
  view(2, {1, 2});
  step(PeerFrame{member(1),
                 wire::KeepNames{ViewNumber(2), 9, {{kKey, Version(1), Version(6), Version(5), Version(5), false}}}});
  open({}, {});
  EXPECT_EQ(refused(), ErrorCode::kNotFound);
}

}  // namespace
}  // namespace rk::keep

// SPDX-License-Identifier: Apache-2.0
// The home of a name is gone: who has what is owed becomes its home, and leaves it to the next writer's server.
#include <gtest/gtest.h>

#include "tests/unit/keep/keep_core.h"
#include "wire/version_sum.h"

namespace rk::keep {
namespace {

const wire::KeepKey kKey{kOwner, wire::KeepKind::kCheckpoint, "state"};

class KeepAdopting : public KeepCore {
 protected:
  // Server 3, whose predecessor this server is, has confirmed a version.
  void copy_arrives() {
    wire::VersionContent content;
    content.version = Version(4);
    content.sections = {{"data", 0, 0, 7}};
    content.sum = wire::version_sum(content.sections);
    step(PeerFrame{member(3), wire::CopyOffer{ViewNumber(1), 1, true, kKey, content, Version(4), Version(4)}});
    ASSERT_EQ(std::get<wire::CopyAnswer>(all<Send>().at(0).message).result, wire::CopyResult::kComplete);
  }
  std::optional<wire::KeepLookup> claim() const {
    for (const Send& send : all<Send>())
      if (const auto* message = std::get_if<wire::KeepLookup>(&send.message); message && message->claim)
        return *message;
    return std::nullopt;
  }
  // Server 1 claims: what does this one say?
  wire::KeepLookupAnswer claimed_by_1(bool keeps = false) {
    step(PeerFrame{member(1), wire::KeepLookup{ViewNumber(view_), 5, true, kKey, keeps}});
    for (const Send& send : all<Send>())
      if (const auto* answer = std::get_if<wire::KeepLookupAnswer>(&send.message)) return *answer;
    ADD_FAILURE() << "no answer";
    return {};
  }
  void adopt() {
    copy_arrives();
    view(2, {1, 2});
    answer_claims();
  }
  const Entry& entry() const { return *core_.catalogue().find(kKey); }
};

TEST_F(KeepAdopting, WhoHasTheCopyBecomesTheHomeAndMakesAnother) {
  copy_arrives();
  view(2, {1, 2});
  ASSERT_TRUE(claim());
  EXPECT_TRUE(claim()->keeps);
  answer_claims();
  EXPECT_TRUE(entry().home);
  later(1);
  ASSERT_TRUE(offered());
  EXPECT_EQ(offered()->first, NodeId(1));
  EXPECT_EQ(offered()->second.content.version, Version(4));
  copy_answer(member(1), offered()->second.copy, wire::CopyResult::kComplete);
  later(200);
  EXPECT_TRUE(core_.quiet());
}

TEST_F(KeepAdopting, NotBeforeTheFenceIsOver) {
  copy_arrives();
  fence_left_ms_ = 300;
  view(2, {1, 2});
  EXPECT_FALSE(claim());
  later(200);
  EXPECT_FALSE(claim());
  fence_left_ms_ = 0;
  later(200);
  EXPECT_TRUE(claim());
}

TEST_F(KeepAdopting, WhoIsNotCurrentOrLacksWhatIsOwedAdoptsNothing) {
  copy_arrives();
  step(PeerFrame{member(3), wire::KeepOutdate{ViewNumber(1), kKey, Version(5), {}}});
  view(2, {1, 2});
  EXPECT_FALSE(claim());
}

TEST_F(KeepAdopting, WhatIsOwedAndNotHereIsNotAdopted) {
  copy_arrives();
  step(PeerFrame{member(3), wire::CopyRetain{ViewNumber(1), kKey, Version(6), Version(6), Version(6), {Version(4)}}});
  view(2, {1, 2});
  EXPECT_FALSE(claim());
}

TEST_F(KeepAdopting, WhatWasRemovedIsNotAdopted) {
  copy_arrives();
  step(PeerFrame{member(3), wire::KeepRemove{ViewNumber(1), 4, false, kKey, Version(4)}});
  view(2, {1, 2});
  EXPECT_FALSE(claim());
}

// Server 1 began with the name while server 3 was its home, and was refused there. Nobody else heard that.
TEST_F(KeepAdopting, AClaimInVainDoesNotHideThatTheHomeIsGone) {
  step(PeerFrame{member(3), wire::KeepLookup{ViewNumber(1), 4, true, kKey, false}});
  copy_arrives();
  claimed_by_1();
  view(2, {1, 2});
  ASSERT_TRUE(claim()) << "server 1 is there, and not the home";
  answer_claims();
  EXPECT_TRUE(entry().home);
}

TEST_F(KeepAdopting, TheNextWriterElsewhereGetsTheName) {
  adopt();
  const auto answer = claimed_by_1();
  EXPECT_FALSE(answer.home);
  EXPECT_TRUE(answer.current);
  EXPECT_EQ(answer.owed, Version(4));
  ASSERT_EQ(answer.versions.size(), 1U);
  EXPECT_TRUE(answer.versions[0].here);
  EXPECT_FALSE(entry().home);
  EXPECT_TRUE(all<SendCopy>().empty());
  // Server 1 may have given up since: that is asked once, and then it is no orphan.
  later(200);
  const auto again = claim();
  ASSERT_TRUE(again);
  wire::KeepLookupAnswer home;
  home.view = ViewNumber(view_);
  home.round = again->round;
  home.key = kKey;
  home.home = home.claiming = true;
  step(PeerFrame{member(1), home});
  EXPECT_FALSE(core_.quiet()) << "it is not the home yet";
  later(200);
  ASSERT_TRUE(claim());
  home.round = claim()->round;
  home.claiming = false;
  step(PeerFrame{member(1), home});
  later(200);
  EXPECT_FALSE(claim());
  EXPECT_TRUE(core_.quiet());
}

// Its offers may still be on their way when another server is the home: whom they make current must be known there.
TEST_F(KeepAdopting, WhoLeavesTheNameSaysWhomItMayHaveMadeCurrent) {
  adopt();
  later(1);
  const auto offer = offered();
  ASSERT_TRUE(offer);
  const auto answer = claimed_by_1();
  EXPECT_EQ(answer.informed, (std::vector{offer->first}));
  EXPECT_EQ(answer.last_copy, offer->second.copy);
}

TEST_F(KeepAdopting, ALateOfferOfWhoLeftTheNameMakesNobodyCurrent) {
  copy_arrives();
  step(PeerFrame{member(1), wire::KeepOutdate{ViewNumber(view_), kKey, Version(9), {{NodeId(3), 50}}}});
  wire::CopyOffer late{ViewNumber(view_), 50, true, kKey, {}, Version(4), Version(4)};
  late.content.version = Version(4);
  step(PeerFrame{member(3), late});
  EXPECT_FALSE(entry().current);
  late.copy = 51;
  step(PeerFrame{member(3), late});
  EXPECT_TRUE(entry().current) << "of a later time";
}

TEST_F(KeepAdopting, WithAWriterHereItStays) {
  adopt();
  ask(wire::CheckpointBegin{"state", {{"data", 100}}});
  EXPECT_TRUE(answered<wire::CheckpointSlot>());
  EXPECT_TRUE(claimed_by_1().home);
  EXPECT_TRUE(entry().home);
}

TEST_F(KeepAdopting, AWriterGoesFirstWhenTwoClaimAtOnce) {
  copy_arrives();
  view(2, {1, 2});
  const auto round = claim()->round;
  // Server 1 would win by its number anyway: one with a higher number that has a writer does too.
  view(3, {1, 2, 4});
  step(PeerFrame{member(4), wire::KeepLookup{ViewNumber(3), 5, true, kKey, false}});
  EXPECT_FALSE(std::get<wire::KeepLookupAnswer>(all<Send>().at(0).message).home);
  wire::KeepLookupAnswer late;
  late.view = ViewNumber(3);
  late.round = round;
  late.key = kKey;
  for (const std::uint32_t node : {1U, 4U}) step(PeerFrame{member(node), late});
  EXPECT_FALSE(entry().home) << "its own claim is over";
}

TEST_F(KeepAdopting, OfTwoWithoutAWriterTheLowerNumberGoesFirst) {
  copy_arrives();
  view(2, {1, 2, 4});
  EXPECT_FALSE(claimed_by_1(true).home);
  view(3, {2, 4});
  step(PeerFrame{member(4), wire::KeepLookup{ViewNumber(3), 5, true, kKey, true}});
  EXPECT_TRUE(std::get<wire::KeepLookupAnswer>(all<Send>().at(0).message).home);
}

TEST_F(KeepAdopting, AWriterThatComesMeanwhileIsServed) {
  copy_arrives();
  view(2, {1, 2});
  ASSERT_TRUE(claim());
  const auto question = *claim();
  step(ClientRequest{kSession, kOwner, ++request_, {}, wire::CheckpointBegin{"state", {{"data", 100}}}});
  wire::KeepLookupAnswer answer;
  answer.view = ViewNumber(2);
  answer.round = question.round;
  answer.key = kKey;
  step(PeerFrame{member(1), answer});
  EXPECT_TRUE(answered<wire::CheckpointSlot>());
  EXPECT_TRUE(claimed_by_1().home) << "it has a writer";
}

// A server that never answers must not hold up the writer for ever.
TEST_F(KeepAdopting, TheWriterThatJoinsAClaimHasItsOwnPatience) {
  copy_arrives();
  view(2, {1, 2});
  step(ClientRequest{kSession, kOwner, ++request_, {}, wire::CheckpointBegin{"state", {{"data", 100}}}});
  later(10'000);
  ASSERT_TRUE(answered<wire::Refusal>());
  EXPECT_EQ(answered<wire::Refusal>()->code, static_cast<std::int32_t>(ErrorCode::kUnavailable));
  later(200);
  EXPECT_TRUE(claim()) << "the name is still to be adopted";
}

}  // namespace
}  // namespace rk::keep

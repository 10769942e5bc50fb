// SPDX-License-Identifier: Apache-2.0
// What the ring tells of names: lists of all members' names, and all that is known of one.
#include <gmock/gmock.h>

#include "tests/unit/keep/keep_core.h"
#include "wire/version_sum.h"

namespace rk::keep {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

wire::ListedName at_home(const std::string& name, std::uint64_t version) {
  return {name, true, false, Version(version), {Version(version)}, {Version(version)}, 10};
}
wire::ListedName copy_of(const std::string& name, std::uint64_t version) {
  return {name, false, false, Version(version), {Version(version)}, {}, 10};
}

class KeepListing : public KeepCore {
 protected:
  // This server is asked; each of the others is to answer with its page.
  void list(const std::string& prefix = {}, const std::string& after = {}) {
    step(ClientRequest{kSession, kOwner, ++request_, {}, wire::CheckpointList{prefix, after}});
    for (const Send& send : all<Send>())
      if (const auto* question = std::get_if<wire::KeepList>(&send.message)) round_ = question->round;
  }
  void page(std::uint32_t node, std::vector<wire::ListedName> names, bool more = false) {
    step(PeerFrame{member(node),
                   wire::KeepListed{ViewNumber(view_), round_, std::move(names), more, {NodeId(node), node * 100, 7}}});
  }
  wire::KeepListed own_page(const std::string& prefix = {}, const std::string& after = {}) {
    step(PeerFrame{member(1), wire::KeepList{ViewNumber(view_), 9, kOwner, prefix, after}});
    return std::get<wire::KeepListed>(all<Send>().at(0).message);
  }
  // Of an answer that is there.
  wire::CheckpointListAnswer listed() const {
    for (const Answer& answer : all<Answer>())
      if (const auto* message = std::get_if<wire::CheckpointListAnswer>(&answer.message)) return *message;
    ADD_FAILURE() << "there is no answer";
    return {};
  }
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& entry : listed().entries) out.push_back(entry.name);
    return out;
  }

  std::uint64_t round_ = 0;
};

TEST_F(KeepListing, JoinsWhatAllMembersSay) {
  commit_ok("mine");
  list();
  page(1, {copy_of("mine", 1)});
  EXPECT_FALSE(answered<wire::CheckpointListAnswer>()) << "server 3 has not answered";
  page(3, {at_home("far", 4)});
  ASSERT_THAT(names(), ElementsAre("far", "mine"));
  const auto answer = listed();
  EXPECT_EQ(answer.entries[0].home, NodeId(3));
  EXPECT_THAT(answer.entries[0].holders, ElementsAre(NodeId(3)));
  EXPECT_EQ(answer.entries[1].home, NodeId(2));
  EXPECT_EQ(answer.entries[1].newest, Version(1));
  EXPECT_EQ(answer.entries[1].bytes, 100U);
  EXPECT_FALSE(answer.entries[1].lost);
  EXPECT_THAT(answer.entries[1].holders, ElementsAre(NodeId(1), NodeId(2)));
  EXPECT_EQ(answer.next, "");
  ASSERT_EQ(answer.servers.size(), 3U);
  EXPECT_EQ(answer.servers[0].bytes, 100U);
  EXPECT_EQ(answer.servers[1].bytes, 4096U);
}

TEST_F(KeepListing, ACopyOfAnOlderVersionIsNoCopyOfTheNewest) {
  commit_ok("mine");
  list();
  page(1, {});
  page(3, {at_home("far", 4)});
  EXPECT_THAT(listed().entries[1].holders, ElementsAre(NodeId(2)));
  list();
  page(1, {copy_of("far", 3)});
  page(3, {at_home("far", 4)});
  EXPECT_THAT(listed().entries[0].holders, ElementsAre(NodeId(3)));
}

TEST_F(KeepListing, WithoutAHomeTheNewestCopyCountsUnlessANewerOneIsOwed) {
  list();
  page(1, {copy_of("orphan", 3)});
  page(3, {copy_of("orphan", 2)});
  auto entry = listed().entries.at(0);
  EXPECT_EQ(entry.home, NodeId());
  EXPECT_EQ(entry.newest, Version(3));
  EXPECT_THAT(entry.kept, ElementsAre(Version(2), Version(3)));
  EXPECT_FALSE(entry.lost);
  list();
  auto owes = copy_of("orphan", 3);
  owes.owed = Version(5);
  page(1, {owes});
  page(3, {});
  EXPECT_TRUE(listed().entries.at(0).lost);
}

TEST_F(KeepListing, ANameThatWasOnlyBegunIsNotShown) {
  ask(wire::CheckpointBegin{"begun", {{"data", 100}}});
  list();
  page(1, {});
  page(3, {});
  EXPECT_THAT(names(), IsEmpty());
}

// A page ends where the shortest of the members' pages ends: what lies behind may be missing from it.
TEST_F(KeepListing, APageEndsWithTheShortestOfTheMembers) {
  list();
  page(1, {at_home("a", 1), at_home("c", 1)}, true);
  page(3, {at_home("b", 1), at_home("d", 1)});
  EXPECT_THAT(names(), ElementsAre("a", "b", "c"));
  EXPECT_EQ(listed().next, "c");
  list({}, "c");
  page(1, {});
  page(3, {at_home("d", 1)});
  EXPECT_THAT(names(), ElementsAre("d"));
  EXPECT_EQ(listed().next, "");
}

TEST_F(KeepListing, OwnPagesAreInOrderAndHaveALimit) {
  for (const char* name : {"b/2", "b/1", "a", "c"}) commit_ok(name);
  const auto page_here = own_page("b/");
  ASSERT_EQ(page_here.names.size(), 2U);
  EXPECT_EQ(page_here.names[0].name, "b/1");
  EXPECT_TRUE(page_here.names[0].home);
  EXPECT_FALSE(page_here.more);
  EXPECT_EQ(own_page("b/", "b/1").names.at(0).name, "b/2");
  EXPECT_EQ(own_page("", "b/2").names.at(0).name, "c");
  EXPECT_THAT(own_page("", "c").names, IsEmpty());
}

// Another user's names and a page's worth of names.
TEST_F(KeepListing, ManyNamesTakeSeveralPages) {
  const std::string long_name(200, 'n');
  for (int i = 0; i < 3000; ++i) {
    wire::VersionContent content;
    content.version = Version(1);
    content.sections = {{"data", 0, 0, 7}};
    content.sum = wire::version_sum(content.sections);
    const std::string name = long_name + std::to_string(10'000 + i);
    step(PeerFrame{member(3), wire::CopyOffer{ViewNumber(view_),
                                              static_cast<std::uint64_t>(i) + 1,
                                              true,
                                              {kOwner, wire::KeepKind::kCheckpoint, name},
                                              content,
                                              {},
                                              {}}});
  }
  std::size_t count = 0;
  std::size_t pages = 0;
  std::string after;
  for (bool more = true; more; ++pages) {
    const auto page_here = own_page("", after);
    ASSERT_FALSE(page_here.names.empty());
    EXPECT_GT(page_here.names.front().name, after);
    count += page_here.names.size();
    after = page_here.names.back().name;
    more = page_here.more;
  }
  EXPECT_EQ(count, 3000U);
  EXPECT_GE(pages, 2U);
  step(PeerFrame{member(1), wire::KeepList{ViewNumber(view_), 9, OwnerId(7), {}, {}}});
  EXPECT_THAT(std::get<wire::KeepListed>(all<Send>().at(0).message).names, IsEmpty());
}

TEST_F(KeepListing, APageThatNoCorrectServerSendsIsNotTaken) {
  list("n", "na");
  page(1, {at_home("nc", 1), at_home("nb", 1)});  // out of order
  page(1, {at_home("n", 1)});                     // before the place where it begins
  page(1, {at_home("x", 1)});                     // not of the prefix
  page(1, {}, true);                              // endless
  page(3, {});
  EXPECT_FALSE(answered<wire::CheckpointListAnswer>());
  page(1, {at_home("nb", 1)});
  EXPECT_TRUE(answered<wire::CheckpointListAnswer>());
}

TEST_F(KeepListing, AServerThatDoesNotAnswerIsAskedAgainAndThenNamed) {
  list();
  page(1, {});
  later(200);
  bool again = false;
  for (const Send& send : all<Send>()) again = again || std::holds_alternative<wire::KeepList>(send.message);
  EXPECT_TRUE(again);
  later(10'000);
  ASSERT_TRUE(answered<wire::Refusal>());
  EXPECT_THAT(answered<wire::Refusal>()->message, HasSubstr("server 3 does not answer"));
}

TEST_F(KeepListing, AChangeOfTheRingAsksAnew) {
  list();
  page(1, {at_home("old", 1)});
  view(2, {2, 3});
  for (const Send& send : all<Send>())
    if (const auto* question = std::get_if<wire::KeepList>(&send.message)) round_ = question->round;
  page(3, {});
  EXPECT_THAT(names(), IsEmpty());
}

TEST_F(KeepListing, TheHomeTellsAllOfAName) {
  commit_ok("mine");
  commit_ok("mine");
  ask(wire::CheckpointInspect{"mine"});
  const auto answer = answered<wire::CheckpointInspected>();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->home, NodeId(2));
  EXPECT_EQ(answer->lost, "");
  EXPECT_EQ(answer->lease_until_ms, UINT64_MAX);
  ASSERT_EQ(answer->versions.size(), 2U);
  EXPECT_EQ(answer->versions[0].version, Version(1));
  EXPECT_EQ(answer->versions[1].sections.at(0).name, "data");
  EXPECT_THAT(answer->versions[1].holders, ElementsAre(NodeId(2), NodeId(1)));
}

TEST_F(KeepListing, AnotherServerAsksTheMembersForAllOfAName) {
  step(ClientRequest{kSession, kOwner, ++request_, {}, wire::CheckpointInspect{"far"}});
  const auto question = std::get<wire::KeepLookup>(all<Send>().at(0).message);
  wire::KeepLookupAnswer nothing;
  nothing.view = ViewNumber(view_);
  nothing.round = question.round;
  nothing.key = question.key;
  wire::KeepLookupAnswer home = nothing;
  home.home = home.known = true;
  home.owed = Version(3);
  wire::VersionContent content;
  content.version = Version(3);
  home.versions = {{content, true, true}};
  step(PeerFrame{member(1), nothing});
  step(PeerFrame{member(3), home});
  const auto answer = answered<wire::CheckpointInspected>();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->home, NodeId(3));
  ASSERT_EQ(answer->versions.size(), 1U);
  EXPECT_THAT(answer->versions[0].holders, ElementsAre(NodeId(3)));
}

TEST_F(KeepListing, WhatNobodyKnowsIsNotFoundAndWithoutALeaseNothingIsSaid) {
  ask(wire::CheckpointInspect{"nothing"});
  ASSERT_TRUE(answered<wire::Refusal>());
  EXPECT_EQ(answered<wire::Refusal>()->code, static_cast<std::int32_t>(ErrorCode::kNotFound));
  commit_ok("mine");
  lease_until_ms_ = 0;
  ask(wire::CheckpointInspect{"mine"});
  EXPECT_FALSE(answered<wire::CheckpointInspected>());
  lease_until_ms_ = UINT64_MAX;
  later(1);
  EXPECT_TRUE(answered<wire::CheckpointInspected>());
}

}  // namespace
}  // namespace rk::keep

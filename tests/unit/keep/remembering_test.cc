// SPDX-License-Identifier: Apache-2.0
// A server is killed and started again in place: what its next life takes back.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/keep/keep_core.h"
#include "wire/version_sum.h"

namespace rk::keep {
namespace {

const wire::KeepKey kKey{kOwner, wire::KeepKind::kCheckpoint, "state"};
const Member kAgain{NodeId(2), Incarnation(2)};

class KeepRemembering : public KeepCore {
 protected:
  KeepRemembering() {
    core_ = Keep({.self = member(2), .remembers = true});
    view(1, {1, 2, 3});
  }
  Memory memory() const {
    Records records;
    for (const auto& [key, value] : records_)
      if (!value.empty()) records.emplace_back(key, value);
    auto read = read_memory(records);
    EXPECT_TRUE(read);
    return *std::move(read);
  }
  // The next life, and the first view that contains it.
  void begin_again(Memory memory, std::uint64_t number, Member succeeded) {
    core_ = Keep({.self = kAgain, .remembers = true}, std::move(memory));
    view_ = number;
    step(ViewInstalled{ViewNumber(number), {member(1), kAgain, member(3)}, true, {}, succeeded});
  }
  wire::CopyOffer offer_of(const Entry& entry, Version version) const {
    return {ViewNumber(view_), 1, false, kKey, entry.versions.at(version).content, version, version};
  }
  std::optional<wire::CopyResult> copy_result() const {
    for (const Send& send : all<Send>())
      if (const auto* answer = std::get_if<wire::CopyAnswer>(&send.message)) return answer->result;
    return std::nullopt;
  }
};

TEST_F(KeepRemembering, WhatAStepChangesIsRememberedBeforeAnythingLeaves) {
  step(ClientRequest{kSession, kOwner, ++request_, {}, Put{"state", {{"data", 10}}}});
  answer_claims();
  ASSERT_TRUE(offered());
  const auto first_send = std::find_if(effects_.begin(), effects_.end(), [](const Effect& effect) {
    const auto* send = std::get_if<Send>(&effect);
    return send != nullptr && std::holds_alternative<wire::CopyOffer>(send->message);
  });
  std::optional<RememberedEntry> last;
  for (auto at = effects_.begin(); at != first_send; ++at)
    if (const auto* one = std::get_if<Remember>(&*at))
      if (auto entry = wire::decode<RememberedEntry>(one->value, "entry"); entry) last = *std::move(entry);
  ASSERT_TRUE(last);
  EXPECT_EQ(last->highest, Version(1));
  ASSERT_EQ(last->versions.size(), 1U);
  EXPECT_TRUE(last->versions.front().slot);
}

TEST_F(KeepRemembering, NothingIsRememberedUnlessItIsWanted) {
  core_ = Keep({.self = member(2)});
  records_.clear();
  view(1, {1, 2, 3});
  commit_ok("state");
  EXPECT_TRUE(records_.empty());
}

TEST_F(KeepRemembering, WhoTookThePlaceOfItsLifeBeforeBecomesTheHomeAgain) {
  commit_ok("state");
  commit_ok("state");
  begin_again(memory(), 2, member(2));
  answer_claims();
  const Entry& entry = *core_.catalogue().find(kKey);
  EXPECT_TRUE(entry.home);
  EXPECT_EQ(entry.owed, Version(2));
  EXPECT_FALSE(entry.lost());
  ask(wire::CheckpointOpen{"state", {}});
  ASSERT_TRUE(answered<wire::CheckpointContent>());
  EXPECT_EQ(answered<wire::CheckpointContent>()->version, Version(2));
}

TEST_F(KeepRemembering, WhatOthersMayHaveReplacedIsNotTheNewest) {
  commit_ok("state");
  begin_again(memory(), 3, {});
  EXPECT_TRUE(all<FreeSlot>().empty()) << "somebody may ask for the bytes";
  ask(wire::CheckpointOpen{"state", {}});
  answer_claims();
  ASSERT_TRUE(answered<wire::Refusal>());
  EXPECT_EQ(answered<wire::Refusal>()->code, static_cast<std::int32_t>(ErrorCode::kLost))
      << "the others have forgotten a name that this server remembers";
  later(60'000);
  EXPECT_EQ(all<FreeSlot>().size(), 1U);
}

TEST_F(KeepRemembering, BytesThatAHomeOffersAgainNeedNotTravel) {
  commit_ok("state");
  const wire::CopyOffer offer = offer_of(*core_.catalogue().find(kKey), Version(1));
  begin_again(memory(), 3, {});
  wire::CopyOffer again = offer;
  again.view = ViewNumber(3);
  wire::CopyOffer other = again;
  other.content.sections.front().sum = 8;
  other.content.sum = wire::version_sum(other.content.sections);
  step(PeerFrame{member(3), other});
  EXPECT_EQ(all<TakeSlot>().size(), 1U) << "it is another version of that number";
  EXPECT_EQ(copy_result(), wire::CopyResult::kWanted);
  again.copy = 2;
  step(PeerFrame{member(3), again});
  EXPECT_TRUE(all<TakeSlot>().empty());
  EXPECT_EQ(copy_result(), wire::CopyResult::kComplete);
  EXPECT_EQ(core_.returned_used(), 1U);
}

TEST_F(KeepRemembering, ALocalVersionCountsAgainIfNobodyHasUsedAHigherNumber) {
  commit("state", {}, wire::CommitLevel::kLocal);
  begin_again(memory(), 3, {});
  known_ = true;
  claimants_live_ = true;
  answer_claims();
  const Entry& entry = *core_.catalogue().find(kKey);
  ASSERT_TRUE(entry.home);
  EXPECT_TRUE(entry.versions.contains(Version(1)));
}

TEST_F(KeepRemembering, ACopyForAnotherHomeIsNotCurrentWhileThatOneIsThere) {
  wire::VersionContent content;
  content.version = Version(4);
  content.sections = {{"data", 0, 0, 7}};
  content.sum = wire::version_sum(content.sections);
  step(PeerFrame{member(3), wire::KeepLookup{ViewNumber(1), 9, true, kKey, false}});
  step(PeerFrame{member(3), wire::CopyOffer{ViewNumber(1), 1, true, kKey, content, Version(4), Version(4)}});
  ASSERT_TRUE(core_.catalogue().find(kKey)->current);
  const Memory before = memory();
  begin_again(before, 2, member(2));
  EXPECT_FALSE(core_.catalogue().find(kKey)->current) << "it confirms newer ones without this server";
  core_ = Keep({.self = kAgain, .remembers = true}, before);
  step(ViewInstalled{ViewNumber(2), {member(1), kAgain}, true, {}, member(2)});
  EXPECT_TRUE(core_.catalogue().find(kKey)->current);
}

TEST_F(KeepRemembering, ADamagedCopyMakesItsHolderForgetThatItIsCurrent) {
  RememberedEntry entry;
  entry.current = true;
  entry.owed = Version(3);
  const auto add = [&](std::uint64_t version) {
    entry.versions.emplace_back();
    entry.versions.back().content.version = Version(version);
  };
  for (const std::uint64_t version : {2, 3, 4}) add(version);
  forget_version(entry, Version(3));
  EXPECT_TRUE(entry.current) << "it is still owed";
  forget_version(entry, Version(4));
  EXPECT_FALSE(entry.current) << "its home may have confirmed it";
  entry.home = entry.current = true;
  add(4);
  forget_version(entry, Version(4));
  EXPECT_TRUE(entry.current);
}

TEST_F(KeepRemembering, RecordsThatAreNotPossibleAreRefused) {
  commit_ok("state");
  const Bytes key = wire::encode(kKey);
  ASSERT_TRUE(records_.contains(key));
  auto entry = *wire::decode<RememberedEntry>(records_.at(key), "entry");
  const auto refused = [&] { return !read_memory({{key, wire::encode(entry)}}); };
  EXPECT_FALSE(refused());
  entry.versions.front().slot = {};
  EXPECT_TRUE(refused());
  entry = *wire::decode<RememberedEntry>(records_.at(key), "entry");
  entry.highest = Version(UINT64_MAX);
  EXPECT_TRUE(refused());
  EXPECT_FALSE(read_memory({{key, Bytes(3)}}));
  entry.key.name = "other";
  entry.highest = Version(1);
  EXPECT_TRUE(refused());
}

}  // namespace
}  // namespace rk::keep

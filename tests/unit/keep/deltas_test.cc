// SPDX-License-Identifier: Apache-2.0
// Copies of which only changed pages travel. This server is 2 in the ring 1 -> 2 -> 3: it offers to 1, and holds the
// copies of 3.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/keep/keep_core.h"
#include "wire/version_sum.h"

namespace rk::keep {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using wire::CopyResult;
using wire::PageRange;

constexpr std::uint64_t kTotal = 20480;  // of what write() commits, in 5 pages
const wire::KeepKey kKey{kOwner, wire::KeepKind::kCheckpoint, "state"};

class KeepDeltas : public KeepCore {
 protected:
  KeepDeltas() {
    Config config;
    config.self = member(2);
    config.delta_from_bytes = 4096;
    core_ = Keep(config);
    view(1, {1, 2, 3});
    changed_ = PageRanges{{1, 2}};
  }
  template <class T>
  std::optional<T> sent_to(std::uint32_t node) const {
    for (const Send& send : all<Send>())
      if (const auto* message = std::get_if<T>(&send.message); message != nullptr && send.to == NodeId(node))
        return *message;
    return std::nullopt;
  }
  bool frees(SlotId slot) const {
    const auto freed = all<FreeSlot>();
    return std::any_of(freed.begin(), freed.end(), [&](const FreeSlot& item) { return item.slot == slot; });
  }

  // --- the home
  void write(std::uint64_t size = 20000, wire::CommitLevel level = wire::CommitLevel::kReplicated) {
    ask(wire::CheckpointBegin{"state", {{"data", size}}});
    const auto slot = answered<wire::CheckpointSlot>();
    ASSERT_TRUE(slot);
    ask(wire::CheckpointCommit{slot->slot, level, 1000});
  }
  void acknowledge(CopyResult result = CopyResult::kComplete) {
    copy_answer(member(1), offered()->second.copy, result);
  }
  // Version 1, complete at server 1: its slot.
  SlotId first(std::uint64_t size = 20000) {
    write(size);
    const SlotId slot = all<SumSlot>().at(0).slot;
    acknowledge();
    EXPECT_EQ(answered<wire::CommitAnswer>()->result, wire::CommitResult::kOk);
    return slot;
  }
  std::uint64_t sum_of(Version version) const { return core_.catalogue().find(kKey)->versions.at(version).content.sum; }

  // --- the predecessor
  static wire::VersionContent content(std::uint64_t version, std::uint64_t sum = 7) {
    wire::VersionContent content;
    content.version = Version(version);
    content.total = kTotal;
    content.sections = {{"data", 0, 20000, sum}};
    content.sum = wire::version_sum(content.sections);
    return content;
  }
  void offer(const wire::VersionContent& content, const wire::CopyDelta& delta) {
    step(PeerFrame{member(3),
                   wire::CopyOffer{ViewNumber(view_), ++copy_, true, kKey, content, Version(3), Version(3), delta}});
  }
  wire::CopyDelta on(const wire::VersionContent& base) const { return {base.version, base.sum, {{1, 2}}}; }
  // Version 4 of server 3 arrives whole: its slot.
  SlotId base_arrives() {
    offer(content(4), {});
    const SlotId slot = all<ReceiveCopy>().at(0).slot;
    step(CopyArrived{slot, true, {7}});
    EXPECT_EQ(sent_to<wire::CopyAnswer>(3)->result, CopyResult::kComplete);
    return slot;
  }
  std::uint64_t copy_ = 0;
};

// --- the home -------------------------------------------------------------------------------------------------------

TEST_F(KeepDeltas, WhatThePredecessorHasDoesNotTravelAgain) {
  const SlotId base = first();
  EXPECT_EQ(core_.deltas().offered, 0U) << "there was nothing before";
  write();
  ASSERT_EQ(all<SumSlot>().size(), 1U);
  EXPECT_EQ(all<SumSlot>()[0].base, base);
  ASSERT_TRUE(offered());
  const wire::CopyOffer offer = offered()->second;
  EXPECT_EQ(offer.delta.base, Version(1));
  EXPECT_EQ(offer.delta.base_sum, sum_of(Version(1)));
  EXPECT_THAT(offer.delta.changed, ElementsAre(PageRange{1, 2}));
  ASSERT_EQ(all<SendCopy>().size(), 1U);
  ASSERT_TRUE(all<SendCopy>()[0].changed);
  EXPECT_THAT(*all<SendCopy>()[0].changed, ElementsAre(PageRange{1, 2}));
  acknowledge();
  EXPECT_EQ(answered<wire::CommitAnswer>()->result, wire::CommitResult::kOk);
  EXPECT_EQ(core_.deltas().offered, 1U);
  EXPECT_EQ(core_.deltas().saved_bytes, kTotal - 8192);
}

TEST_F(KeepDeltas, NothingTravelsOfWhatIsNotChangedAtAll) {
  first();
  changed_ = PageRanges{};
  write();
  EXPECT_EQ(offered()->second.delta.base, Version(1));
  ASSERT_EQ(all<SendCopy>().size(), 1U) << "it is said to be sent";
  EXPECT_THAT(*all<SendCopy>()[0].changed, IsEmpty());
  acknowledge();
  EXPECT_EQ(core_.deltas().saved_bytes, kTotal);
}

TEST_F(KeepDeltas, WhoNeedsTheWholeGetsItAtOnce) {
  first();
  write();
  const std::uint64_t delta = offered()->second.copy;
  acknowledge(CopyResult::kNeedsWhole);
  ASSERT_TRUE(offered());
  EXPECT_GT(offered()->second.copy, delta);
  EXPECT_TRUE(offered()->second.eager);
  EXPECT_FALSE(offered()->second.delta.base);
  ASSERT_EQ(all<SendCopy>().size(), 1U);
  EXPECT_FALSE(all<SendCopy>()[0].changed);
  EXPECT_EQ(all<StopCopy>().at(0).copy, delta);
  EXPECT_FALSE(answered<wire::CommitAnswer>());
  const std::uint64_t whole = offered()->second.copy;
  copy_answer(member(1), delta, CopyResult::kComplete);
  EXPECT_FALSE(answered<wire::CommitAnswer>()) << "of the one that was given up";
  copy_answer(member(1), whole, CopyResult::kComplete);
  EXPECT_EQ(answered<wire::CommitAnswer>()->result, wire::CommitResult::kOk);
  EXPECT_EQ(core_.deltas().refused, 1U);
  EXPECT_EQ(core_.deltas().saved_bytes, 0U);
}

TEST_F(KeepDeltas, TheWholeIsNotOfferedTwiceAtOnce) {
  first();
  write();
  acknowledge(CopyResult::kNeedsWhole);
  acknowledge(CopyResult::kNeedsWhole);
  EXPECT_FALSE(offered());
  EXPECT_EQ(all<CheckSlot>().size(), 1U) << "its own copy is looked at instead";
  EXPECT_EQ(core_.deltas().refused, 1U);
}

TEST_F(KeepDeltas, AnAnswerThatIsLostMakesNoDifference) {
  first();
  write();
  later(200);
  ASSERT_TRUE(offered());
  EXPECT_FALSE(offered()->second.eager);
  EXPECT_EQ(offered()->second.delta.base, Version(1));
  acknowledge(CopyResult::kWanted);
  ASSERT_EQ(all<SendCopy>().size(), 1U);
  EXPECT_TRUE(all<SendCopy>()[0].changed);
}

TEST_F(KeepDeltas, TheBaseIsTheNewestThatThePredecessorIsKnownToHave) {
  first();
  write();
  const std::uint64_t second = offered()->second.copy;
  write();
  EXPECT_EQ(offered()->second.delta.base, Version(1)) << "2 may not have arrived";
  copy_answer(member(1), second, CopyResult::kComplete);
  write();
  EXPECT_EQ(offered()->second.delta.base, Version(2));
}

TEST_F(KeepDeltas, ANewPredecessorHasNoBase) {
  first();
  write();
  view(2, {2, 3});
  std::vector<wire::CopyOffer> offers;
  for (const Send& send : all<Send>())
    if (const auto* offer = std::get_if<wire::CopyOffer>(&send.message)) offers.push_back(*offer);
  ASSERT_FALSE(offers.empty());
  for (const wire::CopyOffer& offer : offers) EXPECT_FALSE(offer.delta.base);
}

TEST_F(KeepDeltas, SmallOrOtherwiseLaidOutOrLocalVersionsAreNotCompared) {
  first();
  write(20001);  // the same memory, other sections
  EXPECT_FALSE(all<SumSlot>().at(0).base);
  EXPECT_FALSE(offered()->second.delta.base);
  acknowledge();
  write(20000, wire::CommitLevel::kLocal);
  EXPECT_FALSE(all<SumSlot>().at(0).base);
  Config config;
  config.self = member(2);
  config.delta_from_bytes = kTotal + 1;
  core_ = Keep(config);
  view_ = 0;
  view(1, {1, 2, 3});
  first();
  write();
  EXPECT_FALSE(all<SumSlot>().at(0).base);
}

TEST_F(KeepDeltas, AVersionThatIsAllChangedTravelsWhole) {
  first();
  changed_ = std::nullopt;
  write();
  EXPECT_TRUE(all<SumSlot>().at(0).base);
  EXPECT_FALSE(offered()->second.delta.base);
  EXPECT_FALSE(all<SendCopy>().at(0).changed);
}

TEST_F(KeepDeltas, ABaseThatIsRemovedMeanwhileStaysUntilItIsCompared) {
  const SlotId base = first();
  sums_wait_ = true;
  write();
  const SlotId slot = all<SumSlot>().at(0).slot;
  ASSERT_EQ(all<SumSlot>().at(0).base, base);
  step(PeerFrame{member(1), wire::KeepRemove{ViewNumber(view_), 1, false, kKey, Version(1)}});
  EXPECT_FALSE(core_.catalogue().find(kKey)->versions.contains(Version(1)));
  EXPECT_FALSE(frees(base));
  step(SlotSummed{slot, {7}, changed_});
  EXPECT_TRUE(frees(base));
  ASSERT_TRUE(offered());
  EXPECT_FALSE(offered()->second.delta.base) << "server 1 has removed it too";
  EXPECT_EQ(core_.deltas().outlived, 1U);
}

// --- the predecessor ------------------------------------------------------------------------------------------------

TEST_F(KeepDeltas, ADeltaIsLaidOverItsBase) {
  const SlotId base = base_arrives();
  offer(content(5), on(content(4)));
  ASSERT_EQ(all<ReceiveCopy>().size(), 1U);
  const ReceiveCopy receive = all<ReceiveCopy>()[0];
  EXPECT_EQ(receive.base, base);
  EXPECT_EQ(receive.bytes, kTotal);
  EXPECT_THAT(receive.changed, ElementsAre(PageRange{1, 2}));
  EXPECT_NE(receive.slot, base);
  step(CopyArrived{receive.slot, true, {7}});
  EXPECT_EQ(sent_to<wire::CopyAnswer>(3)->result, CopyResult::kComplete);
  EXPECT_TRUE(core_.catalogue().find(kKey)->versions.at(Version(5)).here);
}

TEST_F(KeepDeltas, WithoutJustThatBaseTheWholeIsAskedFor) {
  base_arrives();
  wire::CopyDelta other = on(content(4));
  other.base_sum ^= 1U;
  wire::VersionContent elsewhere = content(5);
  elsewhere.sections[0].offset = 64;
  for (const auto& [offered_content, delta] : std::vector<std::pair<wire::VersionContent, wire::CopyDelta>>{
           {content(5), on(content(3))}, {content(5), other}, {elsewhere, on(content(4))}}) {
    offer(offered_content, delta);
    ASSERT_TRUE(sent_to<wire::CopyAnswer>(3));
    EXPECT_EQ(sent_to<wire::CopyAnswer>(3)->result, CopyResult::kNeedsWhole);
    EXPECT_TRUE(all<TakeSlot>().empty());
  }
  EXPECT_EQ(core_.deltas().baseless, 3U);
  offer(content(5), {});
  EXPECT_EQ(all<ReceiveCopy>().size(), 1U);
}

TEST_F(KeepDeltas, AnImpossibleDeltaIsRefused) {
  base_arrives();
  wire::CopyDelta outside = on(content(4));
  outside.changed = {{4, 2}};
  offer(content(5), outside);
  EXPECT_EQ(sent_to<wire::CopyAnswer>(3)->result, CopyResult::kRefused);
  offer(content(5), {{}, 0, {{0, 1}}});
  EXPECT_EQ(sent_to<wire::CopyAnswer>(3)->result, CopyResult::kRefused) << "pages without a base";
  EXPECT_TRUE(all<TakeSlot>().empty());
}

TEST_F(KeepDeltas, ABaseThatIsLetGoOfMeanwhileStaysUntilTheCopyIsComplete) {
  const SlotId base = base_arrives();
  offer(content(5), on(content(4)));
  const SlotId slot = all<ReceiveCopy>().at(0).slot;
  step(PeerFrame{member(3),
                 wire::CopyRetain{ViewNumber(view_), kKey, Version(5), Version(4), Version(4), {Version(5)}}});
  EXPECT_FALSE(core_.catalogue().find(kKey)->versions.contains(Version(4)));
  EXPECT_FALSE(frees(base));
  step(CopyArrived{slot, true, {7}});
  EXPECT_EQ(sent_to<wire::CopyAnswer>(3)->result, CopyResult::kComplete);
  EXPECT_TRUE(frees(base));
}

TEST_F(KeepDeltas, ABaseGoesWithTheCopyThatIsGivenUp) {
  const SlotId base = base_arrives();
  offer(content(5), on(content(4)));
  const SlotId slot = all<ReceiveCopy>().at(0).slot;
  step(PeerFrame{member(3), wire::CopyRetain{ViewNumber(view_), kKey, Version(4), Version(4), Version(4), {}}});
  EXPECT_FALSE(frees(base));
  step(PeerDown{NodeId(3)});
  EXPECT_TRUE(frees(slot));
  EXPECT_TRUE(frees(base));
  EXPECT_TRUE(core_.quiet());
}

TEST_F(KeepDeltas, ABaseThatIsFoundDamagedMeanwhileIsNotUsed) {
  const SlotId base = base_arrives();
  offer(content(5), on(content(4)));
  const SlotId slot = all<ReceiveCopy>().at(0).slot;
  step(PeerFrame{member(3), wire::KeepSuspect{ViewNumber(view_), kKey, Version(4)}});
  step(SlotChecked{base, {8}});
  ASSERT_TRUE(sent_to<wire::CopyAnswer>(3));
  EXPECT_EQ(sent_to<wire::CopyAnswer>(3)->result, CopyResult::kNeedsWhole);
  EXPECT_TRUE(frees(slot));
  EXPECT_TRUE(frees(base));
  EXPECT_TRUE(std::find_if(effects_.begin(), effects_.end(), [&](const Effect& effect) {
                const auto* free = std::get_if<FreeSlot>(&effect);
                return free != nullptr && free->slot == base && free->damaged;
              }) != effects_.end());
  offer(content(6), on(content(4)));
  EXPECT_EQ(sent_to<wire::CopyAnswer>(3)->result, CopyResult::kNeedsWhole);
}

TEST_F(KeepDeltas, WhatIsPutTogetherWronglyIsNotTakenAndItsBaseIsSummed) {
  const SlotId base = base_arrives();
  offer(content(5), on(content(4)));
  const SlotId slot = all<ReceiveCopy>().at(0).slot;
  step(CopyArrived{slot, true, {9}});
  EXPECT_EQ(sent_to<wire::CopyAnswer>(3)->result, CopyResult::kNeedsWhole);
  EXPECT_FALSE(core_.catalogue().find(kKey)->versions.contains(Version(5)));
  EXPECT_TRUE(frees(slot));
  EXPECT_FALSE(frees(base));
  ASSERT_EQ(all<CheckSlot>().size(), 1U);
  EXPECT_EQ(all<CheckSlot>()[0].slot, base);
  ASSERT_TRUE(sent_to<wire::KeepSuspect>(3)) << "the home's may be the damaged one";
  EXPECT_EQ(sent_to<wire::KeepSuspect>(3)->version, Version(4));
  offer(content(5), {});
  step(CopyArrived{all<ReceiveCopy>().at(0).slot, true, {9}});
  EXPECT_EQ(sent_to<wire::CopyAnswer>(3)->result, CopyResult::kDamaged) << "the whole is not either";
}

}  // namespace
}  // namespace rk::keep

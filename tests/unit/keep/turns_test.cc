// SPDX-License-Identifier: Apache-2.0
// Many commits of one name at once: they get their numbers in order, few of them at a time.
#include <gmock/gmock.h>

#include "tests/unit/keep/keep_core.h"

namespace rk::keep {
namespace {

class Turns : public KeepCore {
 protected:
  static constexpr std::size_t kAtOnce = 8;  // of Config

  // Asks for it and takes no part in its answer.
  std::uint64_t put(const std::string& name, std::uint32_t timeout_ms = 1000) {
    ask(Put{name, {{"data", 100}}, wire::CommitLevel::kReplicated, timeout_ms});
    note();
    return request_;
  }
  void note() {
    for (const Send& send : all<Send>())
      if (const auto* offer = std::get_if<wire::CopyOffer>(&send.message)) offers_.push_back(*offer);
    for (const Answer& answer : all<Answer>())
      if (const auto* commit = std::get_if<wire::CommitAnswer>(&answer.message)) answers_[answer.request] = *commit;
  }
  void acknowledge(std::size_t offer) {
    copy_answer(member(1), offers_.at(offer).copy, wire::CopyResult::kComplete);
    note();
  }
  std::vector<wire::CopyOffer> offers_;
  std::map<std::uint64_t, wire::CommitAnswer> answers_;
};

TEST_F(Turns, SixtyFourOfOneNameAreAllCommittedInTheirOrder) {
  std::vector<std::uint64_t> requests;
  requests.reserve(64);
  for (int i = 0; i < 64; ++i) requests.push_back(put("state"));
  EXPECT_EQ(offers_.size(), kAtOnce);
  for (std::size_t i = 0; i < 64; ++i) {
    ASSERT_GT(offers_.size(), i);
    acknowledge(i);
    EXPECT_LE(offers_.size(), i + 1 + kAtOnce);
  }
  for (std::size_t i = 0; i < 64; ++i) {
    const wire::CommitAnswer& answer = answers_.at(requests[i]);
    EXPECT_EQ(answer.result, wire::CommitResult::kOk) << answer.reason;
    EXPECT_EQ(answer.version, Version(i + 1));
  }
  later(0);
  EXPECT_EQ(core_.catalogue().entries().begin()->second.versions.size(), 2U);
}

TEST_F(Turns, OtherNamesDoNotWait) {
  for (int i = 0; i < 20; ++i) put("state");
  put("other");
  EXPECT_EQ(offers_.back().key.name, "other");
}

TEST_F(Turns, WhatIsNotOfferedInTimeFailedAndUsesNoNumber) {
  std::vector<std::uint64_t> requests;
  requests.reserve(kAtOnce + 3);
  for (std::size_t i = 0; i < kAtOnce + 3; ++i) requests.push_back(put("state"));
  const std::uint64_t patient = put("state", 5000);
  later(1001);
  note();
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const auto expected = i < kAtOnce ? wire::CommitResult::kUnknown : wire::CommitResult::kFailed;
    EXPECT_EQ(answers_.at(requests[i]).result, expected) << i;
  }
  EXPECT_FALSE(answers_.contains(patient));
  // Offered again by then.
  EXPECT_EQ(offers_.size(), 2 * kAtOnce);
  for (std::size_t i = 0; i < kAtOnce; ++i) acknowledge(kAtOnce + i);
  acknowledge(2 * kAtOnce);
  EXPECT_EQ(answers_.at(patient).result, wire::CommitResult::kOk);
  EXPECT_EQ(answers_.at(patient).version, Version(kAtOnce + 1));
  for (std::size_t i = 0; i < kAtOnce; ++i) EXPECT_EQ(answers_.at(requests[i]).result, wire::CommitResult::kUnknown);
}

// The sums of a large version take their time, and a small one that was asked for later is not numbered before it.
TEST_F(Turns, NumbersFollowTheOrderOfTheRequests) {
  ask(wire::CheckpointBegin{"state", {{"data", 100}}});
  const auto slot = answered<wire::CheckpointSlot>();
  ASSERT_TRUE(slot);
  effects_.clear();
  core_.step(
      {now_ms_, lease_until_ms_, 0,
       ClientRequest{
           kSession, kOwner, ++request_, {}, wire::CheckpointCommit{slot->slot, wire::CommitLevel::kReplicated, 1000}}},
      effects_);
  const std::uint64_t large = request_;
  ASSERT_EQ(all<SumSlot>().size(), 1U);
  const std::uint64_t small = put("state");
  EXPECT_TRUE(offers_.empty());
  step(SlotSummed{SlotId(slot->slot), {7}});
  note();
  ASSERT_EQ(offers_.size(), 2U);
  acknowledge(0);
  acknowledge(1);
  EXPECT_EQ(answers_.at(large).version, Version(1));
  EXPECT_EQ(answers_.at(small).version, Version(2));
}

TEST_F(Turns, WhenTheHomeIsLostTheRestFails) {
  std::vector<std::uint64_t> requests;
  requests.reserve(kAtOnce + 3);
  for (std::size_t i = 0; i < kAtOnce + 3; ++i) requests.push_back(put("state"));
  view(3, {1, 2, 3});  // it missed view 2
  note();
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const auto expected = i < kAtOnce ? wire::CommitResult::kUnknown : wire::CommitResult::kFailed;
    EXPECT_EQ(answers_.at(requests[i]).result, expected) << i;
  }
}

TEST_F(Turns, ARefusalMakesRoomForTheNext) {
  std::vector<std::uint64_t> requests;
  requests.reserve(kAtOnce + 1);
  for (std::size_t i = 0; i < kAtOnce + 1; ++i) requests.push_back(put("state"));
  copy_answer(member(1), offers_[0].copy, wire::CopyResult::kRefused);
  note();
  EXPECT_EQ(answers_.at(requests[0]).result, wire::CommitResult::kFailed);
  EXPECT_EQ(offers_.size(), kAtOnce + 1);
  EXPECT_EQ(offers_.back().content.version, Version(kAtOnce + 1));
}

}  // namespace
}  // namespace rk::keep

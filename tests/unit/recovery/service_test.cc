// SPDX-License-Identifier: Apache-2.0
#include "recovery/service.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

namespace rk::recovery::service {
namespace {

class ServiceAgentTest : public ::testing::Test {
 protected:
  void feed(What what) {
    effects_.clear();
    agent_.step(now_ms_, what, effects_);
  }
  template <class Kind>
  const Kind* effect() const {
    for (const Effect& one : effects_)
      if (const Kind* found = std::get_if<Kind>(&one)) return found;
    return nullptr;
  }
  template <class Kind>
  bool has() const {
    return effect<Kind>() != nullptr;
  }
  void fire() {
    ASSERT_TRUE(timer_);
    now_ms_ += timer_->delay_ms;
    feed(Due{timer_->timer});
  }
  // Takes the timer that the newest event set.
  void keep_timer() {
    const auto* set = effect<SetTimer>();
    ASSERT_NE(set, nullptr);
    timer_ = *set;
  }
  void run(std::uint64_t epoch = 5) {
    feed(Begin{});
    feed(Reached{NodeId(1), Incarnation(10)});
    feed(Found{false, false, {}, false});
    feed(Claimed{Version(epoch)});
    ASSERT_EQ(agent_.state(), State::kRunning);
  }
  static Record by(std::uint32_t node, std::uint64_t incarnation = 10) {
    return {"s", true, NodeId(node), Incarnation(incarnation), 99};
  }
  static Config config() {
    Config config;
    config.name = "s";
    config.max_restarts = 3;
    return config;
  }

  TimeMs now_ms_ = 1000;
  Agent agent_{config()};
  Effects effects_;
  std::optional<SetTimer> timer_;
};

TEST_F(ServiceAgentTest, WhatNobodyHasIsClaimedAndStartedWithItsEpoch) {
  feed(Begin{});
  EXPECT_TRUE(has<Connect>());
  feed(Reached{NodeId(1), Incarnation(10)});
  EXPECT_TRUE(has<Look>());
  feed(Found{false, false, {}, false});
  EXPECT_TRUE(has<Claim>());
  feed(Claimed{Version(7)});
  ASSERT_TRUE(has<Start>());
  EXPECT_EQ(effect<Start>()->epoch, Version(7));
}

TEST_F(ServiceAgentTest, WhatAnotherServerHasIsLookedAtOnlyWhenTheRingChanges) {
  feed(Begin{});
  feed(Reached{NodeId(1), Incarnation(10)});
  feed(Found{true, true, by(2), true});
  EXPECT_EQ(agent_.state(), State::kWaiting);
  EXPECT_FALSE(has<SetTimer>()) << "an event is awaited";
  feed(RingChanged{});
  EXPECT_TRUE(has<Look>());
  feed(RingChanged{});
  EXPECT_TRUE(effects_.empty()) << "one look at a time";
  feed(Found{true, true, by(2), true});
  EXPECT_TRUE(has<Look>()) << "the ring changed while it was looked at";
  feed(Found{true, true, by(2), false});
  EXPECT_TRUE(has<Claim>());
}

TEST_F(ServiceAgentTest, WhatThisLifeOfItsServerHasCommittedIsItsOwn) {
  feed(Begin{});
  feed(Reached{NodeId(1), Incarnation(10)});
  feed(Found{true, false, by(1), true});
  EXPECT_TRUE(has<Claim>()) << "an agent before this one, at the same server";
}

TEST_F(ServiceAgentTest, AnEarlierLifeOfItsServerIsAnotherServer) {
  feed(Begin{});
  feed(Reached{NodeId(1), Incarnation(11)});
  feed(Found{true, false, by(1, 10), false});
  EXPECT_FALSE(has<Claim>()) << "who holds a copy goes first";
  EXPECT_TRUE(has<SetTimer>());
}

TEST_F(ServiceAgentTest, ARecordOfNobodyIsClaimedAfterAMoment) {
  feed(Begin{});
  feed(Reached{NodeId(1), Incarnation(10)});
  feed(Found{true, false, {}, false});
  keep_timer();
  fire();
  feed(Found{true, false, {}, false});
  EXPECT_TRUE(has<Claim>());
}

TEST(ServiceRecord, IsReadAsItWasWritten) {
  const Record record{"s", false, NodeId(7), Incarnation(1795413973426), 4321};
  const std::string text = to_text(record);
  EXPECT_EQ(text,
            "{\"service\": \"s\", \"state\": \"ended\", \"server\": 7, \"incarnation\": 1795413973426, "
            "\"agent_pid\": 4321}\n");
  const auto read = parse_record(text);
  ASSERT_TRUE(read);
  EXPECT_FALSE(read->active);
  EXPECT_EQ(read->server, record.server);
  EXPECT_EQ(read->incarnation, record.incarnation);
  EXPECT_EQ(read->agent_pid, record.agent_pid);
  for (const char* other : {"", "hello", "{\"state\": \"active\", \"server\": 1}",
                            "{\"state\": \"active\", \"server\": x, \"incarnation\": 1, \"agent_pid\": 1}",
                            "{\"server\": 1, \"incarnation\": 1, \"agent_pid\": 1}"})
    EXPECT_FALSE(parse_record(other)) << other;
}

TEST_F(ServiceAgentTest, WhoHasNoCopyStepsAsideOnce) {
  feed(Begin{});
  feed(Reached{NodeId(1), Incarnation(10)});
  feed(Found{true, false, by(2), false});
  EXPECT_FALSE(has<Claim>());
  keep_timer();
  EXPECT_EQ(timer_->delay_ms, config().step_aside_ms);
  now_ms_ += 500;
  feed(RingChanged{});
  feed(Found{true, false, by(2), false});
  keep_timer();
  EXPECT_EQ(timer_->delay_ms, config().step_aside_ms - 500) << "changes do not put it off";
  fire();
  EXPECT_TRUE(has<Look>());
  feed(Found{true, false, by(2), false});
  EXPECT_TRUE(has<Claim>());
}

TEST_F(ServiceAgentTest, ARefusedClaimLooksAgain) {
  feed(Begin{});
  feed(Reached{NodeId(1), Incarnation(10)});
  feed(Found{false, false, {}, false});
  feed(ClaimFailed{"it is written at server 2"});
  EXPECT_FALSE(has<Start>());
  keep_timer();
  fire();
  EXPECT_TRUE(has<Look>());
}

TEST_F(ServiceAgentTest, EachStartHasAnEpochOfItsOwnAndTheLimitEnds) {
  run();
  TimeMs before = 0;
  for (std::uint64_t death = 1; death <= 3; ++death) {
    feed(ProgramEnded{137});
    EXPECT_FALSE(has<Start>());
    keep_timer();
    EXPECT_GT(timer_->delay_ms, before) << "it waits longer each time";
    before = timer_->delay_ms;
    fire();
    EXPECT_TRUE(has<Claim>());
    feed(Claimed{Version(5 + death)});
    ASSERT_TRUE(has<Start>());
    EXPECT_EQ(effect<Start>()->epoch, Version(5 + death));
  }
  feed(ProgramEnded{3});
  ASSERT_TRUE(has<End>());
  EXPECT_EQ(effect<End>()->status, 3);
  EXPECT_TRUE(has<Release>());
}

TEST_F(ServiceAgentTest, WorkInBetweenMakesDeathsCountAnew) {
  run();
  for (int death = 0; death < 10; ++death) {
    now_ms_ += config().settled_ms;
    feed(ProgramEnded{1});
    keep_timer();
    EXPECT_EQ(timer_->delay_ms, config().first_backoff_ms);
    fire();
    feed(Claimed{Version(6)});
    ASSERT_TRUE(has<Start>());
  }
}

TEST_F(ServiceAgentTest, WithoutItsServerTheProgramEndsAndTheAgentWaits) {
  run();
  feed(ServerLost{"gone"});
  EXPECT_TRUE(has<Terminate>());
  keep_timer();
  fire();
  EXPECT_TRUE(has<Kill>());
  feed(ProgramEnded{137});
  EXPECT_TRUE(has<Connect>());
  EXPECT_FALSE(has<Start>() || has<End>());
  feed(Unreached{"nobody there"});
  keep_timer();
  fire();
  EXPECT_TRUE(has<Connect>());
  feed(Reached{NodeId(1), Incarnation(10)});
  feed(Found{true, false, by(3), true});
  EXPECT_EQ(agent_.state(), State::kWaiting);
}

TEST_F(ServiceAgentTest, ASignalEndsTheProgramInOrderAndReleasesTheRecord) {
  run();
  feed(Stop{});
  EXPECT_TRUE(has<Terminate>());
  EXPECT_FALSE(has<Kill>());
  feed(Stop{});
  EXPECT_TRUE(has<Kill>()) << "who asks twice does not want to wait";
  feed(ProgramEnded{143});
  EXPECT_TRUE(has<Release>());
  ASSERT_TRUE(has<End>());
  EXPECT_EQ(effect<End>()->status, 0);
}

TEST_F(ServiceAgentTest, ASignalWhileWaitingEndsAtOnce) {
  feed(Begin{});
  feed(Stop{});
  ASSERT_TRUE(has<End>());
  EXPECT_FALSE(has<Release>());
}

TEST_F(ServiceAgentTest, AProgramThatIsDoneEndsTheService) {
  run();
  feed(ProgramEnded{0});
  ASSERT_TRUE(has<End>());
  EXPECT_EQ(effect<End>()->status, 0);
}

TEST_F(ServiceAgentTest, TimersThatWereReplacedDoNothing) {
  feed(Begin{});
  feed(Unreached{"nobody there"});
  keep_timer();
  const SetTimer first = *timer_;
  fire();
  feed(Reached{NodeId(1), Incarnation(10)});
  feed(Due{first.timer});
  EXPECT_TRUE(effects_.empty());
}

}  // namespace
}  // namespace rk::recovery::service

// SPDX-License-Identifier: Apache-2.0
#include "recovery/job.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace rk::recovery {
namespace {

// Two communities of two ranks each; `take` gives the effects of the newest event without the notes.
class JobTest : public ::testing::Test {
 protected:
  void feed(TimeMs at, auto what) {
    effects_.clear();
    job_.step(Event{at, std::move(what)}, effects_);
  }
  template <class Kind>
  std::vector<Kind> of() const {
    std::vector<Kind> found;
    for (const Effect& effect : effects_)
      if (const Kind* one = std::get_if<Kind>(&effect)) found.push_back(*one);
    return found;
  }
  void start_all() {
    feed(0, Start{});
    for (std::uint32_t rank = 0; rank < 4; ++rank) {
      feed(10, ProcessConnected{Rank(rank), Incarnation(1), 100 + rank});
      feed(20, LayerReady{Rank(rank), Incarnation(1)});
    }
  }
  // One whole failure of community 0, from mpirun's word to the next start.
  void crash(TimeMs at, std::uint64_t incarnation, std::int32_t status = 137) {
    feed(at, MpirunExited{CommunityId(0), Incarnation(incarnation), status});
    feed(at + 1, AllDead{CommunityId(0), Incarnation(incarnation)});
    if (job_.community(CommunityId(0)).state == CommunityState::kFencing)
      feed(at + 2, Fenced{CommunityId(0), Incarnation(incarnation + 1)});
  }
  static JobConfig config() {
    JobConfig config;
    config.community_of = {CommunityId(0), CommunityId(0), CommunityId(1), CommunityId(1)};
    return config;
  }
  Job job_{config()};
  Effects effects_;
};

TEST_F(JobTest, StartsEachCommunityOnceAndEndsWhenAllHaveFinished) {
  feed(0, Start{});
  ASSERT_EQ(of<StartCommunity>().size(), 2U);
  EXPECT_EQ(of<StartCommunity>()[1].community, CommunityId(1));
  EXPECT_EQ(of<StartCommunity>()[1].incarnation, Incarnation(1));
  feed(5, MpirunExited{CommunityId(0), Incarnation(1), 0});
  ASSERT_EQ(of<KillCommunity>().size(), 1U) << "what the program left running is cleaned up";
  feed(6, AllDead{CommunityId(0), Incarnation(1)});
  EXPECT_TRUE(of<EndJob>().empty()) << "the other community still needs its logs";
  feed(7, MpirunExited{CommunityId(1), Incarnation(1), 0});
  feed(8, AllDead{CommunityId(1), Incarnation(1)});
  ASSERT_EQ(of<EndJob>().size(), 1U);
  EXPECT_EQ(of<EndJob>()[0].exit_code, 0);
  EXPECT_TRUE(job_.ended());
}

TEST_F(JobTest, ACrashRestartsOnlyItsCommunityAndOnlyAfterDeathAndFence) {
  start_all();
  feed(30, MpirunExited{CommunityId(0), Incarnation(1), 137});
  ASSERT_EQ(of<KillCommunity>().size(), 1U);
  EXPECT_EQ(of<KillCommunity>()[0].community, CommunityId(0));
  EXPECT_TRUE(of<FenceCommunity>().empty());
  EXPECT_FALSE(job_.expects(CommunityId(0), Incarnation(1)));
  EXPECT_TRUE(job_.expects(CommunityId(1), Incarnation(1)));
  feed(31, AllDead{CommunityId(0), Incarnation(1)});
  ASSERT_EQ(of<FenceCommunity>().size(), 1U);
  EXPECT_EQ(of<FenceCommunity>()[0].incarnation, Incarnation(2));
  EXPECT_TRUE(of<StartCommunity>().empty());
  feed(32, Fenced{CommunityId(0), Incarnation(2)});
  ASSERT_EQ(of<StartCommunity>().size(), 1U);
  EXPECT_EQ(of<StartCommunity>()[0].incarnation, Incarnation(2));
}

TEST_F(JobTest, SaysWhoIsReadyAndWhoReplays) {
  feed(0, Start{});
  EXPECT_FALSE(job_.community(CommunityId(0)).ready);
  start_all();
  EXPECT_TRUE(job_.community(CommunityId(0)).ready);
  EXPECT_FALSE(job_.community(CommunityId(0)).replaying) << "a first life has nothing to replay";
  crash(30, 1);
  EXPECT_FALSE(job_.community(CommunityId(0)).ready);
  EXPECT_TRUE(job_.community(CommunityId(0)).replaying);
  EXPECT_FALSE(job_.community(CommunityId(1)).replaying);
  for (const std::uint32_t rank : {0U, 1U})
    feed(50, PhaseReached{Rank(rank), Incarnation(2), PhaseReached::Kind::kReplayed, {}});
  EXPECT_FALSE(job_.community(CommunityId(0)).replaying);
}

TEST_F(JobTest, EventsOfAnOlderIncarnationAreIgnored) {
  start_all();
  crash(30, 1);
  feed(40, ProcessGone{Rank(0), Incarnation(1)});
  feed(40, MpirunExited{CommunityId(0), Incarnation(1), 137});
  feed(40, AllDead{CommunityId(0), Incarnation(1)});
  EXPECT_TRUE(effects_.empty());
  EXPECT_EQ(job_.community(CommunityId(0)).state, CommunityState::kRunning);
}

TEST_F(JobTest, ALostProcessWaitsForTheVerdictOfMpirunAndIsACrashWithoutOne) {
  start_all();
  feed(100, ProcessGone{Rank(1), Incarnation(1)});
  ASSERT_EQ(of<Note>().size(), 1U);
  EXPECT_EQ(of<Note>()[0].kind, Note::Kind::kLost);
  EXPECT_EQ(of<Note>()[0].rank, Rank(1));
  feed(100 + config().verdict_wait_ms - 1, Tick{});
  EXPECT_TRUE(of<KillCommunity>().empty());
  feed(100 + config().verdict_wait_ms, Tick{});
  EXPECT_EQ(of<KillCommunity>().size(), 1U);
}

TEST_F(JobTest, WhoWasLostFirstIsNotGuessed) {
  start_all();
  feed(100, ProcessGone{Rank(1), Incarnation(1), false});
  ASSERT_EQ(of<Note>().size(), 1U);
  EXPECT_EQ(of<Note>()[0].kind, Note::Kind::kLost);
  EXPECT_FALSE(of<Note>()[0].rank);
}

TEST_F(JobTest, AProcessThatFinalizedMayGoWhenItLikes) {
  start_all();
  feed(50, LayerFinished{Rank(0), Incarnation(1)});
  feed(60, ProcessGone{Rank(0), Incarnation(1)});
  EXPECT_TRUE(effects_.empty());
  feed(60 + config().verdict_wait_ms, Tick{});
  EXPECT_TRUE(effects_.empty());
}

TEST_F(JobTest, ADeathAfterTheLastBarrierStillRollsBack) {
  start_all();
  for (std::uint32_t rank = 0; rank < 4; ++rank) feed(50, LayerFinished{Rank(rank), Incarnation(1)});
  feed(60, MpirunExited{CommunityId(1), Incarnation(1), 0});
  feed(61, AllDead{CommunityId(1), Incarnation(1)});
  crash(70, 1);
  EXPECT_EQ(of<StartCommunity>().size(), 1U);
}

TEST_F(JobTest, TheProgramsOwnExitStatusEndsTheJobWithIt) {
  start_all();
  feed(30, MpirunExited{CommunityId(1), Incarnation(1), 3});
  EXPECT_EQ(of<KillCommunity>().size(), 2U);
  feed(31, AllDead{CommunityId(1), Incarnation(1)});
  EXPECT_TRUE(of<EndJob>().empty()) << "nothing may live when the job ends";
  feed(32, AllDead{CommunityId(0), Incarnation(1)});
  ASSERT_EQ(of<EndJob>().size(), 1U);
  EXPECT_EQ(of<EndJob>()[0].exit_code, 3);
  EXPECT_EQ(of<EndJob>()[0].text, "");
}

TEST_F(JobTest, TheFirstReasonToEndStands) {
  start_all();
  feed(30, AbortRequested{7, "first"});
  feed(31, AbortRequested{8, "second"});
  feed(32, AllDead{CommunityId(0), Incarnation(1)});
  feed(33, AllDead{CommunityId(1), Incarnation(1)});
  ASSERT_EQ(of<EndJob>().size(), 1U);
  EXPECT_EQ(of<EndJob>()[0].exit_code, 7);
  EXPECT_EQ(of<EndJob>()[0].text, "first");
}

TEST_F(JobTest, RestartsWithoutProgressAreCapped) {
  start_all();
  for (std::uint64_t life = 1; life <= config().max_idle_restarts; ++life) crash(100 * life, life, 139);
  EXPECT_EQ(job_.community(CommunityId(0)).restarts, config().max_idle_restarts);
  EXPECT_FALSE(job_.ending());
  crash(2000, config().max_idle_restarts + 1, 139);
  EXPECT_TRUE(job_.ending());
  feed(2010, AllDead{CommunityId(1), Incarnation(1)});
  ASSERT_EQ(of<EndJob>().size(), 1U);
  EXPECT_EQ(of<EndJob>()[0].exit_code, 139) << "the program's last death is what the user must see";
  EXPECT_NE(of<EndJob>()[0].text.find("community 0"), std::string::npos);
}

// A process that sent nothing and asked nothing has nothing to repeat, and does not say that it has done so.
TEST_F(JobTest, TheEndOfAReplayIsThatOfTheProcessesThatHaveOne) {
  start_all();
  const auto replayed = [this] {  // by the newest event
    const std::vector<Note> notes = of<Note>();
    return std::count_if(notes.begin(), notes.end(), [](const Note& n) { return n.kind == Note::Kind::kReplayed; });
  };
  const auto ready = [this](std::uint32_t rank, std::uint64_t life, bool replaying) {
    feed(100 * life, ProcessConnected{Rank(rank), Incarnation(life), 1});
    feed(100 * life, LayerReady{Rank(rank), Incarnation(life), replaying});
  };
  const auto caught_up = [this](std::uint32_t rank, std::uint64_t life) {
    feed(100 * life + 1, PhaseReached{Rank(rank), Incarnation(life), PhaseReached::Kind::kReplayed, {}});
  };
  crash(100, 1);
  ready(0, 2, true);
  ready(1, 2, false);
  EXPECT_EQ(replayed(), 0);
  caught_up(0, 2);
  EXPECT_EQ(replayed(), 1);
  caught_up(1, 2);
  EXPECT_EQ(replayed(), 0) << "said once";

  crash(250, 2);
  ready(0, 3, true);
  caught_up(0, 3);
  EXPECT_EQ(replayed(), 0) << "the other process is still on its way";
  ready(1, 3, false);
  EXPECT_EQ(replayed(), 1);

  crash(350, 3);
  ready(0, 4, false);
  ready(1, 4, false);
  EXPECT_EQ(replayed(), 0) << "nobody can tell how far the earlier life came";
}

// Rank 1 dies first, as it does when it is at fault.
class RepeatedFault : public JobTest {
 protected:
  void die(std::uint64_t incarnation, const DeathPlace& place, std::int32_t status = 139, Rank rank = Rank(1)) {
    const TimeMs at = 100 * incarnation;
    for (const std::uint32_t one : {0U, 1U}) {
      feed(at, ProcessConnected{Rank(one), Incarnation(incarnation), 1});
      feed(at, LayerReady{Rank(one), Incarnation(incarnation)});
    }
    feed(at + 1, ProcessGone{rank, Incarnation(incarnation)});
    feed(at + 2, MpirunExited{CommunityId(0), Incarnation(incarnation), status});
    feed(at + 3, AllDead{CommunityId(0), Incarnation(incarnation), place});
    if (job_.community(CommunityId(0)).state == CommunityState::kFencing)
      feed(at + 4, Fenced{CommunityId(0), Incarnation(incarnation + 1)});
  }
};

TEST_F(RepeatedFault, TheSameFaultAtTheSamePlaceEndsTheJob) {
  start_all();
  die(1, {7, 5, 5, 3});
  EXPECT_FALSE(job_.ending());
  die(2, {7, 5, 5, 3});
  ASSERT_TRUE(job_.ending());
  feed(1000, AllDead{CommunityId(1), Incarnation(1)});
  ASSERT_EQ(of<EndJob>().size(), 1U);
  EXPECT_EQ(of<EndJob>()[0].exit_code, 139);
  EXPECT_NE(of<EndJob>()[0].text.find("rank 1 died of signal 11 twice at the same place"), std::string::npos)
      << of<EndJob>()[0].text;
}

TEST_F(RepeatedFault, AnotherPlaceRankSignalOrVersionIsAnotherDeath) {
  start_all();
  die(1, {7, 5, 5, 3});
  die(2, {8, 5, 5, 3});
  die(3, {8, 5, 5, 3}, 134);
  die(4, {8, 5, 5, 3}, 134, Rank(0));
  feed(450, PhaseReached{Rank(0), Incarnation(5), PhaseReached::Kind::kRestored, Version(3)});
  die(5, {8, 5, 5, 3}, 134, Rank(0));
  EXPECT_FALSE(job_.ending());
}

TEST_F(RepeatedFault, AKillFromOutsideIsNoFault) {
  start_all();
  for (std::uint64_t life = 1; life <= config().max_idle_restarts; ++life) die(life, {}, 137);
  EXPECT_FALSE(job_.ending());
}

TEST_F(RepeatedFault, WithoutAPlaceNothingIsKnown) {
  start_all();
  crash(100, 1, 139);
  crash(200, 2, 139);
  EXPECT_FALSE(job_.ending());
}

TEST_F(JobTest, ACheckpointIsProgressAndAllowsMoreRestarts) {
  start_all();
  const std::uint64_t lives = config().max_idle_restarts * 3;
  for (std::uint64_t life = 1; life <= lives; ++life) {
    feed(100 * life, PhaseReached{Rank(0), Incarnation(life), PhaseReached::Kind::kCheckpointed, Version(life)});
    crash(100 * life + 50, life);
  }
  EXPECT_FALSE(job_.ending());
  EXPECT_EQ(job_.community(CommunityId(0)).restarts, lives);
}

TEST_F(JobTest, LivingOnAfterTheReplayIsProgress) {
  start_all();
  TimeMs at = 100;
  for (std::uint64_t life = 1; life <= config().max_idle_restarts * 2ULL; ++life) {
    for (const std::uint32_t rank : {0U, 1U})
      feed(at, PhaseReached{Rank(rank), Incarnation(life), PhaseReached::Kind::kReplayed, {}});
    at += config().progress_ms;
    crash(at, life);
  }
  EXPECT_FALSE(job_.ending());
}

TEST_F(JobTest, EvenWithProgressThereIsALimit) {
  start_all();
  const std::uint64_t limit = config().max_restarts;
  for (std::uint64_t life = 1; life <= limit + 1; ++life) {
    feed(100 * life, PhaseReached{Rank(0), Incarnation(life), PhaseReached::Kind::kCheckpointed, Version(life)});
    crash(100 * life + 50, life);
  }
  EXPECT_TRUE(job_.ending());
}

TEST_F(JobTest, KilledAgainDuringItsRecoveryAndBothAtOnce) {
  start_all();
  feed(30, MpirunExited{CommunityId(0), Incarnation(1), 137});
  feed(30, MpirunExited{CommunityId(1), Incarnation(1), 139});
  feed(31, AllDead{CommunityId(1), Incarnation(1)});
  feed(31, AllDead{CommunityId(0), Incarnation(1)});
  feed(32, Fenced{CommunityId(0), Incarnation(2)});
  feed(33, Fenced{CommunityId(1), Incarnation(2)});
  feed(34, ProcessConnected{Rank(0), Incarnation(2), 200});
  feed(35, MpirunExited{CommunityId(0), Incarnation(2), 137});
  EXPECT_EQ(of<KillCommunity>().size(), 1U);
  feed(36, AllDead{CommunityId(0), Incarnation(2)});
  feed(37, Fenced{CommunityId(0), Incarnation(3)});
  ASSERT_EQ(of<StartCommunity>().size(), 1U);
  EXPECT_EQ(of<StartCommunity>()[0].incarnation, Incarnation(3));
  EXPECT_EQ(job_.community(CommunityId(1)).incarnation, Incarnation(2));
}

TEST_F(JobTest, ATerminatingSignalIsPassedOnAndTheGraceHasAnEnd) {
  start_all();
  feed(100, SignalReceived{SignalReceived::Kind::kTerminate, 15});
  ASSERT_EQ(of<SignalProcesses>().size(), 1U);
  EXPECT_EQ(of<SignalProcesses>()[0].number, 15);
  EXPECT_TRUE(of<KillCommunity>().empty());
  feed(100 + config().signal_grace_ms, Tick{});
  EXPECT_EQ(of<KillCommunity>().size(), 2U);
  feed(5000, AllDead{CommunityId(0), Incarnation(1)});
  feed(5000, AllDead{CommunityId(1), Incarnation(1)});
  ASSERT_EQ(of<EndJob>().size(), 1U);
  EXPECT_EQ(of<EndJob>()[0].exit_code, 143);
}

TEST_F(JobTest, ASecondSignalKillsAtOnceAndNobodyIsRestartedAfterTheFirst) {
  start_all();
  feed(100, SignalReceived{SignalReceived::Kind::kTerminate, 2});
  feed(110, MpirunExited{CommunityId(0), Incarnation(1), 130});
  feed(111, AllDead{CommunityId(0), Incarnation(1)});
  EXPECT_TRUE(of<FenceCommunity>().empty());
  EXPECT_EQ(of<KillCommunity>().size(), 1U) << "the other community ends too";
  feed(112, AllDead{CommunityId(1), Incarnation(1)});
  ASSERT_EQ(of<EndJob>().size(), 1U);
  EXPECT_EQ(of<EndJob>()[0].exit_code, 130);
}

TEST_F(JobTest, AProgramThatHandlesTheSignalEndsWithItsOwnStatus) {
  start_all();
  feed(100, SignalReceived{SignalReceived::Kind::kTerminate, 15});
  for (const std::uint32_t community : {0U, 1U}) {
    feed(110, MpirunExited{CommunityId(community), Incarnation(1), 0});
    feed(111, AllDead{CommunityId(community), Incarnation(1)});
  }
  ASSERT_EQ(of<EndJob>().size(), 1U);
  EXPECT_EQ(of<EndJob>()[0].exit_code, 0);
}

TEST_F(JobTest, ASignalBeforeAnyProcessLivesEndsTheJob) {
  feed(0, Start{});
  feed(1, SignalReceived{SignalReceived::Kind::kTerminate, 2});
  EXPECT_EQ(of<KillCommunity>().size(), 2U);
  EXPECT_TRUE(job_.ending());
}

TEST_F(JobTest, OtherSignalsArePassedOnAndEndNothing) {
  start_all();
  feed(100, SignalReceived{SignalReceived::Kind::kOther, 10});
  EXPECT_EQ(of<SignalProcesses>().size(), 1U);
  EXPECT_FALSE(job_.ending());
}

TEST_F(JobTest, AFailedFenceEndsTheJob) {
  start_all();
  feed(30, MpirunExited{CommunityId(0), Incarnation(1), 137});
  feed(31, AllDead{CommunityId(0), Incarnation(1)});
  feed(32, AbortRequested{69, "server 1 is gone"});
  EXPECT_EQ(job_.community(CommunityId(0)).state, CommunityState::kOver);
  feed(33, Fenced{CommunityId(0), Incarnation(2)});
  EXPECT_TRUE(of<StartCommunity>().empty());
  feed(34, AllDead{CommunityId(1), Incarnation(1)});
  ASSERT_EQ(of<EndJob>().size(), 1U);
  EXPECT_EQ(of<EndJob>()[0].exit_code, 69);
}

}  // namespace
}  // namespace rk::recovery

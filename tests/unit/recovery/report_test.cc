// SPDX-License-Identifier: Apache-2.0
#include "recovery/report.h"

#include <gtest/gtest.h>

namespace rk::recovery {
namespace {

Note note(TimeMs at, Note::Kind kind, std::uint32_t community, std::uint64_t incarnation) {
  return Note{at, kind, CommunityId(community), Incarnation(incarnation), std::nullopt, {}, ""};
}

LifeRecord life(std::uint64_t incarnation, std::uint32_t pid, TimeMs ready) {
  LifeRecord one;
  one.incarnation = Incarnation(incarnation);
  one.pid = pid;
  one.ready_at = ready;
  return one;
}

// Rank 0 is lost at 1 s and replayed at 3 s; rank 1, the other community, works on.
RunRecord failed_run() {
  RunRecord record;
  record.program = "melt";
  record.server = "an embedded ring of 4 servers";
  record.communities = 2;
  record.elapsed = 6000;
  record.processes = {{CommunityId(0), {life(1, 11, 100), life(2, 21, 1500)}}, {CommunityId(1), {life(1, 12, 150)}}};
  wire::LayerStats stats;
  stats.messages_sent = 10;
  stats.messages_resent = 4;
  stats.resent_verified = 3;
  stats.resent_differing = 1;
  stats.messages_replayed = 7;
  record.processes[0].lives[1].stats = stats;
  using Kind = Note::Kind;
  record.notes = {
      note(0, Kind::kStarted, 0, 1),     note(0, Kind::kStarted, 1, 1),     note(100, Kind::kReady, 0, 1),
      note(150, Kind::kReady, 1, 1),     note(1000, Kind::kLost, 0, 1),     note(1000, Kind::kKilled, 0, 1),
      note(1020, Kind::kDead, 0, 1),     note(1025, Kind::kStarted, 0, 2),  note(1500, Kind::kReady, 0, 2),
      note(3000, Kind::kReplayed, 0, 2), note(5900, Kind::kFinished, 0, 2), note(5950, Kind::kFinished, 1, 1)};
  record.notes[4].rank = Rank(0);
  return record;
}

TEST(Report, ARecoveryHasItsPhases) {
  const std::vector<RecoveryPhases> phases = recoveries(failed_run());
  ASSERT_EQ(phases.size(), 1U);
  EXPECT_EQ(phases[0].community, CommunityId(0));
  EXPECT_EQ(phases[0].rank, Rank(0));
  EXPECT_EQ(phases[0].lost_at, 1000U);
  EXPECT_EQ(phases[0].dead_at, 1020U);
  EXPECT_EQ(phases[0].started_at, 1025U);
  EXPECT_EQ(phases[0].ready_at, 1500U);
  EXPECT_EQ(phases[0].replayed_at, 3000U);
  EXPECT_FALSE(phases[0].restored_at);
}

TEST(Report, CountsOfTheLogStandInPlaceOfWhatLivesReported) {
  RunRecord record = failed_run();
  record.processes[0].lives[1].stats->total_cpu_us = 500;
  wire::LayerStats logged;
  logged.messages_sent = 25;
  logged.messages_resent = 9;
  record.processes[0].logged = logged;
  EXPECT_EQ(total_stats(record).messages_sent, 25U);
  EXPECT_EQ(total_stats(record).messages_resent, 9U);
  EXPECT_EQ(total_stats(record).total_cpu_us, 500U);
}

TEST(Report, MomentsOfTheWholeJob) {
  const RunRecord record = failed_run();
  EXPECT_EQ(all_ready_at(record), 150U);
  EXPECT_EQ(all_finished_at(record), 5950U);
  EXPECT_EQ(restarts_of(record, CommunityId(0)), 1U);
  EXPECT_EQ(restarts_of(record, CommunityId(1)), 0U);
  RunRecord unfinished = record;
  unfinished.notes.pop_back();
  EXPECT_FALSE(all_finished_at(unfinished));
}

TEST(Report, SaysWhoRolledBackWhoWorkedOnAndWhatWasDropped) {
  const std::string text = report_text(failed_run());
  EXPECT_NE(text.find("community 0 (ranks 0) rolled back 1 time"), std::string::npos) << text;
  EXPECT_NE(text.find("community 1 (ranks 1) kept working, with the same processes"), std::string::npos) << text;
  EXPECT_NE(text.find("0: 11 -> 21"), std::string::npos) << text;
  EXPECT_NE(text.find("dead after 0.020 s, restarted 0.005 s, out of MPI_Init 0.475 s, replayed 1.500 s"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("4 messages sent again: 3 verified identical, 1 with another payload"), std::string::npos)
      << text;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    EXPECT_LE(end - at, kReportWidth) << text.substr(at, end - at);
    at = end + 1;
  }
}

TEST(Report, TheBarShowsWorkLossReplayAndWorkAgain) {
  const std::string text = report_text(failed_run());
  const std::size_t at = text.find("community 0 |");
  ASSERT_NE(at, std::string::npos);
  const std::string bar = text.substr(at + 13, 60);
  // 60 columns of 100 ms each.
  EXPECT_EQ(bar[0], '.');
  EXPECT_EQ(bar[5], '=');
  EXPECT_EQ(bar[10], 'X');
  EXPECT_EQ(bar[12], '.');
  EXPECT_EQ(bar[20], 'r');
  EXPECT_EQ(bar[40], '=');
}

TEST(Report, AKillThatCameTooLateIsNamed) {
  RunRecord record = failed_run();
  record.kills = {{"0@1s", 1000}, {"1@60s", std::nullopt}};
  const std::string text = report_text(record);
  EXPECT_NE(text.find("--kill 0@1s was carried out at 1.000 s"), std::string::npos) << text;
  EXPECT_NE(text.find("--kill 1@60s was not carried out"), std::string::npos) << text;
}

}  // namespace
}  // namespace rk::recovery

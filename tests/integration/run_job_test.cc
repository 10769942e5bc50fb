// SPDX-License-Identifier: Apache-2.0
// `ringkeep run` with a real MPI program: what the user sees, the exit status, and that nothing is left.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <cstdlib>

#include "tests/integration/run_fixture.h"

namespace rk::testing {
namespace {

class RunJob : public RunFixture {};

std::string steps(int count, int ranks) {
  std::string text;
  for (int i = 0; i < count; ++i)
    text += "step " + std::to_string(i) + " sum " + std::to_string(ranks * (ranks - 1) / 2 + ranks * i) + " pid 0\n";
  return text + "the end, without a newline";
}

TEST_F(RunJob, ShowsTheProgramsOutputAndLeavesNothing) {
  const Ended ended = run(job(4, 2, {program(), "steps", "5"}));
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_EQ(ended.out, steps(5, 4));
  EXPECT_EQ(ended.err, "");
  expect_nothing_left();
}

TEST_F(RunJob, OneCommunityIsAnOrdinaryMpiJob) {
  const Ended ended = run(job(3, 1, {program(), "steps", "5"}));
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_EQ(ended.out, steps(5, 3));
}

TEST_F(RunJob, AKilledProcessRollsItsCommunityBackAndNothingIsShownTwice) {
  const Ended ended =
      run(job(4, 2, {program(), "steps", "150"}, {"--kill", "1@1.0s", "--report", folder() + "/report"}));
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_EQ(ended.out, steps(150, 4));
  EXPECT_NE(ended.err.find("community 0 (ranks 0-1) rolled back 1 time"), std::string::npos) << ended.err;
  EXPECT_NE(ended.err.find("community 1 (ranks 2-3) kept working"), std::string::npos) << ended.err;
  const std::string report = text_of(folder() + "/report");
  EXPECT_NE(report.find("\"restarts\": 1"), std::string::npos) << report;
  expect_nothing_left();
}

TEST_F(RunJob, AKillByMessagesIsCarriedOutOnce) {
  const Ended ended = run(job(4, 2, {program(), "steps", "50"}, {"--kill", "2@msg:20"}));
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_EQ(ended.out, steps(50, 4));
  EXPECT_NE(ended.err.find("community 1 (ranks 2-3) rolled back 1 time"), std::string::npos) << ended.err;
  EXPECT_NE(ended.err.find("--kill 2@msg:20 was carried out"), std::string::npos) << ended.err;
}

std::uint64_t total_of(const std::string& report, const std::string& name) {
  const std::string field = "\"" + name + "\": ";
  const std::size_t at = report.find(field, report.find("\"totals\""));
  return at == std::string::npos ? UINT64_MAX : std::stoull(report.substr(at + field.size()));
}

// The killed lives cannot say what they had logged; the report has it all the same.
TEST_F(RunJob, LoggedTotalsAreThoseOfARunWithoutAFailure) {
  const std::vector<std::string> to_file = {"--report", folder() + "/report"};
  ASSERT_EQ(run(job(4, 2, {program(), "steps", "50"}, to_file)).status, 0);
  const std::string whole = text_of(folder() + "/report");
  ASSERT_EQ(run(job(4, 2, {program(), "steps", "50"},
                    {"--kill", "0@msg:20", "--kill", "0@msg:30", "--kill", "2@msg:25", to_file[0], to_file[1]}))
                .status,
            0);
  const std::string killed = text_of(folder() + "/report");
  for (const char* name : {"messages_sent", "bytes_logged", "determinants"}) {
    EXPECT_GT(total_of(whole, name), 0U) << name;
    EXPECT_EQ(total_of(killed, name), total_of(whole, name)) << name;
  }
  EXPECT_EQ(total_of(killed, "messages_received") - total_of(killed, "messages_replayed"),
            total_of(whole, "messages_received"));
  EXPECT_GE(total_of(killed, "messages_resent"), 20U + 30U);
  EXPECT_EQ(total_of(killed, "resent_verified"), total_of(killed, "messages_resent"));
}

// Both lives of rank 0 die of what they send: the second one of a message that the first had sent already.
TEST_F(RunJob, KilledAgainDuringItsRecoveryAndTwoCommunitiesAtOnce) {
  const Ended ended =
      run(job(4, 2, {program(), "steps", "150"},
              {"--kill", "0@msg:40", "--kill", "0@msg:20", "--kill", "2@msg:40", "--report", folder() + "/report"}));
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_EQ(ended.out, steps(150, 4));
  EXPECT_NE(ended.err.find("community 0 (ranks 0-1) rolled back 2 times"), std::string::npos) << ended.err;
  EXPECT_NE(ended.err.find("community 1 (ranks 2-3) rolled back 1 time"), std::string::npos) << ended.err;
  // Only the first recovery of community 0 never came to its end.
  const std::string report = text_of(folder() + "/report");
  const std::string never = "\"replayed_s\": null";
  const std::size_t found = report.find(never);
  ASSERT_NE(found, std::string::npos) << report;
  EXPECT_LT(found, report.find("\"community\": 1")) << report;
  EXPECT_EQ(found, report.find("\"replayed_s\"")) << report;
  EXPECT_EQ(report.find(never, found + 1), std::string::npos) << report;
}

TEST_F(RunJob, DifferingLinesAreSwallowedAndCountedAndAnErrorOnlyIfAskedFor) {
  const Ended lenient = run(job(4, 2, {program(), "varying", "100"}, {"--kill", "0@msg:40"}));
  EXPECT_EQ(lenient.status, 0) << lenient.err;
  EXPECT_EQ(std::count(lenient.out.begin(), lenient.out.end(), '\n'), 100);
  EXPECT_NE(lenient.err.find("printed again and swallowed, "), std::string::npos) << lenient.err;
  EXPECT_EQ(lenient.err.find("printed again and swallowed, 0 of them"), std::string::npos) << lenient.err;
  const Ended strict = run(job(4, 2, {program(), "varying", "100"}, {"--kill", "0@msg:40", "--strict-output"}));
  EXPECT_EQ(std::count(strict.out.begin(), strict.out.end(), '\n'), 100);
  EXPECT_EQ(strict.status, 65) << strict.err;
  EXPECT_NE(strict.err.find("lines were printed again differently"), std::string::npos) << strict.err;
}

TEST_F(RunJob, TheExitStatusIsThePrograms) {
  EXPECT_EQ(run(job(2, 2, {program(), "exit", "7"})).status, 7);
  EXPECT_EQ(run(job(4, 2, {program(), "abort", "9"})).status, 9);
  EXPECT_EQ(run(job(2, 1, {"false"})).status, 1);
  EXPECT_EQ(run(job(2, 2, {"true"})).status, 0);
  expect_nothing_left();
}

TEST_F(RunJob, AFaultThatRepeatsEndsTheJobBeforeTheLimit) {
  // Under the address sanitizer too: its handler would make an exit code of the signal.
  const char* sanitizer = std::getenv("ASAN_OPTIONS");
  set_environment("ASAN_OPTIONS", (sanitizer != nullptr ? std::string(sanitizer) + ":" : "") + "handle_segv=0");
  const Ended ended = run(job(4, 2, {program(), "crash", "20"}));
  EXPECT_EQ(ended.status, 128 + SIGSEGV) << ended.err;
  EXPECT_NE(ended.err.find("rank 1 died of signal 11 twice at the same place"), std::string::npos) << ended.err;
  // Once, or more often where a look found both ranks gone, so that nobody knows which one was first; never to the cap.
  EXPECT_THAT(ended.err, ::testing::ContainsRegex("ranks 0-1\\) rolled back [1-4] time")) << ended.err;
  expect_nothing_left();
}

// Nobody can tell who sent a SIGKILL.
TEST_F(RunJob, KillsWithoutProgressAreRetriedUpToTheLimit) {
  const Ended ended = run(job(2, 1, {program(), "killed"}, {"--max-restarts", "2"}));
  EXPECT_EQ(ended.status, 128 + SIGKILL) << ended.err;
  EXPECT_NE(ended.err.find("2 restarts without progress"), std::string::npos) << ended.err;
  expect_nothing_left();
}

TEST_F(RunJob, AFatalErrorInsideTheNativeLibraryIsNotRetried) {
  const Ended ended = run(job(4, 2, {program(), "truncate"}, {"--summary"}));
  EXPECT_EQ(ended.status, 15) << "MPI_ERR_TRUNCATE";
  EXPECT_EQ(ended.err.find("rolled back"), std::string::npos) << ended.err;
  expect_nothing_left();
}

TEST_F(RunJob, StandardInputGoesToRankZero) {
  std::string input;
  std::string expected;
  for (int i = 0; i < 20000; ++i) {
    input += "line " + std::to_string(i) + "\n";
    expected += "LINE " + std::to_string(i) + "\n";
  }
  const Ended ended = run(job(2, 2, {program(), "cat"}), input);
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_EQ(ended.out, expected + "the end, without a newline");
}

TEST_F(RunJob, ARestartAfterMoreInputThanIsRememberedIsALimit) {
  const Ended ended = run(job(2, 2, {program(), "cat-crash"}), std::string((std::size_t{16} << 20U) + 1, 'x'));
  EXPECT_EQ(ended.status, 75) << ended.err;
  EXPECT_NE(ended.err.find("standard input"), std::string::npos) << ended.err;
  expect_nothing_left();
}

TEST_F(RunJob, OtherSignalsReachTheProgram) {
  start(job(2, 2, {program(), "usr1"}));
  await_output("waiting");
  ::kill(launcher(), SIGUSR1);
  const Ended ended = finish();
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_NE(ended.out.find("told " + std::to_string(SIGUSR1)), std::string::npos);
}

TEST_F(RunJob, RanksAreBoundByOnePlanAndSeeTheirEnvironment) {
  const Ended ended = run(job(2, 2, {program(), "where"}));
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_NE(ended.out.find("rank 1 of 2 on "), std::string::npos) << ended.out;
  EXPECT_EQ(ended.out.find("preload no"), std::string::npos);
}

}  // namespace
}  // namespace rk::testing

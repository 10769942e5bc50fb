// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cli/exit_codes.h"
#include "cli/json.h"
#include "cli/override.h"
#include "cli/status_table.h"
#include "cli/terminal.h"
#include "cli/verify.h"

namespace rk::cli {
namespace {

wire::StatusAnswer ring_of_three() {
  wire::StatusAnswer status;
  status.cluster = ClusterId(0xabc);
  status.node = NodeId(1);
  status.view = ViewNumber(7);
  status.state = "serving";
  for (std::uint32_t node = 1; node <= 3; ++node)
    status.members.push_back(
        {NodeId(node), Incarnation(9), "127.0.0.1:700" + std::to_string(node), node != 3, "0123456789abcdef"});
  status.budget_bytes = std::uint64_t{1} << 30U;
  status.jobs.push_back({JobId(0xff), OwnerId(1000), 8, 6, std::uint64_t{3} << 20U});
  status.links = {true, 2, 3, 4, 5};
  return status;
}

TEST(Shown, NothingThatATerminalActsOn) {
  EXPECT_EQ(shown("name/1 \xc3\xa4 \xe2\x82\xac \xf0\x9f\x94\x91"), "name/1 \xc3\xa4 \xe2\x82\xac \xf0\x9f\x94\x91");
  EXPECT_EQ(shown("\x1b[31m"), "\\x1b[31m");
  EXPECT_EQ(shown("\xc2\x9b"
                  "31m"),
            "\\xc2\\x9b31m")
      << "the same sequence in one character";
  EXPECT_EQ(shown("\x9b\xff"), "\\x9b\\xff");
  EXPECT_EQ(shown("\xe2\x80\xae"
                  "txt"),
            "\\xe2\\x80\\xaetxt")
      << "turns the direction of what follows";
  EXPECT_EQ(shown("\xc0\xaf \xed\xa0\x80 \xe2\x82"), "\\xc0\\xaf \\xed\\xa0\\x80 \\xe2\\x82") << "no UTF-8";
  EXPECT_EQ(shown("a\nb\x7f"), "a\\x0ab\\x7f");
}

TEST(StatusTable, ShowsLeaderPredecessorLinksAndJobs) {
  const std::string text = status_table(ring_of_three(), false);
  EXPECT_NE(text.find("ring of 3, view 7: serving"), std::string::npos) << text;
  EXPECT_NE(text.find("1       127.0.0.1:7001         leader   server 3        this server"), std::string::npos)
      << text;
  EXPECT_NE(text.find("2       127.0.0.1:7002         member   server 1        connected\n"), std::string::npos)
      << text;
  EXPECT_NE(text.find("3       127.0.0.1:7003         member   server 2        no link"), std::string::npos) << text;
  EXPECT_NE(text.find("00000000000000ff  1000    6/8        3 MiB"), std::string::npos) << text;
  EXPECT_EQ(text.find('\x1b'), std::string::npos) << "colours only on a terminal";
  EXPECT_NE(status_table(ring_of_three(), true).find('\x1b'), std::string::npos);
}

TEST(StatusTable, SaysWhyItDoesNotServe) {
  wire::StatusAnswer status;
  status.state = "wedged";
  status.reason = "server 2 is silent";
  EXPECT_NE(status_table(status, false).find("wedged (server 2 is silent)"), std::string::npos);
}

TEST(StatusTable, SaysWhereLinksAreNotEncrypted) {
  auto status = ring_of_three();
  status.links.encrypted = false;
  EXPECT_NE(status_table(status, false).find("connected, not encrypted\n"), std::string::npos);
}

// 2001-09-09T01:46:40Z
constexpr wire::OverrideMark kMark{2, NodeId(3), ViewNumber(16777230), 1'000'000'000'000};

TEST(StatusTable, SaysThatThereWasAnOverride) {
  auto status = ring_of_three();
  EXPECT_EQ(status_table(status, false).find("override"), std::string::npos);
  status.overridden = kMark;
  const std::string text = status_table(status, false);
  EXPECT_NE(text.find("generation 2 since an override at server 3 at 2001-09-09T01:46:40.000000Z, from view 16777230: "
                      "what was committed elsewhere may be stale or lost\n"),
            std::string::npos)
      << text;
  const auto json = nlohmann::json::parse(to_json(status));
  EXPECT_EQ(json["generation"], 2);
  EXPECT_EQ(json["override"]["server"], 3);
  EXPECT_EQ(json["override"]["from_view"], 16777230);
  EXPECT_EQ(json["override"]["time"], "2001-09-09T01:46:40.000000Z");
}

TEST(Override, SaysWhatWouldBeLost) {
  wire::OverrideAnswer answer;
  answer.view = ViewNumber(7);
  for (const std::uint32_t node : {4U, 5U}) answer.members.push_back(NodeId(node));
  for (const std::uint32_t node : {1U, 2U, 3U}) answer.missing.push_back(NodeId(node));
  // 2 keeps the copies of 1, 5 those of 3: of the three that are gone only 1's are nowhere else.
  for (const std::uint32_t node : {4U, 2U, 1U, 5U, 3U}) answer.ring.push_back(NodeId(node));
  const std::string text = override_text(answer);
  for (const char* words :
       {"servers 4, 5 would go on without a quorum of view 7, in generation 1", "given up: servers 1, 2, 3",
        "what clients of server 1 saved would be lost: its second copies are at server 2"})
    EXPECT_NE(text.find(words), std::string::npos) << text;
  for (const char* words : {"clients of server 2", "clients of server 3", "clients of server 4"})
    EXPECT_EQ(text.find(words), std::string::npos) << text;
  const auto json = nlohmann::json::parse(to_json(answer));
  EXPECT_EQ(json["done"], false);
  EXPECT_TRUE(json["refusal"].is_null());
  EXPECT_EQ(json["lost_with_both"].dump(), "[[1,2]]");
  answer.done = true;
  answer.overridden = kMark;
  EXPECT_NE(override_text(answer).find("servers 4, 5 go on in view 7, generation 2"), std::string::npos);
}

TEST(StatusTable, TellsOfDamageWhenThereWasSome) {
  wire::StatusAnswer status = ring_of_three();
  status.integrity.checked = 90;
  EXPECT_EQ(status_table(status, false).find("damaged"), std::string::npos);
  status.integrity = {90, 7000, 6, 3, 1};
  EXPECT_NE(status_table(status, false)
                .find("damaged copies here: 6 found in 90 checks, 3 repaired, 1 not repaired, 2 let go of\n"),
            std::string::npos)
      << status_table(status, false);
  const auto json = nlohmann::json::parse(to_json(status));
  EXPECT_EQ(json["integrity"].dump(), R"({"checked":90,"checked_bytes":7000,"damaged":6,"repaired":3,"unrepaired":1})");
}

TEST(Json, TellsWhatWasSentAndWhatWasSaved) {
  wire::StatusAnswer status = ring_of_three();
  status.replication = {1000, 2000, 3, 1};
  const auto json = nlohmann::json::parse(to_json(status));
  EXPECT_EQ(json["replication"].dump(), R"({"deltas":3,"deltas_refused":1,"saved_bytes":2000,"sent_bytes":1000})");
}

VerifiedCheckpoint verified(std::vector<wire::VerifiedCopy> copies) {
  return {"state", false, {{Version(2), 4096, std::move(copies)}}, {}};
}

TEST(Verify, ItsStatusIsThatOfTheWorstCheckpoint) {
  using wire::CopyState;
  const auto good = verified({{NodeId(1), CopyState::kGood}, {NodeId(2), CopyState::kRepaired}});
  const auto damaged = verified({{NodeId(1), CopyState::kGood}, {NodeId(2), CopyState::kDamaged}});
  const auto unreadable = verified({{NodeId(1), CopyState::kUnreadable}, {NodeId(2), CopyState::kGood}});
  const auto gone = verified({{NodeId(1), CopyState::kDamaged}});
  const auto nowhere = verified({});
  VerifiedCheckpoint lost = good;
  lost.lost = true;
  VerifiedCheckpoint unknown = verified({});
  unknown.versions.clear();
  unknown.error = "server 3 does not answer";
  EXPECT_EQ(verified_status({}), 0);
  EXPECT_EQ(verified_status({good, good}), 0);
  EXPECT_EQ(verified_status({damaged, good}), 65);
  EXPECT_EQ(verified_status({unreadable}), 65);
  EXPECT_EQ(verified_status({damaged, gone}), 69);
  EXPECT_EQ(verified_status({nowhere}), 69);
  EXPECT_EQ(verified_status({lost}), 69);
  EXPECT_EQ(verified_status({unknown, good}), 69);
  const std::string text = verified_text({damaged, gone, unknown}, false);
  for (const char* words : {"state@2: server 1 good, server 2 damaged\n", "state@2: server 1 damaged; LOST: ",
                            "state: server 3 does not answer\n", "3 copies summed, 0 repaired, 2 not good\n"})
    EXPECT_NE(text.find(words), std::string::npos) << text;
}

TEST(Json, OfAStatus) {
  const auto json = nlohmann::json::parse(to_json(ring_of_three()));
  EXPECT_EQ(json["state"], "serving");
  EXPECT_EQ(json["members"].size(), 3U);
  EXPECT_EQ(json["members"][2]["connected"], false);
  EXPECT_EQ(json["members"][1]["key"], "0123456789abcdef");
  EXPECT_EQ(json["links"]["encrypted"], true);
  EXPECT_EQ(json["generation"], 0);
  EXPECT_TRUE(json["override"].is_null());
  EXPECT_EQ(json["links"]["refused"], 3);
  EXPECT_EQ(json["links"]["turned_away"], 5);
  EXPECT_EQ(json["jobs"][0]["job"], "00000000000000ff");
}

TEST(Json, OfARunHasWhatScriptsRead) {
  recovery::RunRecord record;
  record.communities = 2;
  record.elapsed = 4000;
  recovery::LifeRecord life;
  life.incarnation = Incarnation(1);
  life.pid = 42;
  life.ready_at = 500;
  life.stats = wire::LayerStats{};
  life.stats->messages_sent = 5;
  life.stats->layer_cpu_us = 7;
  record.processes = {{CommunityId(0), {life}}, {CommunityId(1), {life}}};
  using Kind = recovery::Note::Kind;
  const auto note = [](recovery::TimeMs at, Kind kind, std::uint32_t community, std::uint64_t incarnation) {
    return recovery::Note{at, kind, CommunityId(community), Incarnation(incarnation), std::nullopt, {}, ""};
  };
  record.notes = {note(1000, Kind::kLost, 1, 1), note(1100, Kind::kDead, 1, 1), note(1200, Kind::kStarted, 1, 2),
                  note(3000, Kind::kFinished, 0, 1), note(3500, Kind::kFinished, 1, 2)};
  record.difference = "rank 0, line 1: \xff not UTF-8";
  const auto json = nlohmann::json::parse(to_json(record));
  EXPECT_EQ(json["ready_s"], 0.5);
  EXPECT_EQ(json["finished_s"], 3.5);
  EXPECT_EQ(json["ranks"][1]["messages_sent"], 5);
  EXPECT_EQ(json["ranks"][1]["pids"][0], 42);
  EXPECT_EQ(json["totals"]["layer_cpu_us"], 14);
  EXPECT_EQ(json["communities"][0]["restarts"], 0);
  EXPECT_EQ(json["communities"][1]["restarts"], 1);
  EXPECT_EQ(json["communities"][1]["recoveries"][0]["dead_s"], 1.1);
}

TEST(ExitCodes, DoNotCollideWithSignalsAndDifferByCause) {
  for (int code = 0; code <= static_cast<int>(ErrorCode::kPeerGone); ++code) {
    const int exit = exit_code_of(static_cast<ErrorCode>(code));
    EXPECT_LT(exit, 128);
    EXPECT_TRUE(code == 0 ? exit == 0 : exit >= 64) << code;
  }
  EXPECT_EQ(exit_code_of(ErrorCode::kInvalidArgument), kUsage);
  EXPECT_EQ(exit_code_of(ErrorCode::kUnsupported), kUnsupported);
  EXPECT_NE(exit_code_of(ErrorCode::kUnavailable), exit_code_of(ErrorCode::kWrongCluster));
}

}  // namespace
}  // namespace rk::cli

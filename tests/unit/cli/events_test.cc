// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <ctime>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/event_line.h"
#include "cli/json.h"

namespace rk::cli {
namespace {

wire::ServerEvent event_of(const std::string& name) {
  wire::ServerEvent event;
  event.sequence = 4;
  event.time_us = 1'000'000'007'123'456;
  event.monotonic_ns = 99;
  event.server = NodeId(1);
  event.event = name;
  return event;
}

wire::ServerEvent view_event() {
  wire::ServerEvent event = event_of("view_installed");
  event.node = NodeId(2);
  event.view = ViewNumber(7);
  event.previous = ViewNumber(6);
  event.members = {{NodeId(2), Incarnation(20)}, {NodeId(5), Incarnation(51)}};
  event.restarted = {{NodeId(5), Incarnation(51)}};
  event.lost = {{NodeId(3), Incarnation(30)}, {NodeId(4), Incarnation(40)}};
  return event;
}

// Without the time, which is the zone's.
std::string line_of(const wire::ServerEvent& event, bool colours = false) {
  const std::string line = event_line(event, colours);
  constexpr std::size_t kTime = sizeof "2001-09-09 01:46:47.123  " - 1;
  EXPECT_EQ(line.substr(19, 6), ".123  ") << line;
  return line.substr(kTime);
}

TEST(EventLine, OfAViewNamesTheLeaderAndTheCauses) {
  EXPECT_EQ(line_of(view_event()), "view_installed    view 7: 2, 5 (2 leads); restarted: 5; lost: 3, 4\n");
}

TEST(EventLine, HasColoursOnATerminalOnly) {
  EXPECT_EQ(line_of(event_of("wedged")).find('\x1b'), std::string::npos);
  EXPECT_NE(line_of(event_of("wedged"), true).find("\x1b[31mwedged"), std::string::npos);
}

TEST(EventLine, OfTheRest) {
  wire::ServerEvent event = event_of("link_down");
  event.node = NodeId(3);
  event.reason = "reset";
  EXPECT_EQ(line_of(event), "link_down         server 3: reset\n");
  event.event = "peer_refused";
  event.count = 3;
  EXPECT_EQ(line_of(event), "peer_refused      server 3: reset (2 more refused since the last line)\n");
  event.event = "copies_lost";
  event.bytes = 3U << 20U;
  event.reason = "";
  EXPECT_EQ(line_of(event), "copies_lost       3 versions (3 MiB) without a second copy now\n");
  event.owner = OwnerId(1000);
  event.checkpoint = "state";
  event.version = Version(4);
  event.bytes = 4096;
  event.event = "copy_repaired";
  EXPECT_EQ(line_of(event),
            "copy_repaired     version 4 of \"state\" of user 1000, 4096 bytes: replaced by the copy of server 3\n");
  event.event = "copy_unrepaired";
  event.reason = "no server has a good copy";
  EXPECT_EQ(line_of(event),
            "copy_unrepaired   version 4 of \"state\" of user 1000, 4096 bytes: no server has a good copy\n");
  event.reason = "";
  event.event = "job_created";
  event.job = JobId(255);
  event.owner = OwnerId(1000);
  event.ranks = 1;
  EXPECT_EQ(line_of(event), "job_created       00000000000000ff of user 1000, 1 process\n");
  event.event = "of_a_newer_release";
  event.reason = "why";
  EXPECT_EQ(line_of(event), "of_a_newer_release  server 3: why\n");
}

TEST(EventLine, SaysWhatWasMissed) {
  wire::ServerEvent event = event_of("unwedged");
  event.missed = 12;
  EXPECT_NE(event_line(event, false).find("events_missed     12 that came"), std::string::npos);
}

TEST(EventJson, OfAViewHasWhatProgramsRead) {
  const std::string text = to_json(view_event());
  EXPECT_EQ(text.find('\n'), text.size() - 1) << "one line";
  const auto json = nlohmann::json::parse(text);
  EXPECT_EQ(json["time"], "2001-09-09T01:46:47.123456Z");
  EXPECT_EQ(json["monotonic_ns"], 99);
  EXPECT_EQ(json["server"], 1);
  EXPECT_EQ(json["event"], "view_installed");
  EXPECT_EQ(json["sequence"], 4);
  EXPECT_EQ(json["view"], 7);
  EXPECT_EQ(json["previous"], 6);
  EXPECT_EQ(json["leader"], 2);
  EXPECT_EQ(json["members"].dump(), "[[2,20],[5,51]]");
  EXPECT_EQ(json["restarted"].dump(), "[[5,51]]");
  EXPECT_EQ(json["lost"].dump(), "[[3,30],[4,40]]");
  EXPECT_EQ(json["new"].dump(), "[]");
  EXPECT_EQ(json["left"].dump(), "[]");
  EXPECT_FALSE(json.contains("job"));
}

TEST(EventJson, OfAnOverride) {
  wire::ServerEvent event = event_of("overridden");
  event.overridden = {1, NodeId(3), ViewNumber(7), 1'000'000'000'000};
  const auto json = nlohmann::json::parse(to_json(event));
  EXPECT_EQ(json["generation"], 1);
  EXPECT_EQ(json["override"]["from_view"], 7);
  for (const char* field : {"view", "node", "reason"}) EXPECT_TRUE(json.contains(field)) << field;
  EXPECT_FALSE(json.contains("members"));
  EXPECT_NE(event_line(event, false).find("generation 1 since an override at server 3"), std::string::npos);
}

TEST(EventJson, AbsentServersAreNull) {
  EXPECT_TRUE(nlohmann::json::parse(to_json(event_of("peer_refused")))["node"].is_null());
}

TEST(EventJson, OfADamagedCopy) {
  wire::ServerEvent event = event_of("copy_damaged");
  event.owner = OwnerId(1000);
  event.checkpoint = "state";
  event.version = Version(4);
  event.bytes = 4096;
  const auto json = nlohmann::json::parse(to_json(event));
  EXPECT_EQ(json["checkpoint"], "state");
  EXPECT_EQ(json["version"], 4);
  EXPECT_EQ(json["bytes"], 4096);
  EXPECT_EQ(json["owner"], 1000);
  for (const char* field : {"node", "reason", "job", "view"}) EXPECT_FALSE(json.contains(field)) << field;
  event.event = "copy_repaired";
  event.node = NodeId(3);
  EXPECT_EQ(nlohmann::json::parse(to_json(event))["node"], 3);
}

TEST(EventJson, OfAnUnknownEventHasAll) {
  const auto json = nlohmann::json::parse(to_json(event_of("of_a_newer_release")));
  for (const char* field : {"view", "members", "node", "incarnation", "count", "bytes", "job", "ranks", "reason"})
    EXPECT_TRUE(json.contains(field)) << field;
}

TEST(EventJson, WhatWasMissedIsALineOfItsOwn) {
  wire::ServerEvent event = event_of("unwedged");
  event.missed = 12;
  std::istringstream lines(to_json(event));
  std::string first;
  std::string second;
  std::getline(lines, first);
  std::getline(lines, second);
  EXPECT_EQ(nlohmann::json::parse(first)["event"], "events_missed");
  EXPECT_EQ(nlohmann::json::parse(first)["count"], 12);
  EXPECT_EQ(nlohmann::json::parse(second)["event"], "unwedged");
}

}  // namespace
}  // namespace rk::cli

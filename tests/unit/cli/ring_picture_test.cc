// SPDX-License-Identifier: Apache-2.0
#include "cli/ring_picture.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/json.h"
#include "cli/status_table.h"

namespace rk::cli {
namespace {

wire::RingAnswer ring_of(std::uint32_t servers) {
  wire::RingAnswer ring;
  ring.node = NodeId(1);
  ring.view = ViewNumber(7);
  ring.state = "serving";
  for (std::uint32_t node = 1; node <= servers; ++node)
    ring.servers.push_back(
        {NodeId(node), Incarnation(9), "h:" + std::to_string(node), true, true, "up", "", "", false});
  return ring;
}

std::size_t lines_of(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

TEST(RingPicture, FourServersAreAClosedRing) {
  EXPECT_EQ(ring_picture(ring_of(4), {}), R"(ring of 4, view 7, as server 1 sees it: serving

  +-----------------------------+       +-----------------------------+
  | server 1 (this one)   leads |       | server 2                    |
  | h:1                         |------>| h:2                         |
  | incarnation 9               |       | incarnation 9               |
  | up                          |       | up                          |
  +-----------------------------+       +-----------------------------+
                 ^                                     v
  +-----------------------------+       +-----------------------------+
  | server 4                    |       | server 3                    |
  | h:4                         |<------| h:3                         |
  | incarnation 9               |       | incarnation 9               |
  | up                          |       | up                          |
  +-----------------------------+       +-----------------------------+

A --> B: A watches B and keeps the second copies of what B's clients save
)");
}

TEST(RingPicture, SaysThatThereWasAnOverride) {
  wire::RingAnswer ring = ring_of(2);
  EXPECT_EQ(ring_picture(ring, {}).find("override"), std::string::npos);
  ring.overridden = {1, NodeId(2), ViewNumber(7), 1'000'000'000'000};
  EXPECT_NE(ring_picture(ring, {}).find("\n  generation 1 since an override at server 2 at 2001-09-09T"),
            std::string::npos)
      << ring_picture(ring, {});
  EXPECT_EQ(nlohmann::json::parse(to_json(ring))["override"]["server"], 2);
}

TEST(RingPicture, AnOddRingClosesRoundTheCorner) {
  EXPECT_EQ(ring_picture(ring_of(3), {.utf8 = true}), R"(ring of 3, view 7, as server 1 sees it: serving

  ┌─────────────────────────────┐       ┌─────────────────────────────┐
  │ server 1 (this one)   leads │       │ server 2                    │
  │ h:1                         │──────▶│ h:2                         │
  │ incarnation 9               │       │ incarnation 9               │
  │ up                          │       │ up                          │
  └─────────────────────────────┘       └─────────────────────────────┘
                 ▲                                     ▼
                 │                      ┌─────────────────────────────┐
                 │                      │ server 3                    │
                 └──────────────────────│ h:3                         │
                                        │ incarnation 9               │
                                        │ up                          │
                                        └─────────────────────────────┘

A ──▶ B: A watches B and keeps the second copies of what B's clients save
)");
}

TEST(RingPicture, TwoServersWatchEachOther) {
  const std::string text = ring_picture(ring_of(2), {});
  EXPECT_NE(text.find("------>"), std::string::npos) << text;
  EXPECT_NE(text.find("<------"), std::string::npos) << text;
}

TEST(RingPicture, OneServerIsAlone) {
  const std::string text = ring_picture(ring_of(1), {});
  EXPECT_NE(text.find("alone: nobody keeps second copies"), std::string::npos) << text;
  EXPECT_EQ(text.find("-->"), std::string::npos) << text;
}

TEST(RingPicture, EveryServerUpToTwelveIsDrawnOnceWithinTheColumns) {
  for (std::uint32_t servers = 2; servers <= kMaxDrawn; ++servers) {
    const std::string text = ring_picture(ring_of(servers), {});
    for (std::uint32_t node = 1; node <= servers; ++node) {
      const std::string box = "| server " + std::to_string(node) + " ";
      const auto first = text.find(box);
      ASSERT_NE(first, std::string::npos) << box << "\n" << text;
      EXPECT_EQ(text.find(box, first + 1), std::string::npos) << box << "\n" << text;
    }
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 80U) << line;
  }
}

TEST(RingPicture, MoreServersAndNarrowTerminalsGetAList) {
  for (const auto& [servers, columns] : {std::pair{13U, 80U}, std::pair{4U, 60U}}) {
    const std::string text = ring_picture(ring_of(servers), {.columns = columns});
    EXPECT_EQ(text.find("+--"), std::string::npos) << text;
    EXPECT_EQ(lines_of(text), servers + 3) << text;
    EXPECT_NE(text.find("server 2         up, leads, this one\n"), std::string::npos) << text;
  }
}

TEST(RingPicture, SaysWhoIsMissingSuspectedAndWhy) {
  wire::RingAnswer ring = ring_of(3);
  ring.state = "wedged";
  ring.reason = "no quorum";
  ring.servers[1].state = "suspected";
  ring.servers[1].reason = "its link is down: reset";
  ring.servers[2].member = false;
  ring.servers[2].state = "not a member";
  ring.servers[2].reason = "there is no link to it";
  const std::string text = ring_picture(ring, {});
  EXPECT_NE(text.find("ring of 2, view 7, as server 1 sees it: wedged\n  why: no quorum\n"), std::string::npos) << text;
  EXPECT_NE(text.find("| suspected "), std::string::npos) << text;
  EXPECT_NE(text.find("\n  server 2: suspected; its link is down: reset\n"), std::string::npos) << text;
  EXPECT_NE(text.find("\n  server 3 (h:3): not a member; there is no link to it\n"), std::string::npos) << text;
}

TEST(RingPicture, BeforeTheFirstViewTheRosterIsListed) {
  wire::RingAnswer ring = ring_of(2);
  ring.view = {};
  ring.state = "forming";
  for (wire::RingServer& one : ring.servers) {
    one.member = false;
    one.state = "not a member";
  }
  const std::string text = ring_picture(ring, {});
  EXPECT_NE(text.find("server 1 is in no view: forming"), std::string::npos) << text;
  EXPECT_NE(text.find("server 2 (h:2): not a member"), std::string::npos) << text;
}

TEST(RingPicture, ShowsRacksAndWarnsOfNeighboursOfOne) {
  wire::RingAnswer ring = ring_of(4);
  const char* const racks[] = {"r1", "r2", "r2", ""};
  for (std::size_t i = 0; i < 4; ++i) ring.servers[i].rack = racks[i];
  const std::string warning = "\n  warning: server 2 keeps the second copies of server 3, and both are in rack r2\n";
  const std::string text = ring_picture(ring, {});
  EXPECT_NE(text.find("| up                  rack r1 |"), std::string::npos) << text;
  EXPECT_NE(text.find(warning), std::string::npos) << text;
  const std::string list = ring_picture(ring, {.columns = 60});
  EXPECT_NE(list.find("address  rack  keeps copies of"), std::string::npos) << list;
  EXPECT_NE(list.find(warning), std::string::npos) << list;
  EXPECT_EQ(text.find("warning", text.find("warning") + 1), std::string::npos) << text;
  EXPECT_EQ(ring_picture(ring_of(4), {}).find("warning"), std::string::npos);
  const auto json = nlohmann::json::parse(to_json(ring));
  EXPECT_EQ(json["servers"][0]["rack"], "r1");
  EXPECT_TRUE(json["servers"][3]["rack"].is_null());
  EXPECT_EQ(json["pairs_of_one_rack"], nlohmann::json::parse("[[2, 3]]"));
}

TEST(RingPicture, TheWitnessIsNoPartOfTheRing) {
  wire::RingAnswer ring = ring_of(3);
  ring.servers[2].witness = true;
  const std::string line = "\n  server 3 (h:3): the witness, which votes and holds no data; up\n";
  const std::string text = ring_picture(ring, {});
  EXPECT_NE(text.find("ring of 2 and a witness, view 7"), std::string::npos) << text;
  EXPECT_NE(text.find(line), std::string::npos) << text;
  EXPECT_EQ(text.find("| server 3"), std::string::npos) << text;
  const auto json = nlohmann::json::parse(to_json(ring));
  EXPECT_EQ(json["servers"][0]["copies_kept_by"], 2);
  EXPECT_TRUE(json["servers"][2]["keeps_copies_of"].is_null());
  EXPECT_EQ(json["servers"][2]["witness"], true);
  ring.servers.erase(ring.servers.begin());
  const std::string alone = ring_picture(ring, {});
  EXPECT_NE(alone.find("alone: nobody keeps second copies"), std::string::npos) << alone;
  EXPECT_NE(alone.find(line), std::string::npos) << alone;
}

TEST(StatusTable, TheWitnessKeepsNoCopies) {
  wire::StatusAnswer status;
  for (std::uint32_t node = 1; node <= 3; ++node)
    status.members.push_back({NodeId(node), Incarnation(1), "h:" + std::to_string(node), true, "", node == 3});
  const std::string text = status_table(status, false);
  EXPECT_NE(text.find("ring of 2 and a witness"), std::string::npos) << text;
  EXPECT_NE(text.find("1       h:1                    leader   server 2"), std::string::npos) << text;
  EXPECT_NE(text.find("3       h:3                    witness  nobody"), std::string::npos) << text;
}

TEST(RingPicture, HasColoursOnATerminalOnly) {
  EXPECT_EQ(ring_picture(ring_of(4), {}).find('\x1b'), std::string::npos);
  EXPECT_NE(ring_picture(ring_of(4), {.colours = true}).find("\x1b[32mup"), std::string::npos);
}

TEST(RingJson, HasTheRingTheServersAndTheCounts) {
  wire::RingAnswer ring = ring_of(3);
  ring.servers[2].member = false;
  ring.messages = {{"heartbeat", 1, 2, 3, 4}};
  ring.refused_peers = 5;
  const auto json = nlohmann::json::parse(to_json(ring));
  EXPECT_EQ(json["leader"], 1);
  EXPECT_EQ(json["view"], 7);
  EXPECT_EQ(json["servers"][0]["keeps_copies_of"], 2);
  EXPECT_EQ(json["servers"][0]["copies_kept_by"], 2);
  EXPECT_TRUE(json["servers"][2]["keeps_copies_of"].is_null());
  EXPECT_EQ(json["messages"]["heartbeat"]["sent"], 1);
  EXPECT_EQ(json["messages"]["heartbeat"]["received_bytes"], 4);
  EXPECT_EQ(json["refused_peers"], 5);
  EXPECT_TRUE(json["missing"].is_null());
}

}  // namespace
}  // namespace rk::cli

// SPDX-License-Identifier: Apache-2.0
// `ringkeep list, inspect, usage, get, put, rm` on rings of real servers, as a user types them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <csignal>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/integration/api_client.h"
#include "tests/integration/command.h"
#include "tests/integration/ring_fixture.h"

namespace rk::testing {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class CheckpointCommands : public ::testing::Test {
 protected:
  Ran run(const std::string& arguments, std::uint32_t server = 1) {
    return run_ringkeep(arguments + " --socket " + ring_.socket(server));
  }
  Json ask(const std::string& arguments, std::uint32_t server = 1) {
    const Ran ran = run_ringkeep(arguments + " --json --socket " + ring_.socket(server), "");
    EXPECT_EQ(ran.code, 0) << arguments;
    return Json::parse(ran.output, nullptr, false);
  }
  std::string file(const std::string& name, const std::string& content) { return directory_.write(name, content); }
  std::string path(const std::string& name) const { return directory_.path() + "/" + name; }

  TemporaryDirectory directory_;
  RingFixture ring_{3};
};

// The name is somebody else's choice: neither tables nor JSON nor errors hand it to the terminal as it is.
TEST_F(CheckpointCommands, NamesDoNotReachTheTerminalAsTheyAre) {
  const std::string name =
      "hostile/\xc2\x9b"
      "2J\xff";
  const Client client(ring_.socket(1));
  ASSERT_EQ(rk_put(client.handle, name.c_str(), "x", 1, nullptr), RK_OK) << rk_last_error();
  ASSERT_EQ(rk_put(client.handle,
                   "hostile/\x9b"
                   "31m",
                   "x", 1, nullptr),
            RK_OK)
      << rk_last_error();
  for (const std::string& command : {std::string("list"), std::string("list --json"), "inspect '" + name + "'",
                                     "inspect '" + name + "' --json", "get '" + name + "@7'", "rm '" + name + "@x'"}) {
    const Ran ran = run(command);
    EXPECT_EQ(ran.output.find("\xc2\x9b"), std::string::npos) << command;
    EXPECT_EQ(ran.output.find('\xff'), std::string::npos) << command;
    EXPECT_EQ(ran.output.find("/\x9b"), std::string::npos) << command;
  }
  EXPECT_THAT(run("list").output, HasSubstr("hostile/\\xc2\\x9b2J\\xff "));
  EXPECT_EQ(ask("list")["checkpoints"].size(), 2U);
}

TEST_F(CheckpointCommands, AFileGoesInAndComesOutAtAnotherServer) {
  const std::string bytes = std::string(100'000, 'x') + std::string("\0end", 4);
  const Ran put = run("put state " + file("in", bytes));
  EXPECT_EQ(put.code, 0);
  EXPECT_EQ(put.output, "state@1, 100004 bytes, on two servers\n");
  EXPECT_EQ(run("get state -o " + path("out"), 3).code, 0);
  EXPECT_EQ(content_of(path("out")), bytes);
  struct stat facts {};
  ASSERT_EQ(::stat(path("out").c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777U, 0600U) << "nobody else reads it";
  // The version before is kept, and named by its number.
  EXPECT_EQ(run("put state " + file("in", "second")).code, 0);
  EXPECT_EQ(run("get state", 2).output, "second");
  EXPECT_EQ(run("get state@1 -o " + path("first")).code, 0);
  EXPECT_EQ(content_of(path("first")), bytes);
}

TEST_F(CheckpointCommands, StandardInputSectionsAndEmptyFiles) {
  EXPECT_EQ(run_ringkeep("put piped --socket " + ring_.socket(1), "", "printf abc | ").code, 0);
  EXPECT_EQ(run("get piped").output, "abc");
  EXPECT_EQ(run("put mixed --section one=" + file("a", "A") + " --section none=" + file("b", "")).code, 0);
  const Ran unnamed = run("get mixed");
  EXPECT_EQ(unnamed.code, 64);
  EXPECT_THAT(unnamed.output, HasSubstr("several sections (one, none)"));
  EXPECT_EQ(run("get mixed --section one").output, "A");
  const Ran empty = run("get mixed --section none");
  EXPECT_EQ(empty.code, 0);
  EXPECT_EQ(empty.output, "");
  EXPECT_EQ(run("get mixed --section two").code, 66);
}

TEST_F(CheckpointCommands, ListAndUsageSpeakOfTheWholeRing) {
  EXPECT_EQ(run("list").output, "no checkpoints\n");
  ASSERT_EQ(run("put a " + file("f", "12345"), 1).code, 0);
  ASSERT_EQ(run("put b --local " + file("f", "12345"), 2).code, 0);
  for (const std::uint32_t server : {1U, 2U, 3U}) {
    const Json all = ask("list", server)["checkpoints"];
    ASSERT_EQ(all.size(), 2U) << "asked at server " << server;
    EXPECT_EQ(all[0]["name"], "a");
    EXPECT_EQ(all[0]["home"], 1);
    EXPECT_EQ(all[0]["holders"], Json::array({1, 3}));
    EXPECT_EQ(all[0]["bytes"], 5);
    EXPECT_EQ(all[0]["kept"], Json::array({1}));
    EXPECT_FALSE(all[0]["lost"]);
    EXPECT_EQ(all[1]["holders"], Json::array({2}));
  }
  EXPECT_THAT(run("list").output, HasSubstr("one copy"));
  EXPECT_EQ(ask("list b")["checkpoints"].size(), 1U);
  const Json usage = ask("usage")["servers"];
  ASSERT_EQ(usage.size(), 3U);
  EXPECT_EQ(usage[0]["bytes"], 4096);  // whole pages
  EXPECT_EQ(usage[2]["bytes"], 4096);
  EXPECT_EQ(run("rm a").code, 0);
  EXPECT_EQ(ask("list", 3)["checkpoints"].size(), 1U);
  EXPECT_EQ(ask("usage", 3)["servers"][2]["bytes"], 0);
}

TEST_F(CheckpointCommands, InspectShowsVersionsSectionsAndCopies) {
  for (const char* text : {"1", "22", "333"}) ASSERT_EQ(run("put state " + file("f", text), 2).code, 0);
  const Json told = ask("inspect state", 3);
  EXPECT_EQ(told["home"], 2);
  EXPECT_TRUE(told["lost"].is_null());
  ASSERT_EQ(told["versions"].size(), 2U);
  EXPECT_EQ(told["versions"][1]["version"], 3);
  EXPECT_EQ(told["versions"][1]["sections"][0]["bytes"], 3);
  EXPECT_EQ(told["versions"][1]["sections"][0]["sum"].get<std::string>().size(), 16U);
  EXPECT_EQ(told["versions"][1]["holders"].size(), 2U);
  EXPECT_EQ(ask("inspect state@2")["versions"].size(), 1U);
  EXPECT_EQ(run("inspect state@1").code, 66);
  EXPECT_EQ(run("inspect nothing").code, 66);
  EXPECT_THAT(run("inspect state").output, HasSubstr("state, written at server 2\n"));
}

// The home of the first goes, then the home of the second with the keeper of its copies.
TEST_F(CheckpointCommands, WhatLostItsHomeGetsAnotherAndWhatLostAllCopiesIsToldOf) {
  RingFixture ring(5);
  const auto at = [&](const std::string& arguments, std::uint32_t server) {
    return run_ringkeep(arguments + " --socket " + ring.socket(server), "");
  };
  const auto list = [&](std::uint32_t server) {
    return Json::parse(at("list --json", server).output, nullptr, false)["checkpoints"];
  };
  ASSERT_EQ(at("put orphan " + file("f", "x"), 5).code, 0);
  ring.server(5).kill(SIGKILL);
  // The server before it has the copy, becomes its home, and makes a second one, although nobody writes or reads.
  ASSERT_TRUE(ring.await_status(1, [&](const wire::StatusAnswer&) {
    const Json all = list(2);
    return all.size() == 1 && all[0]["home"] == 4 && all[0]["holders"] == Json::array({3, 4});
  })) << list(2);
  EXPECT_EQ(at("get orphan", 1).output, "x");
  // Both copies at once: two of four servers are left, the first of them leads.
  ring.server(4).kill(SIGKILL);
  ring.server(3).kill(SIGKILL);
  ASSERT_TRUE(ring.await_status(
      2, [](const wire::StatusAnswer& status) { return status.state == "serving" && status.members.size() == 2; }));
  ASSERT_EQ(list(2).size(), 1U);
  EXPECT_TRUE(list(2)[0]["home"].is_null());
  EXPECT_TRUE(list(2)[0]["lost"]);
  const Json told = Json::parse(at("inspect orphan --json", 2).output, nullptr, false);
  EXPECT_THAT(told["lost"].get<std::string>(), HasSubstr("is gone with the servers that held it"));
  EXPECT_EQ(run_ringkeep("get orphan --socket " + ring.socket(2), " 2>/dev/null").code, 69);
}

TEST_F(CheckpointCommands, ALongListComesInPages) {
  const Client client(ring_.socket(2));
  const std::string long_name(230, 'n');
  constexpr int kNames = 2500;
  for (int i = 0; i < kNames; ++i)
    ASSERT_EQ(rk_put(client.handle, (long_name + std::to_string(10'000 + i)).c_str(), "x", 1, nullptr), RK_OK)
        << rk_last_error();
  const Json all = ask("list", 1)["checkpoints"];
  ASSERT_EQ(all.size(), static_cast<std::size_t>(kNames));
  for (int i = 0; i < kNames; ++i) ASSERT_EQ(all[i]["name"], long_name + std::to_string(10'000 + i));
}

TEST_F(CheckpointCommands, WrongUseSaysWhatToDo) {
  const Ran no_file = run("put state " + path("missing"));
  EXPECT_EQ(no_file.code, 66);
  EXPECT_THAT(no_file.output, HasSubstr("cannot read " + path("missing") + ": No such file"));
  EXPECT_EQ(run("put state " + directory_.path()).code, 71);
  EXPECT_EQ(run("put state --section a").code, 64);
  EXPECT_EQ(run("put state --section a=" + file("f", "x") + " --section a=" + file("f", "x")).code, 64);
  EXPECT_EQ(run("get @3").code, 64);
  EXPECT_EQ(run("get state@99999999999999999999").code, 64);
  EXPECT_EQ(run("get state").code, 66);
  EXPECT_EQ(run("rm state").code, 66);
  ASSERT_EQ(run("put state " + file("f", "x")).code, 0);
  const Ran elsewhere = run("put state " + file("f", "x"), 3);
  EXPECT_EQ(elsewhere.code, 73) << "neither the operating system's fault nor a server's";
  EXPECT_THAT(elsewhere.output, HasSubstr("\"state\" is written at server 1: write it there"));
  EXPECT_EQ(run("get state -o " + path("none") + "/out").code, 66);
  // What was there stays when writing fails.
  const std::string kept = file("kept", "old");
  EXPECT_EQ(::mkdir((kept + ".part").c_str(), 0700), 0);
  EXPECT_EQ(run("get state -o " + kept).code, 71);
  EXPECT_EQ(content_of(kept), "old");
  EXPECT_EQ(run_ringkeep("list --socket " + path("nobody")).code, 1);
}

TEST_F(CheckpointCommands, ANameThatEndsLikeAVersion) {
  ASSERT_EQ(run("put mail@7 " + file("f", "x")).code, 0);
  EXPECT_EQ(run("get mail@7").code, 66) << "version 7 of mail";
  EXPECT_EQ(run("get mail@7@0").output, "x");
  EXPECT_EQ(run("get mail@7@1").output, "x");
}

}  // namespace
}  // namespace rk::testing

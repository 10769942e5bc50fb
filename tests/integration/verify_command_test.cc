// SPDX-License-Identifier: Apache-2.0
// `ringkeep verify` on a ring of real servers, whose copies are damaged behind their back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "tests/integration/api_client.h"
#include "tests/integration/command.h"
#include "tests/integration/ring_fixture.h"
#include "tests/integration/slot_memory.h"

namespace rk::testing {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

class VerifyCommand : public ::testing::Test {
 protected:
  VerifyCommand() : client_(ring_.socket(1)) {}
  Ran run(const std::string& arguments, std::uint32_t server = 2) {
    return run_ringkeep(arguments + " --socket " + ring_.socket(server));
  }
  Json ask(const std::string& arguments, int code = 0) {
    const Ran ran = run_ringkeep(arguments + " --json --socket " + ring_.socket(2), "");
    EXPECT_EQ(ran.code, code) << ran.output;
    return Json::parse(ran.output, nullptr, false);
  }
  std::string at_server(std::uint32_t server, const std::string& command) {
    return run_ringkeep(command, "", "RINGKEEP_SOCKET=" + ring_.socket(server) + " ").output;
  }
  void put(const std::string& name, const std::string& text) {
    ASSERT_EQ(rk_put(client_.handle, name.c_str(), text.data(), text.size(), nullptr), RK_OK) << rk_last_error();
  }
  void spoil(std::uint32_t server, const std::string& text) {
    ASSERT_EQ(spoil_slots(ring_.server(server).pid(), text), 1) << "server " << server;
  }

  RingFixture ring_{{3, "64M", {"--scrub", "0"}, true}};
  Client client_;
};

TEST_F(VerifyCommand, SaysOfEachCopyWhetherItIsGood) {
  put("state", "first");
  put("state", "second");
  const Ran ran = run("verify state");
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(ran.output,
            "state@1: server 1 good, server 3 good\n"
            "state@2: server 1 good, server 3 good\n"
            "4 copies summed, 0 repaired, 0 not good\n");
  EXPECT_EQ(run("verify state@2").output,
            "state@2: server 1 good, server 3 good\n2 copies summed, 0 repaired, 0 not good\n");
}

TEST_F(VerifyCommand, RepairsWhatIsDamagedAtEitherServer) {
  put("state", "right");
  for (const std::uint32_t damaged : {1U, 3U}) {
    spoil(damaged, "right");
    const Ran ran = run("verify state");
    EXPECT_EQ(ran.code, 0);
    EXPECT_THAT(ran.output, HasSubstr("server " + std::to_string(damaged) + " repaired"));
    EXPECT_THAT(ran.output, HasSubstr("1 repaired, 0 not good"));
    EXPECT_THAT(run("verify state").output, HasSubstr("2 copies summed, 0 repaired, 0 not good"));
    EXPECT_EQ(read_all(client_.handle, "state"), "right");
  }
  EXPECT_THAT(at_server(3, "status"), HasSubstr("damaged copies here: 1 found"));
  EXPECT_THAT(at_server(3, "events"), HasSubstr("copy_repaired     version 1 of \"state\""));
  EXPECT_EQ(Json::parse(at_server(3, "status --json"), nullptr, false)["integrity"]["repaired"], 1);
  EXPECT_EQ(at_server(2, "status").find("damaged copies"), std::string::npos);
}

TEST_F(VerifyCommand, DamageInAllCopiesIsLost) {
  put("state", "older");
  put("state", "newer");
  spoil(1, "newer");
  spoil(3, "newer");
  const Ran ran = run("verify state");
  EXPECT_EQ(ran.code, 69);
  EXPECT_THAT(ran.output, HasSubstr("state@1: server 1 good, server 3 good\n"));
  EXPECT_THAT(ran.output, HasSubstr("state@2: server 1 damaged, server 3 damaged; LOST"));
  const Json told = ask("verify", 69);
  const Json& versions = told["checkpoints"][0]["versions"];
  EXPECT_TRUE(versions[0]["readable"]);
  EXPECT_FALSE(versions[1]["readable"]);
  EXPECT_EQ(versions[1]["copies"][0], Json({{"server", 1}, {"state", "damaged"}}));
}

TEST_F(VerifyCommand, WithoutANameItVerifiesAll) {
  EXPECT_EQ(run("verify").output, "no checkpoints\n");
  for (int i = 0; i < 30; ++i) put("name" + std::to_string(100 + i), "text" + std::to_string(100 + i));
  spoil(1, "text107");
  spoil(3, "text121");
  const Json told = ask("verify");
  ASSERT_EQ(told["checkpoints"].size(), 30U);
  for (int i = 0; i < 30; ++i) {
    const Json& one = told["checkpoints"][i];
    EXPECT_EQ(one["name"], "name" + std::to_string(100 + i));
    EXPECT_TRUE(one["error"].is_null());
    ASSERT_EQ(one["versions"][0]["copies"].size(), 2U);
    EXPECT_EQ(one["versions"][0]["copies"][0]["state"], i == 7 ? "repaired" : "good");
    EXPECT_EQ(one["versions"][0]["copies"][1]["state"], i == 21 ? "repaired" : "good");
  }
}

TEST_F(VerifyCommand, WrongUseSaysWhatToDo) {
  const Ran nothing = run("verify nothing");
  EXPECT_EQ(nothing.code, 66);
  EXPECT_THAT(nothing.output, HasSubstr("`ringkeep list` shows what there is"));
  put("state", "x");
  EXPECT_EQ(run("verify state@9").code, 66);
  EXPECT_EQ(run("verify @3").code, 64);
  EXPECT_EQ(run_ringkeep("verify state --socket /nonexistent/socket").code, 1);
}

}  // namespace
}  // namespace rk::testing

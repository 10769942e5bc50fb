// SPDX-License-Identifier: Apache-2.0
#include "daemon/config.h"

#include <gtest/gtest.h>

#include <string>

namespace rk::daemon {
namespace {

constexpr const char* kWhole = R"(# server 2 of three
node = 2
cluster = "c0ffee"
key_file = "/etc/ringkeep/key"
socket = "/run/ringkeep/socket"
state_directory = "/var/lib/ringkeep"
memory = "2G"
reserve = "128M"
log_level = "debug"
scrub = "8M"
scrub_every_s = 3600
awake_us = 50

[[server]]
node = 3
address = "c.example:7801"
[[server]]
node = 1
address = "a.example:7801"
[[server]]
node = 2
address = "[::1]:7801"

[limits]
owner_clients = 6
owner_names = 7
frame_ms = 800
clients = 10
jobs = 3
ranks = 64
owner_memory = "1G"
unproven_peers = 5
hello_ms = 700
)";

TEST(ConfigFile, EveryKeyIsRead) {
  const auto parsed = parse_config(kWhole, "x.toml", {});
  ASSERT_TRUE(parsed) << parsed.error().message;
  const auto config = complete(*parsed, 1000);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->node, NodeId(2));
  EXPECT_EQ(config->cluster, ClusterId(0xc0ffee));
  EXPECT_EQ(config->key_file, "/etc/ringkeep/key");
  EXPECT_EQ(config->socket, "/run/ringkeep/socket");
  EXPECT_EQ(config->state_directory, "/var/lib/ringkeep");
  EXPECT_EQ(config->memory_bytes, std::uint64_t{2} << 30U);
  EXPECT_EQ(config->reserve_bytes, std::uint64_t{128} << 20U);
  EXPECT_EQ(config->log_level, "debug");
  EXPECT_EQ(config->scrub_bytes_per_s, std::uint64_t{8} << 20U);
  EXPECT_EQ(config->scrub_every_s, 3600U);
  EXPECT_EQ(config->awake_us, 50U);
  ASSERT_EQ(config->roster.size(), 3U);
  EXPECT_EQ(config->roster[0].node, NodeId(1));
  EXPECT_EQ(io::to_string(config->roster[1].address), "[::1]:7801");
  EXPECT_EQ(config->limits.clients, 10U);
  EXPECT_EQ(config->limits.jobs, 3U);
  EXPECT_EQ(config->limits.ranks, 64U);
  EXPECT_EQ(config->limits.owner_memory_bytes, std::uint64_t{1} << 30U);
  EXPECT_EQ(config->limits.unproven_peers, 5U);
  EXPECT_EQ(config->limits.hello_ms, 700U);
  EXPECT_EQ(config->limits.owner_clients, 6U);
  EXPECT_EQ(config->limits.owner_names, 7U);
  EXPECT_EQ(config->limits.frame_ms, 800U);
}

struct Wrong {
  const char* text;
  const char* place;  // what the error begins with
  const char* word;
};

TEST(ConfigFile, TheRingHearsOfRacks) {
  const auto config = parse_config(
      "[[server]]\nnode = 2\naddress = \"h:2\"\n[[server]]\nnode = 1\naddress = \"h:1\"\nrack = \"row-1/r_2.b\"\n",
      "x.toml", {});
  ASSERT_TRUE(config) << config.error().message;
  const auto roster = ring_roster(*config);
  ASSERT_EQ(roster.size(), 2U);
  EXPECT_EQ(roster[0].rack, "");
  EXPECT_EQ(roster[1].node, NodeId(1));
  EXPECT_EQ(roster[1].address, "h:1");
  EXPECT_EQ(roster[1].rack, "row-1/r_2.b");
}

TEST(Config, TheWitnessIsOneOfThreeServersOrMore) {
  const auto made = [](const std::vector<std::string>& flags) {
    std::vector<std::string> all{"--node=1", "--cluster=1", "--key-file=/k", "--server=1=h:1", "--server=2=h:2"};
    all.insert(all.end(), flags.begin(), flags.end());
    const auto parsed = parse_flags(all);
    EXPECT_TRUE(parsed);
    return complete(parsed->options.config, 1000);
  };
  const auto config = made({"--server=3=h:3", "--witness=3", "--rack=1=a"});
  ASSERT_TRUE(config) << config.error().message;
  const auto roster = ring_roster(*config);
  EXPECT_EQ(roster[0].rack, "a");
  EXPECT_FALSE(roster[1].witness);
  EXPECT_TRUE(roster[2].witness);
  const auto error = [&](const std::vector<std::string>& flags) {
    const auto bad = made(flags);
    return bad ? std::string() : bad.error().message;
  };
  EXPECT_NE(error({"--witness=2"}).find("two servers or more that hold data"), std::string::npos);
  EXPECT_NE(error({"--witness=4"}).find("is not in the roster"), std::string::npos);
  EXPECT_NE(error({"--rack=4=a"}).find("is not in the roster"), std::string::npos);
  EXPECT_FALSE(parse_flags({"--rack=a"}));
  EXPECT_FALSE(parse_flags({"--rack=1="}));
}

TEST(ConfigFile, EveryMistakeIsPlacedAndExplained) {
  const Wrong cases[] = {
      {"node = 1\nmemmory = \"1G\"\n", "x.toml:2: memmory: ", "the keys here are"},
      {"\n\nnode = 0\n", "x.toml:3: node: ", "whole number from 1"},
      {"node = -1\n", "x.toml:1: node: ", "whole number"},
      {"node = \"1\"\n", "x.toml:1: node: ", "whole number"},
      {"node = 1.5\n", "x.toml:1: node: ", "whole number"},
      {"cluster = \"xyz\"\n", "x.toml:1: cluster: ", "hex digits"},
      {"cluster = 5\n", "x.toml:1: cluster: ", "text in quotes"},
      {"memory = \"lots\"\n", "x.toml:1: memory: ", "like 512M"},
      {"memory = \"99999999T\"\n", "x.toml:1: memory: ", "like 512M"},
      {"scrub = \"fast\"\n", "x.toml:1: scrub: ", "like 512M"},
      {"awake_us = 10001\n", "x.toml:1: awake_us: ", "from 0"},
      {"scrub_every_s = 0\n", "x.toml:1: scrub_every_s: ", "from 1"},
      {"log_level = \"loud\"\n", "x.toml:1: log_level: ", "debug, info"},
      {"socket = \"\"\n", "x.toml:1: socket: ", "1 to 4096"},
      {"server = 3\n", "x.toml:1: server: ", "[[server]]"},
      {"server = [1, 2]\n", "x.toml:1: server: ", "[[server]]"},
      {"[[server]]\nnode = 1\n", "x.toml:1: server: ", "both 'node' and 'address'"},
      {"[[server]]\nnode = 1\nport = 5\n", "x.toml:3: server.port: ", "address, node"},
      {"[[server]]\nnode = 1\naddress = \"nowhere\"\n", "x.toml:3: server.address: ", "HOST:PORT"},
      {"[[server]]\nnode = 1\nrack = \"\"\n", "x.toml:3: server.rack: ", "leave it out"},
      {"[[server]]\nnode = 1\nrack = \"a b\"\n", "x.toml:3: server.rack: ", "1 to 32 letters"},
      {"[[server]]\nnode = 1\nrack = \"123456789012345678901234567890123\"\n", "x.toml:3: server.rack: ", "1 to 32"},
      {"[[server]]\nnode = 1\naddress = \"h:1\"\nwitness = true\n[[server]]\nnode = 2\naddress = \"h:2\"\nwitness = "
       "true\n",
       "x.toml:5: server.witness: ", "server 1 is the witness already"},
      {"[limits]\nclients = 0\n", "x.toml:2: limits.clients: ", "from 1"},
      {"[limits]\nclint = 1\n", "x.toml:2: limits.clint: ", "clients, frame_ms, hello_ms"},
      {"limits = 1\n", "x.toml:1: limits: ", "[limits]"},
      {"node = 1\nnode = 2\n", "x.toml:2: ", "correct this line"},
      {"node = ", "x.toml:1: ", "cut off"},
      {"[[server]", "x.toml:1: ", "cut off"},
  };
  for (const Wrong& one : cases) {
    const auto parsed = parse_config(one.text, "x.toml", {});
    ASSERT_FALSE(parsed) << one.text;
    EXPECT_EQ(parsed.error().message.rfind(one.place, 0), 0U) << parsed.error().message;
    EXPECT_NE(parsed.error().message.find(one.word), std::string::npos) << parsed.error().message;
  }
}

// toml++ runs into undefined behaviour at other characters between two words.
TEST(ConfigFile, OtherThanAsciiStandsInQuotesAndCommentsOnly) {
  for (const std::string text : {"\xEF\xBB\xBFnode = 2", "# \u00e9", "key_file = \"/\u00e9\"", "key_file = '/\u00e9'",
                                 "key_file=\"/\u00e9\" # \u00e9", "key_file = '\\' # \u00e9", "node = 2 # \u00e9\r\n",
                                 "node = 2\nkey_file=\"/\u00e9\""}) {
    const auto parsed = parse_config(text, "x.toml", {});
    EXPECT_TRUE(parsed) << text << ": " << parsed.error().message;
  }
  for (const std::string text :
       {"\u0376", "\nkey_file = \u0376", "\nkey_file = \"\"\u0376", "\nnode\u0376 = 2", "# '\n\u0376",
        "\nkey_file =0\"\u0460", "\nnode =0=\"\u0460", "\nkey_file = '\\'\u0376", "\nkey_file = \"\\\u0376\"",
        "\nkey_file = \"\"\"\u0376\"\"\"", "key_file = \"\n\u0376\"", "\n'1'.''.'*-,'.\ufefb'", "\n# \v\u0376",
        "\nkey_file = \"\\\"\u0376\"", "\nkey_file = \"\"\"/k\"\"\" # \u0376", "\nkey file = '\u0376'",
        "\nkey_file = \"\"\"\"\"\"\u0376"}) {
    const auto parsed = parse_config(text, "x.toml", {});
    ASSERT_FALSE(parsed) << text;
    const std::string line = text.find('\n') == std::string::npos ? "x.toml:1: " : "x.toml:2: ";
    EXPECT_EQ(parsed.error().message.find(line + "a character that is not ASCII"), 0U)
        << text << parsed.error().message;
  }
}

TEST(ConfigFile, EveryTruncationIsAnErrorOrLacksSomething) {
  const std::string whole = kWhole;
  // Up to the roster every prefix lacks it; a prefix behind it is a whole configuration or an error, never a crash.
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto parsed = parse_config(whole.substr(0, size), "x.toml", {});
    if (size < whole.find("node = 2\naddress") && parsed) {
      const auto config = complete(*parsed, 1000);
      EXPECT_TRUE(!config || config->roster.size() == 1) << whole.substr(0, size);
    }
  }
}

TEST(Complete, WhatIsMissingOrContradictsIsNamed) {
  const auto error_of = [](auto change) {
    Config config = parse_config(kWhole, "x.toml", {}).value();
    change(config);
    const auto completed = complete(config, 1000);
    return completed ? std::string("no error") : completed.error().message;
  };
  EXPECT_NE(error_of([](Config& c) { c.node = NodeId(); }).find("'node'"), std::string::npos);
  EXPECT_NE(error_of([](Config& c) { c.node = NodeId(4); }).find("no server 4"), std::string::npos);
  EXPECT_NE(error_of([](Config& c) { c.cluster = {}; }).find("'cluster'"), std::string::npos);
  EXPECT_NE(error_of([](Config& c) { c.key_file.clear(); }).find("'key_file'"), std::string::npos);
  EXPECT_NE(error_of([](Config& c) { c.roster[0].node = NodeId(1); }).find("twice"), std::string::npos);
  EXPECT_NE(error_of([](Config& c) { c.roster[0].address = c.roster[1].address; }).find("twice"), std::string::npos);
  EXPECT_NE(error_of([](Config& c) { c.memory_bytes = 1000; }).find("'memory'"), std::string::npos);
  // A rate with which no pass would ever end, and one that is none.
  for (const std::uint64_t rate : {std::uint64_t{1}, (std::uint64_t{1} << 40U) + 1})
    EXPECT_NE(error_of([&](Config& c) { c.scrub_bytes_per_s = rate; }).find("'scrub'"), std::string::npos) << rate;
  EXPECT_EQ(error_of([](Config& c) { c.scrub_bytes_per_s = 0; }), "no error");
  EXPECT_EQ(error_of([](Config&) {}), "no error");
}

TEST(Complete, AServerAloneNeedsItsNumberOnly) {
  Config config;
  config.node = NodeId(3);
  const auto completed = complete(config, 1000);
  ASSERT_TRUE(completed) << completed.error().message;
  EXPECT_EQ(completed->socket, "/tmp/ringkeep-1000/3/socket");
  EXPECT_EQ(completed->state_directory, "/tmp/ringkeep-1000/3/state");
  EXPECT_TRUE(completed->cluster);
}

TEST(Size, HasSuffixes) {
  EXPECT_EQ(parse_size("0"), 0U);
  EXPECT_EQ(parse_size("17"), 17U);
  EXPECT_EQ(parse_size("4K"), 4096U);
  EXPECT_EQ(parse_size("3M"), std::uint64_t{3} << 20U);
  EXPECT_EQ(parse_size("1T"), std::uint64_t{1} << 40U);
  for (const char* text : {"", "M", "1m", "1MB", "-1", "1 M", "1.5G", "16777216T", "99999999999999999999"})
    EXPECT_FALSE(parse_size(text)) << text;
}

TEST(Flags, StandOverTheFileAndAreChecked) {
  const auto flags =
      parse_flags({"--node", "2", "--cluster", "ab", "--server", "1=127.0.0.1:5001", "--server", "2=127.0.0.1:5002",
                   "--memory", "32M", "--ready-fd", "7", "--check", "--scrub", "2M", "--scrub-every-s", "5"});
  ASSERT_TRUE(flags) << flags.error().message;
  EXPECT_EQ(flags->options.config.roster.size(), 2U);
  EXPECT_EQ(flags->options.config.memory_bytes, std::uint64_t{32} << 20U);
  EXPECT_EQ(flags->options.config.scrub_bytes_per_s, std::uint64_t{2} << 20U);
  EXPECT_EQ(flags->options.config.scrub_every_s, 5U);
  EXPECT_EQ(flags->options.ready_fd, 7);
  EXPECT_TRUE(flags->options.check_only);
  for (const std::vector<std::string>& wrong : std::vector<std::vector<std::string>>{{"--node"},
                                                                                     {"--node", "x"},
                                                                                     {"--memory", "x"},
                                                                                     {"--scrub", "x"},
                                                                                     {"--scrub-every-s", "0"},
                                                                                     {"--server", "1"},
                                                                                     {"--server", "x=h:1"},
                                                                                     {"--server", "0=h:1"},
                                                                                     {"--log-level", "x"},
                                                                                     {"--cluster", "0"},
                                                                                     {"stray"},
                                                                                     {"--unknown"}})
    EXPECT_FALSE(parse_flags(wrong)) << wrong.front();
  EXPECT_NE(parse_flags({"--help"})->text->text.find("--memory"), std::string::npos);
  EXPECT_NE(parse_flags({"--version"})->text->text.find("ringkeepd 0."), std::string::npos);
}

}  // namespace
}  // namespace rk::daemon

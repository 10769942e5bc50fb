// SPDX-License-Identifier: Apache-2.0
// `ringkeep up` and `ringkeep down`: what they leave alone, and what they leave behind.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "launch/private_ring.h"
#include "tests/integration/run_fixture.h"
#include "wire/locations.h"

namespace rk::testing {
namespace {

namespace fs = std::filesystem;

class UpDown : public RunFixture {
 protected:
  std::string make_directory(const std::string& name) const {
    std::string path = folder() + "/" + name;
    EXPECT_EQ(::mkdir(path.c_str(), 0700), 0);
    return path;
  }
  static bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }
  void expect_refused(const std::vector<std::string>& arguments, const std::string& directory) {
    const Ended ended = run(arguments);
    EXPECT_EQ(ended.status, 77) << ended.err;
    EXPECT_NE(ended.err.find(directory), std::string::npos) << ended.err;
    EXPECT_NE(ended.err.find("--dir"), std::string::npos) << ended.err;
    EXPECT_EQ(std::count(ended.err.begin(), ended.err.end(), '\n'), 1) << ended.err;
  }
};

TEST_F(UpDown, ADirectoryOfOtherFilesIsRefusedAndSurvives) {
  const std::string directory = make_directory("thesis");
  ASSERT_EQ(::mkdir((directory + "/1").c_str(), 0700), 0);
  for (const char* name : {"/chapter", "/cluster-key", "/1/log"}) std::ofstream(directory + name) << "years of work";
  expect_refused({"down", "--dir", directory}, directory);
  expect_refused({"up", "--servers", "1", "--dir", directory}, directory);
  for (const char* name : {"/chapter", "/cluster-key", "/1/log"})
    EXPECT_EQ(text_of(directory + name), "years of work") << name;
}

TEST_F(UpDown, AnEmptyDirectoryBecomesARingAndIsRemovedByDown) {
  const std::string directory = make_directory("empty");
  EXPECT_EQ(run({"down", "--dir", directory}).status, 0);
  EXPECT_TRUE(exists(directory)) << "no ring made it";
  const Ended up = run({"up", "--servers", "2", "--dir", directory});
  ASSERT_EQ(up.status, 0) << up.err;
  const Ended down = run({"down", "--dir", directory});
  EXPECT_EQ(down.out, "2 servers ended\n");
  EXPECT_EQ(down.err, "");
  EXPECT_FALSE(exists(directory));
  expect_nothing_left();
}

TEST_F(UpDown, ADirectoryMayBeNamedFromWhereTheUserIs) {
  const fs::path before = fs::current_path();
  fs::current_path(folder());
  const Ended up = run({"up", "--servers", "2", "--dir", "ring"});
  const Ended status = run({"status", "--dir", "./ring"});
  const Ended down = run({"down", "--dir", "ring"});
  fs::current_path(before);
  EXPECT_EQ(up.status, 0) << up.err;
  EXPECT_EQ(status.status, 0) << status.err;
  EXPECT_EQ(down.out, "2 servers ended\n");
  EXPECT_FALSE(exists(folder() + "/ring"));
  expect_nothing_left();
}

TEST_F(UpDown, EachRingHasAKeyOfItsOwnAndItsLinksAreEncrypted) {
  const std::string directory = folder() + "/ring";
  std::string keys[2];
  for (std::string& key : keys) {
    const Ended up = run({"up", "--servers", "2", "--dir", directory});
    ASSERT_EQ(up.status, 0) << up.err;
    struct stat about {};
    ASSERT_EQ(::stat((directory + "/cluster-key").c_str(), &about), 0);
    EXPECT_EQ(about.st_mode & 07777U, 0400U);
    const Ended shown = run({"keygen", "--show", directory + "/cluster-key"});
    key = shown.out.substr(0, shown.out.find(')'));
    const Ended status = run({"status", "--json", "--dir", directory});
    EXPECT_NE(status.out.find("\"encrypted\": true"), std::string::npos) << status.out;
    EXPECT_EQ(run({"down", "--dir", directory}).status, 0);
  }
  EXPECT_NE(keys[0], keys[1]);
  expect_nothing_left();
}

TEST_F(UpDown, WhatAUserPutIntoTheDirectoryOfARingStays) {
  const std::string directory = folder() + "/ring";
  const Ended up = run({"up", "--servers", "1", "--dir", directory});
  ASSERT_EQ(up.status, 0) << up.err;
  std::ofstream(directory + "/notes") << "mine";
  const Ended down = run({"down", "--dir", directory});
  EXPECT_EQ(down.out, "1 server ended\n");
  EXPECT_NE(down.err.find(directory + "/notes stays"), std::string::npos) << down.err;
  EXPECT_EQ(text_of(directory + "/notes"), "mine");
  EXPECT_FALSE(exists(directory + "/cluster-key"));
  EXPECT_FALSE(exists(directory + "/1"));
  expect_refused({"up", "--servers", "1", "--dir", directory}, directory + "/notes");
  ASSERT_EQ(::unlink((directory + "/notes").c_str()), 0);
  EXPECT_EQ(run({"down", "--dir", directory}).status, 0);
  EXPECT_FALSE(exists(directory));
}

TEST_F(UpDown, EveryCommandFindsAServerThatLives) {
  const std::string directory = folder() + "/ring";
  ASSERT_EQ(run({"up", "--servers", "3", "--dir", directory}).status, 0);
  const auto first = launch::ask_status(wire::server_socket(directory, 1));
  ASSERT_TRUE(first);
  ASSERT_EQ(::kill(static_cast<pid_t>(first->pid), SIGKILL), 0);
  ASSERT_TRUE(await([&] {
    const auto second = launch::ask_status(wire::server_socket(directory, 2));
    return second && second->state == "serving" && second->members.size() == 2;
  }));
  const std::string note = "ringkeep: server 2 answers; server 1 does not\n";
  const Ended status = run({"status", "--dir", directory});
  EXPECT_EQ(status.status, 0);
  EXPECT_EQ(status.err, note);
  EXPECT_NE(status.out.find("ring of 2"), std::string::npos) << status.out;
  const Ended ring = run({"ring", "--dir", directory});
  EXPECT_EQ(ring.status, 0);
  EXPECT_EQ(ring.err, note);
  EXPECT_NE(ring.out.find("as server 2 sees it: serving"), std::string::npos) << ring.out;
  EXPECT_NE(ring.out.find(": not a member"), std::string::npos) << ring.out;
  const Ended events = run({"events", "--json", "--dir", directory});
  EXPECT_EQ(events.status, 0);
  EXPECT_EQ(events.err, note);
  EXPECT_NE(events.out.find("\"event\":\"view_installed\""), std::string::npos) << events.out;
  const Ended job = run({"run", "-n", "1", "--dir", directory, "--", "/bin/echo", "hello"});
  EXPECT_EQ(job.status, 0) << job.err;
  EXPECT_EQ(job.out, "hello\n");
  EXPECT_NE(job.err.find(note), std::string::npos) << job.err;
  // It still holds what was saved in it: a new one does not silently take its place.
  const Ended again = run({"up", "--servers", "3", "--dir", directory});
  EXPECT_EQ(again.status, 73) << again.err;
  EXPECT_NE(again.err.find("has 2 servers, not 3"), std::string::npos) << again.err;
  EXPECT_EQ(run({"down", "--dir", directory}).out, "2 servers ended\n");
  EXPECT_EQ(run({"events", "--dir", directory}).status, 1) << "nobody to ask";
  expect_nothing_left();
}

TEST_F(UpDown, AFollowerOfEventsEndsWithItsServerAndBySignals) {
  const std::string directory = folder() + "/ring";
  ASSERT_EQ(run({"up", "--servers", "1", "--dir", directory}).status, 0);
  start({"events", "-f", "--dir", directory});
  await_output("view_installed");
  ASSERT_EQ(::kill(launcher(), SIGINT), 0);
  EXPECT_EQ(finish().status, 128 + SIGINT);
  start({"events", "--follow", "--dir", directory});
  await_output("view_installed");
  const pid_t follower = launcher();
  EXPECT_EQ(run({"down", "--dir", directory}).status, 0);
  return_to(follower);
  EXPECT_EQ(finish().status, 69);
  expect_nothing_left();
}

TEST_F(UpDown, AnInterruptWhileServersStartLeavesNothing) {
  const std::string program = folder() + "/never-ready";
  std::ofstream(program) << "#!/bin/sh\nexec sleep 1000\n";
  ASSERT_EQ(::chmod(program.c_str(), 0700), 0);
  set_environment("RINGKEEP_SERVER_PROGRAM", program);
  const std::string directory = folder() + "/ring";
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    start({"up", "--servers", "2", "--dir", directory});
    await_processes("sleep");
    ASSERT_EQ(::kill(launcher(), number), 0);
    const Ended ended = finish();
    EXPECT_EQ(ended.status, 128 + number) << ended.err;
    EXPECT_NE(ended.err.find("interrupted"), std::string::npos) << ended.err;
    EXPECT_FALSE(exists(directory));
    expect_nothing_left();
  }
}

}  // namespace
}  // namespace rk::testing

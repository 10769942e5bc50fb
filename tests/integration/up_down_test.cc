// SPDX-License-Identifier: Apache-2.0
// `ringkeep up` and `ringkeep down`: what they leave alone, and what they leave behind.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "tests/integration/run_fixture.h"

namespace rk::testing {
namespace {

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

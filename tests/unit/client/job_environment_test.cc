// SPDX-License-Identifier: Apache-2.0
// What a process reads of the environment that `ringkeep run` sets.
#include <gtest/gtest.h>

#include <cstdlib>

#include "client/log_session.h"
#include "wire/control_messages.h"

namespace rk::client {
namespace {

class JobEnvironmentTest : public ::testing::Test {
 protected:
  void SetUp() override {
    set(wire::kEnvSocket, "/somewhere/socket");
    set(wire::kEnvJob, "00000000000000ff");
    set(wire::kEnvRank, "2");
    set(wire::kEnvCommunities, "0,0,1,1");
    set(wire::kEnvIncarnation, "3");
    set(wire::kEnvOptions, "spin=0,kill_at_message=50,on_divergence=strict,something_new=1");
  }
  void TearDown() override {
    for (const char* name : {wire::kEnvSocket, wire::kEnvJob, wire::kEnvRank, wire::kEnvCommunities,
                             wire::kEnvIncarnation, wire::kEnvOptions})
      ::unsetenv(name);
  }
  static void set(const char* name, const char* value) { ::setenv(name, value, 1); }
  static ErrorCode refused() {
    const auto read = JobEnvironment::read();
    return read ? ErrorCode::kOk : read.error().code;
  }
};

TEST_F(JobEnvironmentTest, IsReadWhole) {
  const auto read = JobEnvironment::read();
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->socket, "/somewhere/socket");
  EXPECT_EQ(read->job, JobId(255));
  EXPECT_EQ(read->rank, Rank(2));
  EXPECT_EQ(read->incarnation, Incarnation(3));
  EXPECT_EQ(read->community_of.size(), 4U);
  EXPECT_EQ(read->community_of[2], CommunityId(1));
  EXPECT_FALSE(read->spin);
  EXPECT_TRUE(read->strict);
  EXPECT_EQ(read->kill_at_message, 50U);
}

TEST_F(JobEnvironmentTest, OutsideOfAJobIsNoError) {
  ::unsetenv(wire::kEnvJob);
  EXPECT_EQ(refused(), ErrorCode::kUnavailable);
}

TEST_F(JobEnvironmentTest, WhatCannotBeReadIsRefused) {
  const std::pair<const char*, const char*> wrong[] = {{wire::kEnvJob, "xyz"},
                                                       {wire::kEnvRank, "4"},
                                                       {wire::kEnvRank, ""},
                                                       {wire::kEnvRank, "1 "},
                                                       {wire::kEnvCommunities, "0,"},
                                                       {wire::kEnvCommunities, "0,a,1,1"},
                                                       {wire::kEnvIncarnation, "-1"},
                                                       {wire::kEnvOptions, "spin"},
                                                       {wire::kEnvOptions, "kill_at_message=soon"},
                                                       {wire::kEnvOptions, "on_divergence=ignore"}};
  for (const auto& [name, value] : wrong) {
    SetUp();
    set(name, value);
    EXPECT_EQ(refused(), ErrorCode::kInvalidArgument) << name << "=" << value;
  }
}

}  // namespace
}  // namespace rk::client

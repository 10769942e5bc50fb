// SPDX-License-Identifier: Apache-2.0
#include "daemon/client_places.h"

#include <gtest/gtest.h>

#include "daemon/descriptor_room.h"
#include "daemon/log_limit.h"

namespace rk::daemon {
namespace {

constexpr OwnerId kOne{1000};
constexpr OwnerId kTwo{2000};

TEST(ClientPlaces, OneUserLeavesPlacesToOthers) {
  ClientPlaces places({4, 3});
  for (std::uint64_t session = 1; session <= 3; ++session) EXPECT_FALSE(places.admit(session, kOne));
  EXPECT_FALSE(places.admit(4, kOne));
  EXPECT_TRUE(places.is_operators(4));
  const Status own = places.take_ordinary(4, kOne);
  ASSERT_FALSE(own);
  EXPECT_EQ(own.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(own.error().message.find("user 1000 has the 3 connections"), std::string::npos) << own.error().message;
  EXPECT_FALSE(places.admit(5, kTwo));
  EXPECT_FALSE(places.is_operators(5));
  EXPECT_FALSE(places.admit(6, kTwo));
  EXPECT_NE(places.take_ordinary(6, kTwo).error().message.find("its 4 clients"), std::string::npos);
  EXPECT_EQ(places.ordinary(), 4U);
  EXPECT_EQ(places.turned_away(), 2U);
}

TEST(ClientPlaces, APlaceThatIsLeftIsTakenByWhoeverAsksNext) {
  ClientPlaces places({1, 1});
  places.admit(1, kOne);
  places.admit(2, kOne);
  EXPECT_FALSE(places.take_ordinary(2, kOne));
  places.leave(1);
  EXPECT_TRUE(places.take_ordinary(2, kOne));
  EXPECT_FALSE(places.is_operators(2));
  EXPECT_EQ(places.ordinary(), 1U);
  places.leave(2);
  EXPECT_EQ(places.ordinary(), 0U);
}

TEST(ClientPlaces, TheFirstOfTheOperatorsPlacesGivesWay) {
  ClientPlaces places({1, 1});
  places.admit(1, kOne);
  for (std::uint64_t i = 0; i < ClientPlaces::kOperatorPlaces; ++i) EXPECT_FALSE(places.admit(100 + i, kOne));
  EXPECT_EQ(places.admit(200, kTwo), 100U);
  places.leave(101);
  EXPECT_FALSE(places.admit(201, kTwo));
  EXPECT_EQ(places.admit(202, kTwo), 102U);
}

TEST(DescriptorRoom, NeitherClientsNorMemoryTakeAll) {
  EXPECT_EQ(clients_within(1024, 500), 500U);
  EXPECT_EQ(clients_within(1024, 1024), 768U);
  EXPECT_TRUE(check_room_beside(895, 1024));
  const Status full = check_room_beside(896, 1024);
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, ErrorCode::kNoMemory);
  EXPECT_NE(full.error().message.find("896 of the 1024 descriptors"), std::string::npos) << full.error().message;
}

TEST(LogLimit, WritesAFewLinesOfAPeriodAndTellsOfTheRest) {
  LogLimit limit;
  EXPECT_EQ(limit.take_held_back(0), 0U);
  std::uint64_t written = 0;
  for (int i = 0; i < 1000; ++i) written += limit.admits(5000) ? 1U : 0U;
  EXPECT_EQ(written, LogLimit::kLines);
  EXPECT_EQ(limit.take_held_back(5000 + LogLimit::kPeriodMs - 1), 0U) << "the period goes on";
  EXPECT_EQ(limit.take_held_back(5000 + LogLimit::kPeriodMs), 990U);
  EXPECT_EQ(limit.take_held_back(5000 + LogLimit::kPeriodMs), 0U) << "told twice";
  EXPECT_TRUE(limit.admits(6000 + LogLimit::kPeriodMs));
}

}  // namespace
}  // namespace rk::daemon

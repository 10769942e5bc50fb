// SPDX-License-Identifier: Apache-2.0
#include "log/inbox.h"

#include "log_fixture.h"

namespace rk::log {
namespace {

RecordHeader carried(std::uint32_t source, std::uint32_t dest, std::uint64_t ssn, std::int32_t tag,
                     std::size_t length) {
  RecordHeader header{};
  header.magic = kRecordMagic;
  header.source = source;
  header.dest = dest;
  header.tag = tag;
  header.ssn = ssn;
  header.context = 1;
  header.length = length;
  header.sum = record_sum(header);
  return header;
}

// Rank 2 lives on another node: its messages come by accept().
class InboxTest : public testing::Test {
 protected:
  InboxTest() { job.start(0); }
  void accept(std::uint64_t ssn) {
    const std::string text = "m" + std::to_string(ssn);
    ASSERT_OK(job[0].inbox().accept(carried(2, 0, ssn, 0, text.size()), view_of(text)));
  }
  std::vector<std::uint64_t> receive_all() {
    std::vector<std::uint64_t> ssns;
    for (;;) {
      auto match = job[0].matcher().take({1, 2, kAnyTag, Reach::kOutside});
      if (!match || !*match) return ssns;
      EXPECT_EQ(text_of((*match)->payload), "m" + std::to_string((*match)->ssn));
      ssns.push_back((*match)->ssn);
    }
  }
  TestJob job{{0, 1, 1}};
  LogState state;
};

TEST_F(InboxTest, CarriedMessagesComeOnceAndInOrder) {
  for (const std::uint64_t ssn : {2, 1, 1, 4, 2, 3, 5, 3}) accept(ssn);
  EXPECT_EQ(receive_all(), (std::vector<std::uint64_t>{1, 2, 3, 4, 5}));
  EXPECT_EQ(job[0].inbox().counts().duplicates, 3U);
  EXPECT_EQ(job[0].inbox().arrived(2), 5U);
  accept(4);
  EXPECT_TRUE(receive_all().empty());
}

TEST_F(InboxTest, AfterAJumpOnlyWhatWasNotConsumedArrives) {
  job[0].inbox().snapshot(state);
  for (const std::uint64_t n : {1, 2, 4}) state.consumed[2].insert(n);
  ASSERT_OK(job[0].inbox().jump(state));
  for (const std::uint64_t ssn : {1, 2, 3, 4, 5}) accept(ssn);
  EXPECT_EQ(receive_all(), (std::vector<std::uint64_t>{3, 5}));
}

TEST_F(InboxTest, ADamagedCarriedMessageIsRefused) {
  RecordHeader header = carried(2, 0, 1, 0, 2);
  header.tag = 9;
  auto status = job[0].inbox().accept(header, view_of("m1"));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kCorrupt);
  status = job[0].inbox().accept(carried(2, 1, 1, 0, 2), view_of("m1"));
  ASSERT_FALSE(status);
  status = job[0].inbox().accept(carried(2, 0, 1, 0, 3), view_of("m1"));
  ASSERT_FALSE(status);
}

TEST_F(InboxTest, WhatComesTooEarlyIsHeldBackWithinALimit) {
  const RecordHeader header = carried(2, 0, 2, 0, 0);
  ASSERT_OK(job[0].inbox().accept(header, {}));
  Status status;
  for (std::uint64_t ssn = 3; status && ssn < 100000; ++ssn)
    status = job[0].inbox().accept(carried(2, 0, ssn, 0, 0), {});
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kNoMemory);
}

TEST_F(InboxTest, AnArrivalIsToldOnce) {
  job.start(1);
  Inbox& inbox = job[0].inbox();
  EXPECT_FALSE(inbox.has_new());
  ASSERT_OK(job.send(1, 0, 1, "x"));
  EXPECT_TRUE(inbox.has_new());
  EXPECT_FALSE(inbox.has_new());
  ASSERT_OK(job.send(1, 0, 2, "x"));
  EXPECT_TRUE(inbox.has_new());
  ASSERT_OK(job.send(1, 0, 3, "x"));
  ASSERT_OK(job[0].matcher().take({1, 1, 3, Reach::kOutside}));  // pulls all of them
  EXPECT_FALSE(inbox.has_new());
}

TEST_F(InboxTest, ConsumptionIsPublishedForTheSender) {
  job.start(1);
  for (int tag = 0; tag < 3; ++tag) ASSERT_OK(job.send(1, 0, tag, "x"));
  auto view = job.open(0);
  ASSERT_OK(view);
  ASSERT_OK(job[0].matcher().take({1, 1, 1, Reach::kOutside}));
  EXPECT_EQ(view->consumed(1).watermark, 0U);
  ASSERT_OK(job[0].matcher().take({1, 1, 0, Reach::kOutside}));
  EXPECT_EQ(view->consumed(1).watermark, 2U);
}

}  // namespace
}  // namespace rk::log

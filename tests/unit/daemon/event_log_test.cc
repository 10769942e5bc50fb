// SPDX-License-Identifier: Apache-2.0
#include "daemon/event_log.h"

#include <gtest/gtest.h>

#include <map>

namespace rk::daemon {
namespace {

constexpr std::uint64_t kSession = 7;
constexpr std::uint64_t kRequest = 3;

// What a reader has been sent. Its socket takes nothing while it is `stuck`.
class EventLogTest : public ::testing::Test, private ClientPort {
 protected:
  void record(const std::string& reason) {
    wire::ServerEvent event;
    event.event = events::kWedged;
    event.reason = reason;
    log_.record(event);
  }
  Status subscribe(bool follow) { return log_.subscribe(kSession, kRequest, {follow}); }
  std::vector<wire::ServerEvent> take() { return std::exchange(sent_, {}); }

  EventLog log_{NodeId(2), *this, [this](std::uint64_t) { return stuck_ ? EventLog::kWindowBytes : 0; }};
  bool stuck_ = false;
  bool done_ = false;

 private:
  void send(std::uint64_t session, const wire::Frame& frame, std::span<const int>) override {
    EXPECT_EQ(session, kSession);
    EXPECT_EQ(frame.request, kRequest);
    EXPECT_FALSE(done_) << "something came after the end";
    if (frame.type == wire::MessageType::kDone) {
      done_ = true;
      return;
    }
    const auto event = wire::from_frame<wire::ServerEvent>(frame);
    ASSERT_TRUE(event);
    sent_.push_back(*event);
  }
  std::vector<wire::ServerEvent> sent_;
};

TEST_F(EventLogTest, AReaderGetsWhatIsThereAndTheEnd) {
  record("a");
  record("b");
  ASSERT_TRUE(subscribe(false));
  const auto events = take();
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].reason, "a");
  EXPECT_EQ(events[0].sequence, 1U);
  EXPECT_EQ(events[0].server, NodeId(2));
  EXPECT_GT(events[0].time_us, 0U);
  EXPECT_LE(events[0].monotonic_ns, events[1].monotonic_ns);
  EXPECT_TRUE(done_);
  record("c");
  EXPECT_TRUE(take().empty());
}

TEST_F(EventLogTest, AFollowerGetsTheOldThenTheNewAtOnce) {
  record("a");
  ASSERT_TRUE(subscribe(true));
  EXPECT_EQ(take().size(), 1U);
  record("b");
  const auto events = take();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].reason, "b");
  EXPECT_FALSE(done_);
  log_.on_session_closed(kSession);
  record("c");
  EXPECT_TRUE(take().empty());
}

TEST_F(EventLogTest, TheBufferIsBounded) {
  for (std::size_t i = 0; i < EventLog::kMaxEvents + 10; ++i) record("x");
  ASSERT_TRUE(subscribe(false));
  const auto events = take();
  ASSERT_EQ(events.size(), EventLog::kMaxEvents);
  EXPECT_EQ(events[0].sequence, 11U);
  EXPECT_EQ(events[0].missed, 0U) << "what was before it came is not missed";
  EXPECT_TRUE(done_);
}

TEST_F(EventLogTest, ASlowFollowerIsToldHowManyItMissed) {
  ASSERT_TRUE(subscribe(true));
  record("first");
  EXPECT_EQ(take().size(), 1U);
  stuck_ = true;
  for (std::size_t i = 0; i < EventLog::kMaxEvents + 5; ++i) record("x");
  EXPECT_TRUE(take().empty()) << "nothing is queued for one that does not read";
  stuck_ = false;
  log_.on_tick();
  const auto events = take();
  ASSERT_EQ(events.size(), EventLog::kMaxEvents);
  EXPECT_EQ(events[0].missed, 5U);
  EXPECT_EQ(events[1].missed, 0U);
}

TEST_F(EventLogTest, ASlowReaderOfTheOldIsEndedWhenAllOfItIsGone) {
  record("a");
  stuck_ = true;
  ASSERT_TRUE(subscribe(false));
  for (std::size_t i = 0; i < EventLog::kMaxEvents; ++i) record("x");
  stuck_ = false;
  log_.on_tick();
  EXPECT_TRUE(take().empty());
  EXPECT_TRUE(done_);
}

TEST_F(EventLogTest, ASecondSubscriptionOfAConnectionIsRefused) {
  ASSERT_TRUE(subscribe(true));
  const Status again = subscribe(true);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::kExists);
}

TEST_F(EventLogTest, NothingInAReasonActsOnATerminal) {
  record("\x1b[2J" + std::string(2 * EventLog::kMaxReasonBytes, 'x'));
  ASSERT_TRUE(subscribe(false));
  const std::string reason = take()[0].reason;
  EXPECT_EQ(reason.substr(0, 4), "?[2J");
  EXPECT_EQ(reason.size(), EventLog::kMaxReasonBytes);
}

}  // namespace
}  // namespace rk::daemon

// SPDX-License-Identifier: Apache-2.0
#include "log/carrier.h"

#include "log_fixture.h"

namespace rk::log {
namespace {

constexpr std::uint64_t kResendUs = 1000;

// Golden: servers of other releases read these bytes.
TEST(LogMessages, HaveTheDocumentedBytes) {
  const wire::LogRecords records{
      JobId(0x11), Rank(1), Rank(2), 3, {{Ssn(4), 5, 6, 7, Incarnation(8), 2, 0, {std::byte{0xaa}, std::byte{0xbb}}}}};
  EXPECT_EQ(to_hex(wire::encode(records)),
            "1100000000000000"  // job
            "0100000002000000"  // source, dest
            "0300000000000000"  // turn
            "01000000"          // records
            "0400000000000000"  // ssn
            "0500000000000000"  // order
            "0600000000000000"  // context
            "07000000"          // tag
            "0800000000000000"  // incarnation
            "0200000000000000"  // length
            "0000000000000000"  // offset
            "02000000aabb"      // part
  );
  EXPECT_EQ(static_cast<std::uint32_t>(wire::LogRecords::kType), 0x270U);
  const wire::LogArrived arrived{JobId(0x11), Rank(1), Rank(2), 3, Ssn(9)};
  EXPECT_EQ(to_hex(wire::encode(arrived)), "1100000000000000010000000200000003000000000000000900000000000000");
  EXPECT_EQ(static_cast<std::uint32_t>(wire::LogArrived::kType), 0x271U);
  const wire::LogFrom from{JobId(0x11), Rank(1), Rank(2), 3, Ssn(1)};
  EXPECT_EQ(to_hex(wire::encode(from)), "1100000000000000010000000200000003000000000000000100000000000000");
  EXPECT_EQ(static_cast<std::uint32_t>(wire::LogFrom::kType), 0x272U);
}

// Rank 0 sends, rank 1 is on another node: its inbox never opens rank 0's segment.
class CarrierTest : public testing::Test {
 protected:
  struct Nobody : public PeerSource {
    Result<SegmentView> open(std::uint32_t) override { return fail(ErrorCode::kUnavailable, "on another node"); }
  };

  CarrierTest() {
    job_.start_all();
    source_ = std::make_unique<CarrierSource>(*job_.open(0), CarrierSource::Config{JobId(77), 1, 8, kResendUs});
    restart_receiver(1);
  }
  void restart_receiver(std::uint64_t life) {
    inbox_ = std::make_unique<Inbox>(job_[1].segment(), nobody_, Inbox::Config{{0}, PlantedBug::kNone});
    sink_ = std::make_unique<CarrierSink>(*inbox_, 1, CarrierSink::Config{JobId(77), 0, Incarnation(life)});
  }
  std::vector<wire::LogRecords> frames(std::uint64_t now_us) {
    std::vector<wire::LogRecords> out;
    for (;;) {
      auto frame = source_->next(now_us);
      EXPECT_TRUE(frame) << frame.error().message;
      if (!frame || !*frame) return out;
      out.push_back(**frame);
    }
  }
  void take(const wire::LogRecords& frame, std::uint64_t now_us) {
    auto answer = sink_->take(frame);
    ASSERT_OK(answer);
    source_->arrived(*answer, now_us);
  }
  std::vector<std::string> received() {
    std::vector<std::string> texts;
    for (;;) {
      auto arrival = inbox_->pull(0);
      EXPECT_TRUE(arrival);
      if (!arrival || *arrival == nullptr) return texts;
      texts.push_back(text_of((*arrival)->payload));
      inbox_->consume(**arrival);
    }
  }
  TestJob job_{{0, 1}};
  Nobody nobody_;
  std::unique_ptr<CarrierSource> source_;
  std::unique_ptr<Inbox> inbox_;
  std::unique_ptr<CarrierSink> sink_;
};

TEST_F(CarrierTest, ALargeRecordTravelsInParts) {
  const std::string large(300000, 'L');
  ASSERT_OK(job_.send(0, 1, 0, large));
  ASSERT_OK(job_.send(0, 1, 0, "small"));
  source_->from(sink_->message());
  const auto sent = frames(0);
  EXPECT_GE(sent.size(), 2U);
  for (const auto& frame : sent) {
    for (const auto& record : frame.records) EXPECT_LE(record.part.size(), wire::kMaxCarriedPart);
    EXPECT_LE(wire::encode(frame).size(), wire::kMaxPayload);
    take(frame, 1);
  }
  EXPECT_TRUE(sink_->confirmed());
  EXPECT_EQ(received(), (std::vector<std::string>{large, "small"}));
  EXPECT_EQ(source_->acknowledged(), 2U);
}

TEST_F(CarrierTest, ALostPartIsSentAgainFromItsStart) {
  const std::string large(300000, 'L');
  ASSERT_OK(job_.send(0, 1, 0, large));
  source_->from(sink_->message());
  auto sent = frames(0);
  ASSERT_GE(sent.size(), 2U);
  take(sent.back(), 1);  // the first frame is lost
  EXPECT_TRUE(received().empty());
  EXPECT_TRUE(frames(kResendUs / 2).empty());
  for (const auto& frame : frames(2 * kResendUs)) take(frame, 2 * kResendUs);
  EXPECT_EQ(received(), std::vector<std::string>{large});
}

TEST_F(CarrierTest, NoMoreThanTheWindowIsUnderWay) {
  for (int i = 0; i < 20; ++i) ASSERT_OK(job_.send(0, 1, 0, std::to_string(i)));
  source_->from(sink_->message());
  std::size_t records = 0;
  std::vector<wire::LogRecords> under_way = frames(0);
  for (const auto& frame : under_way) records += frame.records.size();
  EXPECT_EQ(records, 8U);
  for (std::uint64_t now = 1; !under_way.empty(); ++now) {
    for (const auto& frame : under_way) take(frame, now);
    under_way = frames(now);
  }
  EXPECT_EQ(received().size(), 20U);
}

TEST_F(CarrierTest, ARestartedReceiverGetsTheStreamAgainAndOldAnswersChangeNothing) {
  for (int i = 0; i < 3; ++i) ASSERT_OK(job_.send(0, 1, 0, std::to_string(i)));
  source_->from(sink_->message());
  const auto sent = frames(0);
  auto late = sink_->take(sent.front());
  ASSERT_OK(late);
  restart_receiver(2);
  source_->from(sink_->message());
  source_->arrived(*late, 1);
  EXPECT_EQ(source_->acknowledged(), 0U);
  for (const auto& frame : frames(1)) take(frame, 1);
  EXPECT_EQ(received().size(), 3U);
}

TEST_F(CarrierTest, ALyingFrameIsRefused) {
  ASSERT_OK(job_.send(0, 1, 0, "text"));
  source_->from(sink_->message());
  const auto good = frames(0).front();
  auto frame = good;
  frame.source = Rank(1);
  EXPECT_FALSE(sink_->take(frame));
  frame = good;
  frame.records[0].offset = 5;
  EXPECT_FALSE(sink_->take(frame));
  frame = good;
  frame.records[0].length = ~std::uint64_t{0};
  EXPECT_FALSE(sink_->take(frame));
  frame = good;
  frame.records[0].ssn = Ssn(0);
  EXPECT_FALSE(sink_->take(frame));
  ASSERT_OK(sink_->take(good));
  EXPECT_EQ(received(), std::vector<std::string>{"text"});
}

}  // namespace
}  // namespace rk::log

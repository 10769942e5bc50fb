// SPDX-License-Identifier: Apache-2.0
#include "log/matcher.h"

#include "log_fixture.h"

namespace rk::log {
namespace {

// Ranks 0 and 1 are one community, 2 and 3 another; the receiver is 0.
class MatcherTest : public testing::Test {
 protected:
  MatcherTest() { job.start_all(); }
  Matcher& matcher() { return job[0].matcher(); }
  Posted post(std::uint32_t source, std::int32_t tag, Reach reach = Reach::kBoth) {
    auto posted = matcher().post({1, source, tag, reach});
    EXPECT_TRUE(posted) << posted.error().message;
    return posted ? *posted : Posted{};
  }
  std::vector<Match> progress() {
    std::vector<Match> out;
    auto status = matcher().progress(out);
    EXPECT_TRUE(status) << status.error().message;
    return out;
  }
  TestJob job{{0, 0, 1, 1}};
};

TEST_F(MatcherTest, ASpecificReceiveFindsTheMessageThatIsThere) {
  ASSERT_OK(job.send(2, 0, 5, "five"));
  ASSERT_OK(job.send(2, 0, 6, "six"));
  const Posted six = post(2, 6);
  ASSERT_EQ(six.state, PostState::kMatched);
  EXPECT_EQ(text_of(six.match.payload), "six");
  EXPECT_EQ(six.match.ssn, 2U);
  EXPECT_EQ(six.match.rsn, 1U);
  const Posted five = post(2, 5);
  ASSERT_EQ(five.state, PostState::kMatched);
  EXPECT_EQ(five.match.rsn, 2U);
}

TEST_F(MatcherTest, AMessageGoesToTheEarliestReceiveThatAcceptsIt) {
  EXPECT_EQ(post(2, 5).state, PostState::kPending);
  EXPECT_EQ(post(kAnySource, kAnyTag).state, PostState::kPending);
  EXPECT_EQ(post(kAnySource, 5).state, PostState::kPending);
  ASSERT_OK(job.send(2, 0, 6, "to the second"));
  ASSERT_OK(job.send(2, 0, 5, "to the first"));
  ASSERT_OK(job.send(2, 0, 5, "to the third"));
  const auto matches = progress();
  ASSERT_EQ(matches.size(), 3U);
  EXPECT_EQ(matches[0].psn, 2U);
  EXPECT_EQ(matches[1].psn, 1U);
  EXPECT_EQ(matches[2].psn, 3U);
}

// Whoever asks for progress only while something is pending must not miss a match that another call made on its way.
TEST_F(MatcherTest, AMatchMadeOnTheWayStaysPendingUntilItIsReported) {
  EXPECT_EQ(post(2, 5).state, PostState::kPending);
  ASSERT_OK(job.send(2, 0, 5, "for the first"));
  ASSERT_OK(job.send(2, 0, 6, "for the second"));
  EXPECT_EQ(post(2, 6).state, PostState::kMatched);
  EXPECT_EQ(matcher().pending(), 1U);
  EXPECT_EQ(progress().size(), 1U);
  EXPECT_EQ(matcher().pending(), 0U);
}

TEST_F(MatcherTest, InsideReceivesGoToTheNativeLibraryUnlessTheyOverlap) {
  EXPECT_EQ(post(1, 5).state, PostState::kNative);
  const Posted open_tag = post(1, kAnyTag);
  EXPECT_EQ(open_tag.state, PostState::kNative);
  EXPECT_EQ(open_tag.native_tag, kAnyTag);
  EXPECT_EQ(post(kAnySource, 7).state, PostState::kPending);
  EXPECT_EQ(post(1, 7).state, PostState::kPending);  // behind the wildcard
  EXPECT_EQ(post(1, 8).state, PostState::kNative);
  EXPECT_EQ(matcher().post({2, 1, 7, Reach::kBoth})->state, PostState::kNative);  // another communicator
  job.port(0).arrive(1, 1, 7, 100);
  job.port(0).arrive(1, 1, 7, 101);
  const auto matches = progress();
  ASSERT_EQ(matches.size(), 2U);
  EXPECT_EQ(matches[0].psn, 3U);
  EXPECT_EQ(matches[0].token, 100U);
  EXPECT_EQ(matches[1].psn, 4U);
  EXPECT_EQ(matches[1].token, 101U);
}

// The question of a later receive may find what an earlier one accepts: it came between the two questions.
TEST_F(MatcherTest, WhatALaterReceiveFindsInsideGoesToAnEarlierOne) {
  class LatePort : public TestPort {
   public:
    std::optional<InsideMessage> try_match(std::uint64_t context, std::uint32_t source, std::int32_t tag) override {
      if (++asked == 2) arrive(1, 1, 5, 100);
      return TestPort::try_match(context, source, tag);
    }
    int asked = 0;
  };
  LatePort port;
  Matcher with_port(job[0].inbox(), job[0].matches(), &port, {{true, true, false, false}, PlantedBug::kNone});
  ASSERT_EQ(with_port.post({1, kAnySource, 5, Reach::kBoth})->state, PostState::kPending);
  auto second = with_port.post({1, kAnySource, kAnyTag, Reach::kBoth});
  ASSERT_OK(second);
  EXPECT_EQ(second->state, PostState::kPending);
  std::vector<Match> matches;
  ASSERT_OK(with_port.progress(matches));
  ASSERT_EQ(matches.size(), 1U);
  EXPECT_EQ(matches[0].psn, 1U);
}

// A receive that overlaps an earlier one without a match is not blocked by it.
TEST_F(MatcherTest, OverlapDoesNotBlockWhatOnlyTheLaterReceiveAccepts) {
  EXPECT_EQ(post(kAnySource, 1).state, PostState::kPending);
  EXPECT_EQ(post(1, kAnyTag).state, PostState::kPending);
  job.port(0).arrive(1, 1, 2, 100);
  const auto matches = progress();
  ASSERT_EQ(matches.size(), 1U);
  EXPECT_EQ(matches[0].psn, 2U);
}

TEST_F(MatcherTest, ARestartRepeatsTheChoiceOfAWildcard) {
  ASSERT_OK(job.send(3, 0, 5, "from 3"));
  const Posted first = post(kAnySource, 5);
  ASSERT_EQ(first.match.source, 3U);
  job.port(0).arrive(1, 1, 5, 100);
  const Posted second = post(kAnySource, 5);
  ASSERT_TRUE(second.match.inside);
  ASSERT_OK(job.send(2, 0, 5, "from 2"));

  job.start(0);
  EXPECT_TRUE(matcher().replaying());
  job.port(0).arrive(1, 1, 5, 200);  // sent again by 1, this time earlier than anything else
  const Posted again = post(kAnySource, 5);
  ASSERT_EQ(again.state, PostState::kMatched);
  EXPECT_EQ(again.match.source, 3U);
  EXPECT_EQ(again.match.rsn, first.match.rsn);
  const Posted inside = post(kAnySource, 5);
  ASSERT_EQ(inside.state, PostState::kNative);  // the wildcard has become a specific receive
  EXPECT_EQ(inside.native_source, 1U);
  EXPECT_EQ(inside.native_tag, 5);
  EXPECT_FALSE(matcher().replaying());
  job.port(0).queue.clear();
  const Posted fresh = post(kAnySource, 5);
  ASSERT_EQ(fresh.state, PostState::kMatched);
  EXPECT_EQ(fresh.match.source, 2U);
  EXPECT_GT(fresh.match.rsn, first.match.rsn);
}

// Written at match: a receive that the program never waits for still moves the matches behind it.
TEST_F(MatcherTest, AMatchIsOnRecordBeforeItIsReported) {
  EXPECT_EQ(post(kAnySource, kAnyTag).state, PostState::kPending);
  ASSERT_OK(job.send(3, 0, 5, "a"));
  const Posted second = post(3, 5);  // binds the first receive on its way, finds nothing more, and nobody is told
  EXPECT_EQ(second.state, PostState::kPending);
  ASSERT_OK(job.send(2, 0, 5, "b"));

  job.start(0);  // both messages are there before the first receive now
  const Posted again = post(kAnySource, kAnyTag);
  ASSERT_EQ(again.state, PostState::kMatched);
  EXPECT_EQ(again.match.source, 3U);
  EXPECT_EQ(post(3, 5).state, PostState::kPending);
}

// A checkpoint that a re-execution takes again (the newer version was lost) stands behind fewer matches than the log
// holds: those of later receives stay to be repeated by a life that starts from it.
TEST_F(MatcherTest, ACheckpointTakenAgainKeepsTheMatchesBehindIt) {
  ASSERT_OK(job.send(2, 0, 5, "before"));
  ASSERT_EQ(post(kAnySource, 5).state, PostState::kMatched);
  ASSERT_OK(job.send(3, 0, 5, "behind"));
  ASSERT_EQ(post(kAnySource, 5).match.source, 3U);
  ASSERT_OK(job.send(2, 0, 5, "another"));

  job.start(0);
  ASSERT_EQ(post(kAnySource, 5).match.source, 2U);
  const LogState taken_again = job[0].snapshot();
  job.start(0);
  ASSERT_OK(job[0].jump(taken_again));
  EXPECT_EQ(post(kAnySource, 5).match.source, 3U);
}

TEST_F(MatcherTest, AReceiveThatCannotGetTheRecordedMessageIsADivergence) {
  ASSERT_OK(job.send(2, 0, 5, "x"));
  ASSERT_EQ(post(2, 5).state, PostState::kMatched);
  for (const RecvSpec& spec :
       {RecvSpec{1, 3, 5, Reach::kBoth}, RecvSpec{1, 2, 6, Reach::kBoth}, RecvSpec{1, 1, 5, Reach::kBoth}}) {
    job.start(0);
    auto posted = matcher().post(spec);
    ASSERT_FALSE(posted);
    EXPECT_EQ(posted.error().code, ErrorCode::kDivergence);
  }
}

TEST_F(MatcherTest, ACancelIsOnRecord) {
  EXPECT_EQ(post(kAnySource, 5).state, PostState::kPending);
  auto cancelled = matcher().cancel(1);
  ASSERT_OK(cancelled);
  EXPECT_TRUE(*cancelled);
  ASSERT_OK(job.send(2, 0, 5, "for the next"));
  ASSERT_EQ(post(kAnySource, 5).state, PostState::kMatched);

  job.start(0);
  EXPECT_EQ(post(kAnySource, 5).state, PostState::kCancelled);
  const Posted next = post(kAnySource, 5);
  ASSERT_EQ(next.state, PostState::kMatched);
  EXPECT_EQ(text_of(next.match.payload), "for the next");
  cancelled = matcher().cancel(1);
  ASSERT_OK(cancelled);
  EXPECT_TRUE(*cancelled);
  EXPECT_EQ(matcher().pending(), 0U);
}

TEST_F(MatcherTest, ACancelComesTooLateForAMatch) {
  EXPECT_EQ(post(2, 5).state, PostState::kPending);
  ASSERT_OK(job.send(2, 0, 5, "x"));
  ASSERT_EQ(progress().size(), 1U);
  EXPECT_FALSE(*matcher().cancel(1));
  // In the next life the message may not be there yet when the program asks: the record decides.
  job.start(0);
  EXPECT_EQ(post(2, 5).state, PostState::kMatched);
  EXPECT_FALSE(*matcher().cancel(1));
}

TEST_F(MatcherTest, AProbeSeesOnlyWhatNoReceiveAccepts) {
  EXPECT_EQ(post(kAnySource, 5).state, PostState::kPending);
  ASSERT_OK(job.send(2, 0, 5, "for the receive"));
  auto probed = matcher().probe({1, kAnySource, kAnyTag, Reach::kBoth});
  ASSERT_OK(probed);
  EXPECT_FALSE(probed->has_value());
  ASSERT_OK(job.send(2, 0, 6, "for the probe"));
  probed = matcher().probe({1, kAnySource, kAnyTag, Reach::kBoth});
  ASSERT_OK(probed);
  ASSERT_TRUE(probed->has_value());
  EXPECT_EQ((*probed)->tag, 6);
  EXPECT_EQ((*probed)->length, 13U);
  job.port(0).arrive(1, 1, 7, 100);
  probed = matcher().probe({1, 1, kAnyTag, Reach::kBoth});
  ASSERT_OK(probed);
  ASSERT_TRUE(probed->has_value());
  EXPECT_TRUE((*probed)->inside);
  auto taken = matcher().take({1, 2, 6, Reach::kBoth});
  ASSERT_OK(taken);
  ASSERT_TRUE(taken->has_value());
  EXPECT_EQ((*taken)->psn, 2U);
  EXPECT_EQ(progress().size(), 1U);
}

TEST_F(MatcherTest, AFailedMatchedProbeTakesNoPostingNumber) {
  auto nothing = matcher().take({1, kAnySource, kAnyTag, Reach::kBoth});
  ASSERT_OK(nothing);
  EXPECT_FALSE(nothing->has_value());
  ASSERT_OK(job.send(2, 0, 6, "x"));
  auto taken = matcher().take({1, kAnySource, kAnyTag, Reach::kBoth});
  ASSERT_OK(taken);
  EXPECT_EQ((*taken)->psn, 1U);
  EXPECT_FALSE(matcher().next_on_record());
  job.start(0);
  EXPECT_TRUE(matcher().next_on_record());
}

TEST_F(MatcherTest, WildcardsAreFairToTheirSources) {
  for (int i = 0; i < 10; ++i) {
    ASSERT_OK(job.send(2, 0, 5, "x"));
    ASSERT_OK(job.send(3, 0, 5, "x"));
  }
  std::vector<int> from(4);
  for (int i = 0; i < 10; ++i) ++from[post(kAnySource, 5).match.source];
  EXPECT_GE(from[2], 3);
  EXPECT_GE(from[3], 3);
}

TEST_F(MatcherTest, ARestoreWithAnOpenReceiveIsRefused) {
  const LogState state = job[0].snapshot();
  EXPECT_EQ(post(2, 5).state, PostState::kPending);
  auto status = job[0].jump(state);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace rk::log

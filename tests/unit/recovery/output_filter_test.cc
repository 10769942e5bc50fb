// SPDX-License-Identifier: Apache-2.0
#include "recovery/output_filter.h"

#include <gtest/gtest.h>

namespace rk::recovery {
namespace {

std::string fed(OutputFilter& filter, std::string_view bytes) {
  std::string out;
  filter.feed(bytes, out);
  return out;
}

TEST(OutputFilter, ShowsWholeLinesAndHoldsTheRestBack) {
  OutputFilter filter;
  EXPECT_EQ(fed(filter, "one\ntw"), "one\n");
  EXPECT_EQ(fed(filter, "o\n"), "two\n");
  EXPECT_EQ(fed(filter, "no newline"), "");
  std::string end;
  filter.finish(end);
  EXPECT_EQ(end, "no newline");
  EXPECT_EQ(filter.counts().shown, 3U);
}

TEST(OutputFilter, SwallowsByNumberWhatWasShownAndGoesOnAfterIt) {
  OutputFilter filter;
  fed(filter, "a\nb\nhalf of c");
  filter.restart();
  EXPECT_EQ(fed(filter, "a\nb\nc\nd\n"), "c\nd\n");
  EXPECT_EQ(filter.counts().shown, 4U);
  EXPECT_EQ(filter.counts().swallowed, 2U);
  EXPECT_EQ(filter.counts().differing, 0U);
}

TEST(OutputFilter, TheFirstVersionStandsAndDifferencesAreCounted) {
  OutputFilter filter;
  fed(filter, "time 1\nsame\ntime 2\n");
  filter.restart();
  EXPECT_EQ(fed(filter, "time 8\nsame\ntime 9\nnew\n"), "new\n");
  EXPECT_EQ(filter.counts().differing, 2U);
  ASSERT_TRUE(filter.first_difference());
  EXPECT_EQ(filter.first_difference()->number, 0U);
  EXPECT_EQ(filter.first_difference()->text, "time 8\n");
}

TEST(OutputFilter, WhatIsPrintedBeforeTheRestoreIsSetAside) {
  OutputFilter filter;
  fed(filter, "hello\nno checkpoint\n0\n");
  const std::uint64_t checkpoint = filter.position();
  fed(filter, "1\n");
  filter.restart();
  EXPECT_EQ(fed(filter, "hello\nrest"), "");
  filter.suspend();
  // More lines than were ever shown, and an unfinished one.
  EXPECT_EQ(fed(filter, "ored\nversion 1\nof\nthree\nparts\nand"), "");
  filter.resume(checkpoint);
  EXPECT_EQ(fed(filter, "1\n2\n"), "2\n") << "nothing is lost after the restore";
  EXPECT_EQ(filter.counts().aside, 5U);
  EXPECT_EQ(filter.counts().swallowed, 2U);
  EXPECT_EQ(filter.counts().differing, 0U);
  EXPECT_EQ(filter.counts().shown, 5U);
  std::string end;
  filter.finish(end);
  EXPECT_EQ(end, "");
}

TEST(OutputFilter, WithoutARestoreTheNewestOfItIsShownAtTheEnd) {
  OutputFilter filter;
  fed(filter, "0\n1\n");
  filter.restart();
  fed(filter, "0\n");
  filter.suspend();
  std::string many;
  for (int i = 0; i < 30000; ++i) many += "line " + std::to_string(i) + "\n";
  fed(filter, many + "cannot restore: ");
  fed(filter, "no part");
  std::string end;
  filter.finish(end);
  EXPECT_LE(end.size(), kMaxAsideBytes);
  EXPECT_GT(end.size(), kMaxAsideBytes - 20);
  EXPECT_EQ(end.substr(0, 5), "line ") << "whole lines";
  EXPECT_EQ(end.substr(end.size() - 34), "line 29999\ncannot restore: no part");
}

TEST(OutputFilter, ALifeThatDiesBeforeItsRestoreLeavesNothing) {
  OutputFilter filter;
  fed(filter, "0\n");
  filter.restart();
  filter.suspend();
  fed(filter, "a\nb");
  filter.restart();
  EXPECT_EQ(fed(filter, "0\n1\n"), "1\n");
  std::string end;
  filter.finish(end);
  EXPECT_EQ(end, "");
}

TEST(OutputFilter, ResumesAtTheCheckpointsPosition) {
  OutputFilter filter;
  fed(filter, "0\n1\n2\n");
  const std::uint64_t checkpoint = filter.position();
  EXPECT_EQ(checkpoint, 3U);
  fed(filter, "3\n4\n");
  filter.restart();
  EXPECT_EQ(fed(filter, "0\n"), "") << "the prologue prints again";
  filter.resume(checkpoint);
  EXPECT_EQ(fed(filter, "3\n4\n5\n"), "5\n");
  EXPECT_EQ(filter.counts().differing, 0U);
  EXPECT_EQ(filter.position(), 6U);
}

TEST(OutputFilter, APositionThatWasNeverReachedShowsEverything) {
  OutputFilter filter;
  fed(filter, "0\n");
  filter.resume(1000);
  EXPECT_EQ(fed(filter, "1\n"), "1\n");
  filter.restart();
  EXPECT_EQ(fed(filter, "0\n1\n2\n"), "2\n");
}

TEST(OutputFilter, ALineWithoutEndIsCutAtTheSamePlacesHoweverItArrives) {
  const std::string line(kMaxLineBytes * 2 + 10, 'x');
  OutputFilter whole;
  std::string first;
  whole.feed(line + "\n", first);
  EXPECT_EQ(first, line + "\n");
  whole.restart();
  std::string again;
  for (std::size_t at = 0; at < line.size(); at += 7777) whole.feed(line.substr(at, 7777), again);
  whole.feed("\nnext\n", again);
  EXPECT_EQ(again, "next\n");
  EXPECT_EQ(whole.counts().differing, 0U);
  EXPECT_EQ(whole.counts().swallowed, 3U);
}

TEST(OutputFilter, OldLinesAreSwallowedUncomparedAndMemoryStaysBounded) {
  OutputFilter filter;
  std::string out;
  const std::uint64_t lines = kMaxComparableLines * 2 + 5;
  for (std::uint64_t i = 0; i < lines; ++i) filter.feed(i == 3 ? "old\n" : "x\n", out);
  filter.restart();
  out.clear();
  for (std::uint64_t i = 0; i < lines; ++i) filter.feed(i + 1 == lines ? "y\n" : "x\n", out);
  EXPECT_EQ(out, "");
  EXPECT_EQ(filter.counts().swallowed, lines);
  EXPECT_EQ(filter.counts().compared, kMaxComparableLines);
  EXPECT_EQ(filter.counts().differing, 1U) << "line 3 is too old to compare, the last line is not";
}

}  // namespace
}  // namespace rk::recovery

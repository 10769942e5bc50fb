// SPDX-License-Identifier: Apache-2.0
// Commits that nobody waits for, against servers that answer late, wrongly, or not at all.
#include "client/async_commits.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <future>
#include <map>
#include <string>
#include <vector>

#include "tests/unit/client/fake_server.h"

namespace rk::client {
namespace {

using Type = wire::MessageType;

constexpr std::uint32_t kPatienceMs = 60'000;
constexpr std::uint64_t kLongAgoMs = 1;

std::unique_ptr<Connection> connect(const FakeServer& server, std::uint32_t timeout_ms = kPatienceMs) {
  ConnectOptions options;
  options.socket_path = server.socket_path();
  options.timeout_ms = timeout_ms;
  auto connection = Connection::open(options);
  EXPECT_TRUE(connection) << connection.error().message;
  return connection ? *std::move(connection) : nullptr;
}

wire::CommitAnswer ok(std::uint64_t version, std::uint64_t lease_until_ms = 0) {
  return {wire::CommitResult::kOk, Version(version), 7, {}, lease_until_ms};
}

Status put(AsyncCommits& commits, std::uint64_t tag, bool more = false, std::uint32_t timeout_ms = kPatienceMs) {
  const std::string name = "n" + std::to_string(tag);
  return commits.put(name, as_bytes("value"), {tag, wire::CommitLevel::kReplicated, timeout_ms, more});
}

bool readable(int descriptor, int wait_ms = 0) {
  pollfd item{descriptor, POLLIN, 0};
  return ::poll(&item, 1, wait_ms) > 0;
}

// Takes until nothing is in flight: by tag, the version or the error's code. Each tag once.
std::map<std::uint64_t, Result<Committed>> drain(AsyncCommits& commits) {
  std::map<std::uint64_t, Result<Committed>> out;
  while (commits.in_flight() > 0) {
    std::vector<AsyncOutcome> taken;
    EXPECT_TRUE(commits.take(taken, 3, kPatienceMs));
    EXPECT_FALSE(taken.empty());
    EXPECT_LE(taken.size(), 3U);
    for (AsyncOutcome& outcome : taken)
      EXPECT_TRUE(out.emplace(outcome.tag, std::move(outcome.result)).second) << "twice: " << outcome.tag;
    if (taken.empty()) break;
  }
  return out;
}

TEST(AsyncCommits, OutcomesCarryTheirTagsInWhicheverOrderTheyCome) {
  FakeServer server([&](FakeSession& session) {
    session.greet();
    std::vector<wire::Frame> asked;
    asked.reserve(4);
    for (int i = 0; i < 4; ++i) asked.push_back(session.next());
    session.answer(asked[2], ok(2));
    session.answer(asked[0], wire::CommitAnswer{wire::CommitResult::kFailed, {}, 0, "why", 0});
    session.answer(asked[3], wire::Refusal{static_cast<std::int32_t>(ErrorCode::kNoMemory), "full"});
    session.answer(asked[1], wire::CommitAnswer{wire::CommitResult::kUnknown, {}, 0, "why", 0});
    session.next();
  });
  const auto connection = connect(server);
  AsyncCommits commits(*connection);
  for (std::uint64_t tag = 10; tag < 14; ++tag) ASSERT_TRUE(put(commits, tag));
  const auto outcomes = drain(commits);
  ASSERT_EQ(outcomes.size(), 4U);
  EXPECT_EQ(outcomes.at(10).error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(outcomes.at(11).error().code, ErrorCode::kTimeout);
  ASSERT_TRUE(outcomes.at(12));
  EXPECT_EQ(outcomes.at(12)->version, Version(2));
  EXPECT_EQ(outcomes.at(13).error().code, ErrorCode::kNoMemory);
  EXPECT_EQ(outcomes.at(13).error().message, "full");
}

// Answers every commit with a version that rises, until the client goes.
void commit_all(FakeSession& session) {
  session.greet();
  std::uint64_t version = 0;
  for (wire::Frame frame = session.next(); frame.type != Type::kNone; frame = session.next())
    session.answer(frame, ok(++version));
}

TEST(AsyncCommits, MoreThanTheLimitAreRefusedAndChangeNothing) {
  FakeServer server(commit_all);
  const auto connection = connect(server);
  AsyncCommits commits(*connection);
  for (std::uint64_t tag = 1; tag <= kMaxCommitsInFlight; ++tag) ASSERT_TRUE(put(commits, tag));
  EXPECT_EQ(put(commits, 999).error().code, ErrorCode::kNoMemory);
  EXPECT_EQ(commits.in_flight(), kMaxCommitsInFlight);
  std::vector<AsyncOutcome> one;
  ASSERT_TRUE(commits.take(one, 1, kPatienceMs));
  EXPECT_EQ(one.size(), 1U);
  EXPECT_TRUE(put(commits, 999));
  const auto outcomes = drain(commits);
  EXPECT_EQ(outcomes.size(), kMaxCommitsInFlight);
  EXPECT_TRUE(outcomes.at(999));
}

TEST(AsyncCommits, TheDescriptorTellsOfAnswersThatAnotherCallTookIn) {
  FakeServer server([&](FakeSession& session) {
    session.greet();
    const auto first = session.next();
    const auto second = session.next();
    const auto third = session.next();
    session.answer(first, ok(1));
    session.answer(second, ok(2));
    session.answer(third, wire::Done{});
    while (session.next().type != Type::kNone) {
    }
  });
  const auto connection = connect(server);
  AsyncCommits commits(*connection);
  const auto descriptor = commits.descriptor();
  ASSERT_TRUE(descriptor);
  ASSERT_TRUE(put(commits, 1));
  ASSERT_TRUE(put(commits, 2));
  EXPECT_FALSE(readable(*descriptor));
  ASSERT_TRUE(remove_checkpoint(*connection, "other"));
  // The socket is empty, and still it says so, until all are taken; also after a put more.
  EXPECT_TRUE(readable(*descriptor));
  std::vector<AsyncOutcome> taken;
  ASSERT_TRUE(commits.take(taken, 1, 0));
  EXPECT_TRUE(readable(*descriptor));
  ASSERT_TRUE(put(commits, 3));
  EXPECT_TRUE(readable(*descriptor));
  ASSERT_TRUE(commits.take(taken, 5, 0));
  ASSERT_EQ(taken.size(), 2U);
  EXPECT_FALSE(readable(*descriptor));
}

TEST(AsyncCommits, TheDescriptorWakesWhenAnAnswerComes) {
  std::promise<void> go;
  FakeServer server([&](FakeSession& session) {
    session.greet();
    const auto asked = session.next();
    go.get_future().wait();
    session.answer(asked, ok(1));
    session.next();
  });
  const auto connection = connect(server);
  AsyncCommits commits(*connection);
  ASSERT_TRUE(put(commits, 1));
  const auto descriptor = commits.descriptor();
  std::vector<AsyncOutcome> taken;
  ASSERT_TRUE(commits.take(taken, 1, 0));
  EXPECT_TRUE(taken.empty());
  EXPECT_FALSE(readable(*descriptor));
  go.set_value();
  EXPECT_TRUE(readable(*descriptor, kPatienceMs));
  ASSERT_TRUE(commits.take(taken, 1, 0));
  EXPECT_EQ(taken.size(), 1U);
}

TEST(AsyncCommits, AServerThatEndsLeavesNoneWithoutAnOutcome) {
  std::unique_ptr<Connection> connection;
  std::optional<AsyncCommits> commits;
  int descriptor = -1;
  {
    FakeServer server([&](FakeSession& session) {
      session.greet();
      const auto first = session.next();
      for (int i = 0; i < 4; ++i) session.next();
      session.answer(first, ok(1));
    });
    connection = connect(server);
    commits.emplace(*connection);
    descriptor = *commits->descriptor();
    for (std::uint64_t tag = 1; tag <= 5; ++tag) ASSERT_TRUE(put(*commits, tag));
  }
  EXPECT_TRUE(readable(descriptor, kPatienceMs));
  // Nothing is handed over any more.
  Status more = put(*commits, 6);
  EXPECT_EQ(more.error().code, ErrorCode::kPeerGone);
  const auto outcomes = drain(*commits);
  ASSERT_EQ(outcomes.size(), 5U);
  EXPECT_TRUE(outcomes.at(1));
  for (std::uint64_t tag = 2; tag <= 5; ++tag) EXPECT_EQ(outcomes.at(tag).error().code, ErrorCode::kTimeout);
  std::vector<AsyncOutcome> none;
  EXPECT_EQ(commits->take(none, 1, kPatienceMs).error().code, ErrorCode::kPeerGone);
}

TEST(AsyncCommits, ACallThatFindsTheServerGoneLosesNoOutcome) {
  FakeServer server([&](FakeSession& session) {
    session.greet();
    const auto first = session.next();
    session.next();
    session.next();
    session.answer(first, ok(1));
  });
  const auto connection = connect(server);
  AsyncCommits commits(*connection);
  ASSERT_TRUE(put(commits, 1));
  ASSERT_TRUE(put(commits, 2));
  EXPECT_EQ(remove_checkpoint(*connection, "other").error().code, ErrorCode::kPeerGone);
  const auto outcomes = drain(commits);
  ASSERT_EQ(outcomes.size(), 2U);
  EXPECT_TRUE(outcomes.at(1));
  EXPECT_EQ(outcomes.at(2).error().code, ErrorCode::kTimeout);
}

TEST(AsyncCommits, AMalformedAnswerEndsTheConnectionAndAllAreUnknown) {
  FakeServer server([&](FakeSession& session) {
    session.greet();
    session.answer(session.next(), wire::Done{});
    session.next();
    session.next();
  });
  const auto connection = connect(server);
  AsyncCommits commits(*connection);
  ASSERT_TRUE(put(commits, 1));
  ASSERT_TRUE(put(commits, 2));
  const auto outcomes = drain(commits);
  ASSERT_EQ(outcomes.size(), 2U);
  for (const auto& [tag, result] : outcomes) EXPECT_EQ(result.error().code, ErrorCode::kTimeout) << tag;
  EXPECT_TRUE(connection->broken());
}

// The time of the first is over at once but for the answer's moment; the second has time.
// Descriptors of this process that lead there.
std::vector<int> descriptors_to(const std::string& target) {
  std::vector<int> out;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    if (std::filesystem::read_symlink(entry.path(), gone) == target) out.push_back(std::stoi(entry.path().filename()));
  }
  return out;
}

// A program that closes descriptors it did not open: no exception leaves a call, and each tag has its outcome.
TEST(AsyncCommits, ATimerThatTheProgramClosesEndsTheConnection) {
  for (const bool answered : {false, true}) {
    const FakeServer server([&](FakeSession& session) {
      session.greet();
      const wire::Frame put = session.next();
      if (!answered) return;
      const wire::Frame call = session.next();
      session.answer(put, ok(1));
      session.answer(call, wire::Done{});
      static_cast<void>(session.next());
    });
    const auto connection = connect(server);
    ASSERT_TRUE(connection);
    AsyncCommits commits(*connection);
    const auto descriptor = commits.descriptor();
    ASSERT_TRUE(descriptor);
    const std::vector<int> timers = descriptors_to("anon_inode:[timerfd]");
    ASSERT_EQ(timers.size(), 1U);
    const auto hand_over = [&] { ASSERT_TRUE(put(commits, 1)); };
    if (answered) hand_over();
    ::close(timers[0]);
    if (!answered) hand_over();
    if (answered) {
      EXPECT_TRUE(connection->call<wire::Done>(wire::CheckpointAbandon{}));
    }
    EXPECT_TRUE(connection->broken());
    EXPECT_TRUE(readable(*descriptor));
    const auto outcomes = drain(commits);
    ASSERT_EQ(outcomes.size(), 1U);
    EXPECT_EQ(outcomes.at(1) ? ErrorCode::kOk : outcomes.at(1).error().code,
              answered ? ErrorCode::kOk : ErrorCode::kTimeout);
    EXPECT_EQ(put(commits, 2).error().code, ErrorCode::kIo);
  }
}

TEST(AsyncCommits, NoAnswerInTimeIsUnknownAndALateOneIsDropped) {
  std::promise<void> go;
  FakeServer server([&](FakeSession& session) {
    session.greet();
    const auto late = session.next();
    const auto other = session.next();
    go.get_future().wait();
    session.answer(late, ok(1));
    session.answer(other, ok(2));
    session.next();
  });
  const auto connection = connect(server);
  AsyncCommits commits(*connection);
  ASSERT_TRUE(put(commits, 1, false, 1));
  ASSERT_TRUE(put(commits, 2));
  const auto descriptor = commits.descriptor();
  EXPECT_TRUE(readable(*descriptor, kPatienceMs));
  std::vector<AsyncOutcome> taken;
  ASSERT_TRUE(commits.take(taken, 5, kPatienceMs));
  ASSERT_EQ(taken.size(), 1U);
  EXPECT_EQ(taken[0].tag, 1U);
  EXPECT_EQ(taken[0].result.error().code, ErrorCode::kTimeout);
  EXPECT_FALSE(readable(*descriptor));
  go.set_value();
  const auto outcomes = drain(commits);
  ASSERT_EQ(outcomes.size(), 1U);
  EXPECT_TRUE(outcomes.at(2));
}

TEST(AsyncCommits, WhatMoreFollowsTravelsWithTheNextCall) {
  std::vector<Type> asked;
  {
    FakeServer server([&](FakeSession& session) {
      session.greet();
      for (wire::Frame frame = session.next(); frame.type != Type::kNone; frame = session.next()) {
        asked.push_back(frame.type);
        if (frame.type == Type::kCheckpointDelete)
          session.answer(frame, wire::Done{});
        else
          session.answer(frame, ok(asked.size()));
      }
    });
    const auto connection = connect(server);
    AsyncCommits commits(*connection);
    ASSERT_TRUE(put(commits, 1, true));
    ASSERT_TRUE(put(commits, 2, true));
    ASSERT_TRUE(remove_checkpoint(*connection, "other"));
    ASSERT_TRUE(put(commits, 3, true));
    const auto outcomes = drain(commits);  // take() hands it over
    EXPECT_EQ(outcomes.size(), 3U);
  }
  EXPECT_EQ(asked,
            (std::vector{Type::kCheckpointPut, Type::kCheckpointPut, Type::kCheckpointDelete, Type::kCheckpointPut}));
}

// A server that does not read: what it has no room for is refused, and was not begun.
TEST(AsyncCommits, AFullSocketRefusesWhatItCannotTake) {
  std::promise<void> go;
  std::atomic<std::uint64_t> asked = 0;
  FakeServer server([&](FakeSession& session) {
    session.greet();
    go.get_future().wait();
    for (wire::Frame frame = session.next(); frame.type != Type::kNone; frame = session.next())
      session.answer(frame, ok(++asked));
  });
  const auto connection = connect(server, 50);
  AsyncCommits commits(*connection);
  const std::string large(60'000, 'x');
  Status handed;
  std::uint64_t started = 0;
  while (started < kMaxCommitsInFlight) {
    handed = commits.put("name", as_bytes(large), {started, wire::CommitLevel::kReplicated, kPatienceMs, false});
    if (!handed) break;
    ++started;
  }
  ASSERT_FALSE(handed);
  EXPECT_EQ(handed.error().code, ErrorCode::kUnavailable) << handed.error().message;
  EXPECT_FALSE(connection->broken());
  go.set_value();
  const auto outcomes = drain(commits);
  EXPECT_EQ(outcomes.size(), started);
  for (const auto& [tag, result] : outcomes) EXPECT_TRUE(result) << tag;
  EXPECT_EQ(asked, started);
}

// --- answers that come after the server's lease ---

wire::CheckpointContent content(std::uint64_t sum, std::uint64_t lease_until_ms = 0) {
  wire::CheckpointContent out;
  out.version = Version(3);
  out.sum = sum;
  out.slot = 9;
  out.lease_until_ms = lease_until_ms;
  return out;
}

// The outcome of a commit that is OK too late, at a server that answers the question with `answers`, one each time.
template <class... Answers>
Result<Committed> late_commit(const Answers&... answers) {
  Result<Committed> result = fail(ErrorCode::kIo, "there is none");
  std::vector<Type> asked;
  {
    FakeServer server([&](FakeSession& session) {
      session.greet();
      session.answer(session.next(), ok(3, kLongAgoMs));
      const auto answer = [&](const auto& message) {
        wire::Frame frame = session.next();
        for (; frame.type == Type::kCheckpointRelease; frame = session.next()) session.answer(frame, wire::Done{});
        EXPECT_EQ(frame.type, Type::kCheckpointOpen);
        if (const auto open = wire::from_frame<wire::CheckpointOpen>(frame); open) {
          EXPECT_EQ(open->name, "n1");
          EXPECT_EQ(open->version, Version(3));
        }
        session.answer(frame, message);
      };
      (answer(answers), ...);
      while (session.next().type != Type::kNone) {
      }
    });
    const auto connection = connect(server);
    AsyncCommits commits(*connection);
    EXPECT_TRUE(put(commits, 1));
    auto outcomes = drain(commits);
    EXPECT_EQ(outcomes.size(), 1U);
    if (outcomes.contains(1)) result = outcomes.at(1);
  }
  return result;
}

TEST(AsyncLease, ALateOkCountsOnlyIfTheServerConfirmsIt) {
  const auto confirmed = late_commit(content(7));
  ASSERT_TRUE(confirmed) << confirmed.error().message;
  EXPECT_EQ(confirmed->version, Version(3));
  EXPECT_EQ(late_commit(content(8)).error().code, ErrorCode::kTimeout);
  const wire::Refusal gone{static_cast<std::int32_t>(ErrorCode::kNotFound), "gone"};
  EXPECT_EQ(late_commit(gone).error().code, ErrorCode::kTimeout);
}

TEST(AsyncLease, AConfirmationThatIsLateTooIsAskedForAgain) {
  EXPECT_TRUE(late_commit(content(7, kLongAgoMs), content(7, kLongAgoMs), content(7)));
}

TEST(AsyncLease, ConfirmationsThatAreAllLateEnd) {
  FakeServer server([&](FakeSession& session) {
    session.greet();
    session.answer(session.next(), ok(3, kLongAgoMs));
    for (wire::Frame frame = session.next(); frame.type != Type::kNone; frame = session.next()) {
      if (frame.type == Type::kCheckpointOpen) session.answer(frame, content(7, kLongAgoMs));
    }
  });
  const auto connection = connect(server);
  AsyncCommits commits(*connection);
  ASSERT_TRUE(put(commits, 1, false, 200));
  EXPECT_EQ(drain(commits).at(1).error().code, ErrorCode::kTimeout);
}

}  // namespace
}  // namespace rk::client

// SPDX-License-Identifier: Apache-2.0
// Requests that no client of ours sends: each has one clear error, and the connection goes on where the frame itself
// was in order.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tests/integration/api_client.h"
#include "tests/integration/hostile_fixture.h"

namespace rk::testing {
namespace {

class HostileRequests : public ::testing::Test, protected HostileRing {};

wire::CheckpointBegin begin_of(std::vector<wire::SectionSpec> sections, std::string name = "hostile/begin") {
  return {std::move(name), std::move(sections)};
}

std::vector<wire::SectionSpec> many(std::size_t count) {
  std::vector<wire::SectionSpec> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back({"s" + std::to_string(i), 1});
  return out;
}

// A refusal with that code and those words, after which the connection answers.
template <class Answer, class Request>
void expect_refused(TestClient& client, const Request& request, ErrorCode code, const std::string& words) {
  const auto answer = client.ask<Answer>(request);
  ASSERT_FALSE(answer) << "it was taken; expected: " << words;
  EXPECT_EQ(answer.error().code, code) << answer.error().message;
  EXPECT_NE(answer.error().message.find(words), std::string::npos) << answer.error().message;
  EXPECT_TRUE(client.ask<wire::StatusAnswer>(wire::StatusQuery{})) << "the connection has ended";
}

TEST_F(HostileRequests, SectionTablesThatCannotBe) {
  const std::uint64_t most = wire::kMaxVersionBytes;
  attack([&] {
    TestClient client = this->client();
    const auto refused = [&](wire::CheckpointBegin request, const std::string& words,
                             ErrorCode code = ErrorCode::kInvalidArgument) {
      expect_refused<wire::CheckpointSlot>(client, request, code, words);
    };
    refused(begin_of({}), "1 to 1024 sections, not 0");
    refused(begin_of(many(wire::kMaxSections + 1)), "not 1025");
    refused(begin_of({{"a", 1}, {"b", 1}, {"a", 1}}), "\"a\" is named twice");
    refused(begin_of({{"a", UINT64_MAX}}), "split it");
    refused(begin_of({{"a", most}, {"b", 1}}), "split it");
    refused(begin_of({{"a", most - 1}, {"b", UINT64_MAX - most}}), "split it");
    refused(begin_of({{"a", UINT64_MAX / 2 + 1}, {"b", UINT64_MAX / 2 + 1}}), "split it");
    refused(begin_of({{"a", most}}), "bytes are asked for", ErrorCode::kNoMemory);
    const auto slot = client.ask<wire::CheckpointSlot>(begin_of(many(wire::kMaxSections)));
    ASSERT_TRUE(slot) << slot.error().message;
    EXPECT_EQ(slot->sections.size(), wire::kMaxSections);
  });
}

TEST_F(HostileRequests, SlotsThatAreNotTheirs) {
  attack([&] {
    TestClient client = this->client();
    TestClient other = this->client();
    const auto none = [&](TestClient& from, std::uint64_t slot) {
      const std::string words = "this connection writes no such version";
      expect_refused<wire::CommitAnswer>(from, wire::CheckpointCommit{slot, wire::CommitLevel::kLocal, 0},
                                         ErrorCode::kNotFound, words);
      expect_refused<wire::Done>(from, wire::CheckpointAbandon{slot}, ErrorCode::kNotFound, words);
    };
    for (const std::uint64_t slot : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{12345}, UINT64_MAX})
      none(client, slot);
    auto slot = begin(client, "hostile/slots", 5000);
    ASSERT_TRUE(slot) << slot.error().message;
    none(other, slot->slot.slot);
    ASSERT_EQ(commit(client, *slot)->result, wire::CommitResult::kOk);
    none(client, slot->slot.slot);
    auto given_up = begin(client, "hostile/slots", 5000);
    ASSERT_TRUE(given_up);
    ASSERT_TRUE(client.ask<wire::Done>(wire::CheckpointAbandon{given_up->slot.slot}));
    none(client, given_up->slot.slot);

    const auto read = client.ask<wire::CheckpointContent>(wire::CheckpointOpen{"hostile/slots", {}});
    ASSERT_TRUE(read) << read.error().message;
    const auto release = [&](TestClient& from, std::uint64_t number) {
      expect_refused<wire::Done>(from, wire::CheckpointRelease{number}, ErrorCode::kNotFound, "no such version open");
    };
    release(other, read->slot);
    ASSERT_TRUE(client.ask<wire::Done>(wire::CheckpointRelease{read->slot}));
    release(client, read->slot);
    release(client, UINT64_MAX);
    // A slot that is read is not one that is written, and the reverse.
    const auto again = client.ask<wire::CheckpointContent>(wire::CheckpointOpen{"hostile/slots", {}});
    ASSERT_TRUE(again);
    none(client, again->slot);
  });
}

TEST_F(HostileRequests, ACommitAtALevelThatThereIsNot) {
  attack([&] {
    TestClient client = this->client();
    auto slot = begin(client, "hostile/level", 5000);
    ASSERT_TRUE(slot) << slot.error().message;
    expect_refused<wire::CommitAnswer>(client,
                                       wire::CheckpointCommit{slot->slot.slot, static_cast<wire::CommitLevel>(2), 0},
                                       ErrorCode::kInvalidArgument, "level 2");
    expect_refused<wire::CommitAnswer>(
        client,
        wire::CheckpointPut{
            "hostile/level", {wire::PutSection{"data", as_bytes("x")}}, static_cast<wire::CommitLevel>(255), 0},
        ErrorCode::kInvalidArgument, "level 255");
    EXPECT_EQ(commit(client, *slot)->result, wire::CommitResult::kOk) << "the slot is as it was";
  });
}

TEST_F(HostileRequests, VersionsGroupsAndJobsThatThereAreNot) {
  attack([&] {
    TestClient client = this->client();
    ASSERT_EQ(put(client, "hostile/one", "x")->result, wire::CommitResult::kOk);
    for (const std::uint64_t version : {std::uint64_t{99}, UINT64_MAX})
      expect_refused<wire::CheckpointContent>(client, wire::CheckpointOpen{"hostile/one", Version(version)},
                                              ErrorCode::kNotFound, "is not kept");
    expect_refused<wire::CheckpointContent>(client, wire::CheckpointOpen{"hostile/none", {}}, ErrorCode::kNotFound,
                                            "there is no checkpoint");
    expect_refused<wire::Done>(client, wire::CheckpointDelete{"hostile/none"}, ErrorCode::kNotFound, "there is no");
    expect_refused<wire::CommitAnswer>(client, wire::GroupCommit{"hostile/group", {}, 0}, ErrorCode::kInvalidArgument,
                                       "at least one part");
    expect_refused<wire::CommitAnswer>(
        client, wire::GroupCommit{"hostile/group", {{"p", Version(1), 1}, {"p", Version(1), 1}}, 0},
        ErrorCode::kInvalidArgument, "listed twice");
    const auto answer = client.ask<wire::CommitAnswer>(
        wire::GroupCommit{"hostile/group", {{"hostile/one", Version(UINT64_MAX), 1}}, 0});
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->result, wire::CommitResult::kFailed);
    expect_refused<wire::JobAttached>(client, wire::JobAttach{JobId(77), Rank(0)}, ErrorCode::kNotFound,
                                      "there is no job");
    expect_refused<wire::SegmentOpened>(client, wire::SegmentOpen{JobId(77), Rank(0)}, ErrorCode::kNotFound, "no job");
    expect_refused<wire::LogGrown>(client, wire::LogGrow{JobId(77), Rank(0), UINT64_MAX}, ErrorCode::kNotFound,
                                   "no job");
    expect_refused<wire::Done>(client, wire::JobRemove{JobId(77)}, ErrorCode::kNotFound, "no job");
    expect_refused<wire::Done>(client, wire::JobCreate{JobId(78), {}, 1U << 20U}, ErrorCode::kInvalidArgument, "not 0");
    expect_refused<wire::Done>(client, wire::JobCreate{JobId(78), {CommunityId(0)}, UINT64_MAX},
                               ErrorCode::kInvalidArgument, "log limit");
    expect_refused<wire::Done>(client, wire::JobCreate{JobId(0), {CommunityId(0)}, 1U << 22U},
                               ErrorCode::kInvalidArgument, "other than 0");
  });
}

TEST_F(HostileRequests, AJobsMemoryIsTheOthersNot) {
  std::uint64_t number = 1000;
  attack([&] {
    TestClient client = this->client();
    const wire::JobCreate job{JobId(++number), {CommunityId(0), CommunityId(1)}, std::uint64_t{4} << 20U};
    ASSERT_TRUE(client.ask<wire::Done>(job));
    expect_refused<wire::Done>(client, job, ErrorCode::kExists, "exists already");
    expect_refused<wire::JobAttached>(client, wire::JobAttach{job.job, Rank(2)}, ErrorCode::kInvalidArgument,
                                      "no process 2");
    expect_refused<wire::JobAttached>(client, wire::JobAttach{job.job, Rank(UINT32_MAX)}, ErrorCode::kInvalidArgument,
                                      "no process");
    expect_refused<wire::LogGrown>(client, wire::LogGrow{job.job, Rank(0), 4096}, ErrorCode::kPermission,
                                   "itself may grow");
    ASSERT_TRUE(client.ask<wire::JobAttached>(wire::JobAttach{job.job, Rank(0)}));
    expect_refused<wire::JobAttached>(client, wire::JobAttach{job.job, Rank(1)}, ErrorCode::kExists,
                                      "attached already");
    expect_refused<wire::LogGrown>(client, wire::LogGrow{job.job, Rank(1), 4096}, ErrorCode::kPermission,
                                   "itself may grow");
    expect_refused<wire::LogGrown>(client, wire::LogGrow{job.job, Rank(0), 0}, ErrorCode::kInvalidArgument,
                                   "by 0 bytes");
    ASSERT_TRUE(client.ask<wire::LogGrown>(wire::LogGrow{job.job, Rank(0), UINT64_MAX}));
    expect_refused<wire::LogGrown>(client, wire::LogGrow{job.job, Rank(0), UINT64_MAX}, ErrorCode::kNoMemory,
                                   "its limit");
  });
}

TEST_F(HostileRequests, NamesAtAndPastTheirLimits) {
  using std::string_literals::operator""s;
  const std::string longest(wire::kMaxNameBytes, 'n');
  const std::vector<std::string> odd{"/",
                                     "//../..",
                                     "hostile/\xff\xfe",
                                     "hostile/\xc2\x9b"
                                     "31m",
                                     " ",
                                     "%s%n",
                                     "\xf0\x9f\x94\x91",
                                     longest,
                                     "job/0000000000000001/c0"};
  const std::vector<std::string> wrong{
      "", longest + "n", std::string(4096, 'n'), "a\0b"s, "\0"s, "line\nline", "\x1b[31mred", "tab\t", "\x7f", "cr\r"};
  attack([&] {
    TestClient client = this->client();
    for (const std::string& name : wrong) {
      const std::string words = "use 1 to 255 printable bytes";
      const auto code = ErrorCode::kInvalidArgument;
      expect_refused<wire::CheckpointSlot>(client, begin_of({{"data", 1}}, name), code, words);
      expect_refused<wire::CheckpointSlot>(client, begin_of({{name, 1}}), code, words);
      expect_refused<wire::CommitAnswer>(client, wire::CheckpointPut{name, {wire::PutSection{"data", {}}}, {}, 0}, code,
                                         words);
      expect_refused<wire::CheckpointContent>(client, wire::CheckpointOpen{name, {}}, code, words);
      expect_refused<wire::CheckpointInspected>(client, wire::CheckpointInspect{name}, code, words);
      expect_refused<wire::Done>(client, wire::CheckpointDelete{name}, code, words);
      expect_refused<wire::CommitAnswer>(client, wire::GroupCommit{name, {{"p", Version(1), 1}}, 0}, code, words);
      expect_refused<wire::CommitAnswer>(client, wire::GroupCommit{"g", {{name, Version(1), 1}}, 0}, code, words);
      expect_refused<wire::GroupAnswer>(client, wire::GroupQuery{name}, code, words);
    }
    for (const std::string& name : odd) {
      const auto answer = put(client, name, "bytes of " + name);
      ASSERT_TRUE(answer && answer->result == wire::CommitResult::kOk) << name;
      const Client reader(ring().socket(2));
      EXPECT_EQ(read_all(reader.handle, name), "bytes of " + name);
    }
    expect_refused<wire::CheckpointListAnswer>(client, wire::CheckpointList{longest + "n", ""},
                                               ErrorCode::kInvalidArgument, "shorter prefix");
  });
}

// What a client may have at a time.
TEST_F(HostileRequests, OpenWritesAreLimited) {
  attack(
      [&] {
        TestClient client = this->client();
        for (int i = 0; i < 256; ++i) {
          const auto slot = begin(client, "hostile/open", 4096);
          ASSERT_TRUE(slot) << i << ": " << slot.error().message;
        }
        expect_refused<wire::CheckpointSlot>(client, begin_of({{"data", 1}}), ErrorCode::kNoMemory,
                                             "writes 256 checkpoints already");
      },
      3);
}

TEST_F(HostileRequests, TheSameRequestNumberTwice) {
  attack([&] {
    TestClient client = this->client();
    // Two requests under one number have two answers.
    const wire::Frame query = wire::to_frame(wire::StatusQuery{}, 9);
    ASSERT_TRUE(client.send(query));
    ASSERT_TRUE(client.send(query));
    for (int i = 0; i < 2; ++i) {
      const auto answer = client.receive();
      ASSERT_TRUE(answer);
      EXPECT_EQ(answer->frame.request, 9U);
    }
    // Number 0 is one of one-way messages; what is asked with it is answered with it.
    ASSERT_TRUE(client.send(wire::to_frame(wire::StatusQuery{}, 0)));
    EXPECT_EQ(client.receive()->frame.request, 0U);
  });
}

TEST_F(HostileRequests, MessagesOfServersAndOfServersToClientsEndTheConnection) {
  attack(
      [&] {
        for (const auto type :
             {wire::MessageType::kServerHello, wire::MessageType::kStatusAnswer, wire::MessageType::kDone,
              wire::MessageType::kCheckpointSlot, wire::MessageType::kCommitAnswer, wire::MessageType::kCopyOffer,
              wire::MessageType::kCopyChunk, wire::MessageType::kRingCommit, wire::MessageType::kPeerProof,
              wire::MessageType::kProcessHello, wire::MessageType::kRefusal, static_cast<wire::MessageType>(0),
              static_cast<wire::MessageType>(UINT32_MAX)}) {
          TestClient client = this->client();
          ASSERT_TRUE(client.send(wire::Frame{type, 1, {}, 0, Bytes(40)}));
          const Error words = last_words(client);
          EXPECT_EQ(words.code, ErrorCode::kCorrupt) << static_cast<std::uint32_t>(type) << ": " << words.message;
        }
      },
      2);
}

TEST(HostileQuota, TheOwnersQuotaIsToldWithItsNumbersAndOthersGoOn) {
  RingFixture ring({.servers = 2, .extra_flags = {}, .config = "[limits]\nowner_memory = \"8M\"\n"});
  TestClient client = ring.client(1).value();
  auto slot = begin(client, "hostile/most", std::uint64_t{6} << 20U);
  ASSERT_TRUE(slot) << slot.error().message;
  const auto past = begin(client, "hostile/past", std::uint64_t{6} << 20U);
  ASSERT_FALSE(past);
  EXPECT_EQ(past.error().code, ErrorCode::kNoMemory);
  EXPECT_NE(past.error().message.find("6291456 bytes are asked for and this user holds 6291456 of a quota of 8388608"),
            std::string::npos)
      << past.error().message;
  ASSERT_EQ(commit(client, *slot)->result, wire::CommitResult::kOk);
  auto other = connect_as(65534, ring, 1);
  if (!other) GTEST_SKIP() << "only root can be another user";
  auto theirs = begin(*other, "theirs", std::uint64_t{6} << 20U);
  ASSERT_TRUE(theirs) << theirs.error().message;
  EXPECT_EQ(commit(*other, *theirs)->result, wire::CommitResult::kOk);
  // Nor are their names the others'.
  EXPECT_EQ(other->ask<wire::CheckpointContent>(wire::CheckpointOpen{"hostile/most", {}}).error().code,
            ErrorCode::kNotFound);
  EXPECT_EQ(other->ask<wire::Done>(wire::CheckpointDelete{"hostile/most"}).error().code, ErrorCode::kNotFound);
  const auto table = other->ask<wire::CheckpointListAnswer>(wire::CheckpointList{"", ""});
  ASSERT_TRUE(table);
  ASSERT_EQ(table->entries.size(), 1U);
  EXPECT_EQ(table->entries[0].name, "theirs");
}

TEST(HostileQuota, TheOwnersNamesAreLimited) {
  RingFixture ring({.servers = 2, .extra_flags = {}, .config = "[limits]\nowner_names = 10\n"});
  TestClient client = ring.client(1).value();
  for (int i = 0; i < 10; ++i)
    ASSERT_EQ(put(client, "hostile/" + std::to_string(i), "x")->result, wire::CommitResult::kOk);
  for (int i = 10; i < 200; ++i) {
    const auto past = put(client, "hostile/" + std::to_string(i), "x");
    ASSERT_FALSE(past);
    EXPECT_EQ(past.error().code, ErrorCode::kNoMemory);
    EXPECT_NE(past.error().message.find("10 names"), std::string::npos) << past.error().message;
  }
  EXPECT_EQ(put(client, "hostile/3", "again")->result, wire::CommitResult::kOk);
  auto other = connect_as(65534, ring, 1);
  if (!other) GTEST_SKIP() << "only root can be another user";
  EXPECT_EQ(put(*other, "theirs", "x")->result, wire::CommitResult::kOk);
}

}  // namespace
}  // namespace rk::testing

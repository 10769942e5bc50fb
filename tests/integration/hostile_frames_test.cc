// SPDX-License-Identifier: Apache-2.0
// Bytes that no client of ours sends: conversations that are replayed, cut and mangled, frames that never end, and
// requests without pause. `campaign/hostile` does more of the same (RINGKEEP_HOSTILE_FRAMES, RINGKEEP_HOSTILE_SEED).
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "base/checksum.h"
#include "base/prng.h"
#include "tests/integration/api_client.h"
#include "tests/integration/hostile_fixture.h"

namespace rk::testing {
namespace {

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

// What a client says in a conversation that has every request of the keep, a frame each.
std::vector<wire::Frame> conversation() {
  std::vector<wire::Frame> out;
  std::uint64_t request = 0;
  const auto say = [&](const auto& message) { out.push_back(wire::to_frame(message, ++request)); };
  say(wire::ClientHello{{}, {}, "hostile"});
  say(wire::StatusQuery{});
  say(wire::RingQuery{});
  say(wire::CheckpointPut{
      "hostile/put", {wire::PutSection{"data", as_bytes("some bytes")}}, wire::CommitLevel::kLocal, 0});
  say(wire::CheckpointBegin{"hostile/begin", {{"a", 100}, {"b", 0}}});
  say(wire::CheckpointCommit{1, wire::CommitLevel::kReplicated, 1000});
  say(wire::CheckpointAbandon{2});
  say(wire::CheckpointOpen{"hostile/put", {}});
  say(wire::CheckpointRelease{3});
  say(wire::CheckpointList{"hostile/", ""});
  say(wire::CheckpointInspect{"hostile/put"});
  say(wire::GroupCommit{"hostile/group", {{"hostile/put", Version(1), 2}}, 1000});
  say(wire::GroupQuery{"hostile/group"});
  say(wire::EventsSubscribe{false});
  say(wire::CheckpointDelete{"hostile/put"});
  return out;
}

Bytes bytes_of(const std::vector<wire::Frame>& frames) {
  Bytes out;
  for (const wire::Frame& frame : frames) {
    const Bytes one = wire::encode_frame(frame);
    out.insert(out.end(), one.begin(), one.end());
  }
  return out;
}

class HostileFrames : public ::testing::Test, protected HostileRing {
 protected:
  // Sends it and hears all that is said until the server ends the connection.
  Error say(ByteView bytes) {
    TestClient client = stranger();
    static_cast<void>(client.send_raw(bytes));  // the server may have ended it before all is sent
    client.shut_writing();
    return last_words(client);
  }
};

TEST_F(HostileFrames, AConversationThatIsReplayedAndCutAtEveryByte) {
  const Bytes whole = bytes_of(conversation());
  attack(
      [&] {
        EXPECT_EQ(say(whole).code, ErrorCode::kNotFound) << "the last request but the end has an answer";
        for (std::size_t cut = 0; cut < whole.size(); cut += 1 + cut % 3)
          static_cast<void>(say(ByteView(whole).first(cut)));
      },
      1, 1);
}

TEST_F(HostileFrames, FramesWithABitFlippedAreRefused) {
  const std::vector<wire::Frame> frames = conversation();
  Prng prng(from_environment("RINGKEEP_HOSTILE_SEED", 1));
  const std::uint64_t count = from_environment("RINGKEEP_HOSTILE_FRAMES", 1000);
  attack(
      [&] {
        for (std::uint64_t i = 0; i < count; ++i) {
          Bytes bytes = wire::encode_frame(frames.front());
          if (i % 2 == 0) {
            const Bytes more = wire::encode_frame(frames[prng.below(frames.size())]);
            bytes.insert(bytes.end(), more.begin(), more.end());
          }
          bytes[prng.below(bytes.size())] ^= static_cast<std::byte>(1U << prng.below(8));
          const Error words = say(bytes);
          EXPECT_TRUE(words.code == ErrorCode::kCorrupt || words.code == ErrorCode::kVersionMismatch)
              << i << ": " << static_cast<int>(words.code) << ": " << words.message;
        }
      },
      1, 1);
}

// As above, but the sender has made the checksum anew: what is wrong is found behind it, or is another request.
TEST_F(HostileFrames, FramesThatAreMangledBeforeTheirChecksum) {
  const std::vector<wire::Frame> frames = conversation();
  Prng prng(from_environment("RINGKEEP_HOSTILE_SEED", 1) + 1000);
  const std::uint64_t count = from_environment("RINGKEEP_HOSTILE_FRAMES", 1000);
  std::uint64_t refused = 0;
  attack(
      [&] {
        for (std::uint64_t i = 0; i < count; ++i) {
          std::vector<wire::Frame> said{frames.front()};
          for (std::size_t n = 1 + prng.below(4); n > 0; --n) {
            wire::Frame frame = frames[1 + prng.below(frames.size() - 1)];
            if (frame.payload.empty()) frame.payload.resize(prng.below(3));
            for (std::size_t flips = prng.below(4); flips > 0 && !frame.payload.empty(); --flips)
              frame.payload[prng.below(frame.payload.size())] = static_cast<std::byte>(prng.below(256));
            if (prng.below(4) == 0) frame.payload.resize(prng.below(frame.payload.size() + 8));
            if (prng.below(8) == 0) frame.sender = Incarnation(prng.next());
            if (prng.below(8) == 0) frame.request = prng.below(3);
            said.push_back(std::move(frame));
          }
          refused += say(bytes_of(said)).code != ErrorCode::kPeerGone ? 1U : 0U;
        }
      },
      1, 1);
  EXPECT_GT(refused, count / 2);
}

TEST_F(HostileFrames, LengthsThatNoFrameHas) {
  attack([&] {
    for (const std::uint32_t length : {UINT32_MAX, std::uint32_t{wire::kMaxPayload} + 1, std::uint32_t{1} << 31U}) {
      TestClient client = this->client();
      Bytes header = wire::encode_frame(wire::to_frame(wire::StatusQuery{}, 1));
      for (unsigned i = 0; i < 4; ++i) header[32 + i] = static_cast<std::byte>((length >> (8 * i)) & 0xffU);
      ASSERT_TRUE(client.send_raw(header));
      const Error words = last_words(client);
      EXPECT_EQ(words.code, ErrorCode::kCorrupt);
      EXPECT_NE(words.message.find("breaks the limit"), std::string::npos) << words.message;
    }
  });
}

TEST_F(HostileFrames, AByteAtATimeIsServed) {
  const Bytes whole = bytes_of(conversation());
  attack(
      [&] {
        TestClient client = stranger();
        for (const std::byte byte : whole) ASSERT_TRUE(client.send_raw(ByteView(&byte, 1)));
        client.shut_writing();
        static_cast<void>(last_words(client));
      },
      1, 1);
}

// A frame of 1 MiB that has begun.
Bytes half_a_put() {
  const std::string large(std::size_t{1} << 20U, 'h');
  Bytes put = wire::encode_frame(wire::to_frame(
      wire::CheckpointPut{"hostile/half", {wire::PutSection{"data", as_bytes(large)}}, wire::CommitLevel::kLocal, 0},
      7));
  put.resize(1000);
  return put;
}

TEST(HostileHalfFrames, AreEndedAfterATime) {
  RingFixture ring({.servers = 2, .extra_flags = {}, .config = "[limits]\nhello_ms = 200\nframe_ms = 200\n"});
  TestClient before = TestClient::connect_local(ring.socket(1)).value();
  ASSERT_TRUE(before.send_raw(ByteView(bytes_of(conversation())).first(20)));
  TestClient greeted = ring.client(1).value();
  ASSERT_TRUE(greeted.send_raw(half_a_put()));
  TestClient idle = ring.client(1).value();
  EXPECT_EQ(last_words(before).code, ErrorCode::kTimeout);
  const Error words = last_words(greeted);
  EXPECT_EQ(words.code, ErrorCode::kTimeout);
  EXPECT_NE(words.message.find("begun and not ended for 200 ms"), std::string::npos) << words.message;
  EXPECT_TRUE(idle.ask<wire::StatusAnswer>(wire::StatusQuery{})) << "one that has begun nothing may be silent";
}

// The memory of what has begun is nobody's quota: it is limited for all together, and the first that began gives way.
TEST(HostileHalfFrames, HaveALimitTogether) {
  constexpr std::size_t kHalf = 100;  // of 1 MiB each, where there is place for 64
  HostileRing hostile(RingFixture::Options{.servers = 2, .extra_flags = {}});
  std::vector<TestClient> half;
  for (std::size_t i = 0; i < kHalf; ++i) {
    half.push_back(hostile.client());
    ASSERT_TRUE(half.back().send_raw(half_a_put()));
  }
  for (std::size_t i = 0; i < kHalf - 64; ++i) {
    const Error words = last_words(half[i]);
    EXPECT_EQ(words.code, ErrorCode::kNoMemory) << i;
    EXPECT_NE(words.message.find("this one began first"), std::string::npos) << words.message;
  }
  hostile.attack([] {}, 1, 1);
}

// Requests without pause, with their answers read: everybody has his turns, and the ring goes on as it was.
void ask_without_pause(HostileRing& hostile, const Bytes& burst, int requests) {
  constexpr int kClients = 8;
  hostile.attack(
      [&] {
        std::vector<std::thread> threads;
        for (int c = 0; c < kClients; ++c)
          threads.emplace_back([&] {
            TestClient client = hostile.client();
            std::thread sender([&] { static_cast<void>(client.send_raw(burst)); });
            int answers = 0;
            while (answers < requests && client.receive()) ++answers;
            sender.join();
            EXPECT_EQ(answers, requests);
          });
        for (std::thread& thread : threads) thread.join();
      },
      1, 0);
}

template <class Message>
void append(Bytes& burst, const Message& message, int request) {
  const Bytes one = wire::encode_frame(wire::to_frame(message, static_cast<std::uint64_t>(request)));
  burst.insert(burst.end(), one.begin(), one.end());
}

TEST(HostilePipelines, ListsAndReadsWithoutPauseDisturbNobody) {
  constexpr int kRequests = 200;
  HostileRing hostile(RingFixture::Options{.servers = 2, .extra_flags = {}});
  TestClient filling = hostile.client();
  for (int i = 0; i < 300; ++i)
    ASSERT_EQ(put(filling, "hostile/list/" + std::to_string(i), "x", wire::CommitLevel::kLocal)->result,
              wire::CommitResult::kOk);
  Bytes burst;
  for (int i = 1; i <= kRequests; ++i) {
    if (i % 2 == 0)
      append(burst, wire::CheckpointList{"hostile/list/", ""}, i);
    else
      append(burst, wire::CheckpointOpen{"hostile/no/" + std::to_string(i), {}}, i);
  }
  ask_without_pause(hostile, burst, kRequests);
}

TEST(HostilePipelines, QuestionsWithoutPauseDisturbNobody) {
  constexpr int kRequests = 30'000;
  HostileRing hostile(RingFixture::Options{.servers = 2, .extra_flags = {}});
  Bytes burst;
  for (int i = 1; i <= kRequests; ++i) append(burst, wire::RingQuery{}, i);
  ask_without_pause(hostile, burst, kRequests);
}

TEST(HostilePipelines, DescriptorsThatNobodyReadsAreLimited) {
  HostileRing hostile(RingFixture::Options{.servers = 2, .extra_flags = {}});
  TestClient owner = hostile.client();
  ASSERT_EQ(put(owner, "hostile/unread", std::string(5000, 'u'))->result, wire::CommitResult::kOk);
  const Bytes open = wire::encode_frame(wire::to_frame(wire::CheckpointOpen{"hostile/unread", {}}, 1));
  hostile.attack(
      [&] {
        TestClient client = hostile.client();
        bool sent = true;
        std::size_t most = 0;
        for (int i = 0; i < 2'000'000 && sent; ++i) {
          sent = static_cast<bool>(client.send_raw(open));
          if (i % 500 == 0) most = std::max(most, descriptors_of(hostile.ring().server(1).pid()));
        }
        EXPECT_FALSE(sent) << "it is not disconnected";
        EXPECT_LT(most, 1000U);
      },
      2, 1);
}

}  // namespace
}  // namespace rk::testing

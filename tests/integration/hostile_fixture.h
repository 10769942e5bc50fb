// SPDX-License-Identifier: Apache-2.0
// Attacks on a server's socket, and what must hold during and after each: the server lives, honest clients of it and of
// its neighbour commit and read their bytes back, and what the server holds for clients comes back to what it was.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/integration/ring_fixture.h"
#include "wire/client_messages.h"

namespace rk::testing {

// A client with a thread that commits and reads back without pause, and compares every byte.
class Honest {
 public:
  Honest(const std::string& socket, std::string name);
  ~Honest();
  Honest(const Honest&) = delete;
  Honest& operator=(const Honest&) = delete;

  // Rounds that are whole. A round that is refused or reads other bytes is trouble, and the last one.
  std::uint64_t rounds();
  std::string trouble();
  // Waits until another `count` rounds have begun and ended; false after trouble or kPatienceMs.
  bool serves(std::uint64_t count = 2);
  // Between two rounds, until go_on().
  void rest();
  void go_on();

 private:
  void run(const std::string& socket);
  std::string round(void* client, std::uint64_t number);

  std::string name_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t rounds_ = 0;
  std::string trouble_;
  bool resting_ = false;
  bool rests_ = false;
  bool ending_ = false;
  std::thread thread_;
};

// What a server holds.
struct Held {
  std::size_t descriptors = 0;
  std::uint64_t used_bytes = 0;
  std::uint64_t checkpoints = 0;
};

class HostileRing {
 public:
  explicit HostileRing(RingFixture::Options options = {.servers = 2, .extra_flags = {}});

  RingFixture& ring() { return ring_; }
  // A greeted client of server 1.
  TestClient client() { return ring_.client(1).value(); }
  // One that has not said hello.
  TestClient stranger() { return TestClient::connect_local(ring_.socket(1)).value(); }
  // Attacks a few times to warm up; then again and again until honest clients of every server have been served in
  // between, and at least `times`; then compares what server 1 holds with what it held before.
  void attack(const std::function<void()>& once, int times = 12, int warm_ups = 4);
  // Server 1's, when the honest clients rest.
  Held held();
  // Lines of server 1's log that have the words.
  std::size_t log_lines(const std::string& words);

 private:
  void remove_leftovers();
  void expect_the_same_ring(ViewNumber view);
  RingFixture ring_;
  std::vector<std::unique_ptr<Honest>> honest_;
};

// The last words of the server before it closes the connection; kPeerGone if it says nothing.
Error last_words(TestClient& client);

// Sends bytes with descriptors beside them; false if the server has gone away.
bool send_with(const TestClient& client, ByteView bytes, const std::vector<int>& descriptors);

// A connection that the server takes for that user's (root only: the directories are opened to all first).
std::optional<TestClient> connect_as(uid_t user, RingFixture& ring, std::uint32_t node);

// A version's memory, and the connection's number for it.
struct OpenSlot {
  wire::CheckpointSlot slot;
  shm::Descriptor memory;
};
Result<OpenSlot> begin(TestClient& client, const std::string& name, std::uint64_t bytes);
Result<wire::CommitAnswer> commit(TestClient& client, const OpenSlot& slot,
                                  wire::CommitLevel level = wire::CommitLevel::kReplicated);
// A small version in one message.
Result<wire::CommitAnswer> put(TestClient& client, const std::string& name, const std::string& bytes,
                               wire::CommitLevel level = wire::CommitLevel::kReplicated);

std::size_t descriptors_of(pid_t pid);

}  // namespace rk::testing

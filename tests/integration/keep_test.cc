// SPDX-License-Identifier: Apache-2.0
// Checkpoints through the C ABI on rings of real servers.
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "tests/integration/api_client.h"
#include "tests/integration/ring_fixture.h"

namespace rk::testing {
namespace {

TEST(KeepOnServers, CommitsAndReadsBackOnRingsOfTwoToFour) {
  for (const std::uint32_t servers : {2U, 3U, 4U}) {
    RingFixture ring(servers);
    const Client writer(ring.socket(1));
    for (std::uint64_t expected = 1; expected <= 4; ++expected) {
      const std::string text = "round " + std::to_string(expected);
      std::uint64_t version = 0;
      ASSERT_EQ(rk_put(writer.handle, "state", text.data(), text.size(), &version), RK_OK) << rk_last_error();
      EXPECT_EQ(version, expected);
    }
    std::uint64_t version = 0;
    const Client reader(ring.socket(1));
    EXPECT_EQ(read_all(reader.handle, "state", &version), "round 4");
    EXPECT_EQ(version, 4U);
    // From any other server of the ring as well.
    const Client far(ring.socket(servers));
    EXPECT_EQ(read_all(far.handle, "state"), "round 4");
    // Two versions are kept, no more.
    rk_reader* old = nullptr;
    EXPECT_EQ(rk_read(reader.handle, "state", 3, &old), RK_OK) << rk_last_error();
    rk_reader_close(old);
    EXPECT_EQ(rk_read(reader.handle, "state", 2, &old), RK_ERR_NOT_FOUND);
  }
}

TEST(KeepOnServers, TheEventsTellOfLostAndNewSecondCopies) {
  RingFixture ring(3);
  const Client writer(ring.socket(1));
  ASSERT_EQ(rk_put(writer.handle, "state", "abc", 3, nullptr), RK_OK) << rk_last_error();
  auto follower = ring.client(1);
  ASSERT_TRUE(follower->send(wire::to_frame(wire::EventsSubscribe{true}, 1)));
  ring.server(3).kill(SIGKILL);  // the predecessor of server 1
  const auto next = [&](const std::string& name) {
    for (;;) {
      const auto received = follower->receive();
      if (!received) return wire::ServerEvent{};
      const auto event = wire::from_frame<wire::ServerEvent>(received->frame);
      if (!event || event->event == name) return event.value_or(wire::ServerEvent{});
    }
  };
  EXPECT_EQ(next("copies_lost").count, 1U);
  EXPECT_EQ(next("copying_started").node, NodeId(2));
  EXPECT_EQ(next("copying_done").count, 1U);
}

TEST(KeepOnServers, AReaderSaysWhichSectionsThereAre) {
  RingFixture ring(2);
  const Client client(ring.socket(1));
  const rk_section sections[] = {{"second", 5000}, {"first", 3}, {"empty", 0}};
  rk_writer* writer = nullptr;
  ASSERT_EQ(rk_begin(client.handle, "named", sections, 3, &writer), RK_OK) << rk_last_error();
  ASSERT_EQ(rk_commit(writer, RK_LEVEL_REPLICATED, nullptr), RK_OK) << rk_last_error();
  const Client far(ring.socket(2));
  for (rk_client* each : {client.handle, far.handle}) {
    rk_reader* reader = nullptr;
    ASSERT_EQ(rk_read(each, "named", 0, &reader), RK_OK) << rk_last_error();
    size_t count = 0;
    ASSERT_EQ(rk_reader_sections(reader, nullptr, 0, &count), RK_OK) << rk_last_error();
    EXPECT_EQ(count, 3U);
    rk_section found[3] = {{"untouched", 1}, {"untouched", 1}, {"untouched", 1}};
    ASSERT_EQ(rk_reader_sections(reader, found, 2, &count), RK_OK) << rk_last_error();
    EXPECT_EQ(count, 3U);
    EXPECT_STREQ(found[2].name, "untouched");
    ASSERT_EQ(rk_reader_sections(reader, found, 3, &count), RK_OK) << rk_last_error();
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_STREQ(found[i].name, sections[i].name);
      EXPECT_EQ(found[i].size, sections[i].size);
    }
    EXPECT_EQ(rk_reader_sections(reader, nullptr, 3, &count), RK_ERR_INVALID_ARGUMENT);
    EXPECT_EQ(rk_reader_sections(reader, found, 3, nullptr), RK_ERR_INVALID_ARGUMENT);
    rk_reader_close(reader);
  }
  EXPECT_EQ(rk_reader_sections(nullptr, nullptr, 0, nullptr), RK_ERR_INVALID_ARGUMENT);
}

TEST(KeepOnServers, SeveralSectionsLargeAndEmptyComeBackWhole) {
  RingFixture ring(2);
  const Client client(ring.socket(1));
  const rk_section sections[] = {{"large", 9'000'001}, {"empty", 0}, {"small", 3}};
  rk_writer* writer = nullptr;
  ASSERT_EQ(rk_begin(client.handle, "mixed", sections, 3, &writer), RK_OK) << rk_last_error();
  void* data = nullptr;
  size_t size = 0;
  ASSERT_EQ(rk_writer_section(writer, "large", &data, &size), RK_OK);
  ASSERT_EQ(size, sections[0].size);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(data) % 4096, 0U);
  for (size_t i = 0; i < size; ++i) static_cast<unsigned char*>(data)[i] = static_cast<unsigned char>(i * 7);
  ASSERT_EQ(rk_writer_section(writer, "small", &data, &size), RK_OK);
  std::memcpy(data, "abc", 3);
  EXPECT_EQ(rk_writer_section(writer, "none", &data, &size), RK_ERR_NOT_FOUND);
  ASSERT_EQ(rk_commit(writer, RK_LEVEL_REPLICATED, nullptr), RK_OK) << rk_last_error();
  // At the other server the bytes come over the link.
  const Client far(ring.socket(2));
  for (rk_client* each : {client.handle, far.handle}) {
    rk_reader* reader = nullptr;
    ASSERT_EQ(rk_read(each, "mixed", 0, &reader), RK_OK) << rk_last_error();
    const void* found = nullptr;
    ASSERT_EQ(rk_reader_section(reader, "large", &found, &size), RK_OK);
    ASSERT_EQ(size, sections[0].size);
    for (size_t i = 0; i < size; i += 4099)
      ASSERT_EQ(static_cast<const unsigned char*>(found)[i], static_cast<unsigned char>(i * 7)) << i;
    ASSERT_EQ(rk_reader_section(reader, "small", &found, &size), RK_OK);
    EXPECT_EQ(std::memcmp(found, "abc", 3), 0);
    ASSERT_EQ(rk_reader_section(reader, "empty", &found, &size), RK_OK);
    EXPECT_EQ(size, 0U);
    rk_reader_close(reader);
  }
}

TEST(KeepOnServers, WhatIsMappedStaysWhileNewVersionsCome) {
  RingFixture ring(2);
  const Client client(ring.socket(1));
  ASSERT_EQ(rk_put(client.handle, "state", "first", 5, nullptr), RK_OK) << rk_last_error();
  rk_reader* reader = nullptr;
  ASSERT_EQ(rk_read(client.handle, "state", 0, &reader), RK_OK);
  for (int i = 0; i < 5; ++i) ASSERT_EQ(rk_put(client.handle, "state", "later", 5, nullptr), RK_OK);
  const void* data = nullptr;
  size_t size = 0;
  ASSERT_EQ(rk_reader_section(reader, "data", &data, &size), RK_OK);
  EXPECT_EQ(std::string(static_cast<const char*>(data), size), "first");
  rk_reader_close(reader);
}

TEST(KeepOnServers, AClientKilledWhileItWritesLeavesTheVersionBefore) {
  RingFixture ring(2);
  const Client client(ring.socket(1));
  ASSERT_EQ(rk_put(client.handle, "state", "good", 4, nullptr), RK_OK) << rk_last_error();
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    const Client own(ring.socket(1));
    const rk_section section{"data", 30'000'000};
    rk_writer* writer = nullptr;
    void* data = nullptr;
    if (rk_begin(own.handle, "state", &section, 1, &writer) != RK_OK ||
        rk_writer_section(writer, "data", &data, nullptr) != RK_OK)
      _exit(1);
    std::memset(data, 'x', section.size / 2);
    if (write(ready[1], "r", 1) != 1) _exit(1);
    pause();
    _exit(0);
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  kill(child, SIGKILL);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(read_all(client.handle, "state"), "good");
  // Its memory is free again: the budget of 64 MiB has no room for two such versions beside each other.
  const std::string large(40'000'000, 'y');
  EXPECT_TRUE(ring.await_status(1, [](const wire::StatusAnswer& answer) { return answer.used_bytes < 40'000'000; }));
  EXPECT_EQ(rk_put(client.handle, "large", large.data(), large.size(), nullptr), RK_OK) << rk_last_error();
  close(ready[0]);
  close(ready[1]);
}

TEST(KeepOnServers, LargePutsOneAfterTheOtherHaveTheirOwnBytes) {
  RingFixture ring(2);
  const Client client(ring.socket(1));
  const std::size_t size = 300'000;
  for (int round = 0; round < 12; ++round) {
    // Two names of one size: memory goes from one to the other.
    for (const char* name : {"one", "two"}) {
      const std::string bytes(size, static_cast<char>('a' + 2 * round + (*name == 't' ? 1 : 0)));
      ASSERT_EQ(rk_put(client.handle, name, bytes.data(), size, nullptr), RK_OK) << rk_last_error();
    }
    for (const char* name : {"one", "two"}) {
      const std::string bytes(size, static_cast<char>('a' + 2 * round + (*name == 't' ? 1 : 0)));
      EXPECT_TRUE(read_all(client.handle, name) == bytes) << name << " in round " << round;
      const Client far(ring.socket(2));
      EXPECT_TRUE(read_all(far.handle, name) == bytes) << name << " in round " << round;
    }
  }
}

TEST(KeepOnServers, WhatIsRemovedGivesItsMemoryBackOnBothServers) {
  RingFixture ring(2);
  const Client client(ring.socket(1));
  const std::uint64_t before[] = {ring.status(1)->used_bytes, ring.status(2)->used_bytes};
  const std::string bytes(1U << 20U, 'x');
  for (int i = 0; i < 5; ++i)
    ASSERT_EQ(rk_put(client.handle, "large", bytes.data(), bytes.size(), nullptr), RK_OK) << rk_last_error();
  EXPECT_GE(ring.status(1)->used_bytes, before[0] + 2 * bytes.size());
  ASSERT_EQ(rk_delete(client.handle, "large"), RK_OK) << rk_last_error();
  for (const std::uint32_t node : {1U, 2U})
    EXPECT_TRUE(ring.await_status(
        node, [&](const wire::StatusAnswer& answer) { return answer.used_bytes == before[node - 1]; }))
        << ring.status(node)->used_bytes << " bytes, " << before[node - 1] << " before";
}

TEST(KeepOnServers, ABudgetThatIsFullRefusesAndChangesNothing) {
  RingFixture ring(RingFixture::Options{2, "16M", {}, true});
  const Client client(ring.socket(1));
  ASSERT_EQ(rk_put(client.handle, "state", "good", 4, nullptr), RK_OK) << rk_last_error();
  const rk_section section{"data", 64U << 20U};
  rk_writer* writer = nullptr;
  EXPECT_EQ(rk_begin(client.handle, "state", &section, 1, &writer), RK_ERR_NO_MEMORY);
  EXPECT_NE(std::string(rk_last_error()).find(std::to_string(section.size)), std::string::npos) << rk_last_error();
  EXPECT_EQ(writer, nullptr);
  EXPECT_EQ(read_all(client.handle, "state"), "good");
}

TEST(KeepOnServers, AServerAloneKeepsOnlyLocalVersionsAndSaysWhy) {
  RingFixture ring(1);
  const Client client(ring.socket(1));
  EXPECT_EQ(rk_put(client.handle, "state", "x", 1, nullptr), RK_ERR_UNAVAILABLE);
  EXPECT_NE(std::string(rk_last_error()).find("alone"), std::string::npos) << rk_last_error();
  const rk_section section{"data", 1};
  rk_writer* writer = nullptr;
  ASSERT_EQ(rk_begin(client.handle, "state", &section, 1, &writer), RK_OK) << rk_last_error();
  void* data = nullptr;
  ASSERT_EQ(rk_writer_section(writer, "data", &data, nullptr), RK_OK);
  *static_cast<char*>(data) = 'l';
  std::uint64_t version = 0;
  ASSERT_EQ(rk_commit(writer, RK_LEVEL_LOCAL, &version), RK_OK) << rk_last_error();
  EXPECT_EQ(version, 2U);  // the number of the failed commit is not used again
  EXPECT_EQ(read_all(client.handle, "state"), "l");
}

TEST(KeepOnServers, RemovedIsNotFoundAndItsNumbersAreNotUsedAgain) {
  RingFixture ring(3);
  const Client client(ring.socket(1));
  ASSERT_EQ(rk_put(client.handle, "state", "a", 1, nullptr), RK_OK) << rk_last_error();
  ASSERT_EQ(rk_delete(client.handle, "state"), RK_OK) << rk_last_error();
  EXPECT_EQ(rk_delete(client.handle, "state"), RK_ERR_NOT_FOUND);
  EXPECT_EQ(read_all(client.handle, "state").substr(0, 9), "not-found");
  const Client far(ring.socket(2));
  EXPECT_EQ(read_all(far.handle, "state").substr(0, 9), "not-found");
  std::uint64_t version = 0;
  ASSERT_EQ(rk_put(client.handle, "state", "b", 1, &version), RK_OK) << rk_last_error();
  EXPECT_EQ(version, 2U);
}

TEST(KeepOnServers, ANameHasOneHome) {
  RingFixture ring(3);
  const Client one(ring.socket(1));
  const Client two(ring.socket(2));
  ASSERT_EQ(rk_put(one.handle, "state", "a", 1, nullptr), RK_OK) << rk_last_error();
  EXPECT_EQ(rk_put(two.handle, "state", "b", 1, nullptr), RK_ERR_EXISTS);
  EXPECT_EQ(read_all(two.handle, "state"), "a");
}

// Where the process is blocked: the number of its system call, -1 while it runs.
long blocked_in(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/syscall");
  long number = -1;
  return file >> number ? number : -1;
}

// An OK lies in the socket of a client that is stopped. When the client goes on, the server is dead, and another one
// has said OK for the name.
TEST(KeepOnServers, AnOkThatIsTakenAfterTheRingWentOnIsUnknown) {
  RingFixture ring(3);
  const std::string socket = ring.socket(1);
  int ready[2];
  int go[2];
  ASSERT_EQ(pipe(ready), 0);
  ASSERT_EQ(pipe(go), 0);
  char byte = 'g';
  const pid_t child = fork();
  if (child == 0) {
    const Client own(socket);
    const rk_section section{"data", 1};
    rk_writer* writer = nullptr;
    if (rk_begin(own.handle, "state", &section, 1, &writer) != RK_OK) _exit(100);
    if (write(ready[1], "r", 1) != 1 || read(go[0], &byte, 1) != 1) _exit(100);
    _exit(rk_commit(writer, RK_LEVEL_REPLICATED, nullptr));
  }
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  ring.server(3).kill(SIGSTOP);  // the predecessor of server 1: the commit waits for it
  ASSERT_EQ(write(go[1], &byte, 1), 1);
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
  while (blocked_in(child) != SYS_poll && std::chrono::steady_clock::now() < give_up) sched_yield();
  kill(child, SIGSTOP);
  ring.server(3).kill(SIGCONT);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, WUNTRACED), child);
  ASSERT_TRUE(WIFSTOPPED(status));
  const Client far(ring.socket(2));
  std::uint64_t version = 0;
  std::string seen = read_all(far.handle, "state", &version);
  while (seen.starts_with("not-found") && std::chrono::steady_clock::now() < give_up)
    seen = read_all(far.handle, "state", &version);
  EXPECT_EQ(seen, std::string(1, '\0'));
  ASSERT_TRUE(ring.await_ring_of(3));
  ring.server(1).kill(SIGKILL);
  int code = RK_ERR_UNAVAILABLE;
  for (int i = 0; i < 6 && code != RK_OK; ++i) code = rk_put(far.handle, "state", "newer", 5, &version);  // 10 s each
  EXPECT_EQ(code, RK_OK) << rk_last_error();
  kill(child, SIGCONT);
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), RK_ERR_TIMEOUT);
  for (const int end : {ready[0], ready[1], go[0], go[1]}) close(end);
}

TEST(KeepOnServers, ClientsOfAnEvictedServerHearOfItAndNewOnesCommit) {
  RingFixture ring(3);
  const Client old(ring.socket(2));
  ASSERT_EQ(rk_put(old.handle, "state", "a", 1, nullptr), RK_OK) << rk_last_error();
  ring.server(2).kill(SIGSTOP);
  ASSERT_TRUE(ring.await_status(1, [](const wire::StatusAnswer& status) { return status.members.size() == 2; }));
  ring.server(2).kill(SIGCONT);
  ASSERT_TRUE(ring.await_ring_of(3));
  EXPECT_EQ(rk_put(old.handle, "state", "b", 1, nullptr), RK_ERR_PEER_GONE);
  EXPECT_NE(std::string(rk_last_error()).find("went on without server 2"), std::string::npos) << rk_last_error();
  const Client fresh(ring.socket(2));
  EXPECT_EQ(read_all(fresh.handle, "state"), "a");
  EXPECT_EQ(rk_put(fresh.handle, "state", "c", 1, nullptr), RK_OK) << rk_last_error();
  EXPECT_EQ(read_all(fresh.handle, "state"), "c");
}

TEST(KeepOnServers, NoServerAtTheSocketIsSaidPlainly) {
  rk_options options{sizeof(rk_options), "/nonexistent/ringkeep.socket", nullptr, 0, 0};
  rk_client* client = nullptr;
  EXPECT_EQ(rk_open(&options, &client), RK_ERR_UNAVAILABLE);
  EXPECT_EQ(client, nullptr);
  EXPECT_NE(std::string(rk_last_error()).find("/nonexistent/ringkeep.socket"), std::string::npos);
}

}  // namespace
}  // namespace rk::testing

// SPDX-License-Identifier: Apache-2.0
// Servers that are killed and started again in place.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/integration/api_client.h"
#include "tests/integration/ring_fixture.h"

namespace rk::testing {
namespace {

namespace fs = std::filesystem;

std::string pattern(std::size_t bytes, unsigned seed) {
  std::string out(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) out[i] = static_cast<char>((i * 31 + seed * 7) % 251);
  return out;
}

// Empty if the newest version of the name has these bytes.
std::string differs(rk_client* client, const std::string& name, const std::string& bytes) {
  const std::string found = read_all(client, name);
  if (found == bytes) return {};
  return name + " has " + std::to_string(found.size()) + " bytes: " + found.substr(0, 200);
}

std::uint64_t commit(rk_client* client, const std::string& name, const std::string& bytes, rk_level level) {
  const rk_section section{"data", bytes.size()};
  rk_writer* writer = nullptr;
  EXPECT_EQ(rk_begin(client, name.c_str(), &section, 1, &writer), RK_OK) << rk_last_error();
  if (writer == nullptr) return 0;
  void* data = nullptr;
  size_t size = 0;
  EXPECT_EQ(rk_writer_section(writer, "data", &data, &size), RK_OK) << rk_last_error();
  if (!bytes.empty()) std::memcpy(data, bytes.data(), bytes.size());
  std::uint64_t version = 0;
  EXPECT_EQ(rk_commit(writer, level, &version), RK_OK) << rk_last_error();
  return version;
}

bool await(const std::function<bool()>& holds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

void kill_and_start(RingFixture& ring, std::initializer_list<std::uint32_t> nodes, std::size_t members) {
  for (const std::uint32_t node : nodes) ring.server(node).kill(SIGKILL);
  for (const std::uint32_t node : nodes) ring.server(node).wait();
  for (const std::uint32_t node : nodes) {
    const auto started = ring.start(node);
    ASSERT_FALSE(started.exit_code) << started.output;
  }
  ASSERT_TRUE(ring.await_ring_of(members));
}

TEST(InPlace, AServerAloneHasWhatWasCommitted) {
  RingFixture ring(1);
  const std::string large = pattern(5'000'001, 1);
  {
    const Client client(ring.socket(1));
    for (unsigned i = 1; i <= 3; ++i) EXPECT_EQ(commit(client.handle, "small", pattern(1000, i), RK_LEVEL_LOCAL), i);
    commit(client.handle, "large", large, RK_LEVEL_LOCAL);
    commit(client.handle, "empty", "", RK_LEVEL_LOCAL);
    const rk_section section{"data", 10};
    rk_writer* open = nullptr;
    ASSERT_EQ(rk_begin(client.handle, "never", &section, 1, &open), RK_OK) << rk_last_error();
    kill_and_start(ring, {1}, 1);
    rk_abandon(open);
  }
  for (int again = 0; again < 2; ++again) {
    const Client client(ring.socket(1));
    std::uint64_t version = 0;
    EXPECT_EQ(read_all(client.handle, "small", &version), pattern(1000, 3));
    EXPECT_EQ(version, 3U);
    EXPECT_EQ(read_all(client.handle, "large"), large);
    EXPECT_EQ(read_all(client.handle, "empty"), "");
    rk_reader* reader = nullptr;
    EXPECT_EQ(rk_read(client.handle, "small", 2, &reader), RK_OK) << rk_last_error();
    rk_reader_close(reader);
    EXPECT_EQ(rk_read(client.handle, "never", 0, &reader), RK_ERR_NOT_FOUND);
    kill_and_start(ring, {1}, 1);  // twice in a row, too
  }
  const Client client(ring.socket(1));
  EXPECT_GT(commit(client.handle, "small", "new", RK_LEVEL_LOCAL), 3U);
  EXPECT_EQ(read_all(client.handle, "small"), "new");
}

TEST(InPlace, WhatAReaderHasMappedStaysAsItWas) {
  RingFixture ring(1);
  const Client before(ring.socket(1));
  commit(before.handle, "state", pattern(4096, 1), RK_LEVEL_LOCAL);
  rk_reader* reader = nullptr;
  ASSERT_EQ(rk_read(before.handle, "state", 0, &reader), RK_OK) << rk_last_error();
  const void* data = nullptr;
  size_t size = 0;
  ASSERT_EQ(rk_reader_section(reader, "data", &data, &size), RK_OK);
  kill_and_start(ring, {1}, 1);
  const Client after(ring.socket(1));
  for (unsigned i = 2; i < 10; ++i) commit(after.handle, "state", pattern(4096, i), RK_LEVEL_LOCAL);
  EXPECT_EQ(std::string(static_cast<const char*>(data), size), pattern(4096, 1));
  rk_reader_close(reader);
}

TEST(InPlace, AllServersAtOnceHaveWhatWasCommitted) {
  RingFixture ring(3);
  for (std::uint32_t node = 1; node <= 3; ++node) {
    const Client client(ring.socket(node));
    commit(client.handle, "copied" + std::to_string(node), pattern(100'000, node), RK_LEVEL_REPLICATED);
    commit(client.handle, "local" + std::to_string(node), pattern(10'000, node), RK_LEVEL_LOCAL);
  }
  kill_and_start(ring, {1, 2, 3}, 3);
  for (std::uint32_t node = 1; node <= 3; ++node) {
    const Client client(ring.socket(node));
    EXPECT_EQ(differs(client.handle, "copied" + std::to_string(node), pattern(100'000, node)), "");
    // By whoever becomes its home again.
    std::string local;
    EXPECT_TRUE(await([&] {
      return (local = differs(client.handle, "local" + std::to_string(node), pattern(10'000, node))).empty();
    })) << local;
  }
}

TEST(InPlace, OneOfThreeComesBackWithItsLocalVersions) {
  RingFixture ring(3);
  {
    const Client client(ring.socket(2));
    commit(client.handle, "state", "replicated", RK_LEVEL_REPLICATED);
    commit(client.handle, "state", "local", RK_LEVEL_LOCAL);
  }
  kill_and_start(ring, {2}, 3);
  const Client client(ring.socket(2));
  std::string found;
  EXPECT_TRUE(await([&] { return (found = read_all(client.handle, "state")) == "local"; })) << found;
  commit(client.handle, "state", "after", RK_LEVEL_REPLICATED);
  EXPECT_EQ(read_all(Client(ring.socket(1)).handle, "state"), "after");
}

// Nothing is trusted that another server may have replaced.
TEST(InPlace, WhatOthersHaveReplacedDoesNotComeBack) {
  RingFixture ring(3);
  {
    const Client client(ring.socket(2));
    commit(client.handle, "state", "old", RK_LEVEL_REPLICATED);
    commit(client.handle, "state", "old and local", RK_LEVEL_LOCAL);
    commit(client.handle, "removed", "old", RK_LEVEL_REPLICATED);
  }
  ring.server(2).kill(SIGKILL);
  ring.server(2).wait();
  ASSERT_TRUE(ring.await_status(1, [](const wire::StatusAnswer& status) { return status.members.size() == 2; }));
  const Client other(ring.socket(1));
  commit(other.handle, "state", "new", RK_LEVEL_REPLICATED);
  ASSERT_EQ(rk_delete(other.handle, "removed"), RK_OK) << rk_last_error();
  const auto started = ring.start(2);
  ASSERT_FALSE(started.exit_code) << started.output;
  ASSERT_TRUE(ring.await_ring_of(3));
  const Client client(ring.socket(2));
  EXPECT_EQ(read_all(client.handle, "state"), "new");
  rk_reader* reader = nullptr;
  EXPECT_EQ(rk_read(client.handle, "removed", 0, &reader), RK_ERR_NOT_FOUND);
  EXPECT_GT(commit(client.handle, "mine", "x", RK_LEVEL_REPLICATED), 0U);
}

TEST(InPlace, DamagedBytesAreNotUsed) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may write into a server's memory";
  RingFixture ring(1);
  {
    const Client client(ring.socket(1));
    commit(client.handle, "state", pattern(4096, 1), RK_LEVEL_LOCAL);
    commit(client.handle, "other", pattern(8192, 2), RK_LEVEL_LOCAL);
  }
  const std::string folder = "/proc/" + std::to_string(ring.server(1).pid()) + "/fd";
  int damaged = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    std::error_code error;
    if (!fs::read_symlink(entry, error).string().starts_with("/memfd:ringkeep-slot")) continue;
    const int fd = ::open(entry.path().c_str(), O_RDWR | O_CLOEXEC);
    ASSERT_GE(fd, 0);
    struct stat info {};
    ::fstat(fd, &info);
    if (info.st_size == 4096) damaged += ::pwrite(fd, "X", 1, 1000) == 1 ? 1 : 0;
    ::close(fd);
  }
  EXPECT_EQ(damaged, 1);
  kill_and_start(ring, {1}, 1);
  EXPECT_NE(ring.server(1).output().find("1 versions that it left are damaged"), std::string::npos)
      << ring.server(1).output();
  const Client client(ring.socket(1));
  EXPECT_EQ(read_all(client.handle, "other"), pattern(8192, 2));
  rk_reader* reader = nullptr;
  EXPECT_NE(rk_read(client.handle, "state", 0, &reader), RK_OK);
}

TEST(InPlace, TheHolderEndsWithItsServerAndWithItsDirectory) {
  std::string directory;
  {
    RingFixture ring(1);
    directory = ring.directory();
    ASSERT_EQ(processes_of("ringkeepd-hold", directory).size(), 1U);
    ring.server(1).kill(SIGTERM);
    EXPECT_EQ(ring.server(1).wait(), 0);
    EXPECT_TRUE(await([&] { return processes_of("ringkeepd-hold", directory).empty(); }));
    ASSERT_FALSE(ring.start(1).exit_code);
    ring.server(1).kill(SIGKILL);
    ring.server(1).wait();
    EXPECT_EQ(processes_of("ringkeepd-hold", directory).size(), 1U) << "it waits for the next server";
  }
  EXPECT_TRUE(await([&] { return processes_of("ringkeepd-hold", directory).empty(); }));
}

TEST(InPlace, TheHolderWaitsForSoLongAsItIsTold) {
  const TemporaryDirectory files;
  RingFixture::Options options;
  options.servers = 1;
  options.extra_flags = {"--config", files.write("config", "hold_s = 1\n")};
  RingFixture ring(options);
  {
    const Client client(ring.socket(1));
    commit(client.handle, "state", "abc", RK_LEVEL_LOCAL);
  }
  ring.server(1).kill(SIGKILL);
  ring.server(1).wait();
  EXPECT_TRUE(await([&] { return processes_of("ringkeepd-hold", ring.directory()).empty(); }));
  ASSERT_FALSE(ring.start(1).exit_code);
  ASSERT_TRUE(ring.await_ring_of(1));
  const Client client(ring.socket(1));
  rk_reader* reader = nullptr;
  EXPECT_EQ(rk_read(client.handle, "state", 0, &reader), RK_ERR_NOT_FOUND);
}

TEST(InPlace, AServerGoesOnWithoutItsHolder) {
  RingFixture ring(1);
  const Client client(ring.socket(1));
  commit(client.handle, "state", "abc", RK_LEVEL_LOCAL);
  const auto holders = processes_of("ringkeepd-hold", ring.directory());
  ASSERT_EQ(holders.size(), 1U);
  ::kill(holders.front(), SIGKILL);
  ASSERT_TRUE(await([&] { return processes_of("ringkeepd-hold", ring.directory()).empty(); }));
  commit(client.handle, "large", pattern(300'000, 1), RK_LEVEL_LOCAL);
  EXPECT_EQ(read_all(client.handle, "state"), "abc");
  EXPECT_NE(ring.server(1).output().find("nothing that this server keeps outlives it"), std::string::npos);
}

}  // namespace
}  // namespace rk::testing

// SPDX-License-Identifier: Apache-2.0
// Descriptors that clients send, and a server that has none left. A kernel with SO_PASSRIGHTS (Linux 6.16) does not let
// them be sent at all; an older one delivers them, and the server closes them with the connection.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <string>
#include <vector>

#include "tests/integration/api_client.h"
#include "tests/integration/hostile_fixture.h"

namespace rk::testing {
namespace {

constexpr std::size_t kMostAtATime = 253;  // SCM_MAX_FD

class HostileDescriptors : public ::testing::Test, protected HostileRing {
 protected:
  // They do not come through, or end the connection with these words.
  static void expect_refused(TestClient& client, ByteView bytes, const std::vector<int>& descriptors,
                             const std::string& words) {
    if (!send_with(client, bytes, descriptors)) {
      EXPECT_EQ(errno, EPERM);
      return;
    }
    const Error last = last_words(client);
    EXPECT_EQ(last.code, ErrorCode::kCorrupt);
    EXPECT_NE(last.message.find(words), std::string::npos) << last.message;
  }
};

const Bytes& query() {
  static const Bytes bytes = wire::encode_frame(wire::to_frame(wire::StatusQuery{}, 1));
  return bytes;
}

Bytes query_that_announces(std::uint32_t descriptors) {
  wire::Frame frame = wire::to_frame(wire::StatusQuery{}, 1);
  frame.descriptors = std::min<std::uint32_t>(descriptors, wire::kMaxDescriptors);
  Bytes bytes = wire::encode_frame(frame);
  for (unsigned i = 0; i < 4; ++i) bytes[36 + i] = static_cast<std::byte>((descriptors >> (8 * i)) & 0xffU);
  return bytes;
}

TEST_F(HostileDescriptors, AsManyAsTheSystemLetsTravel) {
  const shm::Descriptor null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  attack(
      [&] {
        TestClient client = this->client();
        expect_refused(client, query(), std::vector<int>(kMostAtATime, null.get()), "more descriptors came");
        TestClient early = stranger();
        expect_refused(early, query(), std::vector<int>(kMostAtATime, null.get()), "more descriptors came");
      },
      50);
}

TEST_F(HostileDescriptors, OfEveryKindWhereNoneIsExpected) {
  attack([&] {
    std::array<int, 2> pipe{};
    std::array<int, 2> pair{};
    ASSERT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()), 0);
    const shm::Descriptor ends[] = {shm::Descriptor(pipe[0]),
                                    shm::Descriptor(pipe[1]),
                                    shm::Descriptor(pair[0]),
                                    shm::Descriptor(pair[1]),
                                    shm::Descriptor(::epoll_create1(EPOLL_CLOEXEC)),
                                    shm::Descriptor(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC)),
                                    shm::Descriptor(::memfd_create("hostile", MFD_CLOEXEC)),
                                    shm::Descriptor(::open("/proc/self/mem", O_RDWR | O_CLOEXEC))};
    for (const shm::Descriptor& end : ends) {
      ASSERT_TRUE(end);
      TestClient client = this->client();
      expect_refused(client, query(), {end.get()}, "that no frame announces");
      TestClient announced = this->client();
      expect_refused(announced, query_that_announces(1), {end.get()}, "no request of a client carries descriptors");
    }
    // A connection through itself: nobody but the system's collector can free it.
    TestClient client = this->client();
    expect_refused(client, query(), {client.socket()}, "that no frame announces");
  });
}

TEST_F(HostileDescriptors, AnnouncedAndNotSent) {
  attack([&] {
    for (const std::uint32_t count : {1U, 16U, 17U, UINT32_MAX}) {
      TestClient client = this->client();
      ASSERT_TRUE(client.send_raw(query_that_announces(count)));
      EXPECT_EQ(last_words(client).code, ErrorCode::kCorrupt) << count;
    }
  });
}

// The last one to close a socket that lingers waits until its peer has read, which it never does. That must not be the
// server.
TEST_F(HostileDescriptors, OneThatTakesForEverToClose) {
  const shm::Descriptor listening(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const auto* where = reinterpret_cast<const sockaddr*>(&address);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(listening.get(), where, size), 0);
  ASSERT_EQ(::listen(listening.get(), 1), 0);
  ASSERT_EQ(::getsockname(listening.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  shm::Descriptor lingers(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  ::connect(lingers.get(), where, size);
  const shm::Descriptor never_reads(::accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC));
  pollfd ready{lingers.get(), POLLOUT, 0};
  ASSERT_EQ(::poll(&ready, 1, kPatienceMs), 1);
  const std::string bytes(std::size_t{1} << 20U, 'l');
  while (::send(lingers.get(), bytes.data(), bytes.size(), MSG_DONTWAIT) > 0) continue;
  ASSERT_EQ(::fcntl(lingers.get(), F_SETFL, 0), 0);
  const linger forever{1, 3600};
  ASSERT_EQ(::setsockopt(lingers.get(), SOL_SOCKET, SO_LINGER, &forever, sizeof forever), 0);
  TestClient client = this->client();
  if (send_with(client, query(), {lingers.get()}))
    GTEST_SKIP() << "this kernel has no SO_PASSRIGHTS (Linux 6.16), and nothing else helps against it";
  EXPECT_EQ(errno, EPERM);
  const linger none{0, 0};
  ASSERT_EQ(::setsockopt(lingers.get(), SOL_SOCKET, SO_LINGER, &none, sizeof none), 0);
  attack([] {}, 1, 1);
}

double processor_seconds(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(in, text, ')');
  unsigned long user = 0;
  unsigned long system = 0;
  for (int i = 0; i < 11; ++i) in >> text;
  in >> user >> system;
  return static_cast<double>(user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

// Memory takes no more descriptors than leave room for clients: what there is can be listed and deleted.
TEST(HostileDescriptorLimit, CheckpointsDoNotKeepClientsOut) {
  RingFixture ring({.servers = 2, .extra_flags = {}, .descriptor_limit = 256});
  TestClient client = ring.client(1).value();
  int made = 0;
  for (;; ++made) {
    ASSERT_LT(made, 300);
    const auto answer = put(client, "hostile/" + std::to_string(made), "x", wire::CommitLevel::kLocal);
    if (answer) {
      ASSERT_EQ(answer->result, wire::CommitResult::kOk);
      continue;
    }
    EXPECT_EQ(answer.error().code, ErrorCode::kNoMemory) << answer.error().message;
    EXPECT_NE(answer.error().message.find("of the 256 descriptors"), std::string::npos) << answer.error().message;
    break;
  }
  EXPECT_GT(made, 100);
  std::vector<TestClient> others;
  for (int i = 0; i < 10; ++i) {
    auto other = ring.client(1);
    ASSERT_TRUE(other) << i << ": " << other.error().message;
    ASSERT_TRUE(other->ask<wire::StatusAnswer>(wire::StatusQuery{}));
    others.push_back(std::move(*other));
  }
  ASSERT_TRUE(client.ask<wire::Done>(wire::CheckpointDelete{"hostile/0"}));
  EXPECT_EQ(put(client, "hostile/again", "x", wire::CommitLevel::kLocal)->result, wire::CommitResult::kOk);
}

// Its limit is lowered below what it has: it goes on with whom it has, and accepts again when there is room. Meanwhile
// it does not turn in circles.
TEST(HostileDescriptorLimit, AServerWithNoneLeftServesThoseItHas) {
  RingFixture ring(2);
  TestClient before = ring.client(1).value();
  const pid_t pid = ring.server(1).pid();
  rlimit usual{};
  ASSERT_EQ(::prlimit(pid, RLIMIT_NOFILE, nullptr, &usual), 0);
  const rlimit none{8, usual.rlim_max};
  ASSERT_EQ(::prlimit(pid, RLIMIT_NOFILE, &none, nullptr), 0);
  TestClient waiting = TestClient::connect_local(ring.socket(1)).value();
  ASSERT_TRUE(waiting.send(wire::to_frame(wire::ClientHello{}, 1)));
  const double began = processor_seconds(pid);
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(before.ask<wire::StatusAnswer>(wire::StatusQuery{}));
    ::poll(nullptr, 0, 5);
  }
  EXPECT_LT(processor_seconds(pid) - began, 0.7) << "of a second: it turns in circles";
  EXPECT_FALSE(waiting.receive(0)) << "it was accepted without a descriptor";
  ASSERT_EQ(::prlimit(pid, RLIMIT_NOFILE, &usual, nullptr), 0);
  EXPECT_TRUE(waiting.receive()) << "it is not accepted when there is room again";
  EXPECT_EQ(put(before, "hostile/after", "x")->result, wire::CommitResult::kOk);
}

}  // namespace
}  // namespace rk::testing

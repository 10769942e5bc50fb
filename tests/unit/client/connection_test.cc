// SPDX-License-Identifier: Apache-2.0
#include "client/connection.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <semaphore>

#include "tests/unit/client/fake_server.h"

namespace rk::client {
namespace {

constexpr std::uint32_t kLongMs = 60'000;

ConnectOptions to(const FakeServer& server, std::uint32_t timeout_ms = kLongMs) {
  ConnectOptions options;
  options.socket_path = server.socket_path();
  options.program = "test";
  options.timeout_ms = timeout_ms;
  return options;
}

TEST(Connection, GreetsAndAsks) {
  FakeServer server([](FakeSession& session) {
    session.greet();
    const wire::Frame request = session.next();
    wire::StatusAnswer answer;
    answer.node = NodeId(7);
    session.answer(request, answer);
  });
  auto connection = Connection::open(to(server));
  ASSERT_TRUE(connection) << connection.error().message;
  EXPECT_EQ((*connection)->server().cluster, ClusterId(0xc1));
  const auto status = (*connection)->call<wire::StatusAnswer>(wire::StatusQuery{});
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(status->node, NodeId(7));
}

TEST(Connection, AServerIsOursOrRoots) {
  EXPECT_TRUE(check_server_owner(1000, 1000, "s"));
  EXPECT_TRUE(check_server_owner(0, 1000, "s"));
  EXPECT_FALSE(check_server_owner(1001, 1000, "s"));
  EXPECT_FALSE(check_server_owner(1001, 0, "s"));
}

TEST(Connection, AServerOfAnotherUserIsToldNothing) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can run a server as another user";
  bool told = false;
  {
    FakeServer server([&](FakeSession& session) { told = session.next().type != wire::MessageType::kNone; },
                      uid_t{65534});
    const auto connection = Connection::open(to(server));
    ASSERT_FALSE(connection);
    EXPECT_EQ(connection.error().code, ErrorCode::kPermission);
    EXPECT_NE(connection.error().message.find("uid 65534"), std::string::npos) << connection.error().message;
  }
  EXPECT_FALSE(told);
}

TEST(Connection, ARefusalIsItsErrorAndTheConnectionGoesOn) {
  FakeServer server([](FakeSession& session) {
    session.greet();
    session.answer(session.next(), wire::Refusal{static_cast<std::int32_t>(ErrorCode::kFenced), "too old"});
    session.answer(session.next(), wire::Done{});
  });
  auto connection = Connection::open(to(server));
  ASSERT_TRUE(connection);
  const auto refused = (*connection)->call<wire::Done>(wire::CheckpointDelete{"a"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kFenced);
  EXPECT_EQ(refused.error().message, "too old");
  EXPECT_TRUE((*connection)->call<wire::Done>(wire::CheckpointDelete{"a"}));
}

TEST(Connection, ALateAnswerIsNotTakenForTheNextOne) {
  std::binary_semaphore timed_out(0);
  FakeServer server([&](FakeSession& session) {
    session.greet();
    const wire::Frame first = session.next();
    timed_out.acquire();
    session.answer(first, wire::Refusal{static_cast<std::int32_t>(ErrorCode::kNotFound), "late"});
    session.answer(session.next(), wire::Done{});
  });
  auto connection = Connection::open(to(server));
  ASSERT_TRUE(connection);
  CallOptions brief;
  brief.timeout_ms = 20;
  EXPECT_EQ((*connection)->call<wire::Done>(wire::CheckpointDelete{"a"}, brief).error().code, ErrorCode::kTimeout);
  timed_out.release();
  EXPECT_TRUE((*connection)->call<wire::Done>(wire::CheckpointDelete{"b"}));
}

TEST(Connection, ASilentServerIsUnavailable) {
  std::binary_semaphore done(0);
  FakeServer server([&](FakeSession& session) {
    session.next();
    done.acquire();
  });
  const auto connection = Connection::open(to(server, 20));
  done.release();
  ASSERT_FALSE(connection);
  EXPECT_EQ(connection.error().code, ErrorCode::kUnavailable);
}

TEST(Connection, GarbageEndsItForGood) {
  FakeServer server([](FakeSession& session) {
    session.greet();
    session.next();
    session.send(Bytes(200, std::byte{0x55}));
    session.next();
  });
  auto connection = Connection::open(to(server));
  ASSERT_TRUE(connection);
  EXPECT_EQ((*connection)->call<wire::Done>(wire::CheckpointDelete{"a"}).error().code, ErrorCode::kCorrupt);
  EXPECT_TRUE((*connection)->broken());
  EXPECT_EQ((*connection)->call<wire::Done>(wire::CheckpointDelete{"a"}).error().code, ErrorCode::kCorrupt);
}

TEST(Connection, AnotherFormatIsAVersionMismatch) {
  FakeServer server([](FakeSession& session) {
    const wire::Frame hello = session.next();
    Bytes frame = wire::encode_frame(wire::to_frame(wire::ServerHello{}, hello.request));
    frame[4] = std::byte{9};  // format major
    session.send(frame);
  });
  const auto connection = Connection::open(to(server));
  ASSERT_FALSE(connection);
  EXPECT_EQ(connection.error().code, ErrorCode::kVersionMismatch);
}

TEST(Connection, AnAnswerOfAnotherTypeIsCorrupt) {
  FakeServer server([](FakeSession& session) {
    session.greet();
    session.answer(session.next(), wire::StatusAnswer{});
  });
  auto connection = Connection::open(to(server));
  ASSERT_TRUE(connection);
  EXPECT_EQ((*connection)->call<wire::Done>(wire::CheckpointDelete{"a"}).error().code, ErrorCode::kCorrupt);
}

TEST(Connection, DescriptorsThatDoNotComeAreCorrupt) {
  FakeServer server([](FakeSession& session) {
    session.greet();
    wire::Frame frame = wire::to_frame(wire::Done{}, session.next().request);
    frame.descriptors = 1;
    session.send(wire::encode_frame(frame));
    session.next();
  });
  auto connection = Connection::open(to(server));
  ASSERT_TRUE(connection);
  EXPECT_EQ((*connection)->call<wire::Done>(wire::CheckpointDelete{"a"}).error().code, ErrorCode::kCorrupt);
}

TEST(Connection, DescriptorsThatNobodyAskedForAreCorrupt) {
  FakeServer server([](FakeSession& session) {
    session.greet();
    session.answer(session.next(), wire::Done{}, {0});
    session.next();
  });
  auto connection = Connection::open(to(server));
  ASSERT_TRUE(connection);
  EXPECT_EQ((*connection)->call<wire::Done>(wire::CheckpointDelete{"a"}).error().code, ErrorCode::kCorrupt);
}

TEST(Connection, AServerThatGoesIsPeerGone) {
  FakeServer server([](FakeSession& session) {
    session.greet();
    session.next();
  });
  auto connection = Connection::open(to(server));
  ASSERT_TRUE(connection);
  EXPECT_EQ((*connection)->call<wire::Done>(wire::CheckpointDelete{"a"}).error().code, ErrorCode::kPeerGone);
}

TEST(Connection, AnotherClusterIsRefused) {
  FakeServer server([](FakeSession& session) { session.greet(); });
  ConnectOptions options = to(server);
  options.cluster = ClusterId(0xdead);
  const auto connection = Connection::open(options);
  ASSERT_FALSE(connection);
  EXPECT_EQ(connection.error().code, ErrorCode::kWrongCluster);
}

TEST(Connection, APathThatIsTooLongIsSaid) {
  ConnectOptions options;
  options.socket_path = "/" + std::string(200, 'x');
  EXPECT_EQ(Connection::open(options).error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace rk::client

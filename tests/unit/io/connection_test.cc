// SPDX-License-Identifier: Apache-2.0
#include "io/connection.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>

#include "wire/codec.h"

namespace rk::io {
namespace {

struct End {
  std::shared_ptr<Connection> connection;
  std::vector<wire::Frame> frames;
  std::vector<shm::Descriptor> descriptors;
  std::optional<Error> closed;
};

class ConnectionPair : public ::testing::Test {
 protected:
  void open(Connection::Limits left_limits = {}, Connection::Limits right_limits = {}) {
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()), 0);
    attach(left_, ends[0], left_limits);
    attach(right_, ends[1], right_limits);
  }
  void attach(End& end, int fd, Connection::Limits limits) {
    Connection::Callbacks callbacks;
    callbacks.on_frame = [&](wire::Frame frame, std::vector<shm::Descriptor> descriptors) -> Status {
      end.frames.push_back(std::move(frame));
      for (shm::Descriptor& one : descriptors) end.descriptors.push_back(std::move(one));
      if (on_frame_) return on_frame_(end);
      return {};
    };
    callbacks.on_closed = [&](const Error& why) {
      EXPECT_FALSE(end.closed) << "closed twice";
      end.closed = why;
      if (left_.closed && right_.closed) loop_.stop();
    };
    end.connection = Connection::create(loop_, shm::Descriptor(fd), limits, std::move(callbacks));
  }
  static wire::Frame numbered(std::uint64_t number, std::size_t size = 0) {
    return wire::Frame{wire::MessageType::kDone, number, {}, 0, Bytes(size, std::byte{7})};
  }

  EventLoop loop_;
  End left_;
  End right_;
  std::function<Status(End&)> on_frame_;
};

TEST_F(ConnectionPair, FramesArriveWholeAndInOrderWhateverTheirSize) {
  open({std::size_t{64} << 20U, wire::kHeaderSize + wire::kMaxPayload});
  const std::size_t sizes[] = {0, 1, 100, 70'000, wire::kMaxPayload, 5};
  for (std::uint64_t i = 0; i < 6; ++i) left_.connection->send(numbered(i, sizes[i]));
  on_frame_ = [&](End& end) -> Status {
    if (end.frames.size() == 6) loop_.stop();
    return {};
  };
  loop_.run();
  ASSERT_EQ(right_.frames.size(), 6U);
  for (std::uint64_t i = 0; i < 6; ++i) {
    EXPECT_EQ(right_.frames[i].request, i);
    EXPECT_EQ(right_.frames[i].payload.size(), sizes[i]);
  }
  EXPECT_EQ(left_.connection->queued_bytes(), 0U);
}

TEST_F(ConnectionPair, DescriptorsTravelWithTheirFrameEvenWhenQueued) {
  open({std::size_t{64} << 20U, wire::kHeaderSize + wire::kMaxPayload});
  left_.connection->send(numbered(0, wire::kMaxPayload));  // fills the socket
  {
    const shm::Descriptor memory(::memfd_create("test", MFD_CLOEXEC));
    ASSERT_EQ(::ftruncate(memory.get(), 4096), 0);
    wire::Frame frame = numbered(1);
    frame.descriptors = 2;
    left_.connection->send(frame, std::array{memory.get(), memory.get()});
  }
  left_.connection->send(numbered(2));
  on_frame_ = [&](End& end) -> Status {
    EXPECT_EQ(end.descriptors.size(), end.frames.back().request == 0 ? 0U : 2U);
    if (end.frames.size() == 3) loop_.stop();
    return {};
  };
  loop_.run();
  ASSERT_EQ(right_.descriptors.size(), 2U);
  struct stat info {};
  ASSERT_EQ(::fstat(right_.descriptors[1].get(), &info), 0);
  EXPECT_EQ(info.st_size, 4096);
}

TEST_F(ConnectionPair, WhoDoesNotReadIsDisconnected) {
  open({std::size_t{1} << 20U, wire::kHeaderSize + wire::kMaxPayload});
  right_.connection->pause();
  for (int i = 0; i < 100 && !left_.connection->closed(); ++i) left_.connection->send(numbered(1, 100'000));
  EXPECT_TRUE(left_.connection->closed());
  EXPECT_FALSE(left_.closed) << "on_closed comes from the loop, not from inside send";
  right_.connection->resume();
  loop_.run();
  ASSERT_TRUE(left_.closed);
  EXPECT_EQ(left_.closed->code, ErrorCode::kNoMemory);
}

TEST_F(ConnectionPair, APausedConnectionDeliversNothingUntilItIsResumed) {
  open();
  for (std::uint64_t i = 0; i < 3; ++i) left_.connection->send(numbered(i));
  bool paused = false;
  on_frame_ = [&](End& end) -> Status {
    EXPECT_FALSE(paused);
    paused = true;
    end.connection->pause();
    loop_.post([&] {
      paused = false;
      end.connection->resume();
    });
    if (end.frames.size() == 3) loop_.stop();
    return {};
  };
  loop_.run();
  EXPECT_EQ(right_.frames.size(), 3U);
}

TEST_F(ConnectionPair, AnErrorOfTheHandlerIsToldAndEndsTheConnection) {
  open();
  left_.connection->send(numbered(42));
  on_frame_ = [&](End& end) -> Status {
    if (&end == &left_) return {};
    return fail(ErrorCode::kCorrupt, "not understood");
  };
  loop_.run();
  ASSERT_EQ(left_.frames.size(), 1U);
  const auto refusal = wire::from_frame<wire::Refusal>(left_.frames[0]);
  ASSERT_TRUE(refusal);
  EXPECT_EQ(left_.frames[0].request, 42U);
  EXPECT_EQ(refusal->message, "not understood");
  EXPECT_EQ(right_.closed->code, ErrorCode::kCorrupt);
  EXPECT_EQ(left_.closed->code, ErrorCode::kPeerGone);
}

class RawEnd : public ConnectionPair {
 protected:
  void SetUp() override {
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()), 0);
    raw_ = shm::Descriptor(ends[0]);
    left_.closed = Error{};
    attach(right_, ends[1], {1024, wire::kHeaderSize + 100});
  }
  void write(ByteView bytes, int descriptor = -1) {
    std::array<char, CMSG_SPACE(sizeof(int))> control{};
    iovec piece{const_cast<std::byte*>(bytes.data()), bytes.size()};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    if (descriptor >= 0) {
      message.msg_control = control.data();
      message.msg_controllen = control.size();
      cmsghdr* head = CMSG_FIRSTHDR(&message);
      head->cmsg_level = SOL_SOCKET;
      head->cmsg_type = SCM_RIGHTS;
      head->cmsg_len = CMSG_LEN(sizeof(int));
      std::memcpy(CMSG_DATA(head), &descriptor, sizeof(int));
    }
    ASSERT_EQ(::sendmsg(raw_.get(), &message, MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  ErrorCode end_code() {
    loop_.run();
    return right_.closed->code;
  }
  shm::Descriptor raw_;
};

TEST_F(RawEnd, ADescriptorThatNoFrameAnnouncesEndsIt) {
  write(wire::encode_frame(numbered(1)), raw_.get());
  EXPECT_EQ(end_code(), ErrorCode::kCorrupt);
}

TEST_F(RawEnd, AFrameWithoutTheDescriptorsItAnnouncesEndsIt) {
  wire::Frame frame = numbered(1);
  frame.descriptors = 1;
  write(wire::encode_frame(frame));
  EXPECT_EQ(end_code(), ErrorCode::kCorrupt);
  EXPECT_TRUE(right_.frames.empty());
}

TEST_F(RawEnd, AnUnfinishedFrameAboveTheLimitEndsIt) {
  const Bytes bytes = wire::encode_frame(numbered(1, 200));
  write(ByteView(bytes).first(bytes.size() - 1));
  EXPECT_EQ(end_code(), ErrorCode::kCorrupt);
}

TEST_F(RawEnd, TheEndInTheMiddleOfAFrameIsNoOrdinaryEnd) {
  const Bytes bytes = wire::encode_frame(numbered(1, 10));
  write(ByteView(bytes).first(20));
  raw_.reset();
  EXPECT_EQ(end_code(), ErrorCode::kCorrupt);
}

TEST_F(RawEnd, TheEndBetweenFramesIsOrdinary) {
  write(wire::encode_frame(numbered(1, 10)));
  raw_.reset();
  EXPECT_EQ(end_code(), ErrorCode::kPeerGone);
  EXPECT_EQ(right_.frames.size(), 1U);
}

TEST(PeerCredentials, AreOurs) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);
  const shm::Descriptor left(ends[0]);
  const shm::Descriptor right(ends[1]);
  const auto credentials = peer_credentials(left.get());
  ASSERT_TRUE(credentials);
  EXPECT_EQ(credentials->uid, ::getuid());
  EXPECT_EQ(credentials->pid, ::getpid());
}

}  // namespace
}  // namespace rk::io

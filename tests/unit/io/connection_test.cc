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
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "wire/codec.h"

namespace rk::io {
namespace {

struct End {
  std::shared_ptr<Connection> connection;
  std::vector<wire::Frame> frames;
  std::vector<shm::Descriptor> descriptors;
  std::optional<Error> closed;
};

std::unique_ptr<TlsChannel> channel(TlsChannel::Side side) {
  static const auto kContext = std::make_shared<const TlsContext>(keys::KeySet::generate(), ClusterId(7));
  return std::make_unique<TlsChannel>(kContext, side);
}

class Connections : public ::testing::Test {
 protected:
  void attach(End& end, int fd, Connection::Limits limits, std::unique_ptr<TlsChannel> channel = nullptr) {
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
    end.connection = Connection::create(loop_, shm::Descriptor(fd), limits, std::move(callbacks), std::move(channel));
  }
  static wire::Frame numbered(std::uint64_t number, std::size_t size = 0) {
    return wire::Frame{wire::MessageType::kDone, number, {}, 0, Bytes(size, std::byte{7})};
  }

  EventLoop loop_;
  End left_;
  End right_;
  std::function<Status(End&)> on_frame_;
};

class ConnectionPair : public Connections {
 protected:
  void open(Connection::Limits left_limits = {}, Connection::Limits right_limits = {}, bool sealed = false) {
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()), 0);
    attach(left_, ends[0], left_limits, sealed ? channel(TlsChannel::Side::kDialer) : nullptr);
    attach(right_, ends[1], right_limits, sealed ? channel(TlsChannel::Side::kListener) : nullptr);
  }
};

// With TLS and without.
class EitherPair : public ConnectionPair, public ::testing::WithParamInterface<bool> {
 protected:
  void open(Connection::Limits left_limits = {}, Connection::Limits right_limits = {}) {
    ConnectionPair::open(left_limits, right_limits, GetParam());
  }
};
INSTANTIATE_TEST_SUITE_P(Plain, EitherPair, ::testing::Values(false));
INSTANTIATE_TEST_SUITE_P(Sealed, EitherPair, ::testing::Values(true));

TEST_P(EitherPair, FramesArriveWholeAndInOrderWhateverTheirSize) {
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

TEST_P(EitherPair, ManySmallFramesLeaveOthersTheirTurn) {
  open();
  constexpr std::size_t kFrames = 1000;
  for (std::uint64_t i = 0; i < kFrames; ++i) left_.connection->send(numbered(i));
  std::size_t before_the_turn = 0;
  on_frame_ = [&](End& end) -> Status {
    if (end.frames.size() == 1) loop_.post([&] { before_the_turn = end.frames.size(); });
    if (end.frames.size() == kFrames) loop_.stop();
    return {};
  };
  loop_.run();
  ASSERT_EQ(right_.frames.size(), kFrames);
  for (std::uint64_t i = 0; i < kFrames; ++i) EXPECT_EQ(right_.frames[i].request, i);
  EXPECT_GT(before_the_turn, 0U);
  EXPECT_LE(before_the_turn, 100U);
}

TEST_F(ConnectionPair, WhatIsSaidBeforeTheEndArrives) {
  open();
  loop_.post([&] {
    left_.connection->send(numbered(1));
    left_.connection->send(numbered(2));
    left_.connection->close({ErrorCode::kPeerGone, "test"});
  });
  loop_.run();
  ASSERT_EQ(right_.frames.size(), 2U);
  EXPECT_EQ(right_.frames[1].request, 2U);
  EXPECT_TRUE(right_.closed);
}

TEST_F(ConnectionPair, WhatIsSaidInOneTurnIsOneWrite) {
  open();
  bool together = false;
  loop_.post([&] {
    left_.connection->send(numbered(1));
    left_.connection->send(numbered(2));
    EXPECT_GT(left_.connection->queued_bytes(), 0U) << "nothing is sent before the turn ends";
    loop_.at_turn_end([&] { together = left_.connection->queued_bytes() == 0; });
  });
  on_frame_ = [&](End& end) -> Status {
    if (end.frames.size() == 2) loop_.stop();
    return {};
  };
  loop_.run();
  EXPECT_TRUE(together);
  EXPECT_EQ(right_.frames.size(), 2U);
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

TEST_F(ConnectionPair, WhoDoesNotReadDescriptorsIsDisconnected) {
  constexpr std::size_t kMost = 20;
  open({.max_send_descriptors = kMost});
  right_.connection->pause();
  wire::Frame frame = numbered(1, 1000);
  frame.descriptors = 1;
  const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(null, 0);
  std::size_t sent = 0;
  std::function<void()> send_more = [&] {
    for (int i = 0; i < 10 && !left_.connection->closed(); ++i, ++sent) left_.connection->send(frame, std::array{null});
    if (left_.connection->closed() || sent > 10'000) return right_.connection->resume();
    loop_.post(send_more);
  };
  loop_.post(send_more);
  on_frame_ = [&](End&) -> Status { return {}; };
  loop_.run();
  ::close(null);
  ASSERT_TRUE(left_.closed);
  EXPECT_EQ(left_.closed->code, ErrorCode::kNoMemory);
  EXPECT_NE(left_.closed->message.find("20 descriptors wait"), std::string::npos) << left_.closed->message;
  EXPECT_GT(sent, kMost) << "the socket takes some";
}

TEST_P(EitherPair, WhoDoesNotReadIsDisconnected) {
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

TEST_P(EitherPair, APausedConnectionDeliversNothingUntilItIsResumed) {
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

TEST_P(EitherPair, AnErrorOfTheHandlerIsToldAndEndsTheConnection) {
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

TEST_P(EitherPair, WhoStopsReadingIsDisconnectedAtTheLimit) {
  constexpr std::size_t kLimit = std::size_t{4} << 20U;
  open({kLimit, wire::kHeaderSize + wire::kMaxPayload});
  std::size_t most = 0;
  on_frame_ = [&](End& end) -> Status {
    end.connection->pause();
    loop_.post([&] {
      for (int i = 0; i < 100 && !left_.connection->closed(); ++i) {
        most = left_.connection->queued_bytes();
        left_.connection->send(numbered(1, 100'000));
      }
      right_.connection->resume();
    });
    return {};
  };
  left_.connection->send(numbered(0));
  loop_.run();
  ASSERT_TRUE(left_.closed);
  EXPECT_EQ(left_.closed->code, ErrorCode::kNoMemory);
  EXPECT_GT(most, kLimit - 200'000) << "what waits in the channel counts as well, and no more than that";
  EXPECT_LE(most, kLimit);
}

TEST_P(EitherPair, APausedConnectionDoesNotReadOn) {
  open({std::size_t{64} << 20U, wire::kHeaderSize + wire::kMaxPayload});
  Timer later(loop_);
  std::size_t waits = 0;
  on_frame_ = [&](End& end) -> Status {
    if (end.frames.size() == 21) loop_.stop();
    if (end.frames.size() != 1) return {};
    end.connection->pause();
    for (std::uint64_t i = 1; i <= 20; ++i) left_.connection->send(numbered(i, 500'000));
    waits = left_.connection->queued_bytes();
    // That nothing moves has no event to wait for.
    later.start(20, [&] {
      EXPECT_EQ(right_.frames.size(), 1U);
      EXPECT_GT(left_.connection->queued_bytes(), waits / 2);
      right_.connection->resume();
    });
    return {};
  };
  left_.connection->send(numbered(0));
  loop_.run();
  EXPECT_GT(waits, 5'000'000U);
  EXPECT_EQ(right_.frames.size(), 21U);
  EXPECT_EQ(left_.connection->queued_bytes(), 0U);
}

// One side with TLS, the other without: both learn the cause.
class UnequalPair : public Connections {
 protected:
  void open(bool plain_dials) {
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()), 0);
    attach(left_, ends[0], {}, plain_dials ? nullptr : channel(TlsChannel::Side::kDialer));
    attach(right_, ends[1], {}, plain_dials ? channel(TlsChannel::Side::kListener) : nullptr);
    left_.connection->send(numbered(1, 100));
    loop_.run();
    ASSERT_TRUE(left_.closed && right_.closed);
  }
  static bool names_cure(const std::string& message) { return message.find("'encrypt'") != std::string::npos; }
};

TEST_F(UnequalPair, WhoDialsInPlainIsToldInAFrame) {
  open(true);
  EXPECT_TRUE(names_cure(right_.closed->message)) << right_.closed->message;
  ASSERT_EQ(left_.frames.size(), 1U);
  const auto refusal = wire::from_frame<wire::Refusal>(left_.frames[0]);
  ASSERT_TRUE(refusal);
  EXPECT_TRUE(names_cure(refusal->message)) << refusal->message;
}

TEST_F(UnequalPair, WhoListensInPlainTellsTlsFromGarbage) {
  open(false);
  EXPECT_TRUE(names_cure(right_.closed->message)) << right_.closed->message;
  EXPECT_TRUE(names_cure(left_.closed->message)) << left_.closed->message;
  EXPECT_TRUE(right_.frames.empty());
}

class RawEnd : public Connections {
 protected:
  void SetUp() override {
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()), 0);
    raw_ = shm::Descriptor(ends[0]);
    left_.closed = Error{};
    attach(right_, ends[1], {1024, wire::kHeaderSize + 100}, right_channel());
  }
  virtual std::unique_ptr<TlsChannel> right_channel() { return nullptr; }
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

TEST_F(ConnectionPair, FramesThatDoNotEndAreLimitedTogetherAndInTime) {
  UnfinishedFrames unfinished({.bytes = 150'000, .ms = 1000});
  Connection::Limits limits;
  limits.unfinished = &unfinished;
  std::array<int, 2> first{};
  std::array<int, 2> second{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, first.data()), 0);
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, second.data()), 0);
  attach(left_, first[0], limits);
  attach(right_, second[0], limits);
  const Bytes whole = wire::encode_frame(numbered(1, 100'000));
  const auto send = [&](int fd, std::size_t from, std::size_t to) {
    ASSERT_EQ(::send(fd, whole.data() + from, to - from, 0), static_cast<ssize_t>(to - from));
  };
  using Step = std::pair<std::function<bool()>, std::function<void()>>;  // when it holds, what is done then
  const auto takes = [&](std::size_t bytes) { return [&, bytes] { return unfinished.bytes() == bytes; }; };
  std::deque<Step> steps{// The memory of a large frame is taken at once.
                         {takes(100'000), [&] { send(first[1], 60'000, whole.size()); }},
                         {[&] { return left_.frames.size() == 1; },
                          [&] {
                            EXPECT_EQ(unfinished.bytes(), 0U);
                            send(first[1], 0, 60'000);
                          }},
                         {takes(100'000), [&] { send(second[1], 0, 60'000); }},
                         {[&] { return left_.closed.has_value(); },
                          [&] {
                            EXPECT_EQ(left_.closed->code, ErrorCode::kNoMemory) << "the one that began first";
                            EXPECT_FALSE(right_.closed);
                            EXPECT_EQ(unfinished.bytes(), 100'000U);
                            unfinished.on_tick(loop_.now_ms());
                            EXPECT_FALSE(right_.connection->closed());
                            unfinished.on_tick(loop_.now_ms() + 1000);
                            EXPECT_EQ(unfinished.bytes(), 0U);
                          }},
                         {[&] { return right_.closed.has_value(); }, [&] { loop_.stop(); }}};
  std::function<void()> look = [&] {
    if (!steps.empty() && steps.front().first()) {
      steps.front().second();
      steps.pop_front();
    }
    if (!steps.empty()) loop_.post(look);
  };
  send(first[1], 0, 60'000);
  loop_.post(look);
  loop_.run();
  ASSERT_TRUE(right_.closed);
  EXPECT_EQ(right_.closed->code, ErrorCode::kTimeout);
  ::close(first[1]);
  ::close(second[1]);
}

TEST_F(RawEnd, TheEndBetweenFramesIsOrdinary) {
  write(wire::encode_frame(numbered(1, 10)));
  raw_.reset();
  EXPECT_EQ(end_code(), ErrorCode::kPeerGone);
  EXPECT_EQ(right_.frames.size(), 1U);
}

// The raw end speaks TLS by hand.
class RawSealedEnd : public RawEnd {
 protected:
  std::unique_ptr<TlsChannel> right_channel() override { return channel(TlsChannel::Side::kListener); }
  Bytes outgoing() {
    const ByteView view = ours_->outgoing();
    Bytes bytes(view.begin(), view.end());
    ours_->drop_outgoing(bytes.size());
    return bytes;
  }
  void read_some() {
    std::array<std::byte, 4096> buffer;
    const ssize_t got = ::recv(raw_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got <= 0) return;
    EXPECT_TRUE(ours_->receive(ByteView(buffer).first(static_cast<std::size_t>(got)), [](ByteView) {}));
  }
  // Runs `then` once the raw end is established; the loop ends when the connection has closed.
  ErrorCode after_handshake(const std::function<void()>& then) {
    Watch watch(
        loop_, raw_.get(),
        [&] {
          read_some();
          if (!ours_->established()) return;
          watch.want_read(false);
          write(outgoing());
          then();
        },
        nullptr);
    watch.want_read(true);
    write(outgoing());
    return end_code();
  }
  Bytes sealed(const wire::Frame& frame) {
    EXPECT_TRUE(ours_->seal(wire::encode_frame(frame)));
    return outgoing();
  }
  std::unique_ptr<TlsChannel> ours_ = channel(TlsChannel::Side::kDialer);
};

TEST_F(RawSealedEnd, ARecordThatEndsInTheMiddleIsABrokenLink) {
  const auto code = after_handshake([&] {
    write(sealed(numbered(1, 10)));
    const Bytes record = sealed(numbered(2, 10));
    write(ByteView(record).first(record.size() - 1));
    raw_.reset();
  });
  EXPECT_EQ(code, ErrorCode::kPeerGone);
  EXPECT_EQ(right_.frames.size(), 1U);
}

TEST_F(RawSealedEnd, AChangedRecordEndsItAndNothingOfItIsDelivered) {
  const auto code = after_handshake([&] {
    Bytes record = sealed(numbered(1, 10));
    record.back() ^= std::byte{1};
    write(record);
  });
  EXPECT_EQ(code, ErrorCode::kCorrupt);
  EXPECT_TRUE(right_.frames.empty());
}

TEST_F(RawSealedEnd, AnUnfinishedFrameAboveTheLimitEndsIt) {
  const auto code = after_handshake([&] {
    const Bytes frame = wire::encode_frame(numbered(1, 200));
    EXPECT_TRUE(ours_->seal(ByteView(frame).first(frame.size() - 1)));
    write(outgoing());
  });
  EXPECT_EQ(code, ErrorCode::kCorrupt);
}

TEST_F(RawSealedEnd, ADescriptorEndsIt) {
  const auto code = after_handshake([&] { write(sealed(numbered(1)), raw_.get()); });
  EXPECT_EQ(code, ErrorCode::kCorrupt);
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

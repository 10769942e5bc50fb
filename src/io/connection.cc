// SPDX-License-Identifier: Apache-2.0
#include "io/connection.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "wire/codec.h"

namespace rk::io {
namespace {

constexpr std::size_t kReadBytes = std::size_t{128} << 10U;    // the largest frame of a small commit, and more
constexpr std::size_t kSealBytes = std::size_t{64} << 10U;     // at a time: what is not needed stays unsealed
constexpr int kReadsPerTurn = 8;                               // then others have their turn
constexpr int kFramesPerTurn = 64;                             // likewise
constexpr std::size_t kGatherBytes = std::size_t{256} << 10U;  // what waits for the end of a turn at most
constexpr std::size_t kMergedBytes = std::size_t{64} << 10U;   // small frames become one write
constexpr std::size_t kPiecesAtOnce = 8;                       // of the queue, in one write
constexpr std::size_t kControlBytes = CMSG_SPACE(wire::kMaxDescriptors * sizeof(int));

// Owns every descriptor that came, whatever is wrong with the message.
void collect_descriptors(msghdr& message, std::deque<shm::Descriptor>& out) {
  for (cmsghdr* at = CMSG_FIRSTHDR(&message); at != nullptr; at = CMSG_NXTHDR(&message, at)) {
    if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (at->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(at) + i * sizeof(int), sizeof(int));
      out.emplace_back(fd);
    }
  }
}

}  // namespace

std::shared_ptr<Connection> Connection::create(EventLoop& loop, shm::Descriptor socket, Limits limits,
                                               Callbacks callbacks, std::unique_ptr<TlsChannel> channel) {
  std::shared_ptr<Connection> connection(
      new Connection(loop, std::move(socket), limits, std::move(callbacks), std::move(channel)));
  Connection* raw = connection.get();
  connection->watch_.emplace(
      loop, raw->socket_.get(), [raw] { raw->on_readable(); }, [raw] { raw->on_writable(); });
  connection->watch_->want_read(true);
  if (raw->channel_) {
    if (auto status = raw->flush(); !status) raw->close(std::move(status).error());
  }
  return connection;
}

Connection::Connection(EventLoop& loop, shm::Descriptor socket, Limits limits, Callbacks callbacks,
                       std::unique_ptr<TlsChannel> channel)
    : loop_(loop),
      socket_(std::move(socket)),
      limits_(limits),
      callbacks_(std::make_shared<Callbacks>(std::move(callbacks))),
      channel_(std::move(channel)) {
  cutter_.limit(limits.max_frame_bytes);
}

Connection::~Connection() {
  if (unfinished_) limits_.unfinished->note(*this, 0, 0);
}

void Connection::send(const wire::Frame& frame, std::span<const int> descriptors) {
  if (closed_) return;
  RK_CHECK(frame.descriptors == descriptors.size() && (!channel_ || descriptors.empty()));
  if (queued_descriptors_ + descriptors.size() > limits_.max_send_descriptors)
    return close(Error{ErrorCode::kNoMemory, "the other side does not read: " + std::to_string(queued_descriptors_) +
                                                 " descriptors wait to be sent"});
  std::vector<shm::Descriptor> copies;
  for (const int fd : descriptors) {
    auto copy = shm::duplicate(fd);
    if (!copy) return close(std::move(copy).error());
    copies.push_back(std::move(*copy));
  }
  enqueue(wire::encode_frame(frame), std::move(copies));
  flush_when_due();
}

void Connection::send(wire::Packet packet) {
  if (closed_) return;
  enqueue(std::move(packet.bytes), {});
  flush_when_due();
}

void Connection::flush_when_due() {
  if (queued_bytes_ < kGatherBytes) return flush_later();
  if (auto status = flush(); !status) return close(std::move(status).error());
  check_unread();
}

// At the end of this turn of the loop: what is said to one side in a turn becomes one write.
void Connection::flush_later() {
  if (flush_posted_) return;
  flush_posted_ = true;
  loop_.at_turn_end([self = shared_from_this()] {
    self->flush_posted_ = false;
    if (self->closed_) return;
    if (auto status = self->flush(); !status) return self->close(std::move(status).error());
    self->check_unread();
  });
}

void Connection::check_unread() {
  if (!closed_ && queued_bytes() > limits_.max_send_bytes)
    close(Error{ErrorCode::kNoMemory,
                "the other side does not read: " + std::to_string(queued_bytes()) + " bytes wait to be sent"});
}

void Connection::enqueue(Bytes bytes, std::vector<shm::Descriptor> descriptors) {
  queued_bytes_ += bytes.size();
  queued_descriptors_ += descriptors.size();
  if (!queue_.empty() && descriptors.empty() && queue_.back().descriptors.empty() &&
      queue_.back().bytes.size() + bytes.size() <= kMergedBytes) {
    Bytes& last = queue_.back().bytes;
    last.insert(last.end(), bytes.begin(), bytes.end());
    return;
  }
  queue_.push_back({std::move(bytes), 0, std::move(descriptors)});
}

std::size_t Connection::queued_bytes() const {
  return queued_bytes_ + (channel_ && !closed_ ? channel_->outgoing().size() : 0);
}

void Connection::close(Error why) {
  if (closed_) return;
  shut();
  loop_.post([self = shared_from_this(), why = std::move(why)] {
    const auto callbacks = std::exchange(self->callbacks_, std::make_shared<Callbacks>());
    if (callbacks->on_closed) callbacks->on_closed(why);
  });
}

void Connection::abandon() {
  shut();
  callbacks_ = std::make_shared<Callbacks>();
}

// What was said before is given to the socket as far as it takes it.
void Connection::shut() {
  if (closed_) return;
  if (flush_posted_) static_cast<void>(flush());  // the connection ends whether or not the other side still reads
  closed_ = true;
  note_unfinished();
  watch_.reset();
  socket_.reset();
  received_.clear();
  queue_.clear();
  queued_bytes_ = queued_descriptors_ = 0;
}

void Connection::note_unfinished() {
  if (limits_.unfinished == nullptr) return;
  const std::size_t bytes = closed_ || yielding_ ? 0 : cutter_.buffered();
  if (bytes == 0 && !unfinished_) return;
  unfinished_ = bytes > 0;
  limits_.unfinished->note(*this, bytes, loop_.now_ms());
}

void Connection::pause() {
  paused_ = true;
  if (!closed_) watch_->want_read(false);
}

void Connection::resume() {
  if (!paused_) return;
  paused_ = false;
  if (closed_) return;
  // What is buffered is delivered from the loop, as everything else.
  loop_.post([self = shared_from_this()] { self->go_on(); });
}

// Whoever sends much in small frames keeps nobody from his turn.
void Connection::yield() {
  yielding_ = true;
  watch_->want_read(false);
  loop_.post([self = shared_from_this()] {
    self->yielding_ = false;
    self->go_on();
  });
}

void Connection::go_on() {
  if (closed_ || paused_ || yielding_) return;
  frames_left_ = kFramesPerTurn;
  if (auto status = deliver(); !status) return refuse(std::move(status).error());
  note_unfinished();
  if (!closed_ && !paused_ && !yielding_) watch_->want_read(true);
}

void Connection::on_readable() {
  const auto self = shared_from_this();
  frames_left_ = kFramesPerTurn;
  for (int turn = 0; turn < kReadsPerTurn && !closed_ && !paused_ && !yielding_; ++turn) {
    const auto got = receive();
    if (!got) return refuse(got.error());
    if (*got == 0) return;
    if (auto status = deliver(); !status) return refuse(std::move(status).error());
    note_unfinished();
    if (channel_ && !closed_) {
      // An answer of the handshake, and what waited for its end.
      if (auto status = flush(); !status) return close(std::move(status).error());
    }
    if (!more_) return;  // that was all; the loop tells of more
  }
}

// Bytes that came; 0: none now.
Result<std::size_t> Connection::receive() {
  std::array<std::byte, kReadBytes> buffer;
  // What a large frame lacks goes to its place; what comes behind it is read next.
  const std::span<std::byte> place = channel_ ? std::span<std::byte>() : cutter_.place();
  alignas(cmsghdr) std::array<std::byte, kControlBytes> control{};
  iovec piece{place.empty() ? buffer.data() : place.data(), place.empty() ? buffer.size() : place.size()};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t got = ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC);
  if (got < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return 0;
    if (errno == ECONNRESET) return fail(ErrorCode::kPeerGone, "the other side reset the connection");
    return fail_errno("read from a connection", errno);
  }
  collect_descriptors(message, received_);
  if ((static_cast<unsigned>(message.msg_flags) & static_cast<unsigned>(MSG_CTRUNC)) != 0 ||
      received_.size() > 2 * wire::kMaxDescriptors)
    return fail(ErrorCode::kCorrupt, "more descriptors came than frames announce");
  if (got == 0) {
    if (cutter_.buffered() > 0) return fail(ErrorCode::kCorrupt, "the connection ended in the middle of a frame");
    return fail(ErrorCode::kPeerGone, "the other side closed the connection");
  }
  heard_ = true;
  more_ = static_cast<std::size_t>(got) == piece.iov_len;
  if (place.empty())
    RK_TRY_VOID(take_bytes(ByteView(buffer).first(static_cast<std::size_t>(got))));
  else
    cutter_.placed(static_cast<std::size_t>(got));
  return static_cast<std::size_t>(got);
}

Status Connection::take_bytes(ByteView bytes) {
  if (!channel_) {
    cutter_.feed(bytes);
    return {};
  }
  return channel_->receive(bytes, [this](ByteView plain) { cutter_.feed(plain); });
}

Status Connection::deliver() {
  if (delivering_) return {};
  delivering_ = true;
  struct Reset {
    bool& flag;
    ~Reset() { flag = false; }
  } const reset{delivering_};
  while (!closed_ && !paused_ && !yielding_) {
    if (frames_left_ == 0) {
      yield();
      return {};
    }
    RK_TRY(auto frame, cutter_.next());
    if (!frame) {
      if (cutter_.buffered() > limits_.max_frame_bytes)
        return fail(ErrorCode::kCorrupt, "a frame of more than " + std::to_string(limits_.max_frame_bytes) +
                                             " bytes before the other side said who it is");
      if (cutter_.buffered() == 0 && !received_.empty())
        return fail(ErrorCode::kCorrupt, "descriptors came that no frame announces");
      return {};
    }
    std::vector<shm::Descriptor> descriptors;
    RK_TRY_VOID(take_descriptors(*frame, descriptors));
    --frames_left_;
    const auto callbacks = callbacks_;
    request_ = frame->request;
    RK_TRY_VOID(callbacks->on_frame(std::move(*frame), std::move(descriptors)));
    request_ = 0;
  }
  return {};
}

// The refusal is sent as far as the socket takes it at once.
void Connection::refuse(Error why) {
  if (!closed_ && why.code != ErrorCode::kPeerGone) {
    const wire::Refusal refusal{static_cast<std::int32_t>(why.code), why.message};
    if (channel_ && channel_->foreign()) {
      // It is told in the only form that it may understand.
      queue_.clear();
      queued_bytes_ = queued_descriptors_ = 0;
      channel_ = nullptr;
    }
    enqueue(wire::encode_frame(wire::to_frame(refusal, request_)), {});
    (void)flush();  // the connection ends for `why`, whether or not the other side still reads
  }
  close(std::move(why));
}

Status Connection::take_descriptors(const wire::Frame& frame, std::vector<shm::Descriptor>& out) {
  if (frame.descriptors > received_.size())
    return fail(ErrorCode::kCorrupt, "a frame announces " + std::to_string(frame.descriptors) + " descriptors, but " +
                                         std::to_string(received_.size()) + " came with it");
  for (std::uint32_t i = 0; i < frame.descriptors; ++i) {
    out.push_back(std::move(received_.front()));
    received_.pop_front();
  }
  return {};
}

void Connection::on_writable() {
  const auto self = shared_from_this();
  if (auto status = flush(); !status) return close(std::move(status).error());
  const auto callbacks = callbacks_;
  if (callbacks->on_moved) callbacks->on_moved();
}

Status Connection::flush() { return channel_ ? flush_sealed() : flush_plain(); }

Status Connection::flush_plain() {
  while (!queue_.empty()) {
    // What is first with its descriptors, and what follows until the next that has some.
    std::array<iovec, kPiecesAtOnce> pieces{};
    std::size_t count = 0;
    for (Outgoing& item : queue_) {
      if (count == pieces.size() || (count > 0 && !item.descriptors.empty())) break;
      pieces.at(count++) = {item.bytes.data() + item.sent, item.bytes.size() - item.sent};
    }
    RK_TRY(std::size_t sent, send_some(std::span(pieces).first(count), queue_.front().descriptors));
    if (sent == 0) break;
    queued_bytes_ -= sent;
    queued_descriptors_ -= queue_.front().descriptors.size();
    queue_.front().descriptors.clear();  // they travel with the first byte
    while (sent > 0) {
      Outgoing& item = queue_.front();
      const std::size_t taken = std::min(sent, item.bytes.size() - item.sent);
      item.sent += taken;
      sent -= taken;
      if (item.sent == item.bytes.size()) queue_.pop_front();
    }
  }
  watch_->want_write(!queue_.empty());
  return {};
}

Status Connection::flush_sealed() {
  for (;;) {
    if (channel_->outgoing().empty()) RK_TRY_VOID(seal_some());
    if (channel_->outgoing().empty()) break;
    const ByteView bytes = channel_->outgoing();
    std::array<iovec, 1> piece{iovec{const_cast<std::byte*>(bytes.data()), bytes.size()}};
    RK_TRY(const std::size_t sent, send_some(piece, {}));
    if (sent == 0) break;
    channel_->drop_outgoing(sent);
  }
  watch_->want_write(!channel_->outgoing().empty());
  return {};
}

Status Connection::seal_some() {
  std::size_t room = kSealBytes;
  while (channel_->established() && room > 0 && !queue_.empty()) {
    Outgoing& item = queue_.front();
    const ByteView piece = ByteView(item.bytes).subspan(item.sent, std::min(room, item.bytes.size() - item.sent));
    RK_TRY_VOID(channel_->seal(piece));
    room -= piece.size();
    item.sent += piece.size();
    queued_bytes_ -= piece.size();
    if (item.sent == item.bytes.size()) queue_.pop_front();
  }
  return {};
}

Result<std::size_t> Connection::send_some(std::span<iovec> pieces, std::span<const shm::Descriptor> descriptors) {
  alignas(cmsghdr) std::array<std::byte, kControlBytes> control{};
  msghdr message{};
  message.msg_iov = pieces.data();
  message.msg_iovlen = pieces.size();
  if (!descriptors.empty()) {
    const std::size_t size = descriptors.size() * sizeof(int);
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(size);
    cmsghdr* head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(size);
    std::array<int, wire::kMaxDescriptors> fds{};
    for (std::size_t i = 0; i < descriptors.size(); ++i) fds.at(i) = descriptors[i].get();
    std::memcpy(CMSG_DATA(head), fds.data(), size);
  }
  const ssize_t sent = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent >= 0) return static_cast<std::size_t>(sent);
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return std::size_t{0};
  if (errno == EPIPE || errno == ECONNRESET) return fail(ErrorCode::kPeerGone, "the other side closed the connection");
  return fail_errno("write to a connection", errno);
}

Result<PeerCredentials> peer_credentials(int socket) {
  ucred credentials{};
  socklen_t size = sizeof(credentials);
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0)
    return fail_errno("read a client's credentials", errno);
  return PeerCredentials{credentials.pid, credentials.uid};
}

}  // namespace rk::io

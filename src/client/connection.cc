// SPDX-License-Identifier: Apache-2.0
#include "client/connection.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>

#include "client/marked_stores.h"
#include "wire/control_messages.h"
#include "wire/locations.h"

namespace rk::client {
namespace {

std::uint64_t now_ms() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

timeval to_timeval(std::uint32_t timeout_ms) {
  return {static_cast<time_t>(timeout_ms / 1000), static_cast<suseconds_t>(timeout_ms % 1000 * 1000)};
}

// Of requests that more are to follow: so much goes out in one piece.
constexpr std::size_t kMaxHeldBack = std::size_t{64} << 10U;

Error no_server(const std::string& path, int saved_errno) {
  char words[128];
  return {ErrorCode::kUnavailable,
          "no ringkeep server answers at " + path + " (" + strerror_r(saved_errno, words, sizeof words) +
              "): start one with 'ringkeep up', or set RINGKEEP_SOCKET to the socket of a running one"};
}

}  // namespace

std::string resolve_socket_path(const std::string& given) {
  if (!given.empty()) return given;
  const char* from_environment = std::getenv(wire::kEnvSocket);  // NOLINT(concurrency-mt-unsafe)
  if (from_environment != nullptr && *from_environment != '\0') return from_environment;
  return wire::default_socket(::geteuid());
}

Status check_server_owner(std::uint32_t owner, std::uint32_t user, const std::string& path) {
  if (owner == user || owner == 0) return {};
  return fail(ErrorCode::kPermission, "the server at " + path + " is run by another user (uid " +
                                          std::to_string(owner) +
                                          "), who could read and change what you give it: start your own with "
                                          "'ringkeep up --dir', and set RINGKEEP_SOCKET to its socket");
}

Result<std::unique_ptr<Connection>> Connection::open(const ConnectOptions& options) {
  std::unique_ptr<Connection> connection(new Connection);
  if (options.timeout_ms != 0) connection->timeout_ms_ = options.timeout_ms;
  connection->socket_path_ = resolve_socket_path(options.socket_path);
  RK_TRY_VOID(connection->connect(options));
  RK_TRY_VOID(connection->greet(options));
  return connection;
}

Status Connection::connect(const ConnectOptions&) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path_.size() >= sizeof address.sun_path)
    return fail(ErrorCode::kInvalidArgument, "the socket path " + socket_path_ + " has " +
                                                 std::to_string(socket_path_.size()) + " bytes and the system allows " +
                                                 std::to_string(sizeof address.sun_path - 1) + ": use a shorter one");
  std::memcpy(address.sun_path, socket_path_.data(), socket_path_.size());
  socket_ = shm::Descriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket_) return fail_errno("create a socket", errno);
  RK_MARK(socket_made);
  // Bounds the wait for a server whose backlog is full.
  const timeval bound = to_timeval(timeout_ms_);
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &bound, sizeof bound);
  int result = 0;
  do {
    result = ::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  } while (result != 0 && errno == EINTR);
  if (result != 0) {
    if (errno == EACCES || errno == EPERM)
      return fail(ErrorCode::kPermission,
                  "the socket " + socket_path_ + " belongs to another user: use your own server");
    return tl::unexpected(no_server(socket_path_, errno));
  }
  RK_MARK(connected);
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket_.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
    return fail_errno("ask who runs the server at " + socket_path_, errno);
  RK_TRY_VOID(check_server_owner(peer.uid, ::geteuid(), socket_path_));
  const int flags = ::fcntl(socket_.get(), F_GETFL);
  if (flags < 0 || ::fcntl(socket_.get(), F_SETFL, flags | O_NONBLOCK) != 0)
    return fail_errno("set up a socket", errno);
  return {};
}

Status Connection::greet(const ConnectOptions& options) {
  const wire::ClientHello hello{
      {}, options.cluster, options.program.empty() ? program_invocation_short_name : options.program, options.fenced};
  auto answer = call<wire::ServerHello>(hello);
  if (!answer && answer.error().code == ErrorCode::kTimeout)
    return fail(ErrorCode::kUnavailable, "the server at " + socket_path_ + " does not answer within " +
                                             std::to_string(timeout_ms_) + " ms: is it stopped or overloaded?");
  RK_TRY(server_, std::move(answer));
  if (options.cluster && server_.cluster != options.cluster)
    return fail(ErrorCode::kWrongCluster,
                "the server at " + socket_path_ + " belongs to another cluster: give the socket of a server of yours");
  return {};
}

Result<wire::Frame> Connection::exchange(const wire::Packet& request, const CallOptions& options) {
  handed_over_ = false;
  if (broken()) return tl::unexpected(broken_);
  const std::uint64_t deadline_ms = now_ms() + (options.timeout_ms != 0 ? options.timeout_ms : timeout_ms_);
  RK_TRY_VOID(send_held_back(deadline_ms));
  RK_MARK(request_made);
  if (const Status sent = send_all(request.bytes, deadline_ms); !sent) {
    // A half-sent request cannot be taken back.
    broken_ = sent.error();
    return tl::unexpected(broken_);
  }
  handed_over_ = true;
  RK_MARK(request_sent);
  for (;;) {
    std::vector<shm::Descriptor> arrived;
    auto answer = receive(deadline_ms, arrived);
    if (!answer) {
      if (answer.error().code != ErrorCode::kTimeout) broken_ = answer.error();
      return answer;
    }
    const bool refusal = answer->type == wire::MessageType::kRefusal;
    // Request number 0 in a refusal: the server found the connection itself at fault and closes it.
    if (answer->request != request.request && !(refusal && answer->request == 0)) {
      set_aside(*std::move(answer));
      continue;
    }
    if (refusal) return refused(*answer);
    if (options.descriptors != nullptr) {
      *options.descriptors = std::move(arrived);
    } else if (!arrived.empty()) {
      broken_ = {ErrorCode::kCorrupt, "the server sent descriptors that were not asked for: install matching releases"};
      return tl::unexpected(broken_);
    }
    RK_MARK(answer_received);
    return answer;
  }
}

// The error that a refusal carries.
Result<wire::Frame> Connection::refused(const wire::Frame& answer) {
  RK_TRY(const auto why, wire::from_frame<wire::Refusal>(answer));
  const bool sensible = why.code > 0 && why.code <= static_cast<std::int32_t>(ErrorCode::kPeerGone);
  Error error{sensible ? static_cast<ErrorCode>(why.code) : ErrorCode::kCorrupt, why.message};
  if (answer.request == 0) broken_ = error;
  return tl::unexpected(std::move(error));
}

Status Connection::begin_packet(const wire::Packet& request) {
  if (broken()) return tl::unexpected(broken_);
  if (begun())
    return fail(ErrorCode::kInvalidArgument, "a request is open on this connection: fetch its answer before the next");
  const std::uint64_t deadline_ms = now_ms() + timeout_ms_;
  RK_TRY_VOID(send_held_back(deadline_ms));
  if (const Status sent = send_all(request.bytes, deadline_ms); !sent) {
    broken_ = sent.error();
    return tl::unexpected(broken_);
  }
  begun_ = request.request;
  return {};
}

Result<std::optional<wire::Frame>> Connection::poll_frame(std::uint32_t timeout_ms) {
  if (broken()) return tl::unexpected(broken_);
  const std::uint64_t deadline_ms = timeout_ms == 0 ? 0 : now_ms() + timeout_ms;  // 0: in the past, no wait
  while (begun() && !begun_answer_) {
    std::vector<shm::Descriptor> ignored;
    auto answer = receive(deadline_ms, ignored);
    if (!answer) {
      if (answer.error().code == ErrorCode::kTimeout) return std::nullopt;
      broken_ = answer.error();
      return tl::unexpected(broken_);
    }
    if (answer->type != wire::MessageType::kServerNotice && answer->request == 0)
      begun_answer_ = *std::move(answer);
    else
      set_aside(*std::move(answer));
  }
  if (!begun_answer_) return std::nullopt;
  begun_ = 0;
  const wire::Frame answer = *std::exchange(begun_answer_, std::nullopt);
  if (answer.type == wire::MessageType::kRefusal)
    return refused(answer).map([](wire::Frame f) { return std::optional(std::move(f)); });
  return answer;
}

void Connection::keep_notice(const wire::Frame& frame) {
  if (notices_.size() >= kMaxNotices) return;
  if (auto notice = wire::from_frame<wire::ServerNotice>(frame))
    notices_.push_back(*std::move(notice));
  else
    broken_ = notice.error();
}

Result<std::vector<wire::ServerNotice>> Connection::take_notices() {
  while (!broken()) {
    std::vector<shm::Descriptor> ignored;
    auto frame = receive(0, ignored);
    if (!frame && frame.error().code == ErrorCode::kTimeout) return std::exchange(notices_, {});
    if (!frame)
      broken_ = frame.error();
    else
      set_aside(*std::move(frame));
  }
  return tl::unexpected(broken_);
}

// What came while something else was waited for.
void Connection::set_aside(wire::Frame frame) {
  if (frame.type == wire::MessageType::kServerNotice) {
    keep_notice(frame);
  } else if (begun_ != 0 && frame.request == begun_) {
    begun_answer_ = std::move(frame);
  } else if (posted_.erase(frame.request) > 0) {
    posted_answers_.push_back(std::move(frame));
    RK_MARK(answer_set_aside);
    if (!readiness_) return;
    if (const Status raised = readiness_->raise(); !raised) give_up(raised.error());
  }
}

void Connection::give_up(const Error& why) {
  if (!broken()) broken_ = why;
  ::shutdown(socket_.get(), SHUT_RDWR);
}

Status Connection::post_packet(const wire::Packet& request, bool more) {
  if (broken()) return tl::unexpected(broken_);
  held_back_.insert(held_back_.end(), request.bytes.begin(), request.bytes.end());
  RK_MARK(request_held_back);
  if (more && held_back_.size() < kMaxHeldBack) return {};
  Status sent = send_held_back(now_ms() + timeout_ms_);
  RK_MARK(request_posted);
  if (sent) return {};
  if (broken()) return sent;
  // A half-sent request cannot be taken back: the rest of it goes with the next call.
  if (held_back_.size() < request.bytes.size()) return {};
  held_back_.resize(held_back_.size() - request.bytes.size());
  return fail(ErrorCode::kUnavailable, "the server at " + socket_path_ +
                                           " takes no more requests for now: nothing was changed, try again later");
}

// kTimeout leaves the connection usable: what is left is sent before anything else.
Status Connection::send_held_back(std::uint64_t deadline_ms) {
  if (held_back_.empty()) return {};
  ByteView left(held_back_);
  Status sent = send_some(left, deadline_ms);
  if (!sent && sent.error().code != ErrorCode::kTimeout) broken_ = sent.error();
  held_back_.erase(held_back_.begin(), held_back_.end() - static_cast<std::ptrdiff_t>(left.size()));
  return sent;
}

Status Connection::collect(std::uint32_t timeout_ms) {
  const std::uint64_t deadline_ms = now_ms() + timeout_ms;
  while (!broken()) {
    if (const Status sent = send_held_back(0); !sent && broken()) break;
    std::vector<shm::Descriptor> ignored;
    auto frame = receive(0, ignored);
    if (frame && frame->type == wire::MessageType::kRefusal && frame->request == 0) {
      static_cast<void>(refused(*frame));  // it ends the connection
    } else if (frame) {
      set_aside(*std::move(frame));
    } else if (frame.error().code != ErrorCode::kTimeout) {
      broken_ = frame.error();
    } else {
      if (has_posted_answer() || timeout_ms == 0) return {};
      const auto events = static_cast<short>(held_back_.empty() ? POLLIN : POLLIN | POLLOUT);
      const Status ready = wait_for(events, deadline_ms);
      if (!ready && ready.error().code == ErrorCode::kTimeout) return {};
      if (!ready) broken_ = ready.error();
    }
  }
  return tl::unexpected(broken_);
}

std::optional<wire::Frame> Connection::next_posted_answer() {
  if (posted_answers_.empty()) return std::nullopt;
  wire::Frame answer = std::move(posted_answers_.front());
  posted_answers_.pop_front();
  return answer;
}

Result<int> Connection::posted_descriptor() {
  if (!readiness_) {
    RK_TRY(readiness_, Readiness::of(socket_.get()));
    if (has_posted_answer()) RK_TRY_VOID(readiness_->raise());
  }
  return readiness_->descriptor();
}

// Looks at least once, also when the deadline has passed.
Status Connection::wait_for(short events, std::uint64_t deadline_ms) const {
  for (;;) {
    const std::uint64_t now = now_ms();
    const std::uint64_t left = deadline_ms > now ? deadline_ms - now : 0;
    pollfd item{socket_.get(), events, 0};
    const int result = ::poll(&item, 1, static_cast<int>(std::min<std::uint64_t>(left, 1'000'000)));
    if (result > 0) return {};
    if (result < 0 && errno != EINTR) return fail_errno("wait for the server", errno);
    if (left == 0)
      return fail(ErrorCode::kTimeout, "the server at " + socket_path_ +
                                           " did not answer in time, the outcome is unknown: read to learn it");
  }
}

Status Connection::send_all(ByteView bytes, std::uint64_t deadline_ms) { return send_some(bytes, deadline_ms); }

// The server's reason may still be in the socket, behind answers.
Status Connection::closed() {
  for (;;) {
    std::vector<shm::Descriptor> ignored;
    auto last = receive(now_ms() + 1, ignored);
    if (!last) break;
    if (last->type == wire::MessageType::kRefusal && !posted_.contains(last->request)) {
      if (const auto why = wire::from_frame<wire::Refusal>(*last); why)
        return fail(ErrorCode::kPeerGone, "the server closed the connection: " + why->message);
    }
    set_aside(*std::move(last));
  }
  return fail(ErrorCode::kPeerGone, "the server at " + socket_path_ + " closed the connection: connect again");
}

// `bytes` is what was not sent, when it fails.
Status Connection::send_some(ByteView& bytes, std::uint64_t deadline_ms) {
  while (!bytes.empty()) {
    const std::size_t piece = RK_MARKED_PIECE(bytes.size());
    const ssize_t sent = ::send(socket_.get(), bytes.data(), piece, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
      RK_MARK(bytes_sent);
      bytes = bytes.subspan(static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      RK_TRY_VOID(wait_for(POLLOUT, deadline_ms));
    } else if (errno == EPIPE || errno == ECONNRESET) {
      return closed();
    } else if (errno != EINTR) {
      return fail_errno("send to the server", errno);
    }
  }
  return {};
}

Status Connection::read_some(std::uint64_t deadline_ms) {
  std::byte buffer[65536];
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * wire::kMaxDescriptors)];
  for (;;) {
    if (deadline_ms != 0) RK_TRY_VOID(wait_for(POLLIN, deadline_ms));
    iovec span{buffer, sizeof buffer};
    msghdr message{};
    message.msg_iov = &span;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t got = ::recvmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got > 0) {
      RK_MARK(bytes_received);
      for (cmsghdr* item = CMSG_FIRSTHDR(&message); item != nullptr; item = CMSG_NXTHDR(&message, item)) {
        if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS) continue;
        const std::size_t count = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count; ++i) {
          int fd = -1;
          std::memcpy(&fd, CMSG_DATA(item) + i * sizeof(int), sizeof fd);
          received_.emplace_back(fd);
          RK_MARK(descriptor_received);
        }
      }
      if ((message.msg_flags & MSG_CTRUNC) != 0 || received_.size() > 4 * wire::kMaxDescriptors)
        return fail(ErrorCode::kCorrupt,
                    "descriptors from the server were cut off: raise the limit of open files (ulimit -n)");
      cutter_.feed({buffer, static_cast<std::size_t>(got)});
      return {};
    }
    if (got == 0 || errno == ECONNRESET)
      return fail(ErrorCode::kPeerGone, "the server at " + socket_path_ + " closed the connection: connect again");
    const bool nothing = errno == EAGAIN || errno == EWOULDBLOCK;
    if (nothing && deadline_ms == 0) return fail(ErrorCode::kTimeout, "the server has sent nothing more");
    if (!nothing && errno != EINTR) return fail_errno("receive from the server", errno);
  }
}

Result<wire::Frame> Connection::receive(std::uint64_t deadline_ms, std::vector<shm::Descriptor>& arrived) {
  for (;;) {
    RK_TRY(auto frame, cutter_.next());
    if (!frame) {
      RK_TRY_VOID(read_some(deadline_ms));
      continue;
    }
    if (frame->descriptors > received_.size())
      return fail(ErrorCode::kCorrupt, "an answer of the server announces descriptors that did not come with it");
    for (std::uint32_t i = 0; i < frame->descriptors; ++i) {
      arrived.push_back(std::move(received_.front()));
      received_.pop_front();
    }
    return *std::move(frame);
  }
}

}  // namespace rk::client

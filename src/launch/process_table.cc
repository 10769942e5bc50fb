// SPDX-License-Identifier: Apache-2.0
#include "launch/process_table.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "launch/processes.h"

namespace rk::launch {
namespace {

constexpr std::uint64_t kRestMs = 100;

}  // namespace

ProcessTable::ProcessTable(Loop& loop, shm::Descriptor listener, ProcessHandler& handler, std::size_t max_connections,
                           std::uint64_t hello_limit_ms)
    : loop_(loop),
      listener_(std::move(listener)),
      handler_(handler),
      max_connections_(max_connections),
      hello_limit_ms_(hello_limit_ms) {
  loop_.watch(listener_.get(), POLLIN, [this](short) { accept_one(); });
}

ProcessTable::~ProcessTable() {
  loop_.unwatch(listener_.get());
  loop_.cancel(rest_timer_);
  for (const auto& [fd, connection] : connections_) {
    loop_.unwatch(fd);
    loop_.cancel(connection->hello_timer);
  }
}

void ProcessTable::rest() {
  loop_.set_events(listener_.get(), 0);
  rest_timer_ = loop_.after(kRestMs, [this] { loop_.set_events(listener_.get(), POLLIN); });
}

void ProcessTable::accept_one() {
  shm::Descriptor socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket) {
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) rest();
    return;
  }
  auto connection = std::make_unique<Connection>();
  connection->channel = FrameChannel(std::move(socket));
  const auto peer = connection->channel.peer();
  if (!peer || peer->uid != ::geteuid() || connections_.size() >= max_connections_) {
    ++malformed_;
    return;
  }
  connection->pid = peer->pid;
  // The peer waits for our answer, so its pid is still its own when the pidfd is taken.
  connection->process = open_process(peer->pid);
  const int fd = connection->channel.fd();
  connection->hello_timer = loop_.after(hello_limit_ms_, [this, fd] {
    ++malformed_;
    close(fd);
  });
  connections_.emplace(fd, std::move(connection));
  loop_.watch(fd, POLLIN, [this, fd](short) { read_from(fd); });
}

void ProcessTable::read_from(int fd) {
  const auto found = connections_.find(fd);
  if (found == connections_.end()) return;
  Connection& connection = *found->second;
  const auto more = connection.channel.receive();
  Status state;
  for (;;) {
    auto frame = connection.channel.next();
    if (!frame) state = tl::unexpected(frame.error());
    if (!frame || !*frame) break;
    state = handle(connection, **frame);
    if (!state) break;
  }
  if (!state && state.error().code == ErrorCode::kCorrupt) ++malformed_;
  if (!state || !more || !*more) close(fd);
}

Status ProcessTable::handle(Connection& connection, const wire::Frame& frame) {
  if (frame.descriptors != 0)
    return fail(ErrorCode::kCorrupt, "a process sends descriptors on its control socket, which nothing there needs");
  if (!connection.introduced) return introduce(connection, frame);
  return handler_.on_frame(connection.rank, connection.incarnation, frame);
}

Status ProcessTable::introduce(Connection& connection, const wire::Frame& frame) {
  RK_TRY(const wire::ProcessHello hello, wire::from_frame<wire::ProcessHello>(frame));
  auto admission = handler_.admit(hello, connection.pid);
  if (!admission) {
    // It reads this and ends; its mpirun then reports the failure.
    return connection.channel.send(
        wire::Refusal{static_cast<std::int32_t>(admission.error().code), admission.error().message});
  }
  loop_.cancel(connection.hello_timer);
  connection.introduced = true;
  connection.rank = admission->rank;
  connection.incarnation = hello.incarnation;
  ranks_[admission->rank] = &connection;
  std::vector<int> descriptors;
  for (const shm::Descriptor& one : admission->descriptors) descriptors.push_back(one.get());
  return connection.channel.send(admission->start, descriptors);
}

void ProcessTable::close(int fd) {
  const auto found = connections_.find(fd);
  const std::unique_ptr<Connection> connection = std::move(found->second);
  connections_.erase(found);
  loop_.unwatch(fd);
  loop_.cancel(connection->hello_timer);
  if (!connection->introduced) return;
  const auto current = ranks_.find(connection->rank);
  if (current != ranks_.end() && current->second == connection.get()) ranks_.erase(current);
  handler_.on_gone(connection->rank, connection->incarnation);
}

void ProcessTable::pump() {
  std::vector<pollfd> polled;
  for (const auto& [fd, connection] : connections_) polled.push_back(pollfd{fd, POLLIN, 0});
  // One look can leave a frame behind whose sender wrote more than one read takes.
  for (int round = 0; round < 16; ++round) {
    if (::poll(polled.data(), polled.size(), 0) <= 0) return;
    for (pollfd& one : polled) {
      if (one.revents != 0) read_from(one.fd);
      if (connections_.count(one.fd) == 0) one.fd = -1;
    }
  }
}

void ProcessTable::signal_all(int number) {
  for (const auto& [rank, connection] : ranks_) signal_process(connection->process, number);
}

bool ProcessTable::signal(Rank rank, int number) {
  const auto found = ranks_.find(rank);
  if (found == ranks_.end()) return false;
  signal_process(found->second->process, number);
  return true;
}

bool ProcessTable::hung_up(Rank rank) const {
  const auto found = ranks_.find(rank);
  if (found == ranks_.end()) return true;
  pollfd look{found->second->channel.fd(), POLLRDHUP, 0};
  return ::poll(&look, 1, 0) > 0;
}

}  // namespace rk::launch

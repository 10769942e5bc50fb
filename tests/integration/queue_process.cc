// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/queue_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "launch/mpirun.h"
#include "launch/processes.h"
#include "launch/spawn.h"
#include "tests/integration/ring_fixture.h"

namespace rk::testing {

ChildProcess::ChildProcess(std::vector<std::string> arguments,
                           const std::vector<std::pair<std::string, std::string>>& environment) {
  int ends[2];
  EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  reading_ = shm::Descriptor(ends[0]);
  const shm::Descriptor writing(ends[1]);
  launch::SpawnRequest request;
  request.arguments = std::move(arguments);
  request.environment = launch::environment_with(environment, {"RINGKEEP_JOB"});
  request.output = request.error = writing.get();
  const auto pid = launch::spawn(request);
  EXPECT_TRUE(pid) << pid.error().message;
  if (pid) pid_ = *pid;
}

ChildProcess::~ChildProcess() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGCONT);
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void ChildProcess::signal(int number) const {
  if (pid_ > 0) ::kill(pid_, number);
}

int ChildProcess::wait() {
  if (pid_ <= 0) return status_;
  const shm::Descriptor process = launch::open_process(pid_);
  pollfd item{process.get(), POLLIN, 0};
  if (::poll(&item, 1, kPatienceMs) != 1) return -1;
  int status = 0;
  ::waitpid(pid_, &status, 0);
  pid_ = -1;
  status_ = launch::exit_status_of(status);
  return status_;
}

bool ChildProcess::read_on() {
  pollfd item{reading_.get(), POLLIN, 0};
  if (::poll(&item, 1, kPatienceMs) != 1) return false;
  std::array<char, 4096> piece;
  const ssize_t got = ::read(reading_.get(), piece.data(), piece.size());
  if (got <= 0) return false;
  output_.append(piece.data(), static_cast<std::size_t>(got));
  return true;
}

bool ChildProcess::await_output(const std::string& text) {
  while (output_.find(text) == std::string::npos)
    if (!read_on()) return false;
  return true;
}

QueueClient::QueueClient(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) socket_.reset();
}

void QueueClient::send(const std::string& bytes) {
  std::size_t done = 0;
  while (socket_ && done < bytes.size()) {
    const ssize_t sent = ::send(socket_.get(), bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
    if (sent > 0)
      done += static_cast<std::size_t>(sent);
    else
      socket_.reset();
  }
}

std::string QueueClient::receive_line() {
  std::size_t end = 0;
  while ((end = in_.find('\n')) == std::string::npos) {
    pollfd item{socket_.get(), POLLIN, 0};
    std::array<char, 4096> piece;
    const ssize_t got =
        socket_ && ::poll(&item, 1, kPatienceMs) == 1 ? ::recv(socket_.get(), piece.data(), piece.size(), 0) : 0;
    if (got <= 0) {
      socket_.reset();
      return "";
    }
    in_.append(piece.data(), static_cast<std::size_t>(got));
  }
  std::string line = in_.substr(0, end);
  in_.erase(0, end + 1);
  return line;
}

std::string QueueClient::ask(const std::string& request) {
  send(request + "\n");
  return receive_line();
}

std::vector<std::string> queue_command(std::vector<std::string> options) {
  std::vector<std::string> out{RINGKEEP_QUEUE, "--listen", "127.0.0.1:0"};
  out.insert(out.end(), options.begin(), options.end());
  return out;
}

std::uint16_t await_queue(ChildProcess& queue) {
  const std::string words = "ready at 127.0.0.1:";
  if (!queue.await_output(words)) return 0;
  const std::size_t at = queue.output().rfind(words);
  if (queue.output().find('\n', at) == std::string::npos && !queue.await_output("\n")) return 0;
  return static_cast<std::uint16_t>(std::atoi(queue.output().c_str() + at + words.size()));
}

}  // namespace rk::testing

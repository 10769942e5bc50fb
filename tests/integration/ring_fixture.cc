// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/ring_fixture.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "io/listener.h"

namespace rk::testing {
namespace {

void must(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error(what + ": " + std::strerror(errno));
}

std::string slurp(const std::string& path) {
  const std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

int exit_code_of(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

std::pair<shm::Descriptor, shm::Descriptor> make_pipe() {
  std::array<int, 2> ends{};
  must(::pipe2(ends.data(), O_CLOEXEC) == 0, "pipe2");
  return {shm::Descriptor(ends[0]), shm::Descriptor(ends[1])};
}

}  // namespace

const char* server_program() { return RINGKEEPD_PATH; }

std::vector<pid_t> processes_of(const std::string& name, const std::string& directory) {
  std::vector<pid_t> out;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string pid = entry.path().filename();
    std::string found;
    if (!std::getline(std::ifstream(entry.path() / "comm"), found) || found != name) continue;
    std::error_code error;
    for (const auto& fd : std::filesystem::directory_iterator(entry.path() / "fd", error))
      if (std::filesystem::read_symlink(fd, error).string().starts_with(directory)) {
        out.push_back(static_cast<pid_t>(std::stol(pid)));
        break;
      }
  }
  return out;
}

TemporaryDirectory::TemporaryDirectory() {
  std::string pattern = (std::filesystem::temp_directory_path() / "ringkeep-test-XXXXXX").string();
  must(::mkdtemp(pattern.data()) != nullptr, "mkdtemp");
  path_ = pattern;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TemporaryDirectory::write(const std::string& name, const std::string& content, mode_t mode) const {
  const std::string path = path_ + "/" + name;
  std::ofstream(path, std::ios::binary) << content;
  must(::chmod(path.c_str(), mode) == 0, "chmod");
  return path;
}

ServerProcess::Started ServerProcess::start(std::vector<std::string> arguments, const std::string& output_file,
                                            const std::vector<int>& keep, std::uint64_t descriptor_limit,
                                            const std::string& control_group) {
  auto [ready_read, ready_write] = make_pipe();
  auto [parent_read, parent_write] = make_pipe();
  const shm::Descriptor output(::open(output_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  must(static_cast<bool>(output), "open the output file");
  arguments.insert(arguments.end(),
                   {"--ready-fd", std::to_string(ready_write.get()), "--parent-fd", std::to_string(parent_read.get())});
  std::vector<char*> argv{const_cast<char*>(server_program())};
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  shm::Descriptor group;
  if (!control_group.empty()) {
    group = shm::Descriptor(::open((control_group + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
    must(static_cast<bool>(group), "open " + control_group);
  }
  const pid_t pid = ::fork();
  must(pid >= 0, "fork");
  if (pid == 0) {
    if (group && ::write(group.get(), "0", 1) != 1) ::_exit(127);
    const rlimit limit{descriptor_limit, descriptor_limit};
    if (descriptor_limit != 0 && ::setrlimit(RLIMIT_NOFILE, &limit) != 0) ::_exit(127);
    for (const int fd : keep) ::fcntl(fd, F_SETFD, 0);
    ::fcntl(ready_write.get(), F_SETFD, 0);
    ::fcntl(parent_read.get(), F_SETFD, 0);
    ::dup2(output.get(), STDOUT_FILENO);
    ::dup2(output.get(), STDERR_FILENO);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  std::unique_ptr<ServerProcess> server(new ServerProcess);
  server->pid_ = pid;
  server->output_file_ = output_file;
  server->parent_ = std::move(parent_write);
  ready_write.reset();
  parent_read.reset();
  pollfd poll{ready_read.get(), POLLIN, 0};
  must(::poll(&poll, 1, kPatienceMs) == 1, "the server is neither ready nor gone");
  std::array<char, 256> line{};
  if (::read(ready_read.get(), line.data(), line.size()) > 0) return {std::move(server), std::nullopt, ""};
  const int code = server->wait();
  return {nullptr, code, slurp(output_file)};
}

ServerProcess::~ServerProcess() {
  if (!running()) return;
  kill(SIGKILL);
  wait();
}

bool ServerProcess::running() {
  if (ended_) return false;
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) == pid_) ended_ = exit_code_of(status);
  return !ended_;
}

void ServerProcess::kill(int signal) { ::kill(pid_, signal); }

int ServerProcess::wait() {
  if (ended_) return *ended_;
  int status = 0;
  must(::waitpid(pid_, &status, 0) == pid_, "waitpid");
  ended_ = exit_code_of(status);
  return *ended_;
}

std::string ServerProcess::output() const { return slurp(output_file_); }

Result<TestClient> TestClient::connect_local(const std::string& path) {
  shm::Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return fail_errno("connect to " + path, errno);
  return TestClient(std::move(socket));
}

Result<TestClient> TestClient::connect_tcp(std::uint16_t port) {
  shm::Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return fail_errno("connect to port " + std::to_string(port), errno);
  return TestClient(std::move(socket));
}

Result<TestClient> TestClient::greet(const std::string& path, ClusterId cluster) {
  RK_TRY(TestClient client, connect_local(path));
  RK_TRY_VOID(client.ask<wire::ServerHello>(wire::ClientHello{{}, cluster, "test"}).map([](const auto&) {}));
  return client;
}

Status TestClient::secure(std::unique_ptr<io::TlsChannel> channel) {
  channel_ = std::move(channel);
  RK_TRY_VOID(send_outgoing());
  while (!channel_->established()) RK_TRY_VOID(take_some(kPatienceMs));
  return {};
}

Status TestClient::send(const wire::Frame& frame) {
  const Bytes bytes = wire::encode_frame(frame);
  if (!channel_) return send_raw(bytes);
  RK_TRY_VOID(channel_->seal(bytes));
  return send_outgoing();
}

Status TestClient::send_outgoing() {
  const ByteView view = channel_->outgoing();
  const Bytes bytes(view.begin(), view.end());
  channel_->drop_outgoing(bytes.size());
  return send_raw(bytes);
}

Status TestClient::send_raw(ByteView bytes) {
  if (recording) recorded.emplace_back(bytes.begin(), bytes.end());
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0) return fail_errno("send", errno);
    bytes = bytes.subspan(static_cast<std::size_t>(sent));
  }
  return {};
}

void TestClient::await_bytes() {
  pollfd poll{socket_.get(), POLLIN, 0};
  must(::poll(&poll, 1, kPatienceMs) == 1, "the server neither answers nor closes the connection");
}

bool TestClient::await_end() {
  std::array<std::byte, 4096> ignored;
  for (;;) {
    pollfd poll{socket_.get(), POLLIN, 0};
    if (::poll(&poll, 1, kPatienceMs) != 1) return false;
    const ssize_t got = ::recv(socket_.get(), ignored.data(), ignored.size(), 0);
    if (got == 0 || (got < 0 && errno == ECONNRESET)) return true;
    if (got < 0) return false;
  }
}

void TestClient::shut_writing() { ::shutdown(socket_.get(), SHUT_WR); }

Result<TestClient::Received> TestClient::receive(int timeout_ms) {
  for (;;) {
    RK_TRY(auto frame, cutter_.next());
    if (frame) {
      Received received{std::move(*frame), {}};
      if (received.frame.descriptors > received_.size()) return fail(ErrorCode::kCorrupt, "descriptors are missing");
      for (std::uint32_t i = 0; i < received.frame.descriptors; ++i) {
        received.descriptors.push_back(std::move(received_.front()));
        received_.erase(received_.begin());
      }
      return received;
    }
    RK_TRY_VOID(take_some(timeout_ms));
  }
}

Status TestClient::take_some(int timeout_ms) {
  pollfd poll{socket_.get(), POLLIN, 0};
  if (::poll(&poll, 1, timeout_ms) != 1) return fail(ErrorCode::kTimeout, "nothing came");
  std::array<std::byte, 65536> buffer;
  alignas(cmsghdr) std::array<std::byte, 512> control{};
  iovec piece{buffer.data(), buffer.size()};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t got = ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC);
  if (got < 0 && errno != ECONNRESET) return fail_errno("receive", errno);
  if (got <= 0) return fail(ErrorCode::kPeerGone, "the server closed the connection");
  for (cmsghdr* at = CMSG_FIRSTHDR(&message); at != nullptr; at = CMSG_NXTHDR(&message, at)) {
    const std::size_t count = (at->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(at) + i * sizeof(int), sizeof(int));
      received_.emplace_back(fd);
    }
  }
  const ByteView bytes = ByteView(buffer).first(static_cast<std::size_t>(got));
  if (!channel_) {
    cutter_.feed(bytes);
    return {};
  }
  RK_TRY_VOID(channel_->receive(bytes, [this](ByteView plain) { cutter_.feed(plain); }));
  return send_outgoing();
}

Result<TestClient::Received> TestClient::ask_frame(wire::Frame frame) {
  frame.request = ++last_request_;
  RK_TRY_VOID(send(frame));
  for (;;) {
    RK_TRY(Received received, receive());
    if (received.frame.type == wire::MessageType::kRefusal) {
      RK_TRY(const auto refusal, wire::from_frame<wire::Refusal>(received.frame));
      return fail(static_cast<ErrorCode>(refusal.code), refusal.message);
    }
    if (received.frame.request == frame.request) return received;
    notices.push_back(std::move(received.frame));
  }
}

RingFixture::RingFixture(Options options) : options_(std::move(options)) {
  for (std::uint32_t node = 1; node <= options_.servers; ++node) {
    const bool own = node == options_.stranger && options_.stranger_key;
    directory_.write("key-" + std::to_string(node), (own ? keys::KeySet::generate() : keys_).text(), 0400);
  }
  if (!options_.stranger_config.empty()) directory_.write("stranger.toml", options_.stranger_config);
  if (!options_.config.empty()) directory_.write("all.toml", options_.config);
  for (std::uint32_t node = 1; node <= options_.servers; ++node) {
    auto socket = io::listen_tcp({"127.0.0.1", 0});
    must(socket.has_value(), "listen");
    ports_.push_back(io::local_port(socket->get()).value());
    listening_.push_back(std::move(*socket));
  }
  for (std::uint32_t node = 1; node <= options_.servers; ++node) {
    servers_.emplace_back();
    const ServerProcess::Started started = start(node);
    if (!servers_.back()) throw std::runtime_error("server " + std::to_string(node) + ": " + started.output);
  }
  if (options_.await_serving && !await_ring_of(options_.servers)) throw std::runtime_error("the ring did not form");
}

std::string RingFixture::socket(std::uint32_t node) const {
  return directory_.path() + "/" + std::to_string(node) + "/socket";
}

std::string RingFixture::key_file(std::uint32_t node) const {
  return directory_.path() + "/key-" + std::to_string(node);
}

Result<TestClient> RingFixture::peer(std::uint32_t node, const keys::KeySet& keys, ClusterId cluster) {
  RK_TRY(TestClient client, TestClient::connect_tcp(port(node)));
  RK_TRY_VOID(client.secure(std::make_unique<io::TlsChannel>(std::make_shared<const io::TlsContext>(keys, cluster),
                                                             io::TlsChannel::Side::kDialer)));
  return client;
}

std::vector<std::string> RingFixture::flags(std::uint32_t node) const {
  const std::string own = directory_.path() + "/" + std::to_string(node);
  const bool stranger = node == options_.stranger;
  std::vector<std::string> all{"--node",
                               std::to_string(node),
                               "--cluster",
                               stranger ? options_.stranger_cluster : "c1",
                               "--key-file",
                               key_file(node),
                               "--socket",
                               own + "/socket",
                               "--memory",
                               options_.memory,
                               "--state-directory",
                               own + "/state",
                               "--listen-fd",
                               std::to_string(listening_.at(node - 1).get())};
  for (std::uint32_t other = 1; other <= options_.servers; ++other) {
    all.emplace_back("--server");
    all.push_back(std::to_string(other) + "=127.0.0.1:" + std::to_string(port(other)));
  }
  if (stranger && !options_.stranger_config.empty())
    all.insert(all.end(), {"--config", directory_.path() + "/stranger.toml"});
  else if (!options_.config.empty())
    all.insert(all.end(), {"--config", directory_.path() + "/all.toml"});
  all.insert(all.end(), options_.extra_flags.begin(), options_.extra_flags.end());
  return all;
}

ServerProcess::Started RingFixture::start(std::uint32_t node) {
  auto started = ServerProcess::start(flags(node), directory_.path() + "/output-" + std::to_string(node),
                                      {listening_.at(node - 1).get()}, options_.descriptor_limit);
  if (started.server) servers_.at(node - 1) = std::move(started.server);
  return started;
}

Result<wire::StatusAnswer> RingFixture::status(std::uint32_t node) {
  RK_TRY(TestClient asker, client(node));
  return asker.ask<wire::StatusAnswer>(wire::StatusQuery{});
}

bool RingFixture::await_status(std::uint32_t node, const std::function<bool(const wire::StatusAnswer&)>& holds) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
  while (std::chrono::steady_clock::now() < until) {
    const auto answer = status(node);
    if (answer && holds(*answer)) return true;
    if (!server(node).running()) return false;
    ::poll(nullptr, 0, 10);  // the status is the only event that there is to ask for
  }
  return false;
}

bool RingFixture::await_ring_of(std::size_t members) {
  for (std::uint32_t node = 1; node <= options_.servers; ++node) {
    if (!server(node).running()) continue;
    if (!await_status(node, [&](const wire::StatusAnswer& status) {
          return status.state == "serving" && status.members.size() == members;
        }))
      return false;
  }
  return true;
}

}  // namespace rk::testing

// SPDX-License-Identifier: Apache-2.0
#include "launch/private_ring.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "client/connection.h"
#include "keys/key_file.h"
#include "launch/directories.h"
#include "launch/frame_channel.h"
#include "launch/processes.h"
#include "launch/programs.h"
#include "launch/ring_directory.h"
#include "launch/spawn.h"
#include "wire/locations.h"

namespace rk::launch {
namespace {

constexpr int kReadyLimitMs = 60000;
constexpr int kViewLimitMs = 60000;
constexpr int kStopLimitMs = 5000;
constexpr int kServerMemory = 4;  // ringkeepd: the budget is larger than the machine (docs/exit-codes.md)
// Numbers of the descriptors in a server.
constexpr int kReadyFd = 3;
constexpr int kParentFd = 4;
constexpr int kListenFd = 5;

struct LoopbackPort {
  shm::Descriptor socket;
  std::uint16_t port = 0;
};

Result<LoopbackPort> free_port() {
  LoopbackPort out;
  out.socket = shm::Descriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (!out.socket || ::bind(out.socket.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::listen(out.socket.get(), 64) != 0 ||
      ::getsockname(out.socket.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0)
    return fail_errno("take a free port on loopback", errno);
  out.port = ntohs(address.sin_port);
  return out;
}

std::string random_cluster() {
  std::uint64_t value = 0;
  while (value == 0)
    if (::getrandom(&value, sizeof value, 0) != static_cast<ssize_t>(sizeof value)) value = 1;
  char text[17];
  std::snprintf(text, sizeof text, "%016" PRIx64, value);
  return text;
}

std::string last_line_of(const std::string& path) {
  std::ifstream file(path);
  std::string last;
  for (std::string line; std::getline(file, line);)
    if (!line.empty()) last = line;
  return last;
}

std::string log_of(const std::string& directory, std::uint32_t node) {
  return wire::server_directory(directory, node) + "/log";
}

// Waits until the process is dead, at most `limit_ms`.
bool await_death(const shm::Descriptor& process, int limit_ms) {
  if (!process) return true;
  pollfd wait{process.get(), POLLIN, 0};
  return ::poll(&wait, 1, limit_ms) == 1;
}

// As poll() of `fd` alone; an error once `interrupt` is readable.
Result<int> await_or_give_up(int fd, int interrupt, int limit_ms) {
  pollfd waits[] = {{fd, POLLIN, 0}, {interrupt, POLLIN, 0}};
  const int ready = ::poll(waits, 2, limit_ms);
  if (ready > 0 && waits[1].revents != 0)
    return fail(ErrorCode::kUnavailable, "interrupted: the servers that were starting are ended, start them again");
  return ready;
}

void end_processes(const std::vector<shm::Descriptor>& processes) {
  for (const shm::Descriptor& process : processes) signal_process(process, SIGTERM);
  for (const shm::Descriptor& process : processes) {
    if (await_death(process, kStopLimitMs)) continue;
    signal_process(process, SIGKILL);
    await_death(process, kStopLimitMs);
  }
}

}  // namespace

PrivateRing::~PrivateRing() {
  if (!outlives_us_) stop();
}

std::string PrivateRing::socket() const { return wire::server_socket(directory_, 1); }

void PrivateRing::stop() {
  parent_.reset();
  end_processes(processes_);
  for (const pid_t pid : pids_) ::waitpid(pid, nullptr, WNOHANG);
  pids_.clear();
  processes_.clear();
}

std::string PrivateRing::name_of(pid_t pid) const {
  const auto found = std::find(pids_.begin(), pids_.end(), pid);
  if (found == pids_.end()) return "";
  return "server " + std::to_string(found - pids_.begin() + 1) + " (pid " + std::to_string(pid) + ")";
}

tl::unexpected<Error> PrivateRing::did_not_start(std::uint32_t node, const std::string& why) const {
  const std::string said = last_line_of(log_of(directory_, node));
  int status = 0;
  const bool ended = ::waitpid(pids_[node - 1], &status, WNOHANG) == pids_[node - 1];
  const bool memory = ended && WIFEXITED(status) && WEXITSTATUS(status) == kServerMemory;
  return fail(
      memory ? ErrorCode::kNoMemory : ErrorCode::kUnavailable,
      "checkpoint server " + std::to_string(node) + " " + why + (said.empty() ? "; its log is empty" : ": " + said));
}

Status PrivateRing::launch(const RingSettings& settings) {
  RK_TRY(const std::string server, find_server_executable());
  const std::string key = directory_ + "/cluster-key";
  ::unlink(key.c_str());  // of an earlier ring here
  RK_TRY_VOID(keys::create_key_file(key, keys::KeySet::generate()));
  const std::string cluster = random_cluster();
  std::vector<LoopbackPort> ports;
  std::vector<std::string> roster;
  for (std::uint32_t node = 1; node <= settings.servers; ++node) {
    RK_TRY(LoopbackPort port, free_port());
    roster.insert(roster.end(), {"--server", std::to_string(node) + "=127.0.0.1:" + std::to_string(port.port)});
    ports.push_back(std::move(port));
  }
  int parent_ends[2];
  if (::pipe2(parent_ends, O_CLOEXEC) != 0) return fail_errno("make a pipe", errno);
  const shm::Descriptor parent_reading(parent_ends[0]);
  parent_ = shm::Descriptor(parent_ends[1]);
  for (std::uint32_t node = 1; node <= settings.servers; ++node) {
    const std::string folder = wire::server_directory(directory_, node);
    RK_TRY_VOID(make_private_directory(folder));
    ::unlink(wire::server_socket(directory_, node).c_str());
    const shm::Descriptor log(::open(log_of(directory_, node).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!log) return fail_errno("write " + log_of(directory_, node), errno);
    int ready_ends[2];
    if (::pipe2(ready_ends, O_CLOEXEC) != 0) return fail_errno("make a pipe", errno);
    ready_.emplace_back(ready_ends[0]);
    const shm::Descriptor ready_writing(ready_ends[1]);
    SpawnRequest request;
    request.arguments = {server,
                         "--node",
                         std::to_string(node),
                         "--cluster",
                         cluster,
                         "--key-file",
                         key,
                         "--socket",
                         wire::server_socket(directory_, node),
                         "--state-directory",
                         folder,
                         "--ready-fd",
                         std::to_string(kReadyFd),
                         "--listen-fd",
                         std::to_string(kListenFd)};
    if (settings.memory_bytes != 0)
      request.arguments.insert(request.arguments.end(), {"--memory", std::to_string(settings.memory_bytes)});
    request.arguments.insert(request.arguments.end(), roster.begin(), roster.end());
    request.environment = environment_with(settings.environment);
    request.output = log.get();
    request.error = log.get();
    request.descriptors = {{ready_writing.get(), kReadyFd}, {ports[node - 1].socket.get(), kListenFd}};
    request.own_session = true;
    request.dies_with_parent = false;  // --parent-fd ends them in good order
    request.directory = "/";
    if (!settings.outlives_us) {
      request.arguments.insert(request.arguments.end(), {"--parent-fd", std::to_string(kParentFd)});
      request.descriptors.emplace_back(parent_reading.get(), kParentFd);
    }
    RK_TRY(const pid_t pid, spawn(request));
    pids_.push_back(pid);
    processes_.push_back(open_process(pid));
  }
  return {};
}

Status PrivateRing::await_ready(const RingSettings& settings) {
  for (std::uint32_t node = 1; node <= settings.servers; ++node) {
    const int ready = ready_[node - 1].get();
    RK_TRY(const int count, await_or_give_up(ready, settings.interrupt, kReadyLimitMs));
    if (count <= 0) return did_not_start(node, "was not ready in time");
    char said = 0;
    if (::read(ready, &said, 1) != 1) {
      // The pipe closes a moment before the process is gone and its last words are in the log.
      await_death(processes_[node - 1], kStopLimitMs);
      return did_not_start(node, "ended at its start");
    }
  }
  ready_.clear();
  return {};
}

Status PrivateRing::await_view(const RingSettings& settings) {
  constexpr int kStepMs = 5;
  std::string reason = "it has no view";
  for (int waited = 0; waited < kViewLimitMs; waited += kStepMs) {
    RK_TRY(const wire::StatusAnswer status, ask_status(socket()));
    if (status.state == "serving" && status.members.size() == settings.servers) return {};
    reason = status.reason;
    // Nothing announces a view to a stranger; the wait is over early if a server dies.
    RK_TRY(const int ended, await_or_give_up(processes_[0].get(), settings.interrupt, kStepMs));
    if (ended > 0) return did_not_start(1, "ended before it had a view");
  }
  return fail(ErrorCode::kUnavailable,
              "the servers did not agree on a view in time (" + reason + "): see their logs in " + directory_);
}

Result<PrivateRing> PrivateRing::start(const RingSettings& settings) {
  PrivateRing ring;
  // Servers do not stay where we are.
  ring.directory_ = std::filesystem::absolute(settings.directory).lexically_normal().string();
  RK_TRY_VOID(make_ring_directory(settings.directory));
  RK_TRY_VOID(ring.launch(settings));
  RK_TRY_VOID(ring.await_ready(settings));
  RK_TRY_VOID(ring.await_view(settings));
  ring.outlives_us_ = settings.outlives_us;
  return ring;
}

Result<StoppedRing> stop_ring(const std::string& directory) {
  struct stat about {};
  if (::lstat(directory.c_str(), &about) != 0 && errno == ENOENT) return StoppedRing{};
  RK_TRY_VOID(check_ring_directory(directory));
  std::vector<shm::Descriptor> servers;
  for (std::uint32_t node = 1;; ++node) {
    if (::lstat(wire::server_directory(directory, node).c_str(), &about) != 0) break;
    // The kernel knows who listens; a server that is dead or hung needs no answer.
    const auto channel = FrameChannel::connect(wire::server_socket(directory, node));
    if (!channel) continue;
    RK_TRY(const PeerCredentials peer, channel->peer());
    servers.push_back(open_process(peer.pid));
  }
  end_processes(servers);
  return StoppedRing{static_cast<std::uint32_t>(servers.size()), remove_ring_directory(directory)};
}

Result<wire::StatusAnswer> ask_status(const std::string& socket) {
  client::ConnectOptions options;
  options.socket_path = socket;
  options.program = "ringkeep";
  RK_TRY(const auto connection, client::Connection::open(options));
  return connection->call<wire::StatusAnswer>(wire::StatusQuery{});
}

}  // namespace rk::launch

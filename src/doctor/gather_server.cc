// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>

#include "client/connection.h"
#include "daemon/private_directory.h"
#include "doctor/gather.h"
#include "keys/key_file.h"
#include "launch/directories.h"
#include "launch/mpirun.h"
#include "launch/programs.h"
#include "launch/ring_servers.h"
#include "launch/spawn.h"
#include "wire/locations.h"

namespace rk::doctor {
namespace {

constexpr std::uint32_t kAskMs = 2000;
constexpr int kProgramMs = 10'000;
constexpr std::size_t kMaxSaidBytes = std::size_t{4} << 20U;

// What a program prints, if it ends with success in time.
std::optional<std::string> output_of(const std::vector<std::string>& arguments) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return std::nullopt;
  const shm::Descriptor reading(ends[0]);
  shm::Descriptor writing(ends[1]);
  launch::SpawnRequest request;
  request.arguments = arguments;
  request.environment = launch::environment_with({});
  request.output = writing.get();
  const auto pid = launch::spawn(request);
  if (!pid) return std::nullopt;
  writing.reset();
  std::string said;
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(kProgramMs);
  bool ended = false;
  while (!ended && said.size() < kMaxSaidBytes) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    pollfd wait{reading.get(), POLLIN, 0};
    if (left.count() <= 0 || ::poll(&wait, 1, static_cast<int>(left.count())) != 1) break;
    std::array<char, 65536> buffer;
    const ssize_t got = ::read(reading.get(), buffer.data(), buffer.size());
    if (got > 0) said.append(buffer.data(), static_cast<std::size_t>(got));
    ended = got <= 0;
  }
  if (!ended) ::kill(*pid, SIGKILL);
  int status = 0;
  const bool waited = ::waitpid(*pid, &status, 0) == *pid;
  if (!ended || !waited || !WIFEXITED(status) || WEXITSTATUS(status) != 0) return std::nullopt;
  return said;
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

// Writes and syncs a file that has no name.
Status write_durably(const std::string& directory) {
  const shm::Descriptor file(::open(directory.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600));
  if (!file && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL))
    return {};  // can not be tried without a name
  if (!file) return fail_errno("write a file in '" + directory + "'", errno);
  if (::write(file.get(), "x", 1) != 1) return fail_errno("write a file in '" + directory + "'", errno);
  if (::fsync(file.get()) != 0) return fail_errno("make a file durable in '" + directory + "'", errno);
  return {};
}

std::string nearest_existing(std::string path) {
  struct stat about {};
  while (path.size() > 1 && ::lstat(path.c_str(), &about) != 0) path = daemon::directory_of(path);
  return path;
}

// The parameters that the launcher sets, from the command line that it makes.
std::vector<std::string> launcher_parameters() {
  launch::MpirunRequest request;
  request.oversubscribed = true;
  std::vector<std::string> out;
  const std::vector<std::string> words = launch::mpirun_arguments(request, false);
  for (std::size_t i = 0; i + 1 < words.size(); ++i)
    if (words[i] == "--mca") out.push_back(words[i + 1]);
  return out;
}

bool exists(const std::string& path) {
  struct stat about {};
  return ::lstat(path.c_str(), &about) == 0;
}

}  // namespace

std::optional<RunningServer> running_server(const std::string& socket) {
  if (socket.empty() || !exists(socket)) return std::nullopt;
  client::ConnectOptions options;
  options.socket_path = socket;
  options.program = "ringkeep doctor";
  options.timeout_ms = kAskMs;
  const auto connection = client::Connection::open(options);
  if (!connection) return std::nullopt;
  auto status = (*connection)->call<wire::StatusAnswer>(wire::StatusQuery{});
  auto ring = (*connection)->call<wire::RingAnswer>(wire::RingQuery{});
  if (!status || !ring) return std::nullopt;
  return RunningServer{*std::move(status), *std::move(ring)};
}

KeyFacts key_facts(const daemon::Config& config) {
  KeyFacts facts{config.key_file, {}};
  if (!config.key_file.empty()) facts.read = keys::read_key_file(config.key_file).map([](const auto&) {});
  return facts;
}

DirectoryFacts directory_facts(const std::string& path, bool of_private_ring) {
  DirectoryFacts facts;
  facts.path = path;
  facts.of_private_ring = of_private_ring;
  if (path.empty()) return facts;
  facts.exists = exists(path);
  if (!facts.exists) {
    const std::string above = nearest_existing(path);
    if (::access(above.c_str(), W_OK | X_OK) != 0)
      facts.usable = fail(ErrorCode::kPermission, "'" + path + "' is missing, and this user can make nothing in '" +
                                                      above + "': run install -d -m 700 -o USER '" + path + "'");
    return facts;
  }
  facts.usable = daemon::check_private_directory(path);
  if (!facts.usable) return facts;
  facts.durable = write_durably(path);
  struct statfs about {};
  facts.in_memory = ::statfs(path.c_str(), &about) == 0 && about.f_type == TMPFS_MAGIC;
  return facts;
}

MpiFacts mpi_facts() {
  MpiFacts facts{launch::find_mpirun(), {}, launch::find_mpi_layer(), launch::find_server_executable(), false, {}};
  if (!facts.mpirun) return facts;
  facts.version = first_line(output_of({*facts.mpirun, "--version"}).value_or("unknown"));
  const auto info = launch::find_program("ompi_info");
  if (!info) return facts;
  const auto parameters = output_of({*info, "--all", "--parsable"});
  if (!parameters) return facts;
  facts.parameters_known = true;
  for (const std::string& name : launcher_parameters())
    if (parameters->find(":param:" + name + ":") == std::string::npos) facts.lacks.push_back(name);
  return facts;
}

LeftoverFacts leftover_facts() {
  LeftoverFacts facts;
  facts.stale_jobs = launch::stale_job_directories();
  const std::string ring = wire::default_ring_directory(::geteuid());
  if (!exists(wire::server_directory(ring, 1))) return facts;
  facts.ring = ring;
  std::uint32_t node = 0;
  for (const std::string& socket : launch::server_sockets(ring)) {
    ++node;
    if (!running_server(socket)) facts.dead_servers.push_back(node);
  }
  facts.servers = node;
  return facts;
}

}  // namespace rk::doctor

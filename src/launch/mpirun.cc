// SPDX-License-Identifier: Apache-2.0
#include "launch/mpirun.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "launch/spawn.h"

namespace rk::launch {
namespace {

constexpr std::size_t kMaxSaidBytes = 65536;

}  // namespace

struct Mpirun::Listener {
  std::string said;
  // False at the end of the pipe.
  bool read_once(int fd) {
    char buffer[8192];
    const ssize_t got = ::read(fd, buffer, sizeof buffer);
    if (got < 0) return errno == EINTR || errno == EAGAIN;
    if (got == 0) return false;
    said.append(buffer, static_cast<std::size_t>(got));
    if (said.size() > kMaxSaidBytes) said.erase(0, said.size() - kMaxSaidBytes);
    return true;
  }
};

std::vector<std::string> mpirun_arguments(const MpirunRequest& request, bool as_root) {
  std::vector<std::string> out = {request.mpirun};
  if (as_root) out.emplace_back("--allow-run-as-root");
  const auto parameter = [&](const char* name, const std::string& value) {
    out.insert(out.end(), {"--mca", name, value});
  };
  out.insert(out.end(), {"--oversubscribe", "--bind-to", "none"});
  parameter("odls_base_sigkill_timeout", "0");  // else a broken job lingers for a second
  parameter("orte_tmpdir_base", request.session_directory);
  parameter("btl_vader_backing_directory", request.memory_directory);
  parameter("osc_sm_backing_directory", request.memory_directory);
  // mpirun sees only its own processes; the node has those of the other communities too.
  if (request.oversubscribed) parameter("mpi_yield_when_idle", "1");
  out.insert(out.end(), {"-n", std::to_string(request.processes), request.self, "exec-rank", "--"});
  out.insert(out.end(), request.program.begin(), request.program.end());
  return out;
}

Result<Mpirun> Mpirun::start(Loop& loop, const MpirunRequest& request) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("make a pipe", errno);
  shm::Descriptor reading(ends[0]);
  const shm::Descriptor writing(ends[1]);
  ::fcntl(reading.get(), F_SETFL, O_NONBLOCK);
  SpawnRequest child;
  child.arguments = mpirun_arguments(request, ::geteuid() == 0);
  child.environment = environment_with(request.environment);
  child.output = writing.get();
  child.error = writing.get();
  RK_TRY(const pid_t pid, spawn(child));
  return Mpirun(loop, pid, std::move(reading));
}

Mpirun::Mpirun(Loop& loop, pid_t pid, shm::Descriptor pipe)
    : loop_(&loop), pid_(pid), pipe_(std::move(pipe)), listener_(std::make_unique<Listener>()) {
  loop_->watch(pipe_.get(), POLLIN, [loop = loop_, fd = pipe_.get(), listener = listener_.get()](short) {
    if (!listener->read_once(fd)) loop->unwatch(fd);
  });
}

Mpirun::Mpirun(Mpirun&&) noexcept = default;

Mpirun::~Mpirun() {
  if (pipe_) loop_->unwatch(pipe_.get());
}

std::string Mpirun::said() {
  constexpr int kMaxReads = 64;
  for (int i = 0; i < kMaxReads && listener_->read_once(pipe_.get()); ++i) continue;
  return listener_->said;
}

int exit_status_of(int wait_status) {
  constexpr int kSignalBase = 128;
  if (WIFSIGNALED(wait_status)) return kSignalBase + WTERMSIG(wait_status);
  return WEXITSTATUS(wait_status);
}

}  // namespace rk::launch

// SPDX-License-Identifier: Apache-2.0
#include "launch/exec_rank.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>

#include "launch/frame_channel.h"
#include "launch/processes.h"
#include "wire/control_messages.h"

namespace rk::launch {
namespace {

constexpr int kFailed = 71;  // EX_OSERR

Result<std::uint64_t> number_from(const char* variable, int base) {
  const char* text = std::getenv(variable);
  std::uint64_t value = 0;
  if (text != nullptr) {
    const char* end = text + std::strlen(text);
    if (std::from_chars(text, end, value, base).ptr == end && end != text) return value;
  }
  return fail(ErrorCode::kInvalidArgument,
              std::string(variable) + " is not set: exec-rank is started by ringkeep run only");
}

Result<wire::ProcessHello> introduce() {
  wire::ProcessHello hello;
  RK_TRY(const std::uint64_t job, number_from(wire::kEnvJob, 16));
  RK_TRY(const std::uint64_t community, number_from(kEnvCommunity, 10));
  RK_TRY(const std::uint64_t incarnation, number_from(wire::kEnvIncarnation, 10));
  RK_TRY(const std::uint64_t local_rank, number_from("OMPI_COMM_WORLD_RANK", 10));
  hello.job = JobId(job);
  hello.community = CommunityId(static_cast<std::uint32_t>(community));
  hello.incarnation = Incarnation(incarnation);
  hello.local_rank = static_cast<std::uint32_t>(local_rank);
  return hello;
}

Result<wire::ProcessStart> await_start(FrameChannel& channel) {
  for (;;) {
    RK_TRY(const std::optional<wire::Frame> frame, channel.next());
    if (frame && frame->type == wire::MessageType::kRefusal) {
      RK_TRY(const wire::Refusal refusal, wire::from_frame<wire::Refusal>(*frame));
      return fail(static_cast<ErrorCode>(refusal.code), refusal.message);
    }
    if (frame) return wire::from_frame<wire::ProcessStart>(*frame);
    RK_TRY(const bool more, channel.receive());
    if (!more) return fail(ErrorCode::kPeerGone, "the launcher closed the connection: the job is ending");
  }
}

void bind_to(const std::vector<std::uint32_t>& cpus) {
  if (cpus.empty()) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const std::uint32_t cpu : cpus)
    if (cpu < CPU_SETSIZE) CPU_SET(cpu, &set);
  // A core that was taken away meanwhile costs speed, not correctness.
  if (::sched_setaffinity(0, sizeof set, &set) != 0) return;
}

Status take_streams(FrameChannel& channel, const wire::ProcessStart& start) {
  const std::vector<shm::Descriptor> streams = channel.take_descriptors(start.has_stdin ? 3 : 2);
  if (streams.size() != (start.has_stdin ? 3U : 2U))
    return fail(ErrorCode::kCorrupt, "the launcher sent too few standard streams");
  const shm::Descriptor null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const int input = start.has_stdin ? streams[2].get() : null.get();
  if (::dup2(input, 0) < 0 || ::dup2(streams[0].get(), 1) < 0 || ::dup2(streams[1].get(), 2) < 0)
    return fail_errno("take over the standard streams", errno);
  return {};
}

// Prepares this process; the caller executes the program.
Status prepare() {
  const char* path = std::getenv(kEnvControlSocket);
  if (path == nullptr)
    return fail(ErrorCode::kInvalidArgument,
                std::string(kEnvControlSocket) + " is not set: exec-rank is started by ringkeep run only");
  RK_TRY(const wire::ProcessHello hello, introduce());
  RK_TRY(FrameChannel channel, FrameChannel::connect(path));
  RK_TRY_VOID(channel.send(hello));
  RK_TRY(const wire::ProcessStart start, await_start(channel));
  bind_to(start.cpus);
  RK_TRY_VOID(take_streams(channel, start));
  for (const wire::EnvironmentVariable& variable : start.environment) {
    if (variable.value.empty())
      ::unsetenv(variable.name.c_str());
    else
      ::setenv(variable.name.c_str(), variable.value.c_str(), 1);
  }
  ::unsetenv(kEnvControlSocket);
  const shm::Descriptor socket = channel.release();
  const int kept = ::dup(socket.get());  // without close-on-exec
  if (kept < 0) return fail_errno("keep the control socket", errno);
  ::setenv(wire::kEnvControlFd, std::to_string(kept).c_str(), 1);
  return {};
}

}  // namespace

int exec_rank(const std::vector<std::string>& program) {
  if (const Status ready = prepare(); !ready) {
    std::fprintf(stderr, "ringkeep exec-rank: %s\n", ready.error().message.c_str());
    return kFailed;
  }
  std::vector<char*> arguments;
  arguments.reserve(program.size() + 1);
  for (const std::string& text : program) arguments.push_back(const_cast<char*>(text.c_str()));
  arguments.push_back(nullptr);
  ::execvp(arguments[0], arguments.data());
  std::fprintf(stderr, "ringkeep: cannot execute %s: %s\n", arguments[0], std::strerror(errno));
  return kFailed;
}

}  // namespace rk::launch

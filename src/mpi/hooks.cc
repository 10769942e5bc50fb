// SPDX-License-Identifier: Apache-2.0
// What libringkeep hands over: rk_job_* and rk_send / rk_recv of an MPI program (client/layer_hooks.h).
#include <algorithm>
#include <exception>
#include <new>

#include "client/layer_hooks.h"
#include "client/messages.h"
#include "mpi/checkpoint.h"
#include "mpi/entry_guard.h"
#include "mpi/layer.h"
#include "mpi/wait_loop.h"

namespace rk::mpi {
namespace {

thread_local std::string words;

// Handles of the layer are its own objects: libringkeep passes them through.
CommunityJob& job_of(rk_job* job) { return *reinterpret_cast<CommunityJob*>(job); }

template <class Call>
int edge(const void* handle, Call call) noexcept {
  const Entry entry;
  words.clear();
  try {
    Status status = fail(ErrorCode::kInvalidArgument, "the job must not be NULL");
    if (handle != nullptr) status = call();
    if (status) return RK_OK;
    words = status.error().message;
    return static_cast<int>(status.error().code);
  } catch (const std::bad_alloc&) {
    words = "this process has no memory left; free some";
    return RK_ERR_NO_MEMORY;
  } catch (const std::exception& other) {
    words = other.what();
    return RK_ERR_IO;
  }
}

const char* last_words() { return words.c_str(); }

int job_open(const rk_options* /*options*/, rk_job** job) {
  return edge(job, [&]() -> Status {
    *job = nullptr;
    RK_TRY(auto opened, CommunityJob::open());
    *job = reinterpret_cast<rk_job*>(opened.release());
    return {};
  });
}

void job_close(rk_job* job) { delete reinterpret_cast<CommunityJob*>(job); }  // NOLINT(cppcoreguidelines-owning-memory)

uint32_t job_rank(const rk_job* /*job*/) { return layer().env.rank.value; }
uint32_t job_size(const rk_job* /*job*/) { return static_cast<uint32_t>(layer().env.community_of.size()); }
uint32_t job_community(const rk_job* /*job*/) {
  const Layer& all = layer();
  return all.env.community_of.empty() ? 0 : all.env.community_of[all.env.rank.value].value;
}

int job_protect(rk_job* job, const char* section, void* data, size_t size) {
  return edge(job, [&]() -> Status {
    if (section == nullptr) return fail(ErrorCode::kInvalidArgument, "the section's name must not be NULL");
    return job_of(job).protect(section, data, size);
  });
}

int job_restart_version(rk_job* job, uint64_t* version) {
  return edge(job, [&]() -> Status {
    RK_TRY(const Version found, job_of(job).restart_version());
    if (version != nullptr) *version = found.value;
    return {};
  });
}

int job_restore(rk_job* job) {
  return edge(job, [&]() -> Status { return job_of(job).restore(); });
}

int job_checkpoint(rk_job* job, uint64_t* version) {
  return edge(job, [&]() -> Status {
    RK_TRY(const Version taken, job_of(job).checkpoint());
    if (version != nullptr) *version = taken.value;
    return {};
  });
}

Status ready_for_messages() {
  const Layer& all = layer();
  if (all.restoring)
    return fail(ErrorCode::kUnsupported,
                "no message goes to another community between rk_job_restart_version and "
                "rk_job_restore; restore first");
  return {};
}

int send(rk_job* job, uint32_t dest, int32_t tag, const void* data, size_t size) {
  return edge(job, [&]() -> Status {
    RK_TRY_VOID(ready_for_messages());
    watch_replay();
    return client::send_message(*layer().session, dest, tag, ByteView(static_cast<const std::byte*>(data), size));
  });
}

void idle(client::LogSession& session, std::uint64_t bound_us) {
  constexpr std::uint64_t kMostUs = 1000;  // inside messages ring no bell
  native_progress();
  if (progress_receives()) return;
  session.wait(std::min(bound_us, kMostUs));
}

int recv(rk_job* job, uint32_t source, int32_t tag, void* data, size_t capacity, uint32_t timeout_ms,
         rk_message* message) {
  return edge(job, [&]() -> Status {
    RK_TRY_VOID(ready_for_messages());
    watch_replay();
    client::ReceivedMessage received;
    Status status = client::receive_message(
        *layer().session, source, tag, std::span(static_cast<std::byte*>(data), capacity), timeout_ms, received, idle);
    if (message != nullptr) {
      const size_t known = message->struct_size;
      *message = {known, received.source, received.tag, received.size, received.ssn, received.rsn};
    }
    return status;
  });
}

}  // namespace
}  // namespace rk::mpi

extern "C" RK_API const rk_layer_hooks ringkeep_layer_hooks;
const rk_layer_hooks ringkeep_layer_hooks = {
    .version = rk::client::kLayerHooksVersion,
    .struct_size = sizeof(rk_layer_hooks),
    .last_error = rk::mpi::last_words,
    .job_open = rk::mpi::job_open,
    .job_close = rk::mpi::job_close,
    .job_rank = rk::mpi::job_rank,
    .job_size = rk::mpi::job_size,
    .job_community = rk::mpi::job_community,
    .job_protect = rk::mpi::job_protect,
    .job_restart_version = rk::mpi::job_restart_version,
    .job_restore = rk::mpi::job_restore,
    .job_checkpoint = rk::mpi::job_checkpoint,
    .send = rk::mpi::send,
    .recv = rk::mpi::recv,
};

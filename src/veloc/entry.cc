// SPDX-License-Identifier: Apache-2.0
// The C functions of include/ringkeep/veloc.h. Nothing is thrown across them.
#include <mpi.h>

#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <span>
#include <string>

#include "ringkeep/veloc.h"
#include "veloc/mpi_group.h"
#include "veloc/session.h"

using rk::Error;
using rk::ErrorCode;
using rk::fail;
using rk::Result;
using rk::Status;
using rk::veloc::Selection;
using rk::veloc::Session;

namespace {

std::unique_ptr<Session> g_session;
char g_last_error[1024] = "";  // reporting an error allocates nothing

void keep_words(const char* words) noexcept { std::snprintf(g_last_error, sizeof g_last_error, "%s", words); }

void report(const char* function, const Error& error) {
  keep_words(error.message.c_str());
  if (g_session != nullptr && g_session->take_quiet()) return;
  rk::veloc::say(g_session == nullptr ? "" : g_session->label(), function, error.message);
}

// Runs `call`, a Result<int>, behind the edge.
template <class Call>
int at_edge(const char* function, Call&& call) noexcept {
  keep_words("");
  try {
    const Result<int> answer = call();
    if (answer) return *answer;
    report(function, answer.error());
  } catch (const std::bad_alloc&) {
    keep_words("this process has no memory left: free some");
    std::fprintf(stderr, "veloc: %s: %s\n", function, g_last_error);
  } catch (const std::exception& other) {
    keep_words(other.what());
    std::fprintf(stderr, "veloc: %s: %s\n", function, g_last_error);
  }
  return VELOC_FAILURE;
}

Result<int> done(const Status& status) {
  if (!status) return tl::unexpected(status.error());
  return VELOC_SUCCESS;
}

// With the session that VELOC_Init has made.
template <class Call>
int in_session(const char* function, Call&& call) noexcept {
  return at_edge(function, [&]() -> Result<int> {
    if (g_session == nullptr)
      return fail(ErrorCode::kInvalidArgument, "VELOC_Init was not called, or VELOC_Finalize was");
    return call(*g_session);
  });
}

Status may_open() {
  if (g_session != nullptr) return fail(ErrorCode::kInvalidArgument, "VELOC_Init was called before");
  if (const char* job = std::getenv("RINGKEEP_JOB"); job != nullptr && *job != '\0')  // NOLINT(concurrency-mt-unsafe)
    return fail(ErrorCode::kUnsupported,
                "a job of 'ringkeep run' takes its checkpoints by rk_job_protect and rk_job_checkpoint: start this "
                "program by mpirun, or use those");
  return {};
}

// `make` gives the group.
template <class Make>
int open_session(const char* function, std::optional<std::uint32_t> id, const char* cfg_file, Make&& make) noexcept {
  bool connecting = false;
  const int code = at_edge(function, [&]() -> Result<int> {
    RK_TRY_VOID(may_open());
    RK_TRY(std::unique_ptr<rk::veloc::Group> group, make());
    connecting = true;
    g_session = std::make_unique<Session>(std::move(group), id);
    return done(g_session->connect(rk::veloc::read_configuration(cfg_file)));
  });
  if (code != VELOC_SUCCESS && connecting) g_session.reset();
  return code;
}

Result<std::string> text(const char* given, const char* what) {
  if (given == nullptr) return fail(ErrorCode::kInvalidArgument, std::string(what) + " must not be NULL");
  return std::string(given);
}

struct Chosen {
  Selection mode;
  std::span<const int> ids;
};

Result<Chosen> chosen(int mode, const int* ids, int id_count) {
  if (mode < VELOC_CKPT_ALL || mode > VELOC_CKPT_REST)
    return fail(ErrorCode::kInvalidArgument, "there is no mode " + std::to_string(mode));
  if (mode == VELOC_CKPT_ALL) return Chosen{Selection::kAll, {}};
  if (id_count < 0 || (ids == nullptr && id_count > 0))
    return fail(ErrorCode::kInvalidArgument,
                "the ids are " + std::to_string(id_count) + " at NULL, or fewer than none");
  return Chosen{static_cast<Selection>(mode), {ids, static_cast<std::size_t>(id_count)}};
}

// NULL stands for a name that no rank accepts: a collective call is taken part in.
std::string name_of(const char* name) { return name == nullptr ? std::string() : std::string(name); }

}  // namespace

extern "C" {

const char* rk_veloc_last_error(void) { return g_last_error; }

int VELOC_Init(MPI_Comm comm, const char* cfg_file) {
  return open_session(__func__, std::nullopt, cfg_file, [&] { return rk::veloc::group_of(comm); });
}

int VELOC_Init_single(unsigned int id, const char* cfg_file) {
  return open_session(__func__, id, cfg_file, []() -> Result<std::unique_ptr<rk::veloc::Group>> {
    return std::make_unique<rk::veloc::Alone>();
  });
}

int VELOC_Finalize(int /*drain*/) {
  return in_session(__func__, [&](Session& session) -> Result<int> {
    const bool open = session.in_phase();
    g_session.reset();
    if (open)
      return fail(ErrorCode::kInvalidArgument, "a checkpoint or restart had begun and not ended: it is given up");
    return VELOC_SUCCESS;
  });
}

int VELOC_Mem_protect(int id, void* ptr, size_t count, size_t base_size) {
  return in_session(__func__, [&](Session& session) { return done(session.protect(id, ptr, count, base_size)); });
}

int VELOC_Mem_unprotect(int id) {
  return in_session(__func__, [&](Session& session) { return done(session.unprotect(id)); });
}

int VELOC_Mem_clear(void) {
  return in_session(__func__, [&](Session& session) -> Result<int> {
    session.unprotect_all();
    return VELOC_SUCCESS;
  });
}

int VELOC_Route_file(const char* original, char* routed) {
  return in_session(__func__, [&](Session& session) -> Result<int> {
    if (routed == nullptr) return fail(ErrorCode::kInvalidArgument, "the place for the path must not be NULL");
    routed[0] = '\0';
    RK_TRY(const std::string name, text(original, "the name of the file"));
    RK_TRY(const std::string path, session.route(name));
    if (path.size() >= VELOC_MAX_NAME) return fail(ErrorCode::kIo, "the path " + path + " is too long");
    std::memcpy(routed, path.c_str(), path.size() + 1);
    return VELOC_SUCCESS;
  });
}

int VELOC_Checkpoint_begin(const char* name, int version) {
  return in_session(__func__, [&](Session& session) { return done(session.checkpoint_begin(name_of(name), version)); });
}

int VELOC_Checkpoint_mem(void) {
  return in_session(__func__, [&](Session& session) { return done(session.checkpoint_copy(Selection::kAll, {})); });
}

int VELOC_Checkpoint_selective(int mode, int* ids, int id_count) {
  return in_session(__func__, [&](Session& session) -> Result<int> {
    const auto which = chosen(mode, ids, id_count);
    if (which) return done(session.checkpoint_copy(which->mode, which->ids));
    session.spoil(which.error());
    return tl::unexpected(which.error());
  });
}

int VELOC_Checkpoint_end(int success) {
  return in_session(__func__, [&](Session& session) { return done(session.checkpoint_end(success != 0)); });
}

int VELOC_Checkpoint(const char* name, int version) {
  return in_session(__func__, [&](Session& session) { return done(session.checkpoint(name_of(name), version)); });
}

int VELOC_Checkpoint_wait(void) {
  return in_session(__func__, [&](Session& session) -> Result<int> {
    if (session.checkpoint_open())
      return fail(ErrorCode::kInvalidArgument, "a checkpoint has begun: call VELOC_Checkpoint_end first");
    return done(session.last_checkpoint());
  });
}

int VELOC_Checkpoint_finished(void) {
  return in_session(__func__, [&](Session& session) -> Result<int> { return session.checkpoint_open() ? 0 : 1; });
}

int VELOC_Backend_ready(void) {
  return in_session(__func__, [&](Session& session) -> Result<int> { return session.checkpoint_open() ? 0 : 1; });
}

int VELOC_Restart_test(const char* name, int version) {
  return in_session(__func__, [&](Session& session) { return session.restart_test(name_of(name), version); });
}

int VELOC_Restart_begin(const char* name, int version) {
  return in_session(__func__, [&](Session& session) { return done(session.restart_begin(name_of(name), version)); });
}

int VELOC_Recover_mem(void) {
  return in_session(__func__, [&](Session& session) { return done(session.recover(Selection::kAll, {})); });
}

int VELOC_Recover_selective(int mode, int* ids, int id_count) {
  return in_session(__func__, [&](Session& session) -> Result<int> {
    RK_TRY(const Chosen which, chosen(mode, ids, id_count));
    return done(session.recover(which.mode, which.ids));
  });
}

int VELOC_Recover_size(int id) {
  return in_session(__func__, [&](Session& session) -> Result<int> {
    RK_TRY(const std::uint64_t size, session.recover_size(id));
    if (size > INT_MAX)
      return fail(ErrorCode::kUnsupported,
                  "region " + std::to_string(id) + " has " + std::to_string(size) + " bytes, more than an int can say");
    return static_cast<int>(size);
  });
}

int VELOC_Restart_end(int success) {
  return in_session(__func__, [&](Session& session) { return done(session.restart_end(success != 0)); });
}

int VELOC_Restart(const char* name, int version) {
  return in_session(__func__, [&](Session& session) { return done(session.restart(name_of(name), version)); });
}

int VELOC_Cleanup(const char* name) {
  return in_session(__func__, [&](Session& session) { return done(session.cleanup(name_of(name))); });
}

}  // extern "C"

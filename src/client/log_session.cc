// SPDX-License-Identifier: Apache-2.0
#include "client/log_session.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <ctime>

#include "client/connection.h"
#include "client/log_memory.h"

namespace rk::client {

namespace {

// A server that is slow but lives must not end a job; one that dies closes the connection.
constexpr std::uint32_t kPatienceMs = 60'000;
constexpr int kSpins = 2000;  // looks before sleeping, on a core of its own: some ten microseconds
constexpr int kYields = 2;    // where cores are shared

void futex_wake_one(std::uint32_t* word) { ::syscall(SYS_futex, word, FUTEX_WAKE, 1, nullptr, nullptr, 0); }

// Until the word is no longer `seen`, somebody wakes it, a signal comes, or the bound passes.
void futex_wait(std::uint32_t* word, std::uint32_t seen, std::uint64_t bound_us) {
  const timespec bound{static_cast<time_t>(bound_us / 1000000), static_cast<long>(bound_us % 1000000 * 1000)};
  ::syscall(SYS_futex, word, FUTEX_WAIT, seen, &bound, nullptr, 0);
}

void pause_briefly() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

// The connection and the mappings; outlives the log that uses them.
struct LogSession::Shell {
  Shell(const JobEnvironment& environment, std::unique_ptr<Connection> to)
      : connection(std::move(to)), memory(environment, *connection) {}
  std::unique_ptr<Connection> connection;
  LogMemory memory;
};

LogSession::LogSession(JobEnvironment environment) : environment_(std::move(environment)) {}

LogSession::~LogSession() = default;

Result<std::unique_ptr<LogSession>> LogSession::attach(const JobEnvironment& environment, log::InsidePort* port) {
  std::unique_ptr<LogSession> session(new LogSession(environment));
  RK_TRY(auto connection, Connection::open({environment.socket, {}, {}, kPatienceMs}));
  session->shell_ = std::make_unique<Shell>(session->environment_, std::move(connection));
  LogMemory& memory = session->shell_->memory;
  RK_TRY(const std::uint64_t usable, memory.attach());
  session->bells_ = log::Bells(memory.bells(), session->ranks());
  if (session->bells_.ranks() != session->ranks())
    return fail(ErrorCode::kCorrupt, "the server's bells are too few for the job: install matching releases");
  session->bells_.done(session->rank());
  log::ProcessLog::Config config;
  config.identity = {environment.job, environment.rank, session->ranks()};
  config.incarnation = environment.incarnation;
  config.community_of = environment.community_of;
  config.strict = environment.strict;
  RK_TRY(session->log_, log::ProcessLog::open(memory.own(), usable, std::move(config), memory, memory, port));
  return session;
}

Connection& LogSession::connection() { return *shell_->connection; }

void LogSession::wake(std::uint32_t dest) {
  if (bells_.ring(dest)) futex_wake_one(bells_.word(dest));
  if (++messages_ == environment_.kill_at_message) ::raise(SIGKILL);
}

Result<log::SendOutcome> LogSession::send(std::uint32_t dest, const log::Envelope& envelope, ByteView payload) {
  RK_TRY(const log::SendOutcome outcome, log_->outbox().send(dest, envelope, payload));
  wake(dest);
  return outcome;
}

Status LogSession::commit(const log::Slot& slot) {
  RK_TRY_VOID(log_->outbox().commit(slot));
  wake(slot.dest);
  return {};
}

bool LogSession::idle_work() const { return shell_->memory.idle_work(log_->free_bytes()); }

void LogSession::prepare() { shell_->memory.prepare(); }

void LogSession::wait(std::uint64_t bound_us) {
  log::Inbox& inbox = log_->inbox();
  const int looks = environment_.spin ? kSpins : kYields;
  for (int i = 0; i < looks; ++i) {
    if (inbox.has_new()) return;
    if (idle_work())
      prepare();
    else if (environment_.spin)
      pause_briefly();
    else
      ::sched_yield();
  }
  const std::uint32_t seen = bells_.prepare(rank());
  if (!inbox.has_new()) futex_wait(bells_.word(rank()), seen, bound_us);
  bells_.done(rank());
}

}  // namespace rk::client

// SPDX-License-Identifier: Apache-2.0
#include "client/log_session.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <ctime>

#include "client/connection.h"
#include "shm/mapping.h"

namespace rk::client {

namespace {

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

struct LogSession::Shell : public log::ArenaSource, public log::PeerSource {
  explicit Shell(const JobEnvironment& of) : environment(of), peers(of.community_of.size()) {}

  Result<std::uint64_t> attach() {
    const CallOptions options{environment.incarnation, &arrived, 0};
    RK_TRY(const auto attached,
           connection->call<wire::JobAttached>(wire::JobAttach{environment.job, environment.rank}, options));
    if (arrived.size() != 2 || attached.community_of != environment.community_of)
      return fail(ErrorCode::kCorrupt,
                  "the server knows another job of this number: start it again with 'ringkeep run'");
    RK_TRY(const auto bell_file, shm::MemoryFile::adopt(std::move(arrived[0]), attached.bells_bytes));
    RK_TRY(const auto own_file, shm::MemoryFile::adopt(std::move(arrived[1]), attached.segment_bytes));
    arrived.clear();
    RK_TRY(bells, shm::Mapping::map(bell_file.descriptor(), attached.bells_bytes, shm::Access::kReadWrite));
    RK_TRY(own, shm::Mapping::map(own_file.descriptor(), attached.segment_bytes, shm::Access::kReadWrite));
    if (attached.usable_bytes > own.size())
      return fail(ErrorCode::kCorrupt, "the server gave more log memory than it mapped: install matching releases");
    RK_TRY_VOID(enter_pages(attached.usable_bytes));
    return attached.usable_bytes;
  }

  // So that a send takes no page fault.
  Status enter_pages(std::uint64_t usable) {
    if (usable <= entered) return {};
    RK_TRY_VOID(own.populate(entered, usable - entered));
    entered = usable;
    return {};
  }

  wire::LogGrow request(std::uint64_t bytes) const {
    return {environment.job, environment.rank, shm::round_up_to_page(bytes)};
  }

  Result<std::uint64_t> grow(std::uint64_t bytes) override {
    // What was asked for ahead comes first: it may be the last that there is.
    if (connection->begun()) {
      const auto answer = connection->poll_answer<wire::LogGrown>(connection->timeout_ms());
      if (answer && *answer) return checked((*answer)->usable_bytes);
    }
    const CallOptions options{environment.incarnation, nullptr, 0};
    RK_TRY(const auto grown, connection->call<wire::LogGrown>(request(bytes), options));
    return checked(grown.usable_bytes);
  }

  void grow_ahead(std::uint64_t bytes) override {
    // What goes wrong here is said by grow(), if the space is needed at all.
    if (!connection->begun())
      static_cast<void>(connection->begin(request(bytes), {environment.incarnation, nullptr, 0}));
  }

  std::uint64_t grown() override {
    if (!connection->begun()) return 0;
    const auto answer = connection->poll_answer<wire::LogGrown>();
    if (!answer || !*answer) return 0;
    return checked((*answer)->usable_bytes).value_or(0);
  }

  Result<std::uint64_t> checked(std::uint64_t usable) {
    if (usable > own.size())
      return fail(ErrorCode::kCorrupt, "the server gave more log memory than it mapped: install matching releases");
    RK_TRY_VOID(enter_pages(usable));
    return usable;
  }

  Result<log::SegmentView> open(std::uint32_t rank) override {
    Peer& peer = peers[rank];
    if (!peer.view.valid()) {
      if (!peer.memory) {
        const CallOptions options{environment.incarnation, &arrived, 0};
        RK_TRY(const auto opened,
               connection->call<wire::SegmentOpened>(wire::SegmentOpen{environment.job, Rank(rank)}, options));
        if (arrived.size() != 1)
          return fail(ErrorCode::kCorrupt,
                      "the server opened a log segment without its descriptor: install matching releases");
        RK_TRY(const auto file, shm::MemoryFile::adopt(std::move(arrived[0]), opened.segment_bytes));
        arrived.clear();
        RK_TRY(peer.memory, shm::Mapping::map(file.descriptor(), opened.segment_bytes, shm::Access::kReadOnly));
      }
      const auto ranks = static_cast<std::uint32_t>(peers.size());
      RK_TRY(peer.view, log::SegmentView::open(peer.memory.bytes(), {environment.job, Rank(rank), ranks}));
    }
    return peer.view;
  }

  struct Peer {
    shm::Mapping memory;
    log::SegmentView view;
  };
  const JobEnvironment& environment;
  std::unique_ptr<Connection> connection;
  std::vector<shm::Descriptor> arrived;
  shm::Mapping bells;
  shm::Mapping own;
  std::uint64_t entered = 0;  // bytes of `own` whose pages are in this process's table
  std::vector<Peer> peers;
};

LogSession::LogSession(JobEnvironment environment) : environment_(std::move(environment)) {}

LogSession::~LogSession() = default;

Result<std::unique_ptr<LogSession>> LogSession::attach(const JobEnvironment& environment, log::InsidePort* port) {
  std::unique_ptr<LogSession> session(new LogSession(environment));
  session->shell_ = std::make_unique<Shell>(session->environment_);
  Shell& shell = *session->shell_;
  RK_TRY(shell.connection, Connection::open({environment.socket, {}, {}, kDefaultTimeoutMs}));
  RK_TRY(const std::uint64_t usable, shell.attach());
  session->bells_ = log::Bells(shell.bells.writable(), session->ranks());
  if (session->bells_.ranks() != session->ranks())
    return fail(ErrorCode::kCorrupt, "the server's bells are too few for the job: install matching releases");
  session->bells_.done(session->rank());
  log::ProcessLog::Config config;
  config.identity = {environment.job, environment.rank, session->ranks()};
  config.incarnation = environment.incarnation;
  config.community_of = environment.community_of;
  config.strict = environment.strict;
  RK_TRY(session->log_, log::ProcessLog::open(shell.own.writable(), usable, std::move(config), shell, shell, port));
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

void LogSession::wait(std::uint64_t bound_us) {
  log::Inbox& inbox = log_->inbox();
  const int looks = environment_.spin ? kSpins : kYields;
  for (int i = 0; i < looks; ++i) {
    if (inbox.has_new()) return;
    if (environment_.spin)
      pause_briefly();
    else
      ::sched_yield();
  }
  const std::uint32_t seen = bells_.prepare(rank());
  if (!inbox.has_new()) futex_wait(bells_.word(rank()), seen, bound_us);
  bells_.done(rank());
}

}  // namespace rk::client

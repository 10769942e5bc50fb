// SPDX-License-Identifier: Apache-2.0
// A process's place in the log of its job: attaches to the node's server, maps its own segment, the job's bells and, on
// demand, the segments of others, gets more memory before it is needed, and waits for messages without burning the
// processor. Used by libringkeep-mpi and by rk_send / rk_recv.
//
//   RK_TRY(auto session, LogSession::attach(environment, port));
//   session->send(dest, {context, tag, length}, payload);             // writes, rings
//   session->log().matcher().post(...), .progress(...)
//   session->wait(bound_us)                                           // until a bell rings or the bound passes
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "log/bells.h"
#include "log/process_log.h"

namespace rk::client {

class Connection;

// What `ringkeep run` tells a process (wire/control_messages.h, kEnv*).
struct JobEnvironment {
  std::string socket;
  JobId job;
  Rank rank;
  Incarnation incarnation;
  std::vector<CommunityId> community_of;  // by rank
  bool strict = false;                    // on_divergence=strict
  bool spin = true;                       // a core of its own: look a little before sleeping
  std::uint64_t kill_at_message = 0;      // 0: never
  std::string options;                    // RINGKEEP_OPTIONS as it stands
  // kUnavailable outside of a job; kInvalidArgument for a value that cannot be read.
  static Result<JobEnvironment> read();
};

class LogSession {
 public:
  // `port` may be null: no messages from inside. It must outlive the session.
  static Result<std::unique_ptr<LogSession>> attach(const JobEnvironment& environment, log::InsidePort* port);
  ~LogSession();
  LogSession(const LogSession&) = delete;
  LogSession& operator=(const LogSession&) = delete;

  log::ProcessLog& log() { return *log_; }
  const JobEnvironment& environment() const { return environment_; }
  // To this node's server; for other requests of this process.
  Connection& connection();
  std::uint32_t rank() const { return environment_.rank.value; }
  std::uint32_t ranks() const { return static_cast<std::uint32_t>(environment_.community_of.size()); }

  // Contiguous data: logs it and wakes the receiver.
  Result<log::SendOutcome> send(std::uint32_t dest, const log::Envelope& envelope, ByteView payload);
  // Data to be packed in place: log().outbox().reserve(), then this.
  Status commit(const log::Slot& slot);
  // Sleeps until somebody sends to this process or `bound_us` passes. Looks again before it sleeps, so that nothing
  // sent since the caller last called progress() is slept through. Returns at once if something is there.
  void wait(std::uint64_t bound_us);
  // While a process waits it can prepare memory that its log needs soon (client/log_memory.h): is there some, and a
  // slice of it. wait() does so by itself.
  bool idle_work() const;
  void prepare();

 private:
  struct Shell;
  explicit LogSession(JobEnvironment environment);
  void wake(std::uint32_t dest);

  JobEnvironment environment_;
  std::unique_ptr<Shell> shell_;
  log::Bells bells_;
  std::unique_ptr<log::ProcessLog> log_;
  std::uint64_t messages_ = 0;
};

}  // namespace rk::client

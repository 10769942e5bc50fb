// SPDX-License-Identifier: Apache-2.0
// One life of a simulated process: runs its part of the program over a real ProcessLog, does what the MPI layer does
// with outcomes, and tells the checker what the program sees.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "log/process_log.h"
#include "tests/sim/log/inside_network.h"
#include "tests/sim/log/log_checker.h"
#include "tests/sim/log/program.h"

namespace rk::log {

// Thrown where a process may be killed: between any two writes of its log.
struct Killed {};

// What the program holds in its memory; part of a checkpoint.
struct ProgramState {
  struct Request {
    std::uint64_t psn = 0;
    bool done = false;      // a message is there
    bool complete = false;  // the program has seen it
    bool abandoned = false;
    std::uint64_t context = 0;
    std::uint64_t digest = 0;  // of what was received, source and numbers included
  };
  std::size_t op = 0;
  std::uint64_t digest = 0;  // of all that the program has seen
  std::vector<Request> requests;
};

// The rest of the job, for one process.
class ProcessWorld {
 public:
  virtual ~ProcessWorld() = default;
  virtual std::uint64_t now() = 0;
  virtual std::uint64_t draw(std::uint64_t bound) = 0;  // what the program cannot foresee
  virtual void maybe_kill(std::uint32_t rank) = 0;      // throws Killed
  virtual void send_inside(std::uint32_t source, std::uint32_t dest, const InsideDelivery& message) = 0;
  // At the restart question: true if the process was put to a checkpoint (state and log have jumped).
  virtual bool restored(std::uint32_t rank) = 0;
  // At a checkpoint: true if the community has taken it, and put all its processes behind it.
  virtual bool checkpointed(std::uint32_t rank) = 0;
};

class SimProcess {
 public:
  SimProcess(std::uint32_t rank, const ProgramPlan& plan, std::unique_ptr<ProcessLog> log, InsideNetwork& network,
             ProcessWorld& world, LogChecker& checker)
      : rank_(rank), plan_(plan), log_(std::move(log)), network_(network), world_(world), checker_(checker) {}

  // Tries the next operation. May throw Killed.
  void step();
  // Lets the layer match messages while the program does something else.
  void background();
  bool finished() const { return state_.op == plan_.ops[rank_].size(); }
  bool blocked() const { return blocked_; }
  std::string place() const;  // for people

  ProcessLog& log() { return *log_; }
  const ProgramState& state() const { return state_; }
  void resume(ProgramState state) {
    state_ = std::move(state);
    last_.reset();
    arrived_ = false;
  }
  bool at_checkpoint() const {
    return !finished() && plan_.ops[rank_][state_.op].kind == OpKind::kCheckpoint && arrived_;
  }

 private:
  using Request = ProgramState::Request;
  void execute(const Op& op);
  void send(const Op& op);
  void receive(const Op& op);
  void wait(const Op& op);
  void wait_any(const Op& op);
  void test(const Op& op);
  void probe(const Op& op);
  void clock();
  void question();

  void progress();
  void matched(const Match& match);
  void inside_done(std::uint64_t psn, const InsideDelivery& message);
  void complete(Request& request);
  Request* by_psn(std::uint64_t psn);
  // The recorded outcome of this operation; asked for once however often the operation is tried.
  const Outcome& replayed(OutcomeKind kind);
  void record(OutcomeKind kind, std::uint64_t value, std::uint64_t detail = 0);
  void see(std::uint64_t value);
  template <class T>
  bool good(const T& result) {
    if (!result) checker_.violate("process " + std::to_string(rank_) + ": " + result.error().message);
    return static_cast<bool>(result);
  }

  std::uint32_t rank_;
  const ProgramPlan& plan_;
  std::unique_ptr<ProcessLog> log_;
  InsideNetwork& network_;
  ProcessWorld& world_;
  LogChecker& checker_;
  ProgramState state_;
  std::optional<Outcome> replayed_;
  std::optional<Probed> last_;  // what the last probe found
  std::uint64_t last_context_ = 0;
  bool blocked_ = false;
  bool arrived_ = false;  // at the checkpoint that is next
  std::vector<Match> matches_;
  Bytes payload_;
};

}  // namespace rk::log

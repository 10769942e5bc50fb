// SPDX-License-Identifier: Apache-2.0
// `ringkeep run --service`: carries the effects of recovery::service::Agent out and feeds what happens back in. One
// thread, one loop. docs/service.md
//
// - The program is the child of a keeper (service_keeper.h), which is fenced: the guard of the node kills it when the
//   server has had no lease for the fencing time, and the program dies with it. The agent itself lives on.
// - Everything that the program starts has RINGKEEP_SERVICE_RUN in its environment and ends with it. A guard of our own
//   (launch/guard.h) does that if the agent is killed.
// - Agents of one service at one server take turns: a lock beside the server's socket. Who gets it ends what a killed
//   agent before may have left.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "client/connection.h"
#include "launch/guard.h"
#include "launch/loop.h"
#include "launch/processes.h"
#include "launch/signals.h"
#include "recovery/service.h"
#include "shm/descriptor.h"

namespace rk::launch {

inline constexpr char kEnvService[] = "RINGKEEP_SERVICE";
inline constexpr char kEnvServiceEpoch[] = "RINGKEEP_SERVICE_EPOCH";
inline constexpr char kEnvServiceRun[] = "RINGKEEP_SERVICE_RUN";  // 16 hex digits: of one agent
inline constexpr std::size_t kMaxServiceNameBytes = 64;

struct ServiceOptions {
  std::string name;
  std::string socket;  // of this node's server
  std::uint32_t max_restarts = 5;
  bool quiet = false;
  std::vector<std::string> program;  // with its arguments
};

// 1 to 64 letters, digits and -_. : it is part of a file's name.
Status check_service_name(const std::string& name);

class ServiceAgent {
 public:
  // Fails before anything was started.
  static Result<std::unique_ptr<ServiceAgent>> make(ServiceOptions options);
  ~ServiceAgent();
  ServiceAgent(const ServiceAgent&) = delete;
  ServiceAgent& operator=(const ServiceAgent&) = delete;
  // Until the service is done or a signal asks. The status is `ringkeep run`'s.
  Result<int> run();

 private:
  explicit ServiceAgent(ServiceOptions options);
  void feed(recovery::service::What what);
  void carry_out(const recovery::service::Effect& effect);
  void carry_out(const recovery::service::Connect& effect);
  void carry_out(const recovery::service::Look& effect);
  void carry_out(const recovery::service::Claim& effect);
  void carry_out(const recovery::service::Start& effect);
  void carry_out(const recovery::service::Terminate& effect);
  void carry_out(const recovery::service::Kill& effect);
  void carry_out(const recovery::service::Release& effect);
  void carry_out(const recovery::service::SetTimer& effect);
  void carry_out(const recovery::service::Say& effect);
  void carry_out(const recovery::service::End& effect);

  Status connect();
  Status take_lock();
  Status start_program(Version epoch);
  Result<Version> commit_record(bool active);
  Status read_record(recovery::service::Found& found);
  std::string record_name() const { return "service/" + options_.name; }
  void on_link();
  void on_events();
  void on_child(pid_t pid, int status);
  void on_signal(int number);
  void lose_server(const Error& error);
  void hang_up();
  std::string run_entry() const;

  ServiceOptions options_;
  std::string program_;  // its path
  std::string self_;
  std::string run_;
  std::optional<Guard> guard_;
  Loop loop_;
  recovery::service::Agent agent_;
  std::deque<recovery::service::What> events_;
  bool working_ = false;
  std::optional<Signals> signals_;
  std::unique_ptr<client::Connection> link_;
  std::unique_ptr<client::Connection> ring_;  // its events
  shm::Descriptor lock_;
  pid_t keeper_ = 0;
  int status_ = 0;  // of the keeper, which has ended
  std::unique_ptr<Killer> killer_;
  Loop::TimerId timer_ = 0;
  std::optional<int> end_;
};

}  // namespace rk::launch

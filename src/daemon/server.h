// SPDX-License-Identifier: Apache-2.0
// One server: joins sockets, sessions, the job registry, the keep and the ring on one loop thread. A session is one
// client connection: ClientHello first, then requests, each family handled in a file of its own (session_*.cc). A
// malformed frame is answered by a Refusal, counted, and ends its connection only.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "daemon/client_places.h"
#include "daemon/config.h"
#include "daemon/event_log.h"
#include "daemon/event_writer.h"
#include "daemon/exit_codes.h"
#include "daemon/job_registry.h"
#include "daemon/kept_memory.h"
#include "daemon/log_limit.h"
#include "daemon/node_guard.h"
#include "daemon/ports.h"
#include "daemon/ring_driver.h"
#include "daemon/ring_traffic.h"
#include "daemon/state_files.h"
#include "daemon/state_writer.h"
#include "io/connection.h"
#include "io/event_loop.h"
#include "io/listener.h"
#include "io/peer_links.h"
#include "shm/memory_budget.h"
#include "wire/client_messages.h"

namespace rk::daemon {

struct StartFailure {
  ExitCode code = ExitCode::kCannotStart;
  Error error;
};

class Server final : private ClientPort, private PeerPort {
 public:
  // Takes the directories, the memory budget, the socket and the peer address.
  // `why_again`: for people, if this life follows one that was evicted. `guard`: outlives the server; nullptr for one
  // that is alone, which always has its lease.
  static tl::expected<std::unique_ptr<Server>, StartFailure> create(io::EventLoop& loop, const StartOptions& options,
                                                                    const std::string& why_again, NodeGuard* guard);
  ~Server() override;

  // Until a signal, the parent's end, or eviction. After an eviction signals wait for the next life (Rebirth).
  ExitCode run();

 private:
  struct Session {
    explicit Session(io::EventLoop& loop) : hello_deadline(loop) {}
    ClientIdentity client;
    std::shared_ptr<io::Connection> connection;
    io::Timer hello_deadline;
    bool greeted = false;
    std::string program;
  };

  Server(io::EventLoop& loop, const StartOptions& options, shm::MemoryBudget budget, StateFiles state,
         NodeGuard* guard);
  Status start(const std::string& why_again);
  std::unique_ptr<KeptMemory> open_kept_memory(Incarnation before, KeptMemory::Returned& returned);
  Status start_ring(const std::string& why_again, std::unique_ptr<KeptMemory> kept, KeptMemory::Returned returned);
  void announce_ready();
  void go_on_with_keep();
  void on_link_moved();
  LeaveToAct leave_to_act() const;
  void on_tick();
  // SIGHUP: the key file anew. What is wrong with it is logged, and the keys stay as they are.
  void reload();
  // Leaves the ring first, which is given kLeaveMs.
  void stop_in_order();
  void stop(ExitCode code);

  // ring_events.cc
  io::PeerLinks::Callbacks link_callbacks();
  RingDriver::Hooks ring_hooks();
  void on_state_written(std::uint64_t token, const Status& status);
  Status on_peer_frame(const io::ProvenPeer& from, const wire::Frame& frame);
  void on_ring_state(const RingState& state);
  void on_member_lost(const ring::Member& member);
  void on_evicted(const ring::Evicted& evicted);
  std::string server_name(NodeId node) const;

  // sessions.cc
  void accept_client(shm::Descriptor socket);
  Status on_client_frame(Session& session, const wire::Frame& frame);
  void on_client_closed(std::uint64_t number, const Error& why);
  // Says why and ends the connection.
  void dismiss(std::uint64_t number, const Error& why);
  void tell_held_back(std::uint64_t now_ms);
  void notify_creators(const wire::ServerNotice& notice);
  void end_sessions(const Error& why);
  // The client's process must not outlive this server's lease.
  Status fence(const ClientIdentity& client);
  void send(std::uint64_t session, const wire::Frame& frame, std::span<const int> descriptors) override;
  Status handle_hello(Session& session, const wire::Frame& frame);     // session_status.cc
  Status handle_status(Session& session, const wire::Frame& frame);    // session_status.cc
  wire::StatusAnswer describe() const;                                 // session_status.cc
  Status handle_ring(Session& session, const wire::Frame& frame);      // session_ring.cc
  wire::RingAnswer describe_ring() const;                              // session_ring.cc
  wire::RingServer describe_server(NodeId node) const;                 // session_ring.cc
  Status handle_override(Session& session, const wire::Frame& frame);  // session_override.cc
  wire::OverrideAnswer plan_override() const;                          // session_override.cc
  void answer_override(const ring::Effect& effect);                    // session_override.cc
  Status handle_events(Session& session, const wire::Frame& frame);    // session_status.cc
  Status handle_job(Session& session, const wire::Frame& frame);       // session_job.cc
  Status handle_keep(Session& session, const wire::Frame& frame);      // session_keep.cc
  void continue_grows();                                               // session_job.cc
  void drop_ended_jobs();                                              // session_job.cc

  // PeerPort
  bool send(NodeId to, const wire::Frame& frame) override;
  bool send(NodeId to, const wire::CopyChunk& chunk) override;
  std::size_t queued_bytes(NodeId to) const override;

  io::EventLoop& loop_;
  StartOptions options_;
  const Config& config_;
  NodeGuard* guard_;
  Incarnation incarnation_;
  shm::MemoryBudget budget_;
  StateFiles state_;
  JobRegistry jobs_;
  EventLog events_;
  EventWriter event_writer_;
  std::unique_ptr<KeepHandler> keep_;
  RingState ring_;
  RingTraffic traffic_;
  std::unique_ptr<RingDriver> ring_driver_;
  std::unique_ptr<StateWriter> state_writer_;
  std::unique_ptr<io::PeerLinks> links_;
  std::unique_ptr<io::Listener> listener_;
  ClientPlaces places_;
  io::UnfinishedFrames unfinished_;
  std::map<std::uint64_t, std::unique_ptr<Session>> sessions_;
  std::uint64_t next_session_ = 1;
  std::uint64_t malformed_clients_ = 0;
  LogLimit malformed_lines_;
  LogLimit turned_away_lines_;
  bool grows_scheduled_ = false;
  // Asked for an override, and not answered yet: the ring's core has the question.
  struct AskedOverride {
    std::uint64_t session = 0;
    std::uint64_t request = 0;
    wire::OverrideAnswer before;
  };
  std::optional<AskedOverride> asked_override_;
  io::Timer tick_;
  io::Timer leaving_;
  bool stopping_ = false;
  bool evicted_ = false;
  std::map<NodeId, std::string> last_refusal_;  // logged once for each new reason
  std::unique_ptr<io::Watch> parent_;
  ExitCode exit_code_ = ExitCode::kOk;
  bool socket_bound_ = false;
};

}  // namespace rk::daemon

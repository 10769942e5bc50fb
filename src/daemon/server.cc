// SPDX-License-Identifier: Apache-2.0
#include "daemon/server.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <utility>

#include "daemon/clock.h"
#include "daemon/descriptor_room.h"
#include "daemon/keep_driver.h"
#include "daemon/logger.h"
#include "daemon/private_directory.h"
#include "keys/key_file.h"
#include "wire/locations.h"

namespace rk::daemon {
namespace {

constexpr std::uint64_t kLeaveMs = 1000;

// Every segment, slot and client is a descriptor.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

Result<keys::KeySet> cluster_keys(const Config& config) {
  // A server alone talks to nobody who could know a key.
  if (config.key_file.empty()) return keys::KeySet::generate();
  return keys::read_key_file(config.key_file);
}

ClientPlaces::Limits client_limits(const Config& config) {
  const std::uint64_t clients = clients_within(descriptor_limit(), config.limits.clients);
  if (clients < config.limits.clients)
    logger::warn("this process may have " + std::to_string(descriptor_limit()) + " descriptors, so that it takes " +
                 std::to_string(clients) + " clients and not " + std::to_string(config.limits.clients) +
                 ": raise its limit (ulimit -n, LimitNOFILE), or lower limits.clients");
  return {clients, std::min(clients, config.limits.owner_clients)};
}

Status prepare_directories(const Config& config) {
  const std::string socket_directory = directory_of(config.socket);
  RK_TRY_VOID(prepare_private_directory(socket_directory));
  // In the shared /tmp, whoever owns the directory above could replace ours.
  const std::string ring_directory = wire::default_ring_directory(::geteuid());
  if (socket_directory.starts_with(ring_directory + "/")) return check_private_directory(ring_directory);
  return {};
}

}  // namespace

tl::expected<std::unique_ptr<Server>, StartFailure> Server::create(io::EventLoop& loop, const StartOptions& options,
                                                                   const std::string& why_again, NodeGuard* guard) {
  const auto failure = [](ExitCode code, Error error) { return tl::unexpected(StartFailure{code, std::move(error)}); };
  raise_descriptor_limit();
  auto budget = shm::MemoryBudget::create({options.config.memory_bytes, options.config.reserve_bytes, ""});
  if (!budget) return failure(ExitCode::kMemory, budget.error());
  if (auto status = prepare_directories(options.config); !status)
    return failure(ExitCode::kCannotStart, status.error());
  auto state = StateFiles::open(options.config.state_directory);
  if (!state) return failure(ExitCode::kCannotStart, state.error());
  std::unique_ptr<Server> server(new Server(loop, options, std::move(*budget), std::move(*state), guard));
  if (auto status = server->start(why_again); !status) return failure(ExitCode::kCannotStart, status.error());
  return server;
}

Server::Server(io::EventLoop& loop, const StartOptions& options, shm::MemoryBudget budget, StateFiles state,
               NodeGuard* guard)
    : loop_(loop),
      options_(options),
      config_(options_.config),
      guard_(guard),
      budget_(std::move(budget)),
      state_(std::move(state)),
      jobs_(budget_, {.jobs = options.config.limits.jobs,
                      .ranks = options.config.limits.ranks,
                      .owner_bytes = options.config.limits.owner_memory_bytes}),
      events_(config_.node, *this,
              [this](std::uint64_t session) {
                const auto at = sessions_.find(session);
                return at == sessions_.end() ? 0 : at->second->connection->queued_bytes();
              }),
      event_writer_(events_),
      places_(client_limits(config_)),
      unfinished_({.ms = config_.limits.frame_ms}),
      tick_(loop),
      leaving_(loop) {}

Server::~Server() {
  for (auto& [number, session] : sessions_) session->connection->abandon();
  if (socket_bound_) ::unlink(config_.socket.c_str());
}

Status Server::start(const std::string& why_again) {
  RK_TRY(shm::Descriptor socket, io::listen_local(config_.socket));
  socket_bound_ = true;
  RK_TRY(const Incarnation before, state_.last_incarnation());
  RK_TRY(incarnation_, state_.next_incarnation(wall_clock_ms()));
  KeptMemory::Returned returned;
  auto kept = open_kept_memory(before, returned);
  RK_TRY_VOID(start_ring(why_again, std::move(kept), std::move(returned)));
  listener_ = std::make_unique<io::Listener>(loop_, std::move(socket),
                                             [this](shm::Descriptor client) { accept_client(std::move(client)); });
  loop_.on_signals({SIGTERM, SIGINT, SIGHUP}, [this](int number) {
    if (number == SIGHUP) return reload();
    stop_in_order();
  });
  if (options_.parent_fd) {
    parent_ = std::make_unique<io::Watch>(
        loop_, *options_.parent_fd,
        [this] {
          std::array<char, 64> ignored{};
          if (::read(*options_.parent_fd, ignored.data(), ignored.size()) > 0) return;
          logger::info("the process that started this server is gone");
          event_writer_.stopping("the process that started it is gone");
          stop(ExitCode::kOk);
        },
        nullptr);
    parent_->want_read(true);
  }
  on_tick();
  announce_ready();
  return {};
}

// Forks, so there must be no other thread yet. A server whose memory does not outlive it is as good as any until it is
// killed.
std::unique_ptr<KeptMemory> Server::open_kept_memory(Incarnation before, KeptMemory::Returned& returned) {
  if (config_.hold_s == 0 || config_.witness == config_.node) return nullptr;
  std::vector<DescriptorHolder::Held> held;
  auto holder = DescriptorHolder::open(config_.state_directory, config_.hold_s * 1000, held);
  if (holder) {
    auto kept = KeptMemory::open(*std::move(holder), std::move(held),
                                 {config_.node, config_.cluster, incarnation_, before}, budget_, returned);
    if (kept) return *std::move(kept);
    holder = tl::unexpected(kept.error());
  }
  logger::error("nothing that this server keeps outlives it: " + holder.error().message);
  return nullptr;
}

Status Server::start_ring(const std::string& why_again, std::unique_ptr<KeptMemory> kept,
                          KeptMemory::Returned returned) {
  RK_TRY(keys::KeySet keys, cluster_keys(config_));
  if (options_.listen_fd) RK_TRY_VOID(io::adopt_listening(*options_.listen_fd));
  keep::Config keep;
  keep.self = {config_.node, incarnation_};
  keep.max_names_per_owner = config_.limits.owner_names;
  keep.owner_quota_bytes = config_.limits.owner_memory_bytes;
  keep.remembers = kept != nullptr;
  keep.scrub_bytes_per_s = config_.scrub_bytes_per_s;
  keep.scrub_pass_ms = config_.scrub_every_s * 1000;
  keep_ = std::make_unique<KeepDriver>(
      keep, static_cast<ClientPort&>(*this), static_cast<PeerPort&>(*this), budget_, [this] { return leave_to_act(); },
      [this](wire::ServerEvent event) { events_.record(std::move(event)); },
      [this] { loop_.post([this] { go_on_with_keep(); }); }, std::move(kept), std::move(returned));
  ring::Config ring;
  ring.self = config_.node;
  ring.incarnation = incarnation_;
  ring.timings = ring::Timings::with_suspicion(config_.suspicion_ms);
  ring.roster = ring_roster(config_);
  state_writer_ = std::make_unique<StateWriter>(
      state_, loop_, [this](std::uint64_t token, const Status& status) { on_state_written(token, status); });
  RK_TRY(ring_driver_, RingDriver::create(std::move(ring), state_, *this, ring_hooks()));
  event_writer_.started({config_.node, incarnation_}, ring_driver_->core().committed(), why_again);
  const io::PeerIdentity self{config_.cluster, config_.node, incarnation_, {}};
  io::PeerLinkLimits limits;
  limits.max_unproven = config_.limits.unproven_peers;
  limits.handshake_ms = config_.limits.hello_ms;
  limits.max_send_bytes = kMaxPeerSendBytes;
  RK_TRY(links_, io::PeerLinks::create(loop_, self, {std::move(keys), config_.encrypt}, config_.roster,
                                       shm::Descriptor(options_.listen_fd.value_or(-1)), limits, link_callbacks()));
  ring_driver_->start(loop_.now_ms());
  return {};
}

void Server::go_on_with_keep() {
  if (!keep_) return;
  keep_->on_tick(loop_.now_ms());
  keep_->go_on();
}

void Server::on_link_moved() {
  if (!keep_) return;
  keep_->on_tick(loop_.now_ms());
  keep_->on_room();
}

LeaveToAct Server::leave_to_act() const {
  const ring::Core& core = ring_driver_->core();
  return {core.lease_until_ms(), core.fence_left_ms()};
}

void Server::announce_ready() {
  logger::info("server " + std::to_string(config_.node.value) + ", incarnation " + std::to_string(incarnation_.value) +
               ", listens on " + config_.socket);
  if (!options_.ready_fd) return;
  const std::string line = "ready " + config_.socket + "\n";
  if (::write(*options_.ready_fd, line.data(), line.size()) < 0) logger::warn("nobody reads the ready descriptor");
  ::close(*options_.ready_fd);
}

ExitCode Server::run() {
  loop_.run();
  return exit_code_;
}

void Server::on_tick() {
  const std::uint64_t now = loop_.now_ms();
  jobs_.on_tick(now);
  if (keep_) keep_->on_tick(now);
  ring_driver_->on_tick(now);
  if (guard_ != nullptr) guard_->renew(ring_driver_->core().lease_until_ms());
  event_writer_.on_tick(ring_driver_->core());
  events_.on_tick();
  unfinished_.on_tick(now);
  tell_held_back(now);
  tick_.start(kTickMs, [this] { on_tick(); });
}

void Server::reload() {
  if (config_.key_file.empty()) return logger::info("nothing to load again: this server has no key file");
  auto keys = keys::read_key_file(config_.key_file);
  if (!keys) return logger::error("the keys stay as they are: " + keys.error().message);
  std::string names;
  for (const keys::ClusterKey& key : keys->all()) names += (names.empty() ? "" : ", ") + key.name();
  logger::info("keys loaded again from " + config_.key_file + ": " + names + "; the first is used to dial");
  links_->replace_keys(std::move(*keys));
}

void Server::stop_in_order() {
  if (!stopping_) event_writer_.stopping("a signal asked it to end");
  if (stopping_ || evicted_ || !ring_.serving || ring_.members.size() < 2) return stop(ExitCode::kOk);
  stopping_ = true;
  logger::info("leaving the ring");
  for (const io::RosterEntry& entry : config_.roster)
    if (entry.node != config_.node) send(entry.node, wire::to_frame(wire::PeerLeaving{}));
  leaving_.start(kLeaveMs, [this] { stop(ExitCode::kOk); });
  ring_driver_->leave(loop_.now_ms());
}

void Server::stop(ExitCode code) {
  exit_code_ = code;
  if (code == ExitCode::kOk && keep_) keep_->on_end();
  loop_.stop();
}

bool Server::send(NodeId to, const wire::Frame& frame) {
  wire::Frame ours = frame;
  ours.sender = incarnation_;
  if (!links_->send(to, ours)) return false;
  traffic_.sent(ours);
  return true;
}

bool Server::send(NodeId to, const wire::CopyChunk& chunk) {
  return links_->send(to, wire::to_packet(chunk, 0, incarnation_));
}

std::size_t Server::queued_bytes(NodeId to) const { return links_->queued_bytes(to); }

}  // namespace rk::daemon

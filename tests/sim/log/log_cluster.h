// SPDX-License-Identifier: Apache-2.0
// A simulated job: processes of two or three communities on one or two nodes, their segments (which survive them), the
// network between the nodes, community checkpoints, and kills of communities at any point of any process.
#pragma once

#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "log/carrier.h"
#include "sim/hosts.h"
#include "sim/network.h"
#include "sim/trace.h"
#include "tests/sim/log/sim_process.h"

namespace rk::log {

struct LogCounts {
  std::uint64_t kills = 0;
  std::uint64_t restores = 0;
  std::uint64_t restores_of_older = 0;
  std::uint64_t checkpoints = 0;
  std::uint64_t inside_matches = 0;
  std::uint64_t resent_verified = 0;
  std::uint64_t determinants_replayed = 0;
  std::uint64_t duplicates = 0;
  std::uint64_t streams_trimmed = 0;
  std::uint64_t frames_lost = 0;
  std::uint64_t frames_duplicated = 0;
  std::uint64_t pauses = 0;  // of a process, or of all that a node's server does
};

class LogCluster : public ProcessWorld {
 public:
  LogCluster(std::uint64_t seed, sim::Trace& trace, PlantedBug planted);
  ~LogCluster() override;

  // The first violation, or empty.
  std::string run();
  void add_to(LogCounts& counts) const;

  std::uint64_t now() override { return clock_.now_us(); }
  std::uint64_t draw(std::uint64_t bound) override { return prng_.below(bound); }
  void maybe_kill(std::uint32_t rank) override;
  void send_inside(std::uint32_t source, std::uint32_t dest, const InsideDelivery& message) override;
  bool restored(std::uint32_t rank) override;
  bool checkpointed(std::uint32_t rank) override;

 private:
  static constexpr std::uint64_t kJob = 4711;
  static constexpr std::uint64_t kSegmentBytes = std::uint64_t{16} << 20U;

  // Segment memory, zero at first, untouched until used.
  struct Memory {
    std::byte* data = static_cast<std::byte*>(std::calloc(1, kSegmentBytes));
    Memory() = default;
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;
    ~Memory() { std::free(data); }
  };
  struct Arena : public ArenaSource {
    std::uint64_t usable = 0;
    Result<std::uint64_t> grow(std::uint64_t bytes) override;
  };
  // Sees the segments of its own node.
  struct Peers : public PeerSource {
    LogCluster* cluster = nullptr;
    std::uint32_t rank = 0;
    Result<SegmentView> open(std::uint32_t other) override;
  };
  struct Version {
    std::vector<LogState> logs;  // by member
    std::vector<ProgramState> programs;
    std::vector<LogChecker::Consumed> consumed;
  };
  struct Community {
    std::vector<std::uint32_t> members;
    std::uint64_t life = 0;
    bool up = false;
    std::vector<Version> versions;  // retained, oldest first
  };

  SegmentIdentity identity(std::uint32_t rank) const;
  Community& community(std::uint32_t rank) { return communities_[plan_.community_of[rank]]; }
  void start(std::uint32_t number);
  void kill(std::uint32_t number);
  void schedule_step(std::uint32_t rank);
  void plan_server_pauses();
  void step(std::uint32_t rank);
  void take_checkpoint(Community& community);
  void note_end_of_life(SimProcess& process);
  bool finished() const;
  std::string stuck() const;

  void connect(std::uint32_t source, std::uint32_t dest);
  void pump(std::uint32_t source, std::uint32_t dest);
  void deliver(const Bytes& bytes);
  void send_frame(std::uint32_t from, std::uint32_t to, const wire::Frame& frame);
  using Link = std::pair<std::uint32_t, std::uint32_t>;  // (source, dest)

  Prng prng_;
  sim::Scheduler clock_;
  sim::Trace& trace_;
  ProgramPlan plan_;
  PlantedBug planted_;
  LogChecker checker_;
  sim::Hosts nodes_;
  sim::Network network_;
  std::vector<std::unique_ptr<Memory>> memory_;
  std::vector<Arena> arenas_;
  std::vector<Peers> peers_;
  std::vector<std::unique_ptr<InsideNetwork>> inside_;
  std::vector<Community> communities_;
  std::vector<std::unique_ptr<SimProcess>> processes_;
  std::map<Link, std::unique_ptr<CarrierSource>> carriers_;
  std::map<Link, std::unique_ptr<CarrierSink>> sinks_;
  std::uint64_t kills_left_ = 0;
  std::uint64_t kill_every_ = 0;
  LogCounts counts_;
};

}  // namespace rk::log

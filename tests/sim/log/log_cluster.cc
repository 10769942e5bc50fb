// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/log/log_cluster.h"

#include <algorithm>
#include <cstring>

namespace rk::log {

namespace {

constexpr std::uint64_t kEndUs = 3'000'000;        // a correct run takes a small part of it
constexpr std::uint64_t kLongestPauseUs = 20'000;  // as long as hundreds of steps

}  // namespace

LogCluster::LogCluster(std::uint64_t seed, sim::Trace& trace, PlantedBug planted)
    : prng_(seed),
      trace_(trace),
      plan_(make_program(prng_.fork())),
      planted_(planted),
      checker_(plan_.community_of.size()),
      nodes_(clock_, trace, 2),
      network_(clock_, nodes_, trace, prng_.fork()),
      arenas_(plan_.community_of.size()),
      peers_(plan_.community_of.size()),
      communities_(plan_.node_of.size()),
      processes_(plan_.community_of.size()) {
  const auto ranks = static_cast<std::uint32_t>(plan_.community_of.size());
  for (std::uint32_t rank = 0; rank < ranks; ++rank) {
    memory_.push_back(std::make_unique<Memory>());
    arenas_[rank].usable = Segment::smallest_bytes(ranks);
    peers_[rank].cluster = this;
    peers_[rank].rank = rank;
    inside_.push_back(std::make_unique<InsideNetwork>());
    community(rank).members.push_back(rank);
  }
  network_.set_faults({20, 200, prng_.below(150), prng_.below(150), prng_.below(100), 3000});
  for (sim::HostId node = 0; node < 2; ++node) {
    nodes_.start(node);
    network_.attach(node, [this](sim::HostId, const Bytes& bytes) { deliver(bytes); });
  }
  kills_left_ = prng_.below(6);
  kill_every_ = prng_.between(50, 1500);
}

LogCluster::~LogCluster() = default;

SegmentIdentity LogCluster::identity(std::uint32_t rank) const {
  return {JobId(kJob), Rank(rank), static_cast<std::uint32_t>(plan_.community_of.size())};
}

Result<std::uint64_t> LogCluster::Arena::grow(std::uint64_t bytes) {
  if (usable + bytes > kSegmentBytes) return fail(ErrorCode::kNoMemory, "the segment's end");
  return usable += bytes;
}

Result<SegmentView> LogCluster::Peers::open(std::uint32_t other) {
  if (!cluster->plan_.same_node(rank, other)) return fail(ErrorCode::kUnavailable, "on another node");
  return SegmentView::open(ByteView(cluster->memory_[other]->data, kSegmentBytes), cluster->identity(other));
}

// --- lives ----------------------------------------------------------------------------------------------------------

void LogCluster::start(std::uint32_t number) {
  Community& community = communities_[number];
  ++community.life;
  community.up = true;
  // Now and then the newest version is unreadable, and the one before it is what is left.
  if (community.versions.size() > 1 && prng_.chance(1, 3)) {
    community.versions.pop_back();
    ++counts_.restores_of_older;
  }
  for (const std::uint32_t rank : community.members) {
    ProcessLog::Config config;
    config.identity = identity(rank);
    config.incarnation = Incarnation(community.life);
    for (const std::uint32_t of : plan_.community_of) config.community_of.emplace_back(of);
    config.planted = planted_;
    auto log = ProcessLog::open({memory_[rank]->data, kSegmentBytes}, arenas_[rank].usable, std::move(config),
                                arenas_[rank], peers_[rank], inside_[rank].get());
    if (!log) return checker_.violate(log.error().message);
    processes_[rank] = std::make_unique<SimProcess>(rank, plan_, std::move(*log), *inside_[rank], *this, checker_);
    checker_.history(rank, {});
    for (std::uint32_t source = 0; source < plan_.community_of.size(); ++source) connect(source, rank);
    schedule_step(rank);
  }
  trace_.note(clock_, {1, number, community.life},
              [&] { return "community " + std::to_string(number) + " starts life " + std::to_string(community.life); });
}

void LogCluster::note_end_of_life(SimProcess& process) {
  const LogStats stats = process.log().stats();
  counts_.resent_verified += stats.sent.resent_verified;
  counts_.determinants_replayed += stats.determinants_replayed;
  counts_.duplicates += stats.received.duplicates;
}

void LogCluster::kill(std::uint32_t number) {
  Community& community = communities_[number];
  if (!community.up) return;
  community.up = false;
  ++counts_.kills;
  trace_.note(clock_, {2, number}, [&] { return "community " + std::to_string(number) + " is killed"; });
  for (const std::uint32_t rank : community.members) {
    if (processes_[rank] == nullptr) continue;
    note_end_of_life(*processes_[rank]);
    // In the middle of an append, half of the time.
    const auto dest = static_cast<std::uint32_t>(prng_.below(plan_.community_of.size()));
    if (prng_.chance(1, 2) && !plan_.inside(rank, dest)) {
      const auto slot = processes_[rank]->log().outbox().reserve(dest, {1, 1, prng_.below(70000)});
      if (slot && slot->fresh) std::memset(slot->space.data(), 0xee, slot->space.size());
    }
    processes_[rank].reset();
    inside_[rank]->clear();
    for (auto& [link, sink] : sinks_)
      if (link.second == rank) sink.reset();
  }
  clock_.after(prng_.between(50, 3000), [this, number] { start(number); });
}

void LogCluster::maybe_kill(std::uint32_t) {
  if (kills_left_ == 0 || !prng_.chance(1, kill_every_)) return;
  --kills_left_;
  throw Killed{};
}

void LogCluster::schedule_step(std::uint32_t rank) {
  const std::uint64_t life = community(rank).life;
  const bool waits = processes_[rank]->blocked();
  std::uint64_t delay_us = prng_.between(1, waits ? 60 : 30);
  if (prng_.chance(1, 500)) {
    delay_us += prng_.below(kLongestPauseUs);
    ++counts_.pauses;
  }
  clock_.after(delay_us, [this, rank, life] {
    if (community(rank).life == life && community(rank).up) step(rank);
  });
}

// What the server of a paused node has received, and is to receive, waits.
void LogCluster::plan_server_pauses() {
  for (std::uint64_t i = prng_.below(4); i > 0; --i) {
    const auto node = static_cast<sim::HostId>(prng_.below(2));
    const std::uint64_t from_us = prng_.below(40'000);
    clock_.after(from_us, [this, node] { nodes_.pause(node); });
    clock_.after(from_us + prng_.below(kLongestPauseUs), [this, node] { nodes_.resume(node); });
    ++counts_.pauses;
  }
}

void LogCluster::step(std::uint32_t rank) {
  SimProcess& process = *processes_[rank];
  try {
    if (prng_.chance(1, 6)) process.background();
    process.step();
  } catch (const Killed&) {
    return kill(plan_.community_of[rank]);
  }
  trace_.note(clock_, {3, rank, process.state().op, process.state().digest}, [&] {
    return "process " + std::to_string(rank) + " is at operation " + std::to_string(process.state().op);
  });
  schedule_step(rank);
}

// --- inside of a community ------------------------------------------------------------------------------------------

void LogCluster::send_inside(std::uint32_t source, std::uint32_t dest, const InsideDelivery& message) {
  inside_[dest]->sent(message);
  ++counts_.inside_matches;
  const std::uint64_t life = community(dest).life;
  clock_.after(prng_.between(1, 300), [this, source, dest, life] {
    if (community(dest).life == life && community(dest).up) inside_[dest]->arrive(source);
  });
}

bool LogCluster::restored(std::uint32_t rank) {
  Community& of = community(rank);
  if (of.versions.empty()) return false;
  const auto member =
      static_cast<std::size_t>(std::find(of.members.begin(), of.members.end(), rank) - of.members.begin());
  const Version& version = of.versions.back();
  SimProcess& process = *processes_[rank];
  process.log().outcomes().suspend();
  if (const auto status = process.log().jump(version.logs[member]); !status) {
    checker_.violate(status.error().message);
    return true;
  }
  process.resume(version.programs[member]);
  checker_.history(rank, version.consumed[member]);
  for (auto& [link, sink] : sinks_)
    if (link.second == rank && sink != nullptr) sink->begin_turn();
  ++counts_.restores;
  return true;
}

bool LogCluster::checkpointed(std::uint32_t rank) {
  Community& of = community(rank);
  const bool all = std::all_of(of.members.begin(), of.members.end(),
                               [&](std::uint32_t member) { return processes_[member]->at_checkpoint(); });
  if (all) take_checkpoint(of);
  return all;
}

void LogCluster::take_checkpoint(Community& of) {
  Version version;
  for (const std::uint32_t rank : of.members) {
    SimProcess& process = *processes_[rank];
    if (!inside_[rank]->idle() || process.log().matcher().pending() > 0)
      checker_.violate("a checkpoint with a message in flight or a receive open");
    version.logs.push_back(process.log().snapshot());
    const auto back = decode_log_state(encode(version.logs.back()));
    if (!back || *back != version.logs.back()) checker_.violate("a log state that does not come back from its bytes");
    ProgramState program = process.state();
    checker_.observed(rank, program.op, program.digest = Prng(program.digest).next());
    ++program.op;
    version.programs.push_back(program);
    version.consumed.push_back(checker_.consumed(rank));
  }
  for (std::size_t member = 0; member < of.members.size(); ++member)
    processes_[of.members[member]]->resume(version.programs[member]);
  of.versions.push_back(std::move(version));
  if (of.versions.size() > 2) of.versions.erase(of.versions.begin());
  ++counts_.checkpoints;
  maybe_kill(of.members.front());
  for (std::size_t member = 0; member < of.members.size(); ++member) {
    ProcessLog& log = processes_[of.members[member]]->log();
    if (const auto trimmed = log.trim(of.versions.front().logs[member]); !trimmed)
      checker_.violate(trimmed.error().message);
  }
}

// --- the run --------------------------------------------------------------------------------------------------------

bool LogCluster::finished() const {
  return std::all_of(processes_.begin(), processes_.end(),
                     [](const auto& process) { return process != nullptr && process->finished(); });
}

std::string LogCluster::stuck() const {
  std::string where = "no process goes on:";
  for (std::size_t rank = 0; rank < processes_.size(); ++rank)
    where += " " + (processes_[rank] == nullptr ? "down" : processes_[rank]->place());
  return where;
}

std::string LogCluster::run() {
  const auto ranks = static_cast<std::uint32_t>(plan_.community_of.size());
  for (std::uint32_t number = 0; number < communities_.size(); ++number) start(number);
  for (std::uint32_t source = 0; source < ranks; ++source)
    for (std::uint32_t dest = 0; dest < ranks; ++dest)
      if (!plan_.same_node(source, dest)) pump(source, dest);
  for (std::uint64_t i = prng_.below(3); i > 0; --i)
    clock_.after(prng_.below(20'000), [this] { kill(static_cast<std::uint32_t>(prng_.below(communities_.size()))); });
  plan_server_pauses();
  while (checker_.violation().empty() && !finished() && clock_.now_us() < kEndUs && clock_.step()) {
  }
  if (checker_.violation().empty() && !finished()) return stuck();
  for (std::uint32_t rank = 0; rank < ranks && checker_.violation().empty(); ++rank) {
    if (plan_.checkpoints) checker_.all_received(rank);
    note_end_of_life(*processes_[rank]);
  }
  return checker_.violation();
}

void LogCluster::add_to(LogCounts& counts) const {
  counts.kills += counts_.kills;
  counts.restores += counts_.restores;
  counts.restores_of_older += counts_.restores_of_older;
  counts.checkpoints += counts_.checkpoints;
  counts.inside_matches += counts_.inside_matches;
  counts.resent_verified += counts_.resent_verified;
  counts.determinants_replayed += counts_.determinants_replayed;
  counts.duplicates += counts_.duplicates;
  counts.pauses += counts_.pauses;
  counts.frames_lost += network_.counts().lost;
  counts.frames_duplicated += network_.counts().duplicated;
  const auto ranks = static_cast<std::uint32_t>(plan_.community_of.size());
  for (std::uint32_t rank = 0; rank < ranks; ++rank) {
    const auto view = SegmentView::open(ByteView(memory_[rank]->data, kSegmentBytes), identity(rank));
    for (std::uint32_t stream = 0; view && stream < ranks; ++stream)
      if (view->stream(stream).freed > 0) ++counts.streams_trimmed;
  }
}

}  // namespace rk::log

// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/keep/keep_cluster.h"

#include <algorithm>

#include "tests/sim/keep/keep_clients.h"

namespace rk::keep_sim {
namespace {

constexpr std::uint64_t kTickUs = ring::Timings{}.tick_ms * 1000;
constexpr std::uint64_t kWatchUs = 100'000;

sim::ChaosLimits chaos_limits() {
  sim::ChaosLimits limits;
  limits.mean_gap_us = 250'000;
  limits.max_down_us = 1'500'000;
  limits.max_pause_us = 1'500'000;
  limits.max_cut_us = 1'500'000;
  limits.max_loss_permille = 300;
  limits.max_flip_permille = 20;
  limits.max_slow_delay_us = 800'000;
  return limits;
}

keep::Member to_keep(const ring::Member& member) { return {member.node, member.incarnation}; }

}  // namespace

Cluster::Cluster(std::uint64_t seed, const Options& options, sim::Trace& trace)
    : options_(options),
      trace_(trace),
      prng_(seed),
      hosts_(clock_, trace, prng_.between(3, 5)),
      network_(clock_, hosts_, trace, prng_.fork()),
      clocks_(clock_, hosts_.count(), prng_.fork()),
      memory_prng_(prng_.fork()),
      ring_({clock_, hosts_, network_, clocks_, trace}, ring::drawn_roster(hosts_.count(), NodeId(3), prng_.fork()),
            prng_.fork(), ring::PlantedBug::kNone,
            {[this](sim::HostId id) { tell_ring_state(id); }, [this](sim::HostId id) { restart_later(id); }}),
      chaos_(
          clock_, hosts_, network_, prng_.fork(), chaos_limits(), [this](sim::HostId id) { start(id); },
          [this](sim::HostId id) { crash(id); }),
      lives_(hosts_.count()),
      before_(hosts_.count()),
      clients_(std::make_unique<Clients>(*this, prng_.fork())),
      spoil_prng_(prng_.fork()) {
  for (sim::HostId id = 0; id < hosts_.count(); ++id)
    network_.attach(id, [this, id](sim::HostId from, const Bytes& bytes) { receive(from, id, bytes); });
}

Cluster::~Cluster() = default;

// --- lives ----------------------------------------------------------------------------------------------------------

void Cluster::start(sim::HostId id) {
  if (hosts_.up(id)) return;
  const bool wipe = !quiet_ && ring_.has_run(id) && prng_.chance(1, 20);
  ring_.start(id, false, wipe);
  keep::Config config;
  config.self = to_keep(ring_.self(id));
  config.answer_timeout_ms = 2000;
  config.retry_ms = 100;
  config.remembers = true;
  config.returned_ms = 3000;
  config.scrub_bytes_per_s = 100'000'000;
  config.scrub_pass_ms = 300;
  config.delta_from_bytes = 1;
  config.planted_bug = options_.planted_bug;
  KeepHost::Remains remains;
  if (auto& before = before_.at(id); before) {
    remains = std::exchange(before->remains, {});
    // Its memory is lost with the ring's, or by itself; or some of it is not what it was.
    if (wipe || prng_.chance(1, 4)) before.reset(), remains = {};
    if (!remains.slots.empty() && prng_.chance(1, 10))
      remains.slots.begin()->second.front() ^= std::byte{1}, before.reset();
  }
  KeepHost::Ports ports;
  ports.send = [this, id](NodeId to, Bytes frame) { network_.send(id, host_of(to), std::move(frame)); };
  ports.answer = [this, id](const keep::Answer& answer) { clients_->answered(id, answer); };
  ports.now_ms = [this, id] { return clocks_.now_ms(id); };
  ports.lease_until_ms = [this, id] { return ring_.core(id)->lease_until_ms(); };
  ports.fence_left_ms = [this, id] { return ring_.core(id)->fence_left_ms(); };
  ports.refuse_memory = [this] {
    const bool refused = !quiet_ && memory_prng_.chance(1, 20);
    full_ += refused ? 1U : 0U;
    return refused;
  };
  ports.news = [this, id](const keep::CopyNews& news) {
    ++news_[news.kind];
    note({4, id, static_cast<std::uint64_t>(news.kind), news.version.value},
         "server " + std::to_string(id + 1) +
             (news.kind == keep::CopyNews::Kind::kDamaged    ? " found damage: "
              : news.kind == keep::CopyNews::Kind::kRepaired ? " repaired "
                                                             : " cannot repair ") +
             news.key.name + "@" + std::to_string(news.version.value));
  };
  lives_.at(id) = std::make_unique<KeepHost>(config, std::move(ports), checker_, std::move(remains));
  tell_ring_state(id);
  tick(id);
}

// A server of the view beside the home has a record of the group that the home has not confirmed, and not all have it.
bool Cluster::half_written(sim::HostId home) const {
  const KeepHost* life = lives_.at(home).get();
  if (life == nullptr) return false;
  for (const auto& [key, entry] : life->core().catalogue().entries()) {
    if (key.kind != wire::KeepKind::kGroup || !entry.home) continue;
    for (const auto& [version, record] : entry.versions) {
      const std::size_t have = record.committed ? 0 : holders(home, key, version).size();
      if (have > 1 && have < life->view().members.size()) return true;
    }
  }
  return false;
}

void Cluster::note_death(sim::HostId id) {
  const KeepHost* life = lives_.at(id).get();
  if (life == nullptr) return;
  half_written_ += half_written(id) ? 1U : 0U;
  const bool receives = std::any_of(lives_.begin(), lives_.end(), [&](const auto& other) {
    return other != nullptr && other.get() != life && other->streams_to(*life);
  });
  dead_in_sync_ += receives ? 1U : 0U;
}

void Cluster::note_lost(sim::HostId asked, const wire::KeepKey& key, Version least) {
  for (const auto& life : lives_)
    if (life != nullptr && least && !lives_.at(asked)->in_view(life->self()) && life->holds(key, least))
      out_with_copy_.insert({key, life->self()});
}

// It comes back in another life.
void Cluster::note_returned(const keep::ViewInstalled& view) {
  orphans_ += std::erase_if(out_with_copy_, [&](const auto& item) {
    return std::any_of(view.members.begin(), view.members.end(), [&](const keep::Member& member) {
      return member.node == item.second.node && member.incarnation > item.second.incarnation;
    });
  });
}

void Cluster::crash(sim::HostId id) {
  note_death(id);
  ring_.crash(id);
  if (auto& life = lives_.at(id)) {
    Before before{life->self(), life->view(), {}, {}};
    for (const auto& [key, entry] : life->core().catalogue().entries())
      if (entry.home) before.homes.insert(key);
    returned_copies_ += life->core().returned_used();
    deltas_.push_back(life->core().deltas());
    before.remains = std::move(*life).remains();
    before_.at(id) = std::move(before);
  }
  lives_.at(id).reset();
}

// kill -9 of all servers at about the same time; somebody starts them again at once.
void Cluster::kill_all() {
  for (sim::HostId id = 0; id < hosts_.count(); ++id) {
    if (!hosts_.up(id)) continue;
    hosts_.after(id, prng_.between(1, 3000), [this, id] { crash(id); });
    clock_.after(prng_.between(4000, 60'000), [this, id] { start(id); });
  }
}

// If the life before was a member until this one took its place, nobody can have confirmed anything that this one does
// not know.
void Cluster::note_rebirth(sim::HostId id, const keep::ViewInstalled& view) {
  auto& before = before_.at(id);
  const keep::Member self = lives_.at(id)->self();
  const auto has = [](const keep::ViewInstalled& in, const keep::Member& member) {
    return std::find(in.members.begin(), in.members.end(), member) != in.members.end();
  };
  if (!before || !has(view, self)) return;
  if (view.succeeded == before->self && has(before->view, before->self)) {
    ++returned_;
    clients_->reborn(before->self, self, before->homes);
  }
  before.reset();
}

void Cluster::restart_later(sim::HostId id) {
  // Not inside the core's own step.
  hosts_.after(id, 1, [this, id] { crash(id); });
  clock_.after(prng_.between(10'000, 800'000), [this, id] { start(id); });
}

void Cluster::tick(sim::HostId id) {
  hosts_.after(id, kTickUs, [this, id] {
    lives_.at(id)->feed(keep::Tick{});
    tick(id);
  });
}

void Cluster::receive(sim::HostId from, sim::HostId id, const Bytes& bytes) {
  wire::FrameCutter cutter;
  cutter.feed(bytes);
  const auto frame = cutter.next();
  if (!frame || !*frame) return;  // damaged on its way: the link would break
  if (wire::is_ring_message((*frame)->type)) return ring_.receive(from, id, **frame);
  if ((*frame)->type == wire::CopyOffer::kType) spoil_base(from, id, **frame);
  KeepHost* life = lives_.at(id).get();
  if (life == nullptr) return;
  life->frame(NodeId(from + 1), **frame);
  if (!aims_at_group_ || quiet_ || !half_written(from)) return;
  aims_at_group_ = false;
  restart_later(from);
}

// As the daemon does: the keep hears of every change of view and of whether the ring serves.
void Cluster::tell_ring_state(sim::HostId id) {
  KeepHost* life = lives_.at(id).get();
  const ring::Core* core = ring_.core(id);
  if (life == nullptr || core == nullptr || life->self() != to_keep(ring_.self(id))) return;
  keep::ViewInstalled view{core->view().number, {}, core->state() == ring::State::kServing, core->reason()};
  for (const ring::Member& member : ring::ring_of(core->view())) view.members.push_back(to_keep(member));
  for (const ring::Member& succeeded : core->view().succeeded)
    if (succeeded.node == life->self().node) view.succeeded = to_keep(succeeded);
  const keep::ViewInstalled& before = life->view();
  if (view.number == before.number && view.serving == before.serving && view.reason == before.reason) return;
  note_rebirth(id, view);
  note_returned(view);
  life->feed(std::move(view));
}

std::map<keep::Member, Version> Cluster::holders(sim::HostId asked, const wire::KeepKey& key, Version least) const {
  std::map<keep::Member, Version> out;
  for (const keep::Member& each : lives_.at(asked)->view().members) {
    const KeepHost* life = lives_.at(host_of(each.node)).get();
    if (life == nullptr || life->self() != each) continue;
    if (const Version held = life->holds(key, least)) out[each] = held;
  }
  return out;
}

// --- the run --------------------------------------------------------------------------------------------------------

void Cluster::more_faults() {
  if (quiet_) return;
  const auto id = static_cast<sim::HostId>(prng_.below(hosts_.count()));
  if (prng_.chance(1, 8)) {
    kill_all();
  } else if (prng_.chance(1, 3)) {
    ++ring_.counts().jumps;
    clocks_.jump(id, prng_.between(1, 2000));
  } else if (prng_.chance(1, 2)) {
    // A server, or it and the one that keeps its copies; with writers on both sides.
    std::set<sim::HostId> out{id};
    const ring::Core* core = ring_.core(id);
    if (const auto before = core ? ring::predecessor(core->view(), ring::RingServers::node_of(id)) : std::nullopt;
        before && prng_.chance(1, 2))
      out.insert(host_of(before->node));
    ring_.shut_out(out);
    clients_->contend(id, out);
    clock_.after(prng_.between(100'000, 1'500'000), [this] {
      if (!quiet_) network_.mend_all();
    });
  } else if (hosts_.up(id)) {
    hosts_.after(id, 0, [this, id] { ring_.step(id, ring::LeaveRequest{}); });
  }
  if (prng_.chance(1, 4)) aims_at_group_ = true;
  clock_.after(prng_.between(300'000, 2'000'000), [this] { more_faults(); });
}

// A byte of a copy at rest changes. Often the same happens to the other copies a moment later, found or not.
void Cluster::spoil_copies() {
  if (quiet_) return;
  clock_.after(spoil_prng_.between(200'000, 1'200'000), [this] { spoil_copies(); });
  const auto id = static_cast<sim::HostId>(spoil_prng_.below(hosts_.count()));
  if (lives_.at(id) == nullptr) return;
  std::vector<std::pair<wire::KeepKey, Version>> copies;
  for (const auto& [key, entry] : lives_.at(id)->core().catalogue().entries())
    for (const auto& [version, record] : entry.versions)
      if (record.here && record.slot) copies.emplace_back(key, version);
  if (copies.empty()) return;
  const auto [key, version] = copies[spoil_prng_.below(copies.size())];
  spoil(id, key, version);
  if (!spoil_prng_.chance(1, 3)) return;
  for (sim::HostId other = 0; other < hosts_.count(); ++other)
    clock_.after(spoil_prng_.chance(1, 2) ? 0 : spoil_prng_.below(500'000),
                 [this, other, key = key, version = version] {
                   if (!quiet_) spoil(other, key, version);
                 });
}

// Of a delta that comes just now, found before it or not.
void Cluster::spoil_base(sim::HostId from, sim::HostId id, const wire::Frame& frame) {
  const auto offer = wire::from_frame<wire::CopyOffer>(frame);
  if (quiet_ || !offer || !offer->delta.base || lives_.at(id) == nullptr || !spoil_prng_.chance(1, 4)) return;
  spoil(id, offer->key, offer->delta.base);
  if (spoil_prng_.chance(1, 2)) lives_.at(id)->look_at(NodeId(from + 1), offer->key, offer->delta.base);
}

void Cluster::spoil(sim::HostId id, const wire::KeepKey& key, Version version) {
  KeepHost* life = lives_.at(id).get();
  if (life == nullptr || !life->spoil(key, version, spoil_prng_)) return;
  ++spoils_;
  spoilt_[key] = std::max(spoilt_[key], version);
  note({5, id, version.value}, "server " + std::to_string(id + 1) + "'s copy of " + key.name + "@" +
                                   std::to_string(version.value) + " is spoilt");
}

bool Cluster::spoilt(const wire::KeepKey& key, Version least) const {
  const auto at = spoilt_.find(key);
  return at != spoilt_.end() && at->second >= least;
}

void Cluster::watch() {
  for (const auto& life : lives_)
    if (life) life->check_memory(false);
  if (!ring_.checker().violation().empty()) checker_.violated(ring_.checker().violation());
  clock_.after(kWatchUs, [this] { watch(); });
}

bool Cluster::run_until(std::uint64_t time_us) {
  while (clock_.now_us() < time_us && checker_.violation().empty())
    clock_.run_until(std::min(time_us, clock_.now_us() + 500'000));
  return checker_.violation().empty();
}

std::string Cluster::run() {
  for (sim::HostId id = 0; id < hosts_.count(); ++id) start(id);
  watch();
  clients_->begin();
  clock_.after(500'000, [this] {
    chaos_.begin();
    more_faults();
    spoil_copies();
  });
  if (!run_until(options_.busy_us)) return checker_.violation();
  quiet_ = true;
  chaos_.quiet();
  if (!run_until(options_.busy_us + options_.converge_us)) return checker_.violation();
  if (!healthy()) {
    beyond_recovery_ = ring_.checker().beyond_recovery(ring_.checker().newest_committed());
    return beyond_recovery_ ? std::string() : "no view of all servers in time after the network healed";
  }
  const std::uint64_t end_us = clock_.now_us() + options_.quiet_us;
  if (!run_until(end_us - 8'000'000)) return checker_.violation();
  clients_->stop();
  if (run_until(end_us)) check_end();
  return checker_.violation();
}

bool Cluster::healthy() const {
  for (sim::HostId id = 0; id < hosts_.count(); ++id) {
    const ring::Core* core = ring_.core(id);
    if (core == nullptr || core->state() != ring::State::kServing || core->view() != ring_.core(0)->view() ||
        core->view().members.size() != hosts_.count())
      return false;
  }
  return true;
}

bool Cluster::has_home(const wire::KeepKey& key) const {
  return std::any_of(lives_.begin(), lives_.end(), [&](const auto& life) {
    const keep::Entry* entry = life ? life->core().catalogue().find(key) : nullptr;
    return entry != nullptr && entry->home;
  });
}

// When the faults are over: what is kept is kept twice, and no memory is left over.
void Cluster::check_end() {
  if (!healthy()) return checker_.violated("the ring did not stay whole on a healthy network");
  for (sim::HostId id = 0; id < hosts_.count(); ++id) {
    const KeepHost& life = *lives_.at(id);
    const std::string who = "server " + std::to_string(id + 1);
    if (ring_.is_witness(id)) {
      if (!life.core().catalogue().entries().empty() || life.slots() != 0)
        checker_.violated(who + ", the witness, holds data");
      continue;
    }
    const NodeId before = ring::predecessor(ring_.core(id)->view(), ring_.self(id).node)->node;
    life.check_memory(true);
    std::size_t slots = 0;
    for (const auto& [key, entry] : life.core().catalogue().entries()) {
      if (entry.current && !has_home(key) && entry.reach() > entry.floor && life.holds(key, entry.reach()))
        checker_.violated(key.name + " has no home, and " + who + " has what is owed");
      for (const auto& [version, record] : entry.versions) {
        if (record.slot) ++slots;
        check_copy(id, key, record);
        if (!entry.home || !record.committed || record.level == wire::CommitLevel::kLocal) continue;
        const std::string what = "version " + std::to_string(version.value) + " of " + key.name;
        if (!record.here && !record.holders.empty()) checker_.violated(what + " was not fetched to its home, " + who);
        const KeepHost& second = *lives_.at(host_of(before));
        const keep::Entry* copy = second.core().catalogue().find(key);
        if (record.here && (copy == nullptr || !copy->versions.contains(version) || !copy->versions.at(version).here))
          checker_.violated(what + " of " + who + " has no second copy at its predecessor");
      }
    }
    if (slots != life.slots())
      checker_.violated(who + " has " + std::to_string(life.slots()) + " slots for " + std::to_string(slots) +
                        " copies; " + life.core().under_way());
  }
  clients_->check_end();
}

// What is damaged has no good copy anywhere, and nobody counts on it.
void Cluster::check_copy(sim::HostId id, const wire::KeepKey& key, const keep::VersionRecord& record) {
  const Version version = record.content.version;
  const keep::Member self = lives_.at(id)->self();
  for (const auto& life : lives_) {
    const keep::Entry* entry = life->core().catalogue().find(key);
    const auto other = entry != nullptr ? entry->versions.find(version) : decltype(entry->versions.end())();
    if (entry == nullptr || other == entry->versions.end()) continue;
    const std::string what = "version " + std::to_string(version.value) + " of " + key.name + " is damaged at server " +
                             std::to_string(id + 1) + " and ";
    if (record.damaged && other->second.here)
      checker_.violated(what + "not repaired, server " + std::to_string(life->self().node.value) + " has it");
    if (record.damaged && entry->home && other->second.holders.contains(self))
      checker_.violated(what + "counted as a copy by server " + std::to_string(life->self().node.value));
  }
}

void Cluster::add_to(ClusterCounts& counts) const {
  const sim::ChaosCounts& chaos = chaos_.counts();
  const std::uint64_t faults = chaos.crashes + chaos.pauses + chaos.cuts + chaos.partitions + chaos.weather +
                               ring_.counts().jumps + ring_.counts().leaves;
  ++counts.seeds;
  counts.faults += faults;
  counts.least_faults = std::min(counts.least_faults, faults);
  counts.requests += clients_->requests();
  counts.least_writes = std::min(counts.least_writes, clients_->writes());
  counts.beyond_recovery += beyond_recovery_ ? 1U : 0U;
  counts.spoilt += spoils_;
  const auto news = [this](keep::CopyNews::Kind kind) {
    const auto at = news_.find(kind);
    return at == news_.end() ? 0 : at->second;
  };
  counts.damaged += news(keep::CopyNews::Kind::kDamaged);
  counts.repaired += news(keep::CopyNews::Kind::kRepaired);
  counts.unrepairable += news(keep::CopyNews::Kind::kUnrepairable);
  counts.dead_in_sync += dead_in_sync_;
  counts.orphans += orphans_;
  counts.half_written += half_written_;
  counts.flipped += network_.counts().flipped;
  counts.full += full_;
  counts.jumps += ring_.counts().jumps;
  counts.waits += ring_.counts().waits;
  counts.takeovers += ring_.checker().counts().takeovers;
  counts.evictions += ring_.counts().evictions;
  std::vector<keep::DeltaCounts> all = deltas_;
  for (const auto& life : lives_)
    if (life) all.push_back(life->core().deltas());
  for (const keep::DeltaCounts& deltas : all) {
    counts.deltas += deltas.offered;
    counts.deltas_refused += deltas.refused;
    counts.delta_bytes_saved += deltas.saved_bytes;
    counts.deltas_baseless += deltas.baseless;
    counts.deltas_spoilt += deltas.spoilt;
    counts.bases_outlived += deltas.outlived;
  }
  counts.returned += returned_;
  counts.returned_copies += returned_copies_;
  counts.witness_votes += ring_.checker().counts().witness_votes;
}

}  // namespace rk::keep_sim

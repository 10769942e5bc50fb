// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/keep/keep_cluster.h"

#include <algorithm>

#include "tests/sim/keep/keep_clients.h"

namespace rk::keep_sim {
namespace {

constexpr std::uint64_t kTickUs = 20'000;
constexpr std::uint64_t kWatchUs = 50'000;
constexpr std::uint64_t kSuspicionUs = 400'000;

sim::ChaosLimits chaos_limits() {
  sim::ChaosLimits limits;
  limits.mean_gap_us = 500'000;
  limits.max_down_us = 2'500'000;
  limits.max_pause_us = 2'000'000;
  limits.max_cut_us = 1'500'000;
  limits.max_loss_permille = 80;
  limits.max_slow_delay_us = 800'000;
  return limits;
}

}  // namespace

Cluster::Cluster(std::uint64_t seed, const Options& options, sim::Trace& trace)
    : options_(options),
      trace_(trace),
      prng_(seed),
      hosts_(clock_, trace, options.servers),
      network_(clock_, hosts_, trace, prng_.fork()),
      view_prng_(prng_.fork()),
      memory_prng_(prng_.fork()),
      chaos_(
          clock_, hosts_, network_, prng_.fork(), chaos_limits(), [this](sim::HostId id) { start(id); },
          [this](sim::HostId id) { crash(id); }),
      lives_(options.servers),
      clients_(std::make_unique<Clients>(*this, prng_.fork())),
      trouble_since_us_(options.servers, 0) {}

Cluster::~Cluster() = default;

keep::Member Cluster::member(sim::HostId id) const { return {NodeId(id + 1), Incarnation(hosts_.life(id))}; }

void Cluster::start(sim::HostId id) {
  hosts_.start(id);
  keep::Config config;
  config.self = member(id);
  config.answer_timeout_ms = 2000;
  config.retry_ms = 100;
  config.planted_bug = options_.planted_bug;
  KeepHost::Ports ports;
  ports.send = [this, id](NodeId to, Bytes frame) { network_.send(id, host_of(to), std::move(frame)); };
  ports.answer = [this, id](const keep::Answer& answer) { clients_->answered(id, answer); };
  ports.now_ms = [this] { return clock_.now_ms(); };
  ports.refuse_memory = [this] { return !quiet_ && memory_prng_.chance(1, 20); };
  lives_.at(id) = std::make_unique<KeepHost>(config, std::move(ports), checker_);
  tick(id);
}

void Cluster::crash(sim::HostId id) {
  hosts_.crash(id);
  lives_.at(id).reset();
}

void Cluster::tick(sim::HostId id) {
  hosts_.after(id, kTickUs, [this, id] {
    lives_.at(id)->feed(keep::Tick{});
    tick(id);
  });
}

bool Cluster::current(sim::HostId id) const {
  const KeepHost* life = lives_.at(id).get();
  return life != nullptr && life->view().number.value == view_ &&
         std::find(members_.begin(), members_.end(), life->self()) != members_.end();
}

std::vector<keep::Member> Cluster::holders(sim::HostId asked, const wire::KeepKey& key, Version least) const {
  std::vector<keep::Member> out;
  for (const keep::Member& each : lives_.at(asked)->view().members) {
    const KeepHost* life = lives_.at(host_of(each.node)).get();
    if (life != nullptr && life->self() == each && life->holds(key, least)) out.push_back(each);
  }
  return out;
}

void Cluster::watch() {
  for (sim::HostId id = 0; id < options_.servers; ++id) {
    const bool well = hosts_.up(id) && !hosts_.paused(id);
    if (well) {
      trouble_since_us_[id] = 0;
    } else if (trouble_since_us_[id] == 0) {
      trouble_since_us_[id] = clock_.now_us();
    }
    if (KeepHost* life = lives_[id].get()) life->check_memory();
  }
  if (shut_out_) {
    const KeepHost* life = lives_.at(host_of(shut_out_->node)).get();
    if (life == nullptr || life->self() != *shut_out_ || life->view().number.value == view_) shut_out_.reset();
  }
  if (change_view()) publish();
  clock_.after(kWatchUs, [this] { watch(); });
}

// One change, the most urgent one. Only when all living members have the view before: the ring asks them.
bool Cluster::change_view() {
  for (const keep::Member& each : members_) {
    const sim::HostId id = host_of(each.node);
    if (hosts_.up(id) && !hosts_.paused(id) && member(id) == each && !current(id)) return false;
  }
  for (auto at = members_.begin(); at != members_.end(); ++at) {
    const sim::HostId id = host_of(at->node);
    if (hosts_.up(id) && member(id) == *at) continue;
    if (members_.size() == 1 && !hosts_.up(id)) break;
    if (hosts_.up(id) || clock_.now_us() - trouble_since_us_[id] > kSuspicionUs) {
      members_.erase(at);
      return true;
    }
  }
  for (auto at = members_.begin(); at != members_.end() && !shut_out_ && members_.size() > 2; ++at) {
    const sim::HostId id = host_of(at->node);
    if (!hosts_.paused(id) || clock_.now_us() - trouble_since_us_[id] < 2 * kSuspicionUs) continue;
    shut_out_ = *at;
    members_.erase(at);
    return true;
  }
  for (sim::HostId id = 0; id < options_.servers; ++id) {
    const bool in = std::find(members_.begin(), members_.end(), member(id)) != members_.end();
    if (in || !hosts_.up(id) || hosts_.paused(id) || shut_out_ == member(id)) continue;
    const auto place = view_prng_.below(members_.size() + 1);
    members_.insert(members_.begin() + static_cast<std::ptrdiff_t>(place), member(id));
    return true;
  }
  return false;
}

void Cluster::publish() {
  ++view_;
  std::string text = "view " + std::to_string(view_) + ":";
  for (const keep::Member& each : members_)
    text += " " + std::to_string(each.node.value) + "/" + std::to_string(each.incarnation.value);
  note({view_, members_.size()}, text);
  for (sim::HostId id = 0; id < options_.servers; ++id) install(id, view_prng_.between(1, 80'000));
}

void Cluster::install(sim::HostId id, std::uint64_t delay_us) {
  const keep::ViewInstalled view{ViewNumber(view_), members_, true, {}};
  hosts_.deliver(id, delay_us, [this, id, view] {
    if (KeepHost* life = lives_.at(id).get()) life->feed(view);
  });
}

std::string Cluster::run() {
  for (sim::HostId id = 0; id < options_.servers; ++id) {
    network_.attach(id, [this, id](sim::HostId from, const Bytes& message) {
      if (KeepHost* life = lives_.at(id).get()) life->frame(NodeId(from + 1), message);
    });
    start(id);
    members_.push_back(member(id));
  }
  publish();
  watch();
  clients_->begin();
  chaos_.begin();
  for (std::uint64_t at = 0; at < options_.busy_us && checker_.violation().empty(); at += 1'000'000)
    clock_.run_until(at + 1'000'000);
  chaos_.quiet();
  quiet_ = true;
  const std::uint64_t rest = options_.busy_us + options_.quiet_us;
  for (std::uint64_t at = options_.busy_us; at < rest && checker_.violation().empty(); at += 1'000'000) {
    if (at + 10'000'000 >= rest) clients_->stop();
    clock_.run_until(at + 1'000'000);
  }
  if (checker_.violation().empty()) check_end();
  return checker_.violation();
}

// When the faults are over: every server is in the view, what is kept is kept twice, and no memory is left over.
void Cluster::check_end() {
  for (sim::HostId id = 0; id < options_.servers; ++id) {
    const KeepHost& life = *lives_.at(id);
    const std::string who = "server " + std::to_string(id + 1);
    if (!current(id)) checker_.violated(who + " is not in the last view");
    const auto self = std::find(members_.begin(), members_.end(), life.self());
    const keep::Member before = self == members_.begin() ? members_.back() : *(self - 1);
    std::size_t slots = 0;
    for (const auto& [key, entry] : life.core().catalogue().entries()) {
      for (const auto& [version, record] : entry.versions) {
        if (record.slot) ++slots;
        if (!entry.home || !record.committed || record.level == wire::CommitLevel::kLocal) continue;
        const std::string what = "version " + std::to_string(version.value) + " of " + key.name;
        if (!record.here && !record.holders.empty()) checker_.violated(what + " was not fetched to its home, " + who);
        const KeepHost& second = *lives_.at(host_of(before.node));
        const keep::Entry* copy = second.core().catalogue().find(key);
        if (record.here && (copy == nullptr || !copy->versions.contains(version)))
          checker_.violated(what + " of " + who + " has no second copy at its predecessor");
      }
    }
    if (slots != life.slots())
      checker_.violated(who + " has " + std::to_string(life.slots()) + " slots for " + std::to_string(slots) +
                        " copies; " + life.core().under_way());
  }
  clients_->check_end();
}

}  // namespace rk::keep_sim

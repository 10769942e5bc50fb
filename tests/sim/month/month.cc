// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/month/month.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace rk::month {
namespace {

constexpr std::uint64_t kTickUs = ring::Timings{}.tick_ms * 1000;
constexpr std::uint64_t kWatchUs = 100'000;
constexpr std::uint64_t kInFlightUs = 2000;
constexpr std::uint64_t kStepUs = 250'000;
constexpr double kFormS = 10;
constexpr double kPatienceS = 300;  // for everything to be whole again after an event
constexpr double kLeadInS = 2;      // run before an event, after a jump
constexpr double kBackS = 60;       // a server that has left comes back
constexpr double kDrainedS = 30;    // its services move before it leaves
constexpr double kQuickS = 1;       // a restart without leaving

keep::Member to_keep(const ring::Member& member) { return {member.node, member.incarnation}; }
sim::HostId host_of(NodeId node) { return node.value - 1; }

}  // namespace

Month::Month(const Options& options, std::uint64_t seed)
    : options_(options),
      prng_(seed),
      hosts_(clock_, trace_, options.servers),
      network_(clock_, hosts_, trace_, prng_.fork()),
      clocks_(clock_, options.servers, prng_.fork()),
      ring_({clock_, hosts_, network_, clocks_, trace_}, ring::plain_roster(options.servers), prng_.fork(),
            ring::PlantedBug::kNone,
            {[this](sim::HostId id) { tell_ring_state(id); }, [this](sim::HostId id) { over(id); }}),
      lives_(options.servers),
      links_(options.servers),
      draining_(options.servers, false) {
  for (sim::HostId id = 0; id < options.servers; ++id)
    network_.attach(id, [this, id](sim::HostId from, const Bytes& bytes) { receive(from, id, bytes); });
  for (std::uint64_t i = 0; i < options.services; ++i)
    services_.push_back(
        std::make_unique<Service>(*this, i, static_cast<sim::HostId>(i % options.servers), prng_.fork()));
}

Month::~Month() = default;

// --- lives ----------------------------------------------------------------------------------------------------------

void Month::start(sim::HostId id) {
  if (hosts_.up(id)) return;
  draining_[id] = false;
  ring_.start(id, false, false);
  keep::Config config;
  config.self = to_keep(ring_.self(id));
  config.planted_bug = options_.planted_bug;
  config.copy_bytes_per_ms = 1;  // a link that several copies share is slower than the link
  keep_sim::KeepHost::Ports ports;
  ports.send = [this, id](NodeId to, Bytes frame) { send(id, to, std::move(frame)); };
  ports.answer = [this](const keep::Answer& answer) { services_[answer.session.value - 1]->answered(answer); };
  ports.now_ms = [this, id] { return clocks_.now_ms(id); };
  ports.lease_until_ms = [this, id] { return ring_.core(id)->lease_until_ms(); };
  ports.fence_left_ms = [this, id] { return ring_.core(id)->fence_left_ms(); };
  ports.refuse_memory = [] { return false; };
  ports.when_sent = [this, id](std::function<void()> action) {
    links_[id].queue.push_back({{}, 0, {}, std::move(action)});
    if (!links_[id].busy) pump(id);
  };
  ports.stop_sending = [this, id](NodeId to, std::uint64_t copy) {
    std::erase_if(links_[id].queue, [&](const Piece& piece) { return piece.to == to && piece.copy == copy; });
  };
  lives_.at(id) = std::make_unique<keep_sim::KeepHost>(config, std::move(ports), checker_);
  tell_ring_state(id);
  tick(id);
}

void Month::crash(sim::HostId id) {
  ring_.crash(id);
  lives_.at(id).reset();
  for (sim::HostId other = 0; other < hosts_.count(); ++other)
    if (hosts_.up(other))
      hosts_.after(other, prng_.between(50, 5'000),
                   [this, other, id] { lives_.at(other)->feed(keep::PeerDown{ring::RingServers::node_of(id)}); });
  links_[id] = {};
  for (const auto& service : services_)
    if (service->host() == id) service->move(static_cast<std::uint64_t>(options_.restart_s * 1e6));
  // What is on the network still arrives; nobody acts in a view without the server before that.
  clock_.after(kInFlightUs, [this] {
    for (const auto& service : services_) service->look();
  });
}

// The server has left, or was evicted although it lives.
void Month::over(sim::HostId id) {
  const bool left = ring_.core(id)->state() == ring::State::kLeft;
  hosts_.after(id, 1, [this, id] { crash(id); });  // not inside the core's own step
  plan(now_s() + (left ? kBackS : kQuickS), Kind::kRepair, id);
}

void Month::tick(sim::HostId id) {
  hosts_.after(id, kTickUs, [this, id] {
    lives_.at(id)->feed(keep::Tick{});
    tick(id);
  });
}

// Bytes of copies wait for the sender's link; everything else is small, and has a lane of its own.
void Month::send(sim::HostId from, NodeId to, Bytes bytes) {
  const auto header = wire::decode_header(bytes);
  RK_CHECK(header.has_value());
  if (header->type != wire::MessageType::kCopyChunk) return network_.send(from, host_of(to), bytes);
  wire::FrameCutter cutter;
  cutter.feed(bytes);
  const auto frame = cutter.next();
  RK_CHECK(frame && *frame);
  const auto chunk = wire::from_frame<wire::CopyChunk>(**frame);
  RK_CHECK(chunk.has_value());
  links_[from].queue.push_back({to, chunk->copy, std::move(bytes), {}});
  if (!links_[from].busy) pump(from);
}

void Month::pump(sim::HostId id) {
  Link& link = links_[id];
  link.busy = !link.queue.empty();
  if (!link.busy) return;
  const Piece piece = std::move(link.queue.front());
  link.queue.pop_front();
  const double took_us = static_cast<double>(piece.frame.size()) / options_.bytes_per_ms * 1000;
  hosts_.after(id, static_cast<std::uint64_t>(took_us) + 1, [this, id, piece] {
    if (piece.sent)
      piece.sent();
    else
      network_.send(id, host_of(piece.to), piece.frame);
    pump(id);
  });
}

void Month::receive(sim::HostId from, sim::HostId id, const Bytes& bytes) {
  wire::FrameCutter cutter;
  cutter.feed(bytes);
  const auto frame = cutter.next();
  RK_CHECK(frame && *frame);
  if (wire::is_ring_message((*frame)->type)) return ring_.receive(from, id, **frame);
  if (keep_sim::KeepHost* life = lives_.at(id).get()) life->frame(NodeId(from + 1), **frame);
}

// As the daemon does: the keep hears of every change of view and of whether the ring serves.
void Month::tell_ring_state(sim::HostId id) {
  keep_sim::KeepHost* life = lives_.at(id).get();
  const ring::Core* core = ring_.core(id);
  if (life == nullptr || core == nullptr || life->self() != to_keep(ring_.self(id))) return;
  const bool serving = core->state() == ring::State::kServing;
  const keep::ViewInstalled& before = life->view();
  if (core->view().number == before.number && serving == before.serving && core->reason() == before.reason) return;
  keep::ViewInstalled view{core->view().number, {}, serving, core->reason()};
  for (const ring::Member& member : core->view().members) view.members.push_back(to_keep(member));
  life->feed(std::move(view));
}

// --- what happens ---------------------------------------------------------------------------------------------------

sim::HostId Month::any_host() {
  // The one with the fewest services.
  std::vector<std::size_t> load(hosts_.count(), 0);
  for (const auto& service : services_) ++load[service->host()];
  std::optional<sim::HostId> best;
  const auto first = static_cast<sim::HostId>(prng_.below(hosts_.count()));
  for (sim::HostId i = 0; i < hosts_.count(); ++i) {
    const auto id = static_cast<sim::HostId>((first + i) % hosts_.count());
    if (!hosts_.up(id) || draining_[id] || ring_.core(id)->state() != ring::State::kServing) continue;
    if (!best || load[id] < load[*best]) best = id;
  }
  return best.value_or(0);
}

std::size_t Month::holders(const wire::KeepKey& key, Version version) const {
  return static_cast<std::size_t>(
      std::count_if(lives_.begin(), lives_.end(), [&](const auto& life) { return life && life->holds(key, version); }));
}

void Month::plan_failure(sim::HostId host) {
  const double draw = (static_cast<double>(prng_.below(1U << 30U)) + 0.5) / (1U << 30U);
  plan(now_s() - std::log(draw) * options_.mtbf_s, Kind::kFail, host);
}

// One server after the other: leaves and comes back; half a turn later, a quick restart.
void Month::plan_maintenance() {
  const double slot_s = options_.duration_s / static_cast<double>(options_.servers);
  for (sim::HostId id = 0; id < options_.servers; ++id) {
    plan((id + 0.25) * slot_s, Kind::kDrain, id);
    plan((id + 0.25) * slot_s + kDrainedS, Kind::kLeave, id);
    const auto other = static_cast<sim::HostId>((id + options_.servers / 2) % options_.servers);
    plan((id + 0.75) * slot_s, Kind::kDrain, other);
    plan((id + 0.75) * slot_s + kDrainedS, Kind::kRestart, other);
  }
}

void Month::apply(const Planned& event) {
  const sim::HostId id = event.host;
  switch (event.kind) {
    case Kind::kFail:
      if (hosts_.up(id)) {
        ++result_.failures;
        crash(id);
        plan(now_s() + options_.repair_s, Kind::kRepair, id);
      }
      return plan_failure(id);
    case Kind::kRepair:
      return start(id);
    case Kind::kDrain:
      if (!hosts_.up(id)) return;
      draining_[id] = true;
      for (const auto& service : services_)
        if (service->host() == id) service->move(0);
      return;
    case Kind::kLeave:
      if (!hosts_.up(id) || !draining_[id]) return;
      ++result_.leaves;
      return ring_.step(id, ring::LeaveRequest{});
    case Kind::kRestart:
      if (!hosts_.up(id) || !draining_[id]) return;
      ++result_.restarts;
      crash(id);
      return plan(now_s() + kQuickS, Kind::kRepair, id);
  }
}

// --- time -----------------------------------------------------------------------------------------------------------

void Month::watch() {
  for (const auto& service : services_)
    if (service->newest() && !service->lost() && holders(service->key(), service->newest()) == 1)
      result_.single_s += static_cast<double>(kWatchUs) / 1e6;
  if (!ring_.checker().violation().empty()) checker_.violated(ring_.checker().violation());
  clock_.after(kWatchUs, [this] { watch(); });
}

bool Month::whole() const {
  const ring::Core* any = nullptr;
  std::size_t up = 0;
  for (sim::HostId id = 0; id < hosts_.count(); ++id) {
    if (!hosts_.up(id)) continue;
    ++up;
    const ring::Core* core = ring_.core(id);
    if (core->state() != ring::State::kServing || (any != nullptr && core->view().number != any->view().number))
      return false;
    any = core;
  }
  return any != nullptr && any->view().members.size() == up;
}

bool Month::settled() const {
  return whole() && std::all_of(services_.begin(), services_.end(), [&](const auto& service) {
           return service->idle() && (!service->newest() || holders(service->key(), service->newest()) > 1);
         });
}

void Month::run_until_s(double time_s) {
  const auto end_us = static_cast<std::uint64_t>(std::max(0.0, std::ceil((time_s - result_.skipped_s) * 1e6))) + 1;
  while (clock_.now_us() < end_us && checker_.violation().empty())
    clock_.run_until(std::min(end_us, clock_.now_us() + kStepUs));
}

// Until all is whole and twice there. What is planned for meanwhile waits for its turn in run().
void Month::settle() {
  const double until_s = now_s() + kPatienceS;
  resting_ = true;
  while (!settled() && now_s() < until_s && checker_.violation().empty()) {
    if (!calendar_.empty() && calendar_.begin()->first <= now_s()) return;
    run_until_s(now_s() + static_cast<double>(kStepUs) / 1e6);
  }
  if (settled() || !checker_.violation().empty()) return;
  std::string why = whole() ? "" : " (the ring is not whole)";
  for (const auto& service : services_)
    if (!service->idle() || (service->newest() && holders(service->key(), service->newest()) < 2))
      why += " " + service->key().name + (service->idle() ? " has one copy" : " waits");
  checker_.violated("the cluster did not become whole again:" + why);
}

void Month::skip_to(double time_s) {
  const double by_s = std::floor(time_s - now_s());
  if (by_s < 1) return;
  for (sim::HostId id = 0; id < hosts_.count(); ++id) clocks_.jump(id, static_cast<std::uint64_t>(by_s) * 1000);
  result_.skipped_s += by_s;
}

Result Month::run() {
  for (sim::HostId id = 0; id < hosts_.count(); ++id) start(id);
  for (const auto& service : services_) service->begin();
  watch();
  run_until_s(kFormS + static_cast<double>(options_.active_us) / 1e6);
  for (sim::HostId id = 0; id < hosts_.count(); ++id) plan_failure(id);
  if (options_.planned) plan_maintenance();
  const double active_s = static_cast<double>(options_.active_us) / 1e6;
  double busy_until_s = now_s() + active_s;
  while (checker_.violation().empty() && now_s() < options_.duration_s) {
    const double next_s =
        std::min(calendar_.empty() ? options_.duration_s : calendar_.begin()->first, options_.duration_s);
    if (next_s > busy_until_s + kLeadInS) {
      run_until_s(busy_until_s);
      settle();
      if (!calendar_.empty() && calendar_.begin()->first < next_s) continue;  // planned meanwhile
      skip_to(next_s - kLeadInS);
    }
    resting_ = false;
    run_until_s(next_s);
    busy_until_s = next_s + active_s;
    while (!calendar_.empty() && calendar_.begin()->first <= now_s()) {
      const Planned event = calendar_.begin()->second;
      calendar_.erase(calendar_.begin());
      apply(event);
    }
  }
  // No more failures: what was confirmed must be readable, and is not if it is lost.
  calendar_.clear();
  for (sim::HostId id = 0; id < hosts_.count(); ++id) start(id);
  run_until_s(now_s() + options_.repair_s);
  for (const auto& service : services_) service->read_again();
  run_until_s(now_s() + 1);
  settle();
  for (const auto& life : lives_)
    if (life) life->check_memory(true);
  result_.run_s = static_cast<double>(clock_.now_us()) / 1e6;
  result_.views = ring_.checker().newest_committed().number.value;
  result_.takeovers = ring_.checker().counts().takeovers;
  if (checker_.violation().empty() && result_.told_lost != result_.lost)
    checker_.violated("of " + std::to_string(result_.lost) + " lost versions, " + std::to_string(result_.told_lost) +
                      " were answered for");
  result_.violation = checker_.violation();
  return result_;
}

}  // namespace rk::month

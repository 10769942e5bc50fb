// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/scale/scale_ring.h"

#include <time.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/check.h"
#include "base/checksum.h"

namespace rk::scale {
namespace {

constexpr std::uint64_t kTickUs = ring::Timings{}.tick_ms * 1000;
constexpr std::uint64_t kStartUs = 50'000;  // within which all processes of a first start begin
constexpr std::uint64_t kMinDelayUs = 50;   // of a message
constexpr std::uint64_t kMaxDelayUs = 500;
constexpr std::uint64_t kMinWriteUs = 100;  // of a durable write
constexpr std::uint64_t kMaxWriteUs = 2'000;
constexpr std::uint64_t kMaxNoticeUs = 5'000;  // until a killed server's connections are known to be refused
constexpr std::uint64_t kPatienceUs = 20'000'000;
constexpr std::uint64_t kAfterUs = 250'000;  // a repeated message would be seen within it
constexpr std::size_t kViewsKept = 8;

// Of this thread. What other processes do on the machine does not count.
std::uint64_t cpu_ns() {
  timespec time{};
  RK_CHECK(::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) == 0);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(time.tv_nsec);
}

class CpuCharge {
 public:
  explicit CpuCharge(std::uint64_t& to) : to_(to), since_ns_(cpu_ns()) {}
  ~CpuCharge() { to_ += cpu_ns() - since_ns_; }
  CpuCharge(const CpuCharge&) = delete;
  CpuCharge& operator=(const CpuCharge&) = delete;

 private:
  std::uint64_t& to_;
  std::uint64_t since_ns_;
};

}  // namespace

ScaleRing::ScaleRing(std::size_t servers, std::uint64_t seed) : prng_(seed), servers_(servers) {
  RK_CHECK(servers >= 2 && servers <= wire::kMaxServers);
  std::vector<ring::RosterEntry> roster;
  for (std::uint32_t node = 1; node <= servers; ++node) {
    roster.push_back({NodeId(node), "host" + std::to_string(node) + ":7000"});
    servers_[node - 1].self = {NodeId(node), Incarnation()};
  }
  roster_ = std::move(roster);
}

const ring::View& ScaleRing::view() const {
  static const ring::View none;
  return agreed_.empty() ? none : agreed_.rbegin()->second;
}

// --- lives ----------------------------------------------------------------------------------------------------------

void ScaleRing::start(NodeId node) {
  Server& server = at(node);
  RK_CHECK(!server.core);
  ring::Config config;
  config.self = node;
  config.incarnation = Incarnation(++server.self.incarnation.value);
  config.roster = roster_;
  if (server.durable) config.durable = *server.durable;
  auto core = ring::Core::create(std::move(config));
  RK_CHECK(core.has_value());
  server.core = std::make_unique<ring::Core>(*std::move(core));
  server.leaves = false;
  server.acts_in = {};
  step(node, ring::Start{});
  clock_.after(prng_.below(kTickUs), [this, node, life = server.self.incarnation.value] { tick(node, life); });
}

void ScaleRing::tick(NodeId node, std::uint64_t life) {
  const Server& server = at(node);
  if (!server.core || server.self.incarnation.value != life) return;
  step(node, ring::Tick{});
  clock_.after(kTickUs, [this, node, life] { tick(node, life); });
}

void ScaleRing::step(NodeId node, decltype(ring::Event::what) what) {
  Server& server = at(node);
  if (!server.core) return;
  ring::Effects effects;
  {
    const CpuCharge charge(server.cpu_ns);
    server.core->step(ring::Event{clock_.now_ms() + 1, std::move(what)}, effects);
  }
  for (ring::Effect& effect : effects) carry(node, effect);
}

void ScaleRing::carry(NodeId node, ring::Effect& effect) {
  if (const auto* send = std::get_if<ring::Send>(&effect)) return post(node, send->to, send->message);
  if (auto* write = std::get_if<ring::Persist>(&effect)) return persist(node, *write);
  if (const auto* view = std::get_if<ring::ViewInstalled>(&effect)) return installed(node, view->view);
  if (std::holds_alternative<ring::Evicted>(effect) && violation_.empty())
    violation_ = "server " + std::to_string(node.value) + ", which was healthy, is evicted";
  if (std::holds_alternative<ring::Left>(effect)) at(node).core.reset();
}

void ScaleRing::persist(NodeId node, ring::Persist& persist) {
  std::weak_ptr<const Bytes>& known = durable_[checksum(persist.bytes)];
  std::shared_ptr<const Bytes> bytes = known.lock();
  if (!bytes) known = bytes = std::make_shared<const Bytes>(std::move(persist.bytes));
  clock_.after(prng_.between(kMinWriteUs, kMaxWriteUs),
               [this, node, token = persist.token, bytes = std::move(bytes), life = at(node).self.incarnation] {
                 Server& server = at(node);
                 if (!server.core || server.self.incarnation != life) return;
                 server.durable = bytes;
                 step(node, ring::Persisted{token});
               });
}

// --- messages -------------------------------------------------------------------------------------------------------

void ScaleRing::post(NodeId from, NodeId to, const wire::RingMessage& message) {
  if (!at(to).core) return;  // no link
  Server& sender = at(from);
  Bytes bytes;
  {
    const CpuCharge charge(sender.cpu_ns);
    bytes = wire::encode_frame(wire::ring_message_to_frame(message, sender.self.incarnation));
  }
  count(from, to, message, bytes.size());
  // Read at once, so that what is on its way is kept as a message whose views are shared, and not as bytes.
  wire::FrameCutter cutter;
  std::optional<wire::RingMessage> read;
  {
    const CpuCharge charge(at(to).cpu_ns);
    cutter.feed(bytes);
    const auto frame = cutter.next();
    RK_CHECK(frame && *frame);
    auto decoded = wire::ring_message_from_frame(**frame);
    RK_CHECK(decoded && *decoded == message);
    read = *std::move(decoded);
  }
  if (auto* propose = std::get_if<wire::RingPropose>(&*read)) {
    share(propose->committed);
    share(propose->proposed);
  }
  if (auto* commit = std::get_if<wire::RingCommit>(&*read)) share(commit->view);
  if (auto* prepare = std::get_if<wire::RingPrepare>(&*read)) share(prepare->committed);
  if (auto* promise = std::get_if<wire::RingPromise>(&*read)) share(promise->accepted);
  // As on a connection, nothing overtakes.
  std::uint64_t& arrives_us = arrives_us_[std::uint64_t{from.value} << 32U | to.value];
  arrives_us = std::max(arrives_us, clock_.now_us() + prng_.between(kMinDelayUs, kMaxDelayUs));
  clock_.after(arrives_us - clock_.now_us(),
               [this, from, life = sender.self.incarnation, to, message = *std::move(read)]() mutable {
                 step(to, ring::Received{{from, life}, std::move(message)});
               });
}

// Replaces the view by an equal one that others have.
void ScaleRing::share(ring::View& view) {
  const auto same = std::find(views_.rbegin(), views_.rend(), view);
  if (same != views_.rend()) {
    view = *same;
    return;
  }
  views_.push_back(view);
  if (views_.size() > kViewsKept) views_.erase(views_.begin());
}

void ScaleRing::count(NodeId from, NodeId to, const wire::RingMessage& message, std::uint64_t bytes) {
  traffic_.bytes += bytes;
  const auto in_round = [&](std::uint64_t& counter) {
    ++counter;
    traffic_.round_bytes += bytes;
  };
  if (const auto* propose = std::get_if<wire::RingPropose>(&message)) {
    proposals_.insert({propose->proposed.number, propose->ballot});
    asked_.insert({propose->proposed.number, from, to});
    return in_round(traffic_.propose);
  }
  if (const auto* commit = std::get_if<wire::RingCommit>(&message)) {
    // The round's own is the first one from the proposer to a server that it proposed to; others answer one that is
    // behind.
    const bool own = asked_.erase({commit->view.number, from, to}) != 0;
    return own ? in_round(traffic_.commit) : void(++traffic_.healing);
  }
  if (std::holds_alternative<wire::RingAck>(message)) return in_round(traffic_.ack);
  if (std::holds_alternative<wire::RingPrepare>(message)) return in_round(traffic_.prepare);
  if (std::holds_alternative<wire::RingPromise>(message)) return in_round(traffic_.promise);
  if (std::holds_alternative<wire::RingHeartbeat>(message)) {
    ++traffic_.heartbeats;
    return;
  }
  const bool asks = std::holds_alternative<wire::RingJoin>(message) || std::holds_alternative<wire::RingLeave>(message);
  ++(asks ? traffic_.asking : traffic_.detection);
}

// --- what came of it ------------------------------------------------------------------------------------------------

void ScaleRing::installed(NodeId node, const ring::View& view) {
  const auto [agreed, first] = agreed_.try_emplace(view.number, view);
  if (!first && agreed->second != view && violation_.empty())
    violation_ = "server " + std::to_string(node.value) + " acts in another " + ring::to_text(view);
  Server& server = at(node);
  server.acts_in = view.number;
  server.acts_since_us = clock_.now_us();
}

// Do all that are to act do so in one view, which consists of them?
bool ScaleRing::settled() {
  const ring::View& newest = view();
  if (newest.number <= before_) return false;
  std::size_t staying = 0;
  for (const Server& server : servers_) {
    if (!server.core || server.leaves) continue;
    ++staying;
    if (server.acts_in != newest.number) return false;
  }
  return staying == newest.members.size();
}

// Each server that a round reaches gets PROPOSE and COMMIT and sends ACK; before them PREPARE and PROMISE if the leader
// is gone. A round reaches the living servers of its view and of the one before, but for the server that decides.
std::uint64_t ScaleRing::expected_messages(const std::set<NodeId>& living) const {
  std::uint64_t messages = 0;
  for (const auto& [number, view] : agreed_) {
    if (number <= before_) continue;
    std::set<NodeId> reached;
    const auto add = [&](const ring::View& of) {
      for (const ring::Member& member : of.members)
        if (living.contains(member.node)) reached.insert(member.node);
    };
    add(view);
    const auto before = agreed_.find(ViewNumber(number.value - 1));
    if (before != agreed_.end()) add(before->second);
    const bool taken = before != agreed_.end() && !living.contains(before->second.members.front().node);
    messages += (taken ? 5U : 3U) * (reached.size() - 1);
  }
  return messages;
}

Change ScaleRing::measure(const std::string& name, const std::function<void()>& cause) {
  Change change;
  change.name = name;
  before_ = view().number;
  traffic_ = {};
  proposals_.clear();
  asked_.clear();
  for (Server& server : servers_) server.cpu_ns = 0;
  const std::uint64_t start_us = clock_.now_us();
  cause();
  std::set<NodeId> living;
  for (const Server& server : servers_)
    if (server.core) living.insert(server.self.node);
  for (std::uint64_t time_us = start_us; !settled() && time_us < start_us + kPatienceUs; time_us += 1'000)
    clock_.run_until(time_us);
  change.complete = settled();
  for (const Server& server : servers_)
    if (server.core) change.simulated_us = std::max(change.simulated_us, server.acts_since_us - start_us);
  const std::uint64_t heartbeats = traffic_.heartbeats;
  std::uint64_t all_ns = 0;
  std::uint64_t most_ns = 0;
  for (const Server& server : servers_) {
    all_ns += server.cpu_ns;
    most_ns = std::max(most_ns, server.cpu_ns);
  }
  clock_.run_until(clock_.now_us() + kAfterUs);
  if (!settled()) change.complete = false;
  change.servers = view().members.size();
  change.views = view().number.value - before_.value;
  change.expected = expected_messages(living);
  change.proposals = proposals_.size();
  change.traffic = traffic_;
  change.traffic.heartbeats = heartbeats;
  change.decider_cpu_ms = static_cast<double>(most_ns) / 1e6;
  change.member_cpu_ms = static_cast<double>(all_ns - most_ns) / 1e6 / static_cast<double>(living.size() - 1);
  return change;
}

Change ScaleRing::form() {
  return measure("form", [this] {
    for (const Server& server : servers_)
      clock_.after(prng_.below(kStartUs), [this, node = server.self.node] { start(node); });
    clock_.run_until(clock_.now_us() + kStartUs);
  });
}

Change ScaleRing::join(const std::string& name, const Nodes& nodes) {
  return measure(name, [this, &nodes] {
    for (const NodeId node : nodes) {
      start(node);
      for (const Server& other : servers_) {
        if (!other.core || other.self.node == node) continue;
        clock_.after(prng_.between(kMinDelayUs, kMaxDelayUs), [this, node, other = other.self.node] {
          step(other, ring::LinkUp{at(node).self});
          step(node, ring::LinkUp{at(other).self});
        });
      }
    }
  });
}

Change ScaleRing::leave(const std::string& name, const Nodes& nodes) {
  return measure(name, [this, &nodes] {
    for (const NodeId node : nodes) {
      at(node).leaves = true;
      step(node, ring::LeaveRequest{});
    }
  });
}

Change ScaleRing::crash(const std::string& name, const Nodes& nodes, bool silent) {
  return measure(name, [&] {
    for (const NodeId node : nodes) at(node).core.reset();
    if (silent) return;
    for (const NodeId node : nodes)
      for (const Server& other : servers_)
        if (other.core)
          clock_.after(prng_.between(kMinDelayUs, kMaxNoticeUs),
                       [this, node, other = other.self.node] { step(other, ring::Refused{node}); });
  });
}

Traffic ScaleRing::idle(std::uint64_t duration_us) {
  traffic_ = {};
  clock_.run_until(clock_.now_us() + duration_us);
  return traffic_;
}

}  // namespace rk::scale

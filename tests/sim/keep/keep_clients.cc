// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/keep/keep_clients.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <utility>

#include "base/checksum.h"
#include "tests/sim/keep/keep_cluster.h"
#include "wire/version_sum.h"

namespace rk::keep_sim {
namespace {

constexpr keep::SessionId kSession{7};
constexpr sim::HostId kGroupHost = 0;
const char* const kGroup = "group";

wire::KeepKey group_key() { return {kOwner, wire::KeepKind::kGroup, kGroup}; }

}  // namespace

Outcomes& Clients::totals() {
  static Outcomes totals;
  return totals;
}

void Clients::next() {
  if (stopped_) return;
  cluster_.clock().after(prng_.between(1000, 40'000), [this] { next(); });
  note_obliged();
  const auto servers = static_cast<std::uint32_t>(cluster_.servers());
  // The daemon of a witness turns its clients away.
  const auto holder = [&](sim::HostId host) { return cluster_.is_witness(host) ? 0 : host; };
  const sim::HostId number = holder(static_cast<sim::HostId>(prng_.below(servers)));
  const bool at_home = prng_.chance(9, 10);
  const sim::HostId other = holder(static_cast<sim::HostId>(prng_.below(servers)));
  const std::uint64_t kind = prng_.below(100);
  if (prng_.chance(1, 25)) race();
  if (prng_.chance(1, 25)) burst(number, "name" + std::to_string(number));
  if (kind < 40) return write(at_home ? number : other, "name" + std::to_string(number));
  if (kind < 45) return inspect(other, "name" + std::to_string(number));
  if (kind < 46) return list(other);
  if (kind < 47) return verify(other, "name" + std::to_string(number));
  if (kind < 65) return read(prng_.chance(1, 2) ? number : other, "name" + std::to_string(number));
  if (kind < 80) return write(kGroupHost, std::string(kGroup) + "/r" + std::to_string(prng_.below(2)));
  if (kind < 88) return group(kGroupHost);
  if (kind < 91) return remove(1);
  if (kind < 96) return write(1, "passing");
  read(1, "passing");
}

void Clients::race() {
  static constexpr std::uint64_t kWithinUs = 40'000;
  const std::string name = "race" + std::to_string(++last_race_);
  const auto servers = static_cast<std::uint32_t>(cluster_.servers());
  const auto one = static_cast<sim::HostId>(prng_.below(servers));
  const auto other = static_cast<sim::HostId>((one + prng_.between(1, servers - 1)) % servers);
  const auto later = [this](std::function<void()> what) {
    cluster_.clock().after(prng_.below(kWithinUs), [this, what = std::move(what)] {
      if (!stopped_) what();
    });
  };
  later([this, one, name] { write(one, name); });
  later([this, other, name] { write(other, name); });
  for (int i = 0; i < 3; ++i) {
    const auto reader = static_cast<sim::HostId>(prng_.below(servers));
    later([this, reader, name] { read(reader, name); });
  }
}

void Clients::ask(Operation operation) {
  KeepHost* life = cluster_.host(operation.host);
  if (life == nullptr || cluster_.hosts().paused(operation.host)) return;
  const bool puts = std::holds_alternative<keep::Put>(operation.request);
  const bool writes = puts || std::holds_alternative<wire::CheckpointBegin>(operation.request) ||
                      std::holds_alternative<wire::GroupCommit>(operation.request);
  writes_ += writes ? 1U : 0U;
  operation.life = cluster_.hosts().life(operation.host);
  if (writes || std::holds_alternative<wire::CheckpointDelete>(operation.request))
    claimants_[operation.key].insert(life->self());
  const bool asks = std::holds_alternative<wire::CheckpointOpen>(operation.request) ||
                    std::holds_alternative<wire::CheckpointInspect>(operation.request) ||
                    std::holds_alternative<wire::CheckpointList>(operation.request) ||
                    std::holds_alternative<wire::CheckpointDamaged>(operation.request) ||
                    std::holds_alternative<wire::CheckpointVerify>(operation.request);
  if (!asks) note_asked(*life, operation.key);
  operation.least = cluster_.checker().newest_ok(operation.key);
  if (operation.least) operation.holders = cluster_.holders(operation.host, operation.key, operation.least);
  operation.least_request = ok_request_[operation.key];
  operation.least_writer = ok_writer_[operation.key];
  operation.knew = knew_[operation.key];
  operation.removals = removals_[operation.key];
  operation.removed = removed_[operation.key];
  const std::uint64_t number = ++last_request_;
  if (std::holds_alternative<wire::GroupCommit>(operation.request) ||
      (puts && operation.level == wire::CommitLevel::kReplicated))
    undecided_[operation.key][number] = life->self();
  if (puts) life->stash(number, std::move(operation.bytes));
  const keep::ClientMessage request = operation.request;
  cluster_.note({1, number, operation.host}, "client " + std::to_string(operation.host + 1) + " request " +
                                                 std::to_string(number) + " kind " + std::to_string(request.index()) +
                                                 " " + operation.key.name);
  const Incarnation sender = operation.sender;
  open_[number] = std::move(operation);
  life->feed(keep::ClientRequest{kSession, kOwner, number, sender, request});
}

void Clients::read(sim::HostId host, const std::string& name) {
  Operation operation;
  operation.host = host;
  operation.key = key_of(name);
  operation.request = wire::CheckpointOpen{name, {}};
  ask(std::move(operation));
}

void Clients::inspect(sim::HostId host, const std::string& name) {
  Operation operation;
  operation.host = host;
  operation.key = key_of(name);
  operation.request = wire::CheckpointInspect{name};
  ask(std::move(operation));
}

void Clients::list(sim::HostId host) {
  Operation operation;
  operation.host = host;
  operation.key = key_of("");
  operation.request = wire::CheckpointList{"n", "name"};
  ask(std::move(operation));
}

void Clients::verify(sim::HostId host, const std::string& name) {
  Operation operation;
  operation.host = host;
  operation.key = key_of(name);
  operation.request = wire::CheckpointVerify{name, {}, static_cast<std::uint32_t>(prng_.between(300, 2000))};
  ask(std::move(operation));
}

// What was read does not have its checksums.
void Clients::report(const Operation& operation, Version version) {
  ++totals().found_damage;
  Operation told;
  told.host = operation.host;
  told.key = operation.key;
  told.request = wire::CheckpointDamaged{operation.key.name, version};
  ask(std::move(told));
}

void Clients::group(sim::HostId host) {
  const bool query = parts_.size() < 2 || group_life_ != cluster_.hosts().life(host) || prng_.chance(1, 4);
  Operation operation;
  operation.host = host;
  operation.key = group_key();
  if (query) {
    operation.request = wire::GroupQuery{kGroup};
  } else {
    wire::GroupCommit commit{kGroup, {}, static_cast<std::uint32_t>(prng_.between(300, 2000))};
    for (const auto& [name, part] : parts_) commit.parts.push_back(part);
    operation.request = std::move(commit);
  }
  operation.sender = Incarnation(1);
  ask(std::move(operation));
}

void Clients::remove(sim::HostId host) {
  Operation operation;
  operation.host = host;
  operation.key = key_of("passing");
  operation.request = wire::CheckpointDelete{"passing"};
  if (cluster_.host(host) == nullptr) return;
  const Version before = cluster_.checker().newest_ok(operation.key);
  cluster_.checker().removal(operation.key);
  ++removals_[operation.key];
  const wire::KeepKey key = operation.key;
  operation.sum = before.value;  // what the removal covers, if it is answered Done
  ask(std::move(operation));
}

void Clients::answered(sim::HostId host, const keep::Answer& answer) {
  const auto at = open_.find(answer.request);
  if (at == open_.end() || at->second.host != host || at->second.life != cluster_.hosts().life(host)) {
    cluster_.checker().violated("request " + std::to_string(answer.request) + " was answered twice or by another life");
    return;
  }
  const Operation operation = std::move(at->second);
  open_.erase(at);
  cluster_.note({2, answer.request, answer.message.index()}, "answer to request " + std::to_string(answer.request) +
                                                                 " kind " + std::to_string(answer.message.index()) +
                                                                 " " + operation.key.name);
  const auto* commit = std::get_if<wire::CommitAnswer>(&answer.message);
  if (commit == nullptr || commit->result != wire::CommitResult::kUnknown)
    undecided_[operation.key].erase(answer.request);
  std::visit([&](const auto& message) { judge(operation, answer, message); }, answer.message);
}

// Who becomes the home for a writer asks all members. Who is the home already, for the safety of what is there, may
// have confirmed something before a member that came since hears of it.
void Clients::note_asked(const KeepHost& life, const wire::KeepKey& key) {
  const keep::Entry* entry = life.core().catalogue().find(key);
  std::vector<keep::Member> heard = life.view().members;
  if (entry != nullptr && entry->home)
    std::erase_if(heard, [&](const keep::Member& each) { return each != life.self() && !entry->told.contains(each); });
  asked_[key].try_emplace(life.self(), std::move(heard));
}

void Clients::judge(const Operation& operation, const keep::Answer& answer, const wire::CheckpointSlot& message) {
  Operation commit = operation;
  std::vector<wire::SectionPlace> table = message.sections;
  if (answer.slot) {
    Bytes& bytes = cluster_.host(operation.host)->slot(answer.slot);
    write_slot(operation.host, operation.key, table, bytes);
    for (wire::SectionPlace& section : table)
      section.sum = checksum(ByteView(bytes).subspan(section.offset, section.size));
    commit.sum = wire::version_sum(table);
  }
  const auto timeout_ms = static_cast<std::uint32_t>(prng_.between(300, 2000));
  commit.request = wire::CheckpointCommit{message.slot, operation.level, timeout_ms};
  cluster_.hosts().after(operation.host, prng_.between(1, 30'000), [this, commit] {
    KeepHost* life = cluster_.host(commit.host);
    const std::uint64_t number = ++last_request_;
    open_[number] = commit;
    if (commit.level == wire::CommitLevel::kReplicated) undecided_[commit.key][number] = life->self();
    cluster_.note({3, number}, "commit request " + std::to_string(number) + " " + commit.key.name);
    life->feed(keep::ClientRequest{kSession, kOwner, number, commit.sender, commit.request});
  });
}

// At most one server says OK for a name at any time: after another one has, only for newer versions.
void Clients::check_only_home(const Operation& operation, Version version) {
  auto& [newest, who] = newest_ok_[operation.key];
  const keep::Member self = cluster_.host(operation.host)->self();
  if (version <= newest && self != who)
    cluster_.checker().violated("version " + std::to_string(version.value) + " of " + operation.key.name +
                                " is OK at server " + std::to_string(self.node.value) + " after version " +
                                std::to_string(newest.value) + " at server " + std::to_string(who.node.value));
  if (version > newest) {
    newest = version;
    who = self;
  }
}

// Commits that one client asks one server for, one after the other, get rising numbers.
void Clients::check_order(const Operation& operation, std::uint64_t request, Version version) {
  auto& all = numbered_[{operation.key, cluster_.host(operation.host)->self()}];
  const auto at = all.emplace(request, version).first;
  const bool after = at == all.begin() || std::prev(at)->second < version;
  const bool before = std::next(at) == all.end() || version < std::next(at)->second;
  if (after && before) return;
  cluster_.checker().violated("version " + std::to_string(version.value) + " of " + operation.key.name +
                              " is not in the order of the requests");
}

// What a newer life of its community has committed is not overwritten, as long as a server has it.
void Clients::check_fence(const Operation& operation) const {
  if (operation.sender && operation.sender < operation.least_writer && still_held(operation))
    cluster_.checker().violated("a writer of life " + std::to_string(operation.sender.value) + " of " +
                                operation.key.name + " got OK after one of life " +
                                std::to_string(operation.least_writer.value) + " had");
}

// OK at level replicated: two servers have it now.
void Clients::check_copies(const Operation& operation, Version version) {
  const KeepHost& home = *cluster_.host(operation.host);
  const auto before = home.predecessor();
  if (!before) return cluster_.checker().violated("OK at level replicated from a server that is alone");
  const KeepHost* second = cluster_.host(before->node.value - 1);
  const std::string what = "version " + std::to_string(version.value) + " of " + operation.key.name + " is OK and ";
  if (cluster_.spoilt(operation.key, version)) return;
  if (!home.holds(operation.key, version)) cluster_.checker().violated(what + "not complete at its home");
  if (second != nullptr && second->self() == *before && !second->holds(operation.key, version))
    cluster_.checker().violated(what + "not complete at the predecessor, server " + std::to_string(before->node.value));
}

// A removal that is under way may begin anew after a change of homes, and takes then what was committed meanwhile.
bool Clients::being_removed(const wire::KeepKey& key) const {
  return std::any_of(open_.begin(), open_.end(), [&](const auto& item) {
    const Operation& open = item.second;
    return open.key == key && std::holds_alternative<wire::CheckpointDelete>(open.request) &&
           open.life == cluster_.hosts().life(open.host);
  });
}

void Clients::judge(const Operation& operation, const keep::Answer& answer, const wire::CommitAnswer& message) {
  Outcomes& totals = Clients::totals();
  if (message.result == wire::CommitResult::kUnknown) {
    ++totals.unknown;
    return;
  }
  if (message.result == wire::CommitResult::kFailed) {
    ++totals.failed;
    if (operation.sum != 0) failed_sums_.insert(operation.sum);
    return;
  }
  ++totals.ok;
  cluster_.checker().content(operation.key, message.version, message.sum, "in the answer to a commit");
  if (operation.sum != 0 && operation.sum != message.sum)
    cluster_.checker().violated("a commit of " + operation.key.name + " was answered with the sum of other bytes");
  check_only_home(operation, message.version);
  check_order(operation, answer.request, message.version);
  check_fence(operation);
  if (operation.level == wire::CommitLevel::kReplicated) {
    check_copies(operation, message.version);
    knew_[operation.key] = asked_.at(operation.key).at(cluster_.host(operation.host)->self());
    if (operation.removals == removals_[operation.key] && !being_removed(operation.key)) {
      if (message.version > cluster_.checker().newest_ok(operation.key)) {
        const KeepHost& home = *cluster_.host(operation.host);
        ok_request_[operation.key] = answer.request;
        ok_writer_[operation.key] = operation.sender;
        std::set<keep::Member>& obliged = obliged_[operation.key][message.version];
        obliged.insert(home.self());
        if (const auto second = home.predecessor()) obliged.insert(*second);
      }
      cluster_.checker().committed(operation.key, message.version);
    }
  }
  const std::uint64_t life = cluster_.hosts().life(kGroupHost);
  if (operation.host == kGroupHost && group_life_ != life) {
    group_life_ = life;
    parts_.clear();
    groups_.clear();
  }
  if (const auto* commit = std::get_if<wire::GroupCommit>(&operation.request)) {
    ++totals.groups;
    groups_[message.version] = commit->parts;
    check_group_parts();
  } else if (operation.key.name.starts_with(std::string(kGroup) + "/") &&
             operation.level == wire::CommitLevel::kReplicated) {
    parts_[operation.key.name] = {operation.key.name, message.version, message.sum};
    check_group_parts();
  }
}

// While the home lives, the newest group version that was OK is kept, and what a kept one names is there, whatever was
// committed since.
void Clients::check_group_parts() {
  const KeepHost* home = cluster_.host(kGroupHost);
  if (home == nullptr || group_life_ != cluster_.hosts().life(kGroupHost)) return;
  const keep::Entry* group = home->core().catalogue().find(group_key());
  std::set<Version> newest;  // an older record may come back from a server that was away; nothing depends on it
  if (group != nullptr)
    for (auto at = group->versions.rbegin(); at != group->versions.rend() && newest.size() < 2; ++at)
      if (at->second.committed) newest.insert(at->first);
  for (const auto& [version, parts] : groups_) {
    const bool kept = newest.contains(version);
    if (!kept && version == groups_.rbegin()->first && group != nullptr && group->committed == version)
      cluster_.checker().violated("group version " + std::to_string(version.value) + " was OK and is gone");
    for (const wire::GroupPart& part : parts) {
      const keep::Entry* entry = home->core().catalogue().find(key_of(part.name));
      if (kept && (entry == nullptr || !entry->versions.contains(part.version)))
        cluster_.checker().violated("version " + std::to_string(part.version.value) + " of " + part.name +
                                    " is gone, and a retained group version names it");
    }
  }
}

void Clients::judge(const Operation& operation, const keep::Answer& answer, const wire::CheckpointContent& message) {
  ++totals().reads;
  if (message.holder != NodeId(operation.host + 1)) ++totals().fetched;
  Checker& checker = cluster_.checker();
  const std::string what = "a read of " + operation.key.name + " gave version " + std::to_string(message.version.value);
  checker.content(operation.key, message.version, message.sum, "in a read");
  std::vector<wire::SectionPlace> table = message.sections;
  if (answer.slot) {
    const Bytes& bytes = cluster_.host(operation.host)->slot(answer.slot);
    for (wire::SectionPlace& section : table)
      section.sum = checksum(ByteView(bytes).subspan(section.offset, section.size));
  }
  // A reader compares the checksums itself.
  const KeepHost& host = *cluster_.host(operation.host);
  if (host.knows_damaged(operation.key, message.version) && host.spoilt(answer.slot))
    checker.violated(what + ", a copy that the server knew to be damaged");
  if (wire::version_sum(table) != message.sum) {
    if (host.spoilt(answer.slot)) return report(operation, message.version);
    checker.violated(what + " with bytes that are not its own");
  }
  if (failed_sums_.contains(message.sum)) checker.violated(what + ", whose commit was answered FAILED");
  check_version_read(operation, message.version, what);
}

// Nothing older than what was OK when the question came, nothing that had been removed.
void Clients::check_version_read(const Operation& operation, Version version, const std::string& what) {
  const bool removed_meanwhile = operation.removals != removals_[operation.key];
  if (version < operation.least && !removed_meanwhile)
    cluster_.checker().violated(what + " after version " + std::to_string(operation.least.value) + " was OK");
  if (version <= operation.removed) cluster_.checker().violated(what + ", which had been removed");
}

// What is told of a name is what a read would give.
void Clients::judge(const Operation& operation, const keep::Answer&, const wire::CheckpointInspected& message) {
  ++totals().inspected;
  Checker& checker = cluster_.checker();
  for (const wire::InspectedVersion& version : message.versions) {
    checker.content(operation.key, version.version, version.sum, "in what is told of the name");
    if (wire::version_sum(version.sections) != version.sum || failed_sums_.contains(version.sum))
      checker.violated("what is told of version " + std::to_string(version.version.value) + " of " +
                       operation.key.name + " is not its own");
  }
  if (!message.lost.empty())
    return check_denial(operation, {static_cast<std::int32_t>(ErrorCode::kLost), message.lost});
  const Version newest = message.versions.back().version;
  check_version_read(operation, newest,
                     operation.key.name + " was told to be at version " + std::to_string(newest.value));
}

void Clients::judge(const Operation&, const keep::Answer&, const wire::CheckpointListAnswer& message) {
  ++totals().listed;
  std::string last = "name";
  for (const wire::CheckpointEntry& entry : message.entries) {
    if (entry.name <= last) cluster_.checker().violated("a list is out of order at " + entry.name);
    last = entry.name;
    if (!entry.newest && !entry.lost) cluster_.checker().violated("a list has nothing of " + entry.name);
  }
}

void Clients::judge(const Operation& operation, const keep::Answer&, const wire::GroupAnswer& message) {
  if (message.version < operation.least && (message.version || anybody_left(operation)))
    cluster_.checker().violated("the group is said to be at version " + std::to_string(message.version.value) +
                                " after " + std::to_string(operation.least.value) + " was OK");
  if (message.version)
    cluster_.checker().content(operation.key, message.version, wire::version_sum(message.parts), "in a group answer");
}

void Clients::judge(const Operation&, const keep::Answer&, const wire::CheckpointVerified& message) {
  ++totals().verified;
  Version last;
  for (const wire::VerifiedVersion& version : message.versions) {
    if (version.version <= last) cluster_.checker().violated("a verification is out of order");
    last = version.version;
    for (const wire::VerifiedCopy& copy : version.copies)
      if (copy.state == wire::CopyState::kAbsent || copy.state == wire::CopyState::kUnreadable)
        cluster_.checker().violated("a verification tells of a copy that is not there");
  }
  if (message.versions.empty()) cluster_.checker().violated("a verification tells of nothing");
}

void Clients::judge(const Operation& operation, const keep::Answer&, const wire::Done&) {
  if (std::holds_alternative<wire::CheckpointDamaged>(operation.request))
    return read(operation.host, operation.key.name);
  if (!std::holds_alternative<wire::CheckpointDelete>(operation.request)) return;
  ++totals().removed;
  Version& removed = removed_[operation.key];
  removed = std::max(removed, Version(operation.sum));
}

void Clients::judge(const Operation& operation, const keep::Answer&, const wire::Refusal& message) {
  ++totals().refused;
  totals().fenced += message.code == static_cast<std::int32_t>(ErrorCode::kFenced) ? 1U : 0U;
  if (std::holds_alternative<wire::CheckpointCommit>(operation.request) && operation.sum != 0)
    failed_sums_.insert(operation.sum);
  const bool denies = std::holds_alternative<wire::CheckpointOpen>(operation.request) ||
                      std::holds_alternative<wire::CheckpointInspect>(operation.request);
  if (denies) check_denial(operation, message);
}

void Clients::contend(sim::HostId home, const std::set<sim::HostId>& out) {
  const std::string name = "name" + std::to_string(home);
  std::vector<sim::HostId> rest;
  for (sim::HostId host = 0; host < cluster_.servers(); ++host)
    if (!out.contains(host)) rest.push_back(host);
  if (rest.empty()) return;
  const sim::HostId other = rest[prng_.below(rest.size())];
  for (std::uint64_t at_us = 0; at_us < 1'000'000; at_us += 50'000) {
    cluster_.clock().after(at_us + prng_.below(50'000), [this, home, other, name] {
      if (stopped_) return;
      if (prng_.chance(1, 3)) read(other, name);
      write(other, name);
      if (prng_.chance(1, 2))
        write(home, name);
      else
        read(home, name);
    });
  }
}

// No new writes; a last read of each name, to be answered before the end.
void Clients::stop() {
  if (stopped_) return;
  stopped_ = true;
  cluster_.clock().after(3'000'000, [this] {
    for (sim::HostId host = 0; host < cluster_.servers(); ++host) read(host, "name" + std::to_string(host));
  });
}

void Clients::check_end() {
  check_group_parts();
  for (const auto& [number, operation] : open_) {
    if (cluster_.hosts().life(operation.host) == operation.life)
      cluster_.checker().violated("request " + std::to_string(number) + " for " + operation.key.name +
                                  " was never answered");
  }
}

}  // namespace rk::keep_sim

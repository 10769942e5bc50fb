// SPDX-License-Identifier: Apache-2.0
// Clients that are told that there is nothing, or that it is lost: who had it, and who must have known.
#include <algorithm>

#include "tests/sim/keep/keep_clients.h"
#include "tests/sim/keep/keep_cluster.h"

namespace rk::keep_sim {

// Was a version there, at the same server of the view, when the question came and when the answer went? The same one:
// between an old one that was let go and a newer one there may have been none.
bool Clients::still_held(const Operation& operation) const {
  const KeepHost& asked = *cluster_.host(operation.host);
  return std::any_of(operation.holders.begin(), operation.holders.end(), [&](const auto& holder) {
    const auto& [member, version] = holder;
    const KeepHost* life = cluster_.host(member.node.value - 1);
    return life != nullptr && life->self() == member && asked.in_view(member) && life->has(operation.key, version);
  });
}

// Was a newer version confirmed since the question came, or does a server of the view know of one, and is there no copy
// of it? Older data is not given unasked then.
bool Clients::newer_is_lost(const Operation& operation) const {
  Version newest = cluster_.checker().newest_ok(operation.key);
  for (const keep::Member& member : cluster_.host(operation.host)->view().members) {
    const KeepHost* life = cluster_.host(member.node.value - 1);
    const keep::Entry* entry = life != nullptr ? life->core().catalogue().find(operation.key) : nullptr;
    if (entry != nullptr) newest = std::max(newest, entry->committed);
  }
  return newest > operation.least && cluster_.holders(operation.host, operation.key, newest).empty();
}

// Was a commit after it under way at a server that is gone? It may have been confirmed without anybody left to say so.
bool Clients::may_be_overtaken(const Operation& operation) const {
  const auto undecided = undecided_.find(operation.key);
  if (undecided == undecided_.end()) return false;
  const KeepHost& asked = *cluster_.host(operation.host);
  const auto newest = newest_ok_.find(operation.key);
  return std::any_of(undecided->second.begin(), undecided->second.end(), [&](const auto& item) {
    const auto& [request, server] = item;
    // Another server's may have waited until it was the home.
    const bool later =
        request > operation.least_request || newest == newest_ok_.end() || newest->second.second != server;
    return later && !asked.in_view(server);
  });
}

// Was there, for each version that was the newest since the question came, one left that had to know it?
bool Clients::one_must_know(const Operation& operation) const {
  const KeepHost& asked = *cluster_.host(operation.host);
  const auto all = obliged_.find(operation.key);
  if (all == obliged_.end()) return false;
  const auto left = [&](const auto& version) {
    return std::any_of(version.second.begin(), version.second.end(),
                       [&](const keep::Member& each) { return asked.in_view(each); });
  };
  return std::all_of(all->second.lower_bound(operation.least), all->second.end(), left);
}

// What the homes know by now. Between two looks a copy may be missed, which only makes the judgement milder.
void Clients::reborn(const keep::Member& before, const keep::Member& now, const std::set<wire::KeepKey>& homes) {
  for (auto& [key, versions] : obliged_)
    for (auto& [version, members] : versions)
      if (homes.contains(key) && members.contains(before)) members.insert(now);
}

void Clients::note_obliged() {
  for (auto& [key, versions] : obliged_) {
    for (sim::HostId host = 0; host < cluster_.servers(); ++host) {
      const KeepHost* life = cluster_.host(host);
      const keep::Entry* entry = life != nullptr ? life->core().catalogue().find(key) : nullptr;
      if (entry == nullptr || !entry->home || entry->lost()) continue;
      const auto newest = entry->versions.find(versions.rbegin()->first);
      // Who has an older version than what readers are owed does not give it unasked.
      if (newest == entry->versions.end() || entry->owed > newest->first) continue;
      std::set<keep::Member>& obliged = versions.rbegin()->second;
      if (newest->second.here) obliged.insert(life->self());
      for (const keep::Member& holder : newest->second.holders)
        if (entry->surely_current.contains(holder)) obliged.insert(holder);
    }
  }
}

// Is one left that knows the name, since the server that said OK asked it before?
bool Clients::anybody_left(const Operation& operation) const {
  const KeepHost& asked = *cluster_.host(operation.host);
  return std::any_of(operation.knew.begin(), operation.knew.end(),
                     [&](const keep::Member& each) { return asked.in_view(each); });
}

void Clients::check_denial(const Operation& operation, const wire::Refusal& message) {
  const auto code = static_cast<ErrorCode>(message.code);
  // Whether all copies of the newest version were spoilt at once is not asked here: at the end all good ones are back.
  if (code == ErrorCode::kLost) cluster_.note_lost(operation.host, operation.key, operation.least);
  if (code == ErrorCode::kLost && cluster_.spoilt(operation.key, operation.least)) {
    ++totals().lost_by_damage;
    return;
  }
  if (code == ErrorCode::kLost) check_loss(operation);
  if (operation.removals != removals_[operation.key] || !operation.least) return;
  const std::string what = "a read of " + operation.key.name + " was refused (" + message.message + ") ";
  const std::string version = "version " + std::to_string(operation.least.value);
  if (code == ErrorCode::kNotFound && (still_held(operation) || anybody_left(operation)))
    cluster_.checker().violated(what + "after " + version + " was OK");
  if (code == ErrorCode::kLost && still_held(operation) && one_must_know(operation) && !newer_is_lost(operation) &&
      !may_be_overtaken(operation))
    cluster_.checker().violated(what + "while a server has " + version + " that must know of it");
}

// While every server that was ever asked to write the name is a member, nothing of it can be lost.
void Clients::check_loss(const Operation& operation) {
  ++totals().lost;
  const KeepHost& asked = *cluster_.host(operation.host);
  const auto& claimants = claimants_[operation.key];
  const bool all_live = std::all_of(claimants.begin(), claimants.end(),
                                    [&](const keep::Member& claimant) { return asked.in_view(claimant); });
  if (all_live)
    cluster_.checker().violated(operation.key.name + " is said to be lost, and no server that wrote it is gone");
}

}  // namespace rk::keep_sim

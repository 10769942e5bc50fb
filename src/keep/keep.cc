// SPDX-License-Identifier: Apache-2.0
#include "keep/keep.h"

#include <algorithm>

#include "base/check.h"

namespace rk::keep {
namespace {

constexpr std::uint64_t kSummedFaster = 20;  // than the slowest copy that is not taken for lost

}  // namespace

Keep::Keep(Config config, std::optional<Memory> memory) : config_(config) {
  RK_CHECK(config_.self.node);
  if (memory) await_first_view(*std::move(memory));
}

void Keep::step(const Event& event, Effects& out) {
  now_ms_ = std::max(now_ms_, event.now_ms);
  lease_until_ms_ = event.lease_until_ms;
  fence_left_ms_ = event.fence_left_ms;
  out_ = &out;
  const std::size_t first = out.size();
  std::visit([this](const auto& body) { on(body); }, event.body);
  settle_leases();
  settle_turns();
  settle_inquiries();
  remember(first);
  out_ = nullptr;
}

std::uint64_t Keep::checkpoints() const {
  std::uint64_t count = 0;
  for (const auto& [key, entry] : catalogue_.entries())
    if (key.kind == wire::KeepKind::kCheckpoint &&
        std::any_of(entry.versions.begin(), entry.versions.end(),
                    [](const auto& version) { return version.second.committed || version.second.here; }))
      ++count;
  return count;
}

bool Keep::quiet() const {
  return writings_.empty() && pending_.empty() && outgoing_.empty() && incoming_.empty() && fetches_.empty() &&
         rounds_.empty() && to_heal_.empty() && to_tell_.empty() && to_pass_on_.empty() && to_adopt_.empty() &&
         parked_.empty() && removed_.empty() && returned_.empty() && to_reclaim_.empty() && checks_.empty() &&
         damaged_.empty() && inquiries_.empty();
}

std::string Keep::under_way() const {
  return std::to_string(writings_.size()) + " being written, " + std::to_string(pending_.size()) + " commits open, " +
         std::to_string(incoming_.size()) + " copies coming, " + std::to_string(outgoing_.size()) + " going, " +
         std::to_string(fetches_.size()) + " fetched, " + std::to_string(rounds_.size()) + " questions";
}

bool Keep::in_view(const Member& member) const {
  return std::find(view_.members.begin(), view_.members.end(), member) != view_.members.end();
}

// The life of that node in this view; none: null.
const Member* Keep::member_of(NodeId node) const {
  const auto at = std::find_if(view_.members.begin(), view_.members.end(),
                               [&](const Member& member) { return member.node == node; });
  return at != view_.members.end() ? &*at : nullptr;
}

std::optional<Member> Keep::predecessor() const {
  const auto self = std::find(view_.members.begin(), view_.members.end(), config_.self);
  if (!view_.serving || self == view_.members.end() || view_.members.size() < 2) return std::nullopt;
  return self == view_.members.begin() ? view_.members.back() : *(self - 1);
}

// Who missed a view cannot know whether another server claimed its names meanwhile. If it is `current`, nobody has
// confirmed anything of them without it.
void Keep::forget_homes(bool current) {
  std::vector<VersionKey> open;
  for (const auto& [version, pending] : pending_) open.push_back(version);
  for (const VersionKey& version : open) {
    const bool offered = !pending_.at(version).offered.empty();
    finish_pending(version, offered ? wire::CommitResult::kUnknown : wire::CommitResult::kFailed,
                   "this server was out of the ring for a while: read the checkpoint to learn what was committed");
    end_pending(version);
  }
  for (auto& [key, entry] : catalogue_.entries()) {
    catalogue_.touch(entry);
    entry.current = current && (entry.current || entry.home);
    if (!entry.home) continue;
    entry.home = entry.keeps = false;
    entry.told.clear();
    entry.informed.clear();
    entry.surely_current.clear();
    // What its group records name stays held until the next home of the group, likely this server, knows better.
  }
  to_heal_.clear();
  to_tell_.clear();
}

void Keep::on(const ViewInstalled& event) {
  if (event.number < view_.number) return;
  const bool changed = event.number != view_.number;
  const bool was_member = in_view(config_.self);
  const bool next = event.number.value == view_.number.value + 1;
  const std::vector<Member> before = std::exchange(view_, event).members;
  if (!in_view(config_.self)) view_.serving = false;
  if (changed && view_.number == ViewNumber(1)) since_first_ = in_view(config_.self);
  if (changed && view_.number != ViewNumber(1) && (!was_member || !next || !in_view(config_.self))) {
    since_first_ = false;
    forget_homes(was_member && in_view(config_.self));
  }
  if (memory_ && in_view(config_.self)) take_back();
  view_changed_ = changed;
  if (changed) {
    note_lost(before);
    const bool by_node = config_.planted_bug == PlantedBug::kCountEmpty;
    const auto gone = [&](const Member& member) {
      return by_node ? member_of(member.node) == nullptr : !in_view(member);
    };
    for (auto& [key, entry] : catalogue_.entries()) {
      std::erase_if(entry.told, gone);
      std::erase_if(entry.offered, gone);
      std::erase_if(entry.surely_current, gone);
      std::erase_if(entry.informed, [&](const auto& item) { return gone(item.first); });
      std::erase_if(entry.last_copy, [&](const auto& item) { return gone(item.first); });
      if (std::erase_if(entry.claimants, gone) > 0) {
        entry.orphaned = true;
        catalogue_.touch(entry);
      }
      if (!entry.home) entry.informed.clear();  // an offer of an earlier view makes nobody current
      entry.former.clear();
      entry.heal_at_ms = 0;
      entry.refused_heals = 0;
      for (auto& [number, record] : entry.versions) std::erase_if(record.holders, gone);
      std::erase_if(entry.aware, gone);
      if (entry.home) to_heal_.insert(key);
      note_untold(entry);
      note_orphan(entry);
    }
    tellings_.clear();
    std::erase_if(inquiries_, [](const Inquiry& item) { return !item.report; });  // whoever verifies asks anew
    for (auto& [version, damage] : damaged_) damage.next_ms = damage.sought = damage.unheard = 0;
    while (!incoming_.empty()) drop_incoming(incoming_.begin()->first);
  }
  if (!view_.serving) return;
  while (!outgoing_.empty()) stop_outgoing(outgoing_.begin()->first);
  std::vector<VersionKey> open;
  for (const auto& [version, pending] : pending_) open.push_back(version);
  for (const VersionKey& version : open) replicate(version);
  restart_fetches();
  restart_rounds();
  tell_at_ms_ = adopt_at_ms_ = 0;
  tell();
  adopt_orphans();
  reclaim();
  heal();
}

void Keep::on(const ClientRequest& event) {
  std::visit(
      [&](const auto& message) {
        using Message = std::decay_t<decltype(message)>;
        constexpr bool kAlways =
            std::is_same_v<Message, wire::CheckpointAbandon> || std::is_same_v<Message, wire::CheckpointCommit>;
        if (!kAlways && !view_.serving) {
          refuse(event, ErrorCode::kUnavailable,
                 "this server is not serving (" + (view_.reason.empty() ? "no view of the ring yet" : view_.reason) +
                     "): nothing was changed, try again later");
          return;
        }
        handle(event, message);
      },
      event.message);
}

void Keep::on(const ClientGone& event) {
  std::vector<SlotId> writing;
  for (const auto& [slot, item] : writings_)
    if (item.session == event.session && !item.commit) writing.push_back(slot);
  for (const SlotId slot : writing) {
    writings_.erase(slot);
    free_slot(slot);
  }
  const auto left = [&](const ClientRequest& request) { return request.session == event.session; };
  std::erase_if(parked_, [&](const Parked& item) { return left(item.request); });
  std::erase_if(removed_, [&](const Parked& item) { return left(item.request); });
  for (auto& [id, round] : rounds_) std::erase_if(round.waiting, left);
  for (auto& [slot, item] : fetches_) std::erase_if(item.waiting, left);
  std::erase_if(inquiries_, [&](const Inquiry& item) { return item.report && left(*item.report); });
}

void Keep::on(const PeerFrame& event) {
  const bool of_copies =
      std::holds_alternative<wire::CopyOffer>(event.message) || std::holds_alternative<wire::CopyAnswer>(event.message);
  const bool any_view = of_copies && config_.planted_bug == PlantedBug::kNoLeaseNoEpoch;
  if (!any_view && (!in_view(event.from) || event.from == config_.self)) {
    // A server in another life or view: it is told, so that it asks again later instead of waiting in vain.
    if (const auto* offer = std::get_if<wire::CopyOffer>(&event.message))
      answer_copy(event.from, offer->copy, wire::CopyResult::kOtherView);
    return;
  }
  std::visit(
      [&](const auto& message) {
        if (!any_view && (message.view != view_.number || !view_.serving)) {
          if constexpr (std::is_same_v<std::decay_t<decltype(message)>, wire::CopyOffer>)
            answer_copy(event.from, message.copy, wire::CopyResult::kOtherView);
          return;
        }
        handle(event.from, message);
      },
      event.message);
}

void Keep::on(const PeerDown& event) {
  for (auto& [copy, item] : outgoing_) {
    if (item.to.node != event.node) continue;
    if (item.streaming) emit(StopCopy{event.node, copy});
    item.streaming = false;
    item.retry_at_ms = now_ms_ + config_.retry_ms;
  }
  std::vector<SlotId> broken;
  for (const auto& [slot, item] : incoming_)
    if (item.from.node == event.node) broken.push_back(slot);
  for (const SlotId slot : broken) drop_incoming(slot);
  for (auto& [slot, item] : fetches_)
    if (item.from.node == event.node) item.retry_at_ms = now_ms_;
}

void Keep::on(const SlotReady& event) {
  // What asked for the memory is tried again.
  if (!event.status) drop_returned(std::nullopt, "");
  if (const auto writing = writings_.find(event.slot); writing != writings_.end()) {
    give_slot(event.slot, writing->second, event.status);
  } else if (incoming_.contains(event.slot)) {
    incoming_ready(event.slot, event.status);
  } else if (fetches_.contains(event.slot)) {
    if (event.status) {
      fetch_from_next(event.slot);
    } else {
      end_fetch(event.slot, event.status.error().code, event.status.error().message);
    }
  }
}

void Keep::on(const SlotSummed& event) {
  if (writings_.contains(event.slot)) summed(event.slot, event.sums, event.changed);
}

void Keep::on(const CopyArrived& event) {
  if (incoming_.contains(event.slot)) {
    incoming_arrived(event.slot, event.whole, event.sums);
  } else if (fetches_.contains(event.slot)) {
    fetch_arrived(event.slot, event.whole, event.sums);
  }
}

void Keep::on(const CopySent& event) {
  const auto at = outgoing_.find(event.copy);
  if (at == outgoing_.end() || at->second.to.node != event.to) return;
  // All of it is summed there, however little has travelled; much faster than a link is.
  const auto& [key, version] = at->second.version;
  const std::uint64_t total = std::as_const(catalogue_).find(key)->versions.at(version).content.total;
  at->second.retry_at_ms = now_ms_ + config_.retry_ms + total / (kSummedFaster * config_.copy_bytes_per_ms);
}

void Keep::on(const PrefixRemoved& event) {
  const wire::KeepKey key{event.owner, wire::KeepKind::kCheckpoint, event.prefix};
  remove_here(key, true, Version(), config_.self);
  Round round;
  round.kind = Round::Kind::kRemovePrefix;
  round.key = key;
  start_round(std::move(round));
}

void Keep::on(const Tick&) {
  expire_pending();
  expire_turns();
  expire_incoming();
  retry_rounds();
  if (!returned_.empty() && now_ms_ >= returned_until_ms_) drop_returned(std::nullopt, "");
  if (!view_.serving) return;
  retry_outgoing();
  retry_outdating();
  retry_fetches();
  tell();
  adopt_orphans();
  heal();
  repair_copies();
  scrub();
}

}  // namespace rk::keep

// SPDX-License-Identifier: Apache-2.0
// Copies that are summed because somebody asks: a reader whose bytes do not have their checksum, or a user who wants to
// know (CheckpointVerify), which is put to every member as a round. An inquiry waits until each of the versions is
// summed; one that verifies waits for repairs too, as long as a copy may take.
//
// Everything that changes a copy ends in a step: there each inquiry looks at what it still waits for.
#include <algorithm>

#include "keep/keep.h"
#include "keep/names.h"
#include "keep/possible.h"

namespace rk::keep {
namespace {

constexpr std::size_t kMaxInquiries = 1024;

bool all_possible(const wire::KeepVerified& message) {
  return std::all_of(message.copies.begin(), message.copies.end(),
                     [](const wire::HeldCopy& copy) { return possible(copy.version); });
}

}  // namespace

void Keep::handle(const ClientRequest& request, const wire::CheckpointDamaged& message) {
  if (const Status named = check_name("checkpoint", message.name); !named)
    return refuse(request, named.error().code, named.error().message);
  if (inquiries_.size() >= kMaxInquiries)
    return refuse(request, ErrorCode::kUnavailable, "too many copies are being checked here: try again");
  Inquiry item;
  item.key = {request.owner, wire::KeepKind::kCheckpoint, message.name};
  item.report = request;
  const Entry* entry = catalogue_.find(item.key);
  const auto record = entry != nullptr ? entry->versions.find(message.version) : decltype(entry->versions.end())();
  // What was fetched for this reader alone is gone with it, and the next read fetches it again.
  if (entry != nullptr && record != entry->versions.end() && checkable(item.key, record->second))
    item.versions[message.version] = {};
  inquiries_.push_back(std::move(item));
}

void Keep::handle(const ClientRequest& request, const wire::CheckpointVerify& message) {
  if (const Status named = check_name("checkpoint", message.name); !named)
    return refuse(request, named.error().code, named.error().message);
  Round round;
  round.kind = Round::Kind::kVerify;
  round.key = {request.owner, wire::KeepKind::kCheckpoint, message.name};
  round.up_to = message.version;
  round.waiting.push_back(request);
  const std::uint64_t timeout = message.timeout_ms == 0 ? config_.answer_timeout_ms : message.timeout_ms;
  round.deadline_ms = now_ms_ + std::min(timeout, config_.max_commit_timeout_ms);
  start_round(std::move(round));
}

void Keep::handle(const Member& from, const wire::KeepVerify& message) {
  inquire(from, message.round, message.key, message.version);
}

// Asked again, it goes on. Who is not heard now asks again.
void Keep::inquire(const Member& from, std::uint64_t round, const wire::KeepKey& key, Version version) {
  if (inquiries_.size() >= kMaxInquiries) return;
  for (const Inquiry& item : inquiries_)
    if (!item.report && item.from == from && item.round == round) return;
  Inquiry item;
  item.key = key;
  item.from = from;
  item.round = round;
  if (const Entry* entry = catalogue_.find(key); entry != nullptr)
    for (const auto& [number, record] : entry->versions) {
      const bool meant = !version || number == version;
      if (meant && !pending_.contains({key, number}) && (record.committed || !entry->home)) item.versions[number] = {};
    }
  inquiries_.push_back(std::move(item));
}

void Keep::settle_inquiries() {
  if (inquiries_.empty()) return;
  std::vector<Inquiry> settled;
  for (auto at = inquiries_.begin(); at != inquiries_.end();) {
    if (!settle(*at)) {
      ++at;
      continue;
    }
    settled.push_back(std::move(*at));
    at = inquiries_.erase(at);
  }
  for (const Inquiry& item : settled) {
    if (item.report) {
      emit(Answer{item.report->session, item.report->request, wire::Done{}, SlotId(), SlotAccess::kNone});
    } else if (item.from == config_.self) {
      take_verified(config_.self.node, findings_of(item));
    } else {
      emit(Send{item.from.node, findings_of(item)});
    }
  }
}

// Begins what is still to be summed; whether nothing is left to wait for.
bool Keep::settle(Inquiry& inquiry) {
  bool done = true;
  const Entry* entry = catalogue_.find(inquiry.key);
  for (auto& [version, examined] : inquiry.versions) {
    const auto record = entry != nullptr ? entry->versions.find(version) : decltype(entry->versions.end())();
    if (entry == nullptr || record == entry->versions.end()) continue;
    examined.damaged = examined.damaged || record->second.damaged;
    if (!examined.summed && checkable(inquiry.key, record->second)) {
      check(inquiry.key, record->second, true);
      done = false;
    } else if (!inquiry.report && !state_of({inquiry.key, version}, record->second, examined)) {
      done = false;
    }
  }
  return done;
}

// None: it may yet be repaired.
std::optional<wire::CopyState> Keep::state_of(const VersionKey& version, const VersionRecord& record,
                                              const Inquiry::Examined& examined) const {
  if (examined.unreadable) return wire::CopyState::kUnreadable;
  if (record.here) return examined.damaged ? wire::CopyState::kRepaired : wire::CopyState::kGood;
  const auto damage = damaged_.find(version);
  if (damage == damaged_.end()) return wire::CopyState::kAbsent;
  const std::uint64_t patience_ms = config_.answer_timeout_ms + record.content.total / config_.copy_bytes_per_ms;
  if (damage->second.unrepairable || now_ms_ >= damage->second.since_ms + patience_ms) return wire::CopyState::kDamaged;
  return std::nullopt;
}

wire::KeepVerified Keep::findings_of(const Inquiry& inquiry) const {
  wire::KeepVerified out{view_.number, inquiry.round, false, {}};
  const Entry* entry = catalogue_.find(inquiry.key);
  if (entry == nullptr) return out;
  out.home = entry->home;
  for (const auto& [version, examined] : inquiry.versions) {
    const auto record = entry->versions.find(version);
    if (record == entry->versions.end()) continue;
    const auto state = state_of({inquiry.key, version}, record->second, examined);
    if (entry->home || state != wire::CopyState::kAbsent)
      out.copies.push_back({version, record->second.content.total, state.value_or(wire::CopyState::kDamaged)});
  }
  return out;
}

void Keep::handle(const Member& from, const wire::KeepVerified& message) {
  if (all_possible(message)) take_verified(from.node, message);
}

void Keep::take_verified(NodeId from, const wire::KeepVerified& message) {
  const auto at = rounds_.find(message.round);
  if (at == rounds_.end() || at->second.kind != Round::Kind::kVerify || at->second.awaited.erase(from) == 0) return;
  at->second.verified[from] = message;
  if (at->second.awaited.empty()) finish_round(message.round);
}

// If a member is the home, other versions than its own are on their way out.
void Keep::finish_verify(Round& round) {
  std::map<Version, wire::VerifiedVersion> all;
  const auto home =
      std::find_if(round.verified.begin(), round.verified.end(), [](const auto& item) { return item.second.home; });
  if (home != round.verified.end())
    for (const wire::HeldCopy& copy : home->second.copies) all[copy.version] = {copy.version, copy.bytes, {}};
  for (const auto& [node, said] : round.verified) {
    for (const wire::HeldCopy& copy : said.copies) {
      if (home != round.verified.end() && !all.contains(copy.version)) continue;
      wire::VerifiedVersion& version = all[copy.version];
      version.version = copy.version;
      version.bytes = copy.bytes;
      if (copy.state != wire::CopyState::kAbsent) version.copies.push_back({node, copy.state});
    }
  }
  wire::CheckpointVerified answer;
  for (auto& [number, version] : all) answer.versions.push_back(std::move(version));
  for (const ClientRequest& request : round.waiting) {
    if (answer.versions.empty())
      refuse(request, ErrorCode::kNotFound,
             "no server has anything of " +
                 (round.up_to ? "version " + std::to_string(round.up_to.value) + " of " : std::string()) + "\"" +
                 round.key.name + "\": `ringkeep list` shows what there is");
    else
      emit(Answer{request.session, request.request, answer, SlotId(), SlotAccess::kNone});
  }
}

}  // namespace rk::keep

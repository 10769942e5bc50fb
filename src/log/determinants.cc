// SPDX-License-Identifier: Apache-2.0
#include "log/determinants.h"

#include <algorithm>
#include <cstring>

namespace rk::log {

namespace {

constexpr std::uint64_t kKindsOfMatch = 4;  // MatchEntry::key holds psn * 4 + kind

}  // namespace

std::string_view to_string(OutcomeKind kind) {
  switch (kind) {
    case OutcomeKind::kTest:
      return "test";
    case OutcomeKind::kTestAny:
      return "testany";
    case OutcomeKind::kTestAll:
      return "testall";
    case OutcomeKind::kSome:
      return "testsome or waitsome";
    case OutcomeKind::kWaitAny:
      return "waitany";
    case OutcomeKind::kProbe:
      return "probe";
    case OutcomeKind::kProbeFlag:
      return "iprobe";
    case OutcomeKind::kClock:
      return "clock";
    case OutcomeKind::kClockBytes:
      return "time or resource usage";
    case OutcomeKind::kName:
      return "name";
    case OutcomeKind::kReceive:
      return "rk_recv";
    case OutcomeKind::kCancelled:
      return "cancel";
    case OutcomeKind::kOther:
      return "other";
  }
  return "unknown";
}

// --- OutcomeLog -----------------------------------------------------------------------------------------------------

Result<std::unique_ptr<OutcomeLog>> OutcomeLog::open(Units& units) {
  std::unique_ptr<OutcomeLog> log(new OutcomeLog(units));
  const std::uint32_t stream = units.segment().outcomes_stream();
  RK_TRY(log->writer_, StreamWriter::open(units, stream));
  log->cursor_ = StreamCursor(units.segment(), stream);
  if (log->writer_.published() > 0) {
    StreamCursor last(units.segment(), stream);
    RK_TRY_VOID(last.seek(log->writer_.published()));
    RK_TRY(const ByteView at, last.peek());
    if (at.size() >= sizeof(OutcomeEntry))
      log->last_ = reinterpret_cast<OutcomeEntry*>(const_cast<std::byte*>(at.data()));  // NOLINT: own memory
  }
  RK_TRY_VOID(log->find_place());
  return log;
}

Result<const OutcomeEntry*> OutcomeLog::current() {
  RK_TRY(const ByteView at, cursor_.peek());
  if (at.empty()) return nullptr;
  RK_TRY_VOID(item_bytes(units_.segment(), cursor_.stream(), at));
  return reinterpret_cast<const OutcomeEntry*>(at.data());
}

// Passes entries that are used up; replay ends behind the last one.
Status OutcomeLog::find_place() {
  for (;;) {
    RK_TRY(const OutcomeEntry* entry, current());
    replaying_ = entry != nullptr;
    if (entry == nullptr || run_used_ < entry->run) return {};
    // The last entry may still be counted up: stay on it, so that position() tells the count.
    if (cursor_.number() == writer_.published()) {
      replaying_ = false;
      return {};
    }
    cursor_.advance(round_up(sizeof(OutcomeEntry) + entry->blob_bytes, sizeof(OutcomeEntry)));
    run_used_ = 0;
  }
}

Result<Outcome> OutcomeLog::replay(OutcomeKind kind) {
  RK_TRY(const OutcomeEntry* entry, current());
  if (!replaying() || entry == nullptr)
    return fail(ErrorCode::kInvalidArgument, "no outcome is left to be repeated: record a new one");
  if (entry->kind != static_cast<std::uint32_t>(kind))
    return fail(ErrorCode::kDivergence, "the re-execution of process " + std::to_string(units_.segment().rank()) +
                                            " asks for the outcome of " + std::string(to_string(kind)) +
                                            " where the original had one of " +
                                            std::string(to_string(static_cast<OutcomeKind>(entry->kind))) +
                                            ": the program is not deterministic as fault tolerance needs it");
  Outcome outcome;
  outcome.kind = kind;
  outcome.value = entry->value;
  outcome.detail = entry->detail;
  outcome.blob = ByteView(reinterpret_cast<const std::byte*>(entry + 1), entry->blob_bytes);
  ++run_used_;
  ++replayed_;
  count_one(units_.segment().owner().determinants_repeated);
  RK_TRY_VOID(find_place());
  return outcome;
}

Status OutcomeLog::record(OutcomeKind kind, std::uint64_t value, std::uint64_t detail, ByteView blob) {
  if (suspended_) return {};
  if (replaying_)
    return fail(ErrorCode::kInvalidArgument, "an outcome of the earlier life is still to be repeated: replay it first");
  if (blob.size() > kMaxOutcomeBytes)
    return fail(ErrorCode::kInvalidArgument, "an outcome of " + std::to_string(blob.size()) +
                                                 " bytes cannot be recorded: at most " +
                                                 std::to_string(kMaxOutcomeBytes));
  ++recorded_;
  if (last_ != nullptr && last_->kind == static_cast<std::uint32_t>(kind) && last_->value == value &&
      last_->detail == detail && blob.empty() && last_->blob_bytes == 0) {
    store_release(last_->run, last_->run + 1);
    count_one(units_.segment().owner().outcomes_written);
    return {};
  }
  const std::uint64_t bytes = round_up(sizeof(OutcomeEntry) + blob.size(), sizeof(OutcomeEntry));
  RK_TRY(const std::span<std::byte> space, writer_.reserve(bytes));
  const OutcomeEntry entry{static_cast<std::uint32_t>(kind), static_cast<std::uint32_t>(blob.size()), 1, value, detail};
  std::memcpy(space.data(), &entry, sizeof entry);
  if (!blob.empty()) std::memcpy(space.data() + sizeof entry, blob.data(), blob.size());
  writer_.publish(bytes, bytes);
  count_one(units_.segment().owner().outcomes_written);
  last_ = reinterpret_cast<OutcomeEntry*>(space.data());
  return {};
}

OutcomePosition OutcomeLog::position() const {
  if (replaying_) return {cursor_.number() - 1, run_used_};
  if (last_ == nullptr) return {};
  return {writer_.published() - 1, last_->run};
}

Status OutcomeLog::jump(const OutcomePosition& position) {
  if (position.item > writer_.published())
    return fail(ErrorCode::kLost, "the log has lost outcomes that the checkpoint counts: restart the job");
  RK_TRY_VOID(cursor_.seek(position.item + 1));
  run_used_ = position.run;
  suspended_ = false;
  return find_place();
}

Result<std::uint64_t> OutcomeLog::trim(const OutcomePosition& prologue, const OutcomePosition& oldest) {
  return writer_.trim(prologue.item + 1, oldest.item);
}

// --- MatchLog -------------------------------------------------------------------------------------------------------

Result<std::unique_ptr<MatchLog>> MatchLog::open(Units& units) {
  std::unique_ptr<MatchLog> log(new MatchLog(units));
  RK_TRY(log->writer_, StreamWriter::open(units, units.segment().matches_stream()));
  RK_TRY_VOID(log->load(0, 0));
  return log;
}

Status MatchLog::load(std::uint64_t after_items, std::uint64_t after_postings) {
  past_.clear();
  highest_rsn_ = 0;
  StreamCursor cursor(units_.segment(), units_.segment().matches_stream());
  RK_TRY_VOID(cursor.seek(after_items + 1));
  for (;;) {
    RK_TRY(const ByteView at, cursor.peek());
    if (at.empty()) break;
    MatchEntry entry;
    std::memcpy(&entry, at.data(), sizeof entry);
    const std::uint64_t item = cursor.number();
    cursor.advance(sizeof entry);
    highest_rsn_ = std::max(highest_rsn_, entry.rsn);
    if (entry.key / kKindsOfMatch <= after_postings) continue;
    const auto kind = static_cast<MatchKind>(entry.key % kKindsOfMatch);
    past_.push_back({entry.key / kKindsOfMatch, kind, entry.source, entry.tag, entry.ssn, entry.rsn, item});
  }
  std::sort(past_.begin(), past_.end(), [](const MatchRecord& a, const MatchRecord& b) { return a.psn < b.psn; });
  return {};
}

Status MatchLog::record(const MatchRecord& match) {
  RK_TRY(const std::span<std::byte> space, writer_.reserve(sizeof(MatchEntry)));
  const MatchEntry entry{match.psn * kKindsOfMatch + static_cast<std::uint64_t>(match.kind), match.source, match.tag,
                         match.ssn, match.rsn};
  std::memcpy(space.data(), &entry, sizeof entry);
  writer_.publish(sizeof entry, sizeof entry);
  ++recorded_;
  return {};
}

const MatchRecord* MatchLog::find(std::uint64_t psn) const {
  if (past_.empty() || psn > past_.back().psn) [[likely]]
    return nullptr;
  const auto at = std::lower_bound(past_.begin(), past_.end(), psn,
                                   [](const MatchRecord& match, std::uint64_t wanted) { return match.psn < wanted; });
  return at != past_.end() && at->psn == psn ? &*at : nullptr;
}

void MatchLog::count_repeated() {
  ++repeated_;
  count_one(units_.segment().owner().determinants_repeated);
}

std::uint64_t MatchLog::position(std::uint64_t postings) const {
  std::uint64_t position = writer_.published();
  for (auto match = past_.rbegin(); match != past_.rend() && match->psn > postings; ++match)
    position = std::min(position, match->item - 1);
  return position;
}

Status MatchLog::jump(std::uint64_t items, std::uint64_t postings) {
  if (items > writer_.published())
    return fail(ErrorCode::kLost, "the log has lost matches that the checkpoint counts: restart the job");
  return load(items, postings);
}

Result<std::uint64_t> MatchLog::trim(std::uint64_t prologue_items, std::uint64_t oldest_items) {
  return writer_.trim(prologue_items, oldest_items);
}

}  // namespace rk::log

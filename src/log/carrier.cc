// SPDX-License-Identifier: Apache-2.0
#include "log/carrier.h"

#include <algorithm>
#include <cstring>

namespace rk::log {

void CarrierSource::go_back() {
  seek_ = true;
  offset_ = 0;
}

Result<std::optional<wire::LogRecords>> CarrierSource::next(std::uint64_t now_us) {
  if (seek_) {
    RK_TRY_VOID(cursor_.seek(acknowledged_ + 1));
    seek_ = false;
    moved_us_ = now_us;
  }
  const bool all_acknowledged = cursor_.number() == acknowledged_ + 1 && offset_ == 0;
  if (all_acknowledged) moved_us_ = now_us;
  if (!all_acknowledged && now_us - moved_us_ >= config_.resend_after_us) {
    go_back();
    return next(now_us);
  }
  wire::LogRecords frame{config_.job, Rank(source_), Rank(config_.dest), turn_, {}};
  std::size_t room = wire::kMaxCarriedFrame;
  while (room > 0 && !cursor_.at_end() && cursor_.number() <= acknowledged_ + config_.window_records) {
    RK_TRY(const bool added, add_record(frame, room));
    if (!added) break;
  }
  if (frame.records.empty() && !confirm_) return std::nullopt;
  confirm_ = false;
  return frame;
}

// Adds the record at the cursor, or its next part.
Result<bool> CarrierSource::add_record(wire::LogRecords& frame, std::size_t& room) {
  RK_TRY(const ByteView at, cursor_.peek());
  if (at.empty()) return false;
  RK_TRY(const std::uint64_t bytes, item_bytes(cursor_.segment(), cursor_.stream(), at));
  RecordHeader header;
  std::memcpy(&header, at.data(), sizeof header);
  if (header.sum != record_sum(header) || header.ssn != cursor_.number())
    return fail(ErrorCode::kCorrupt, "message " + std::to_string(cursor_.number()) + " of process " +
                                         std::to_string(source_) + " is damaged in its log: restart the job");
  const std::uint64_t part = std::min<std::uint64_t>(header.length - offset_, wire::kMaxCarriedPart);
  wire::CarriedRecord record{Ssn(header.ssn),
                             header.order,
                             header.context,
                             header.tag,
                             Incarnation(header.incarnation),
                             header.length,
                             offset_,
                             {}};
  const ByteView payload = at.subspan(sizeof header + offset_, part);
  record.part.assign(payload.begin(), payload.end());
  frame.records.push_back(std::move(record));
  room -= std::min<std::size_t>(room, part + sizeof(RecordHeader));
  offset_ += part;
  if (offset_ == header.length) {
    sent_ = std::max(sent_, cursor_.number());
    cursor_.advance(bytes);
    offset_ = 0;
  }
  return true;
}

void CarrierSource::arrived(const wire::LogArrived& message, std::uint64_t now_us) {
  // What was never sent cannot have arrived; an earlier turn's answer says nothing about this one.
  const std::uint64_t arrived = message.arrived.value;
  if (message.turn != turn_ || arrived > sent_ || arrived <= acknowledged_) return;
  acknowledged_ = arrived;
  moved_us_ = now_us;
  if (cursor_.number() <= acknowledged_) go_back();  // it was sending again what has arrived after all
}

void CarrierSource::from(const wire::LogFrom& message) {
  if (message.turn < turn_ || message.first.value == 0) return;
  confirm_ = true;
  if (message.turn == turn_) return;  // asked twice
  turn_ = message.turn;
  acknowledged_ = message.first.value - 1;
  go_back();
}

void CarrierSink::begin_turn() {
  ++turn_;
  confirmed_ = false;
  assembling_ = 0;
}

wire::LogFrom CarrierSink::message() const {
  return {config_.job, Rank(config_.source), Rank(rank_), turn_, Ssn(inbox_.arrived(config_.source) + 1)};
}

Result<wire::LogArrived> CarrierSink::take(const wire::LogRecords& frame) {
  if (frame.job != config_.job || frame.source.value != config_.source || frame.dest.value != rank_)
    return fail(ErrorCode::kCorrupt, "carried records of another stream: close the connection to that server");
  confirmed_ = confirmed_ || frame.turn == turn_;
  for (const wire::CarriedRecord& record : frame.records) RK_TRY_VOID(take_record(record));
  return wire::LogArrived{config_.job, frame.source, frame.dest, turn_, Ssn(inbox_.arrived(config_.source))};
}

Status CarrierSink::take_record(const wire::CarriedRecord& record) {
  if (record.part.size() > wire::kMaxCarriedPart || record.offset > record.length ||
      record.part.size() > record.length - record.offset || record.length > wire::kMaxCarriedRecord ||
      (record.part.empty() && record.length > 0))
    return fail(ErrorCode::kCorrupt, "a carried record with a part outside of it: close the connection to that server");
  ByteView payload = record.part;
  if (record.part.size() < record.length) {
    if (record.offset == 0) {
      assembling_ = record.ssn.value;
      parts_.clear();
    }
    // A part before or behind the one that is wanted: lost or sent twice; the sender goes back to the first.
    if (assembling_ != record.ssn.value || record.offset != parts_.size()) return {};
    parts_.insert(parts_.end(), record.part.begin(), record.part.end());
    if (parts_.size() < record.length) return {};
    payload = parts_;
    assembling_ = 0;
  }
  RecordHeader header{};
  header.magic = kRecordMagic;
  header.source = config_.source;
  header.dest = rank_;
  header.tag = record.tag;
  header.ssn = record.ssn.value;
  header.order = record.order;
  header.context = record.context;
  header.length = record.length;
  header.incarnation = record.incarnation.value;
  header.sum = record_sum(header);
  Status accepted = inbox_.accept(header, payload);
  // Too much came early: it is sent again.
  if (!accepted && accepted.error().code == ErrorCode::kNoMemory) return {};
  return accepted;
}

}  // namespace rk::log

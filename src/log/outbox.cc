// SPDX-License-Identifier: Apache-2.0
#include "log/outbox.h"

#include <algorithm>
#include <cstring>

namespace rk::log {

Result<std::unique_ptr<Outbox>> Outbox::open(Units& units, const Config& config) {
  std::unique_ptr<Outbox> outbox(new Outbox(units, config));
  outbox->streams_.resize(units.segment().ranks());
  for (std::uint32_t dest = 0; dest < units.segment().ranks(); ++dest) RK_TRY_VOID(outbox->open_stream(dest));
  return outbox;
}

Status Outbox::open_stream(std::uint32_t dest) {
  Stream& stream = streams_[dest];
  RK_TRY(stream.writer, StreamWriter::open(units_, dest));
  stream.originals = StreamCursor(units_.segment(), dest);
  if (stream.writer.published() == 0) return {};
  StreamCursor last(units_.segment(), dest);
  RK_TRY_VOID(last.seek(stream.writer.published()));
  RK_TRY(const ByteView at, last.peek());
  RecordHeader header{};
  if (at.size() >= sizeof header) std::memcpy(&header, at.data(), sizeof header);
  if (at.size() < sizeof header || header.sum != record_sum(header))
    return fail(ErrorCode::kCorrupt, "the log of process " + std::to_string(units_.segment().rank()) +
                                         " has a damaged message to process " + std::to_string(dest) +
                                         ": restart the job");
  highest_order_ = std::max(highest_order_, header.order);
  return {};
}

// All but the number, which makes the message visible.
RecordHeader* Outbox::write_header(std::byte* at, std::uint32_t dest, const Envelope& envelope,
                                   std::uint64_t ssn) const {
  RecordHeader header;
  header.magic = kRecordMagic;
  header.source = units_.segment().rank();
  header.dest = dest;
  header.tag = envelope.tag;
  header.ssn = ssn;
  header.order = order_ + 1;
  header.context = envelope.context;
  header.length = envelope.length;
  header.incarnation = config_.incarnation.value;
  header.sum = record_sum(header);
  auto* const out = reinterpret_cast<RecordHeader*>(at);
  // A receiver may be looking at these two.
  std::atomic_ref(out->ssn).store(0, std::memory_order_relaxed);
  std::atomic_ref(out->magic).store(kRecordMagic, std::memory_order_relaxed);
  std::memcpy(&out->source, &header.source, offsetof(RecordHeader, ssn) - offsetof(RecordHeader, source));
  std::memcpy(&out->order, &header.order, sizeof header - offsetof(RecordHeader, order));
  return out;
}

Status Outbox::refuse(std::uint32_t dest, const Envelope& envelope) const {
  if (dest >= streams_.size() || dest == units_.segment().rank())
    return fail(ErrorCode::kInvalidArgument,
                "process " + std::to_string(dest) + " cannot get a logged message from process " +
                    std::to_string(units_.segment().rank()) + ": name another process of the job");
  return fail(
      ErrorCode::kDivergence,
      "the re-execution of process " + std::to_string(units_.segment().rank()) + " sends message " +
          std::to_string(order_ + 1) + " to process " + std::to_string(dest) + " (tag " + std::to_string(envelope.tag) +
          ", " + std::to_string(envelope.length) +
          " bytes), which the original sent elsewhere: the program is not deterministic as fault tolerance needs it");
}

tl::unexpected<Error> Outbox::divergence(std::uint32_t dest, std::uint64_t ssn, const std::string& what) const {
  return fail(ErrorCode::kDivergence, "message " + std::to_string(ssn) + " from process " +
                                          std::to_string(units_.segment().rank()) + " to process " +
                                          std::to_string(dest) + " was sent again with another " + what +
                                          ": the program is not deterministic as fault tolerance needs it");
}

Result<Slot> Outbox::reserve(std::uint32_t dest, const Envelope& envelope) {
  if (dest >= streams_.size() || dest == units_.segment().rank()) return tl::unexpected(refuse(dest, envelope).error());
  Stream& stream = streams_[dest];
  if (stream.sent < stream.writer.published()) return reserve_again(dest, envelope);
  // The log holds every message up to `highest_order_`: a new one below it went to another destination then.
  if (order_ < highest_order_) return tl::unexpected(refuse(dest, envelope).error());
  Slot slot;
  slot.item_bytes = round_up(sizeof(RecordHeader) + envelope.length, kLine);
  RK_TRY(const std::span<std::byte> space, stream.writer.reserve(slot.item_bytes));
  slot.ssn = stream.sent + 1;
  slot.header = write_header(space.data(), dest, envelope, slot.ssn);
  slot.space = space.subspan(sizeof(RecordHeader), envelope.length);
  slot.dest = dest;
  return slot;
}

Result<Slot> Outbox::reserve_again(std::uint32_t dest, const Envelope& envelope) {
  Stream& stream = streams_[dest];
  Slot slot;
  slot.dest = dest;
  slot.ssn = stream.sent + 1;
  slot.fresh = false;
  if (!stream.positioned) {
    RK_TRY_VOID(stream.originals.seek(slot.ssn));
    stream.positioned = true;
  }
  RK_TRY(const ByteView at, stream.originals.peek());
  if (stream.originals.number() != slot.ssn) {
    slot.trimmed = true;
  } else {
    RK_TRY(slot.item_bytes, item_bytes(units_.segment(), dest, at));
    RecordHeader header;
    std::memcpy(&header, at.data(), sizeof header);
    if (header.sum != record_sum(header) || header.ssn != slot.ssn)
      return fail(ErrorCode::kCorrupt, "message " + std::to_string(slot.ssn) + " to process " + std::to_string(dest) +
                                           " is damaged in the log: restart the job");
    if (header.context != envelope.context) return divergence(dest, slot.ssn, "communicator");
    if (header.tag != envelope.tag)
      return divergence(dest, slot.ssn,
                        "tag (" + std::to_string(envelope.tag) + " after " + std::to_string(header.tag) + ")");
    if (header.length != envelope.length)
      return divergence(
          dest, slot.ssn,
          "length (" + std::to_string(envelope.length) + " bytes after " + std::to_string(header.length) + ")");
    if (header.order != order_ + 1) return divergence(dest, slot.ssn, "order among the messages to all processes");
    slot.original = at.subspan(sizeof header, header.length);
  }
  if (scratch_.size() < envelope.length) scratch_.resize(envelope.length);
  slot.space = std::span<std::byte>(scratch_.data(), envelope.length);
  return slot;
}

Status Outbox::compare(const Slot& slot, ByteView payload) {
  StreamEntry& entry = units_.segment().stream_entry(slot.dest);
  ++counts_.resent;
  count_one(entry.resent);
  if (slot.trimmed) return {};
  if (std::equal(payload.begin(), payload.end(), slot.original.begin(), slot.original.end())) {
    ++counts_.resent_verified;
    count_one(entry.resent_verified);
    return {};
  }
  ++counts_.resent_differing;
  count_one(entry.resent_differing);
  if (config_.strict) return divergence(slot.dest, slot.ssn, "payload");
  return {};
}

Status Outbox::commit(const Slot& slot) {
  Stream& stream = streams_[slot.dest];
  if (slot.fresh) [[likely]] {
    store_release(slot.header->ssn, slot.ssn);
    stream.writer.publish(slot.item_bytes, slot.space.size());
    highest_order_ = order_ + 1;
    ++counts_.messages;
    counts_.bytes += slot.space.size();
  } else {
    if (!slot.trimmed) stream.originals.advance(slot.item_bytes);
    RK_TRY_VOID(compare(slot, slot.space));
  }
  ++order_;
  ++stream.sent;
  return {};
}

Result<SendOutcome> Outbox::send(std::uint32_t dest, const Envelope& envelope, ByteView payload) {
  RK_TRY(Slot slot, reserve(dest, envelope));
  if (slot.fresh) [[likely]] {
    if (!payload.empty()) std::memcpy(slot.space.data(), payload.data(), payload.size());
  } else {
    // Compared in place, without the scratch copy.
    slot.space = std::span<std::byte>(const_cast<std::byte*>(payload.data()), payload.size());  // NOLINT
  }
  RK_TRY_VOID(commit(slot));
  return SendOutcome{slot.ssn, slot.fresh};
}

std::uint64_t Outbox::logged_bytes() const {
  std::uint64_t bytes = 0;
  for (const Stream& stream : streams_) bytes += stream.writer.published_bytes();
  return bytes;
}

Result<std::uint64_t> Outbox::trim(std::uint32_t dest, std::uint64_t prologue, std::uint64_t trim_watermark) {
  Stream& stream = streams_[dest];
  stream.positioned = false;
  // Never above what was sent: a damaged table of the receiver costs its own messages only.
  const std::uint64_t keep = std::max(prologue, units_.segment().stream(dest).prologue);
  return stream.writer.trim(keep, std::min(trim_watermark, stream.writer.published()));
}

void Outbox::mark_prologue() {
  for (std::uint32_t dest = 0; dest < streams_.size(); ++dest)
    store_release(units_.segment().stream_entry(dest).prologue, streams_[dest].sent);
}

void Outbox::snapshot(LogState& state) const {
  state.order = order_;
  state.sent.clear();
  for (const Stream& stream : streams_) state.sent.push_back(stream.sent);
}

Status Outbox::jump(const LogState& state) {
  if (state.sent.size() != streams_.size())
    return fail(ErrorCode::kCorrupt, "the checkpoint is of a job of " + std::to_string(state.sent.size()) +
                                         " processes: restore one of this job");
  for (std::uint32_t dest = 0; dest < streams_.size(); ++dest) {
    if (state.sent[dest] > streams_[dest].writer.published())
      return fail(ErrorCode::kLost, "the log has lost messages to process " + std::to_string(dest) +
                                        " that the checkpoint counts: restart the job");
    streams_[dest].sent = state.sent[dest];
    streams_[dest].positioned = false;
  }
  order_ = state.order;
  return {};
}

}  // namespace rk::log

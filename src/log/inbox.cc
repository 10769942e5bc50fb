// SPDX-License-Identifier: Apache-2.0
#include "log/inbox.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace rk::log {

Inbox::Inbox(Segment own, PeerSource& peers, Config config)
    : own_(own), peers_(peers), config_(std::move(config)), lanes_(own.ranks()) {
  for (std::uint32_t source = 0; source < lanes_.size(); ++source)
    lanes_[source].consumed_before = own_.consumed(source).watermark;
  for (const std::uint32_t source : config_.sources) RK_CHECK(source < lanes_.size());
}

bool Inbox::passed(const Lane& lane, std::uint64_t ssn) const {
  if (config_.planted == PlantedBug::kNoDuplicateCheck) return false;
  return ssn <= lane.arrived || lane.consumed.contains(ssn);
}

Status Inbox::open_lane(std::uint32_t source) {
  Lane& lane = lanes_[source];
  auto view = peers_.open(source);
  if (!view) {
    if (view.error().code == ErrorCode::kUnavailable) return {};
    return tl::unexpected(std::move(view).error());
  }
  lane.cursor = StreamCursor(*view, own_.rank());
  lane.open = true;
  if (lane.consumed.watermark() > 0) RK_TRY_VOID(lane.cursor.seek(lane.consumed.watermark() + 1));
  return {};
}

Result<bool> Inbox::read_record(std::uint32_t source, Lane& lane) {
  RK_TRY(const ByteView at, lane.cursor.peek_message());
  if (at.empty()) return false;
  if (lane.cursor.segment_end() != lane.chunk_end) [[unlikely]] {
    lane.chunk_end = lane.cursor.segment_end();
    peers_.reading(source, lane.chunk_end - lane.cursor.chunk_bytes(), lane.cursor.chunk_bytes());
  }
  RecordHeader header;
  if (at.size() < sizeof header) return damaged(source, lane);
  std::memcpy(&header, at.data(), sizeof header);
  if (!is_message(header, source, own_.rank(), lane.cursor.number(), at.size() - sizeof header)) {
    // Memory that was used before can look like the number of a message that is still to come.
    if (lane.cursor.at_end()) return false;
    return damaged(source, lane);
  }
  current_.source = source;
  current_.tag = header.tag;
  current_.context = header.context;
  current_.ssn = header.ssn;
  current_.payload = at.subspan(sizeof header, header.length);
  current_.owned.reset();
  lane.cursor.advance(std::min<std::uint64_t>(round_up(sizeof header + header.length, kLine), at.size()));
  return true;
}

tl::unexpected<Error> Inbox::damaged(std::uint32_t source, const Lane& lane) const {
  return fail(ErrorCode::kCorrupt, "message " + std::to_string(lane.cursor.number()) + " from process " +
                                       std::to_string(source) + " is damaged in its log: restart the job");
}

Result<const Arrival*> Inbox::pull_slow(std::uint32_t source) {
  Lane& lane = lanes_[source];
  if (!lane.carried.empty()) {
    current_ = std::move(lane.carried.front());
    lane.carried.pop_front();
    return &current_;
  }
  if (!lane.open) {
    RK_TRY_VOID(open_lane(source));
    if (!lane.open) return nullptr;
  }
  while (!lane.cursor.no_message()) {
    auto read = read_record(source, lane);
    if (!read) {
      // As in StreamCursor::peek: a lagging reader may stand in freed memory. Once more from the start of the chain.
      RK_TRY_VOID(lane.cursor.seek(lane.cursor.number()));
      read = read_record(source, lane);
      if (!read) return tl::unexpected(std::move(read).error());
    }
    if (!*read) return nullptr;
    if (!passed(lane, current_.ssn)) {
      lane.arrived = current_.ssn;
      return &current_;
    }
    ++counts_.duplicates;
  }
  return nullptr;
}

bool Inbox::has_new() {
  for (const std::uint32_t source : config_.sources) {
    Lane& lane = lanes_[source];
    // What cannot be opened is told by the next pull().
    if (!lane.open && !open_lane(source)) return true;
    if (!lane.carried.empty()) return true;
    if (!lane.open) continue;
    const std::uint64_t published = load_acquire(lane.cursor.segment().stream(own_.rank()).published);
    if (published >= lane.cursor.number() && published > lane.looked) {
      lane.looked = published;
      return true;
    }
  }
  return false;
}

Arrival Inbox::take_held(std::uint32_t source, std::size_t index) {
  auto& held = lanes_[source].held;
  RK_CHECK(index < held.size());
  Arrival arrival = std::move(held[index]);
  held.erase(held.begin() + static_cast<std::ptrdiff_t>(index));
  return arrival;
}

void Inbox::consume(const Arrival& arrival) {
  Lane& lane = lanes_[arrival.source];
  ConsumedEntry& entry = own_.consumed_entry(arrival.source);
  lane.consumed.insert(arrival.ssn);
  ++counts_.received;
  count_one(entry.received);
  if (arrival.ssn <= lane.consumed_before) {
    ++counts_.replayed;
    count_one(entry.replayed);
  } else {
    std::atomic_ref(entry.watermark)
        .store(std::max(lane.consumed.watermark(), lane.consumed_before), std::memory_order_relaxed);
  }
}

void Inbox::deliver(Lane& lane, const RecordHeader& header, std::shared_ptr<const Bytes> payload) {
  Arrival arrival;
  arrival.source = header.source;
  arrival.tag = header.tag;
  arrival.context = header.context;
  arrival.ssn = header.ssn;
  arrival.payload = *payload;
  arrival.owned = std::move(payload);
  lane.carried.push_back(std::move(arrival));
  // Over what an earlier part of this history consumed out of order.
  lane.arrived = lane.consumed.next_missing(std::max(lane.arrived, header.ssn)) - 1;
}

Status Inbox::accept(const RecordHeader& header, ByteView payload) {
  if (header.magic != kRecordMagic || header.sum != record_sum(header) || header.source >= lanes_.size() ||
      header.dest != own_.rank() || header.length != payload.size() || header.ssn == 0)
    return fail(ErrorCode::kCorrupt,
                "a carried message is not what its header says: close the connection to that server");
  Lane& lane = lanes_[header.source];
  if (passed(lane, header.ssn)) {
    ++counts_.duplicates;
    return {};
  }
  auto copy = std::make_shared<const Bytes>(payload.begin(), payload.end());
  if (header.ssn <= lane.consumed.next_missing(lane.arrived)) {
    deliver(lane, header, std::move(copy));
    while (!lane.early.empty() && lane.early.front().header.ssn <= lane.consumed.next_missing(lane.arrived)) {
      Early next = std::move(lane.early.front());
      lane.early.erase(lane.early.begin());
      if (!passed(lane, next.header.ssn)) deliver(lane, next.header, std::move(next.payload));
    }
    return {};
  }
  const auto at = std::lower_bound(lane.early.begin(), lane.early.end(), header.ssn,
                                   [](const Early& early, std::uint64_t ssn) { return early.header.ssn < ssn; });
  if (at != lane.early.end() && at->header.ssn == header.ssn) {
    ++counts_.duplicates;
    return {};
  }
  if (lane.early.size() >= kMaxEarly)
    return fail(ErrorCode::kNoMemory, "too many messages from process " + std::to_string(header.source) +
                                          " arrived before an earlier one: send that one again first");
  lane.early.insert(at, Early{header, std::move(copy)});
  return {};
}

void Inbox::snapshot(LogState& state) const {
  state.consumed.clear();
  for (const Lane& lane : lanes_) state.consumed.push_back(lane.consumed);
}

Status Inbox::jump(const LogState& state) {
  if (state.consumed.size() != lanes_.size())
    return fail(ErrorCode::kCorrupt, "the checkpoint is of a job of " + std::to_string(state.consumed.size()) +
                                         " processes: restore one of this job");
  for (std::size_t source = 0; source < lanes_.size(); ++source) {
    Lane& lane = lanes_[source];
    lane.consumed = state.consumed[source];
    lane.arrived = lane.consumed.watermark();
    lane.held.clear();
    lane.early.clear();
    lane.carried.clear();
    if (lane.open) RK_TRY_VOID(lane.cursor.seek(lane.consumed.watermark() + 1));
  }
  return {};
}

void Inbox::mark_prologue() {
  for (std::uint32_t source = 0; source < lanes_.size(); ++source)
    store_release(own_.consumed_entry(source).prologue, lanes_[source].consumed.highest());
}

void Inbox::publish_trim(const LogState& oldest) {
  const std::size_t count = std::min(oldest.consumed.size(), lanes_.size());
  for (std::uint32_t source = 0; source < count; ++source) {
    ConsumedEntry& entry = own_.consumed_entry(source);
    store_release(entry.trim, std::max(entry.trim, oldest.consumed[source].watermark()));
  }
}

}  // namespace rk::log

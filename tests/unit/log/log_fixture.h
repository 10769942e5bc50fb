// SPDX-License-Identifier: Apache-2.0
// A job in one process: a segment a rank in plain memory, which outlives the ProcessLog objects opened over it.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "log/process_log.h"

namespace rk::log {

#define ASSERT_OK(expression)                                          \
  do {                                                                 \
    auto&& assert_ok_result = (expression);                            \
    ASSERT_TRUE(assert_ok_result) << assert_ok_result.error().message; \
  } while (false)

inline ByteView view_of(const std::string& text) { return as_bytes(text); }
inline std::string text_of(ByteView bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

// Grows inside of a fixed memory, as the daemon does inside of a mapping.
class TestArena : public ArenaSource {
 public:
  explicit TestArena(std::uint64_t usable, std::uint64_t limit) : usable_(usable), limit_(limit) {}
  Result<std::uint64_t> grow(std::uint64_t bytes) override {
    ++grows;
    if (usable_ + bytes > limit_) return fail(ErrorCode::kNoMemory, "the test's limit");
    return usable_ += bytes;
  }
  void grow_ahead(std::uint64_t bytes) override {
    ahead += bytes;
    ++asked;
  }
  bool coming(std::uint64_t) const override { return on_its_way; }
  std::uint64_t usable() const { return usable_; }
  int grows = 0;
  std::uint64_t ahead = 0;
  int asked = 0;            // calls of grow_ahead()
  bool on_its_way = false;  // what coming() says

 private:
  std::uint64_t usable_;
  std::uint64_t limit_;
};

// Messages inside a community, for one receiver.
class TestPort : public InsidePort {
 public:
  struct Message {
    std::uint64_t context;
    InsideMessage message;
  };
  std::optional<InsideMessage> try_match(std::uint64_t context, std::uint32_t source, std::int32_t tag) override {
    const auto at = find(context, source, tag);
    if (at == queue.end()) return std::nullopt;
    const InsideMessage message = at->message;
    queue.erase(at);
    return message;
  }
  std::optional<InsideMessage> try_probe(std::uint64_t context, std::uint32_t source, std::int32_t tag) override {
    const auto at = find(context, source, tag);
    if (at == queue.end()) return std::nullopt;
    return at->message;
  }
  void arrive(std::uint64_t context, std::uint32_t source, std::int32_t tag, std::uint64_t token) {
    queue.push_back({context, {source, tag, 0, token}});
  }
  std::deque<Message> queue;

 private:
  std::deque<Message>::iterator find(std::uint64_t context, std::uint32_t source, std::int32_t tag) {
    return std::find_if(queue.begin(), queue.end(), [&](const Message& m) {
      return m.context == context && (source == kAnySource || m.message.source == source) &&
             (tag == kAnyTag || m.message.tag == tag);
    });
  }
};

class TestJob : public PeerSource {
 public:
  static constexpr std::uint64_t kBytes = std::uint64_t{8} << 20U;

  explicit TestJob(std::vector<std::uint32_t> communities, std::uint64_t bytes = kBytes) : bytes_(bytes) {
    for (const std::uint32_t community : communities) community_of_.emplace_back(community);
    const auto ranks = static_cast<std::uint32_t>(communities.size());
    for (std::uint32_t rank = 0; rank < ranks; ++rank) {
      // 8-byte aligned, as a mapping is.
      memory_.emplace_back(bytes / sizeof(std::uint64_t));
      arenas_.push_back(std::make_unique<TestArena>(Segment::smallest_bytes(ranks), bytes));
      ports_.push_back(std::make_unique<TestPort>());
    }
    logs_.resize(ranks);
    lives_.resize(ranks);
  }

  SegmentIdentity identity(std::uint32_t rank) const {
    return {JobId(77), Rank(rank), static_cast<std::uint32_t>(community_of_.size())};
  }
  std::span<std::byte> memory(std::uint32_t rank) {
    return std::as_writable_bytes(std::span(memory_[rank].data(), memory_[rank].size()));
  }
  Result<SegmentView> open(std::uint32_t rank) override { return SegmentView::open(memory(rank), identity(rank)); }

  // A new life of a process; the old object is gone as after a kill.
  ProcessLog& start(std::uint32_t rank) {
    logs_[rank].reset();
    ports_[rank]->queue.clear();
    ProcessLog::Config config;
    config.identity = identity(rank);
    config.incarnation = Incarnation(++lives_[rank]);
    config.community_of = community_of_;
    config.strict = strict;
    config.planted = planted;
    auto log =
        ProcessLog::open(memory(rank), arenas_[rank]->usable(), config, *arenas_[rank], *this, ports_[rank].get());
    if (!log) throw std::runtime_error(log.error().message);
    logs_[rank] = std::move(*log);
    return *logs_[rank];
  }
  void start_all() {
    for (std::uint32_t rank = 0; rank < logs_.size(); ++rank) start(rank);
  }
  ProcessLog& operator[](std::uint32_t rank) { return *logs_[rank]; }
  TestPort& port(std::uint32_t rank) { return *ports_[rank]; }
  TestArena& arena(std::uint32_t rank) { return *arenas_[rank]; }

  Result<SendOutcome> send(std::uint32_t from, std::uint32_t to, std::int32_t tag, const std::string& text) {
    return logs_[from]->outbox().send(to, {1, tag, text.size()}, view_of(text));
  }

  bool strict = false;
  PlantedBug planted = PlantedBug::kNone;

 private:
  std::uint64_t bytes_;
  std::vector<CommunityId> community_of_;
  std::vector<std::vector<std::uint64_t>> memory_;
  std::vector<std::unique_ptr<TestArena>> arenas_;
  std::vector<std::unique_ptr<TestPort>> ports_;
  std::vector<std::unique_ptr<ProcessLog>> logs_;
  std::vector<std::uint64_t> lives_;
};

}  // namespace rk::log

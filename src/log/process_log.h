// SPDX-License-Identifier: Apache-2.0
// Everything of one process's log in one object: its segment, outbox, inbox, determinants and matcher, opened in the
// right order over memory that earlier incarnations may have filled. client/log_session makes it for a process of a
// job; the simulation makes many in one process.
//
// Life of a process that takes checkpoints:
//   open                      a new life re-executes from the start of the program
//   at the restart question   first life: mark_prologue(). A later life that is told "restore version v": suspend()
//   restore                   jump(state of v)
//   checkpoint                snapshot() becomes part of the version; after its commit trim(state of the oldest
//                             retained version) tells the senders and frees what is this process's own
#pragma once

#include <memory>
#include <optional>

#include "log/determinants.h"
#include "log/inbox.h"
#include "log/matcher.h"
#include "log/outbox.h"

namespace rk::log {

struct LogStats {
  OutboxCounts sent;
  InboxCounts received;
  std::uint64_t determinants = 0;  // written
  std::uint64_t determinants_replayed = 0;
};

class ProcessLog {
 public:
  struct Config {
    SegmentIdentity identity;
    Incarnation incarnation;                 // of the community
    std::vector<CommunityId> community_of;   // by rank
    bool strict = false;                     // --on-divergence=strict
    PlantedBug planted = PlantedBug::kNone;  // test hook
  };
  // Formats blank memory, or opens what earlier incarnations left. The memory, `arena`, `peers` and `port` (may be
  // null) must outlive the object.
  static Result<std::unique_ptr<ProcessLog>> open(std::span<std::byte> memory, std::uint64_t usable, Config config,
                                                  ArenaSource& arena, PeerSource& peers, InsidePort* port);

  Outbox& outbox() { return *outbox_; }
  Inbox& inbox() { return *inbox_; }
  Matcher& matcher() { return *matcher_; }
  OutcomeLog& outcomes() { return *outcomes_; }
  MatchLog& matches() { return *matches_; }
  const Segment& segment() const { return segment_; }
  std::uint32_t rank() const { return config_.identity.rank.value; }
  bool inside(std::uint32_t rank) const { return config_.community_of[rank] == config_.community_of[this->rank()]; }

  // True while this life repeats an earlier one: a match, an outcome or a sent message is still on record.
  bool replaying() const;

  LogState snapshot() const;
  Status jump(const LogState& state);
  // At the restart question: what was logged up to here is kept for ever. Only the first life moves the mark.
  void mark_prologue();
  // What is logged up to `oldest` (of the oldest group version that a restart could still use) is not needed again.
  Status trim(const LogState& oldest);
  LogStats stats() const;
  // Memory that is left before the segment must grow.
  std::uint64_t free_bytes() const { return units_.free_units() * kUnitBytes; }

 private:
  // Frees what the receivers have passed before it asks for more memory.
  class ReclaimingArena : public ArenaSource {
   public:
    ReclaimingArena(ProcessLog& log, ArenaSource& outer) : log_(log), outer_(outer) {}
    Result<std::uint64_t> grow(std::uint64_t bytes) override;
    void grow_ahead(std::uint64_t bytes) override;
    bool coming(std::uint64_t bytes) const override { return outer_.coming(bytes); }
    std::uint64_t grown() override { return outer_.grown(); }

   private:
    ProcessLog& log_;
    ArenaSource& outer_;
  };

  ProcessLog(Config config, Segment segment, ArenaSource& arena);
  Status free_outbox();

  Config config_;
  Segment segment_;
  ReclaimingArena arena_;
  Units units_;
  PeerSource* peers_ = nullptr;
  std::unique_ptr<Outbox> outbox_;
  std::unique_ptr<Inbox> inbox_;
  std::unique_ptr<MatchLog> matches_;
  std::unique_ptr<OutcomeLog> outcomes_;
  std::unique_ptr<Matcher> matcher_;
};

}  // namespace rk::log

// SPDX-License-Identifier: Apache-2.0
// Determinants: outcomes that the program could not foresee, in shared memory before the program can act on them.
//
// MatchLog: what each receive got, keyed by its posting number (program order), written at match. Messages of other
// communities always (they bear <src, dest, ssn, rsn>), those of inside senders when the receive had a wildcard.
//
// OutcomeLog: every other answer that the program saw, in program order: which request completed, flags of test and
// probe, clocks, processor names. Equal outcomes in a row cost one counter. The MPI layer asks first:
//
//   if (outcomes.replaying()) { RK_TRY(Outcome seen, outcomes.replay(OutcomeKind::kTest)); ... make it so ... }
//   else { ... find out ...; RK_TRY_VOID(outcomes.record(OutcomeKind::kTest, flag)); }
//
// Replay ends by itself where an earlier life ended; from there on outcomes are recorded behind it. An outcome of
// another kind than the recorded one is a divergence.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "log/log_state.h"
#include "log/stream.h"

namespace rk::log {

// Append-only: the numbers stand in segments.
enum class OutcomeKind : std::uint32_t {
  kTest = 1,        // value: flag
  kTestAny = 2,     // value: flag, detail: index
  kTestAll = 3,     // value: flag
  kSome = 4,        // value: count; blob: u32 indices (testsome, waitsome)
  kWaitAny = 5,     // value: index
  kProbe = 6,       // value: source, detail: tag
  kProbeFlag = 7,   // value: 0, or source + 1; detail: tag
  kClock = 8,       // value: bits of the double
  kClockBytes = 9,  // blob: a struct that holds times or resource usage
  kName = 10,       // blob: processor or host name
  kReceive = 11,    // rk_recv: value: error code; detail: bytes of a message that was too large
  kCancelled = 12,  // value: flag
  kOther = 13,
};
std::string_view to_string(OutcomeKind kind);

struct Outcome {
  OutcomeKind kind = OutcomeKind::kOther;
  std::uint64_t value = 0;
  std::uint64_t detail = 0;
  ByteView blob;  // in the own segment
};

inline constexpr std::size_t kMaxOutcomeBytes = 16U << 10U;

class OutcomeLog {
 public:
  static Result<std::unique_ptr<OutcomeLog>> open(Units& units);

  bool replaying() const { return replaying_ && !suspended_; }
  // The next recorded outcome; kDivergence, naming both, if it is of another kind.
  Result<Outcome> replay(OutcomeKind kind);
  Status record(OutcomeKind kind, std::uint64_t value, std::uint64_t detail = 0, ByteView blob = {});

  // Between the restart question and the restore of a restarted life the program does what its first life did not:
  // nothing is replayed or recorded until jump() or resume().
  void suspend() { suspended_ = true; }
  void resume() { suspended_ = false; }

  OutcomePosition position() const;
  // Continues at a checkpoint's place: replays from there what was recorded behind it.
  Status jump(const OutcomePosition& position);
  Result<std::uint64_t> trim(const OutcomePosition& prologue, const OutcomePosition& oldest);
  std::uint64_t recorded() const { return recorded_; }
  std::uint64_t replayed() const { return replayed_; }

 private:
  explicit OutcomeLog(Units& units) : units_(units) {}
  Result<const OutcomeEntry*> current();
  Status find_place();

  Units& units_;
  StreamWriter writer_;
  StreamCursor cursor_;           // at the entry being replayed
  std::uint64_t run_used_ = 0;    // outcomes of that entry already given
  OutcomeEntry* last_ = nullptr;  // newest entry, to count it up; null if there is none
  bool replaying_ = false;
  bool suspended_ = false;
  std::uint64_t recorded_ = 0;
  std::uint64_t replayed_ = 0;
};

struct MatchRecord {
  std::uint64_t psn = 0;
  MatchKind kind = MatchKind::kOutside;
  std::uint32_t source = 0;
  std::int32_t tag = 0;
  std::uint64_t ssn = 0;
  std::uint64_t rsn = 0;
  std::uint64_t item = 0;  // number in the stream, once it is there
};

class MatchLog {
 public:
  static Result<std::unique_ptr<MatchLog>> open(Units& units);

  Status record(const MatchRecord& match);
  // What an earlier life recorded for the receive with this posting number; nullptr if nothing.
  const MatchRecord* find(std::uint64_t psn) const;
  // True while some recorded match has a posting number above `psn`.
  bool recorded_above(std::uint64_t psn) const { return !past_.empty() && past_.back().psn > psn; }

  std::uint64_t items() const { return writer_.published(); }
  // Items before the first match that a process standing behind posting number `postings` will ask for. Below items()
  // while matches of an earlier life are still to be repeated.
  std::uint64_t position(std::uint64_t postings) const;
  // Highest rsn on record; new ones go above it.
  std::uint64_t highest_rsn() const { return highest_rsn_; }
  // Continues at a checkpoint's place: only matches of receives posted behind it are found.
  Status jump(std::uint64_t items, std::uint64_t postings);
  Result<std::uint64_t> trim(std::uint64_t prologue_items, std::uint64_t oldest_items);
  std::uint64_t recorded() const { return recorded_; }
  // A receive has got what find() said.
  void count_repeated();
  std::uint64_t repeated() const { return repeated_; }

 private:
  explicit MatchLog(Units& units) : units_(units) {}
  Status load(std::uint64_t after_items, std::uint64_t after_postings);

  Units& units_;
  StreamWriter writer_;
  std::vector<MatchRecord> past_;  // of earlier lives, sorted by psn
  std::uint64_t highest_rsn_ = 0;
  std::uint64_t recorded_ = 0;
  std::uint64_t repeated_ = 0;
};

}  // namespace rk::log

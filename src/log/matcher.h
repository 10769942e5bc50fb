// SPDX-License-Identifier: Apache-2.0
// Matching of receives and messages by MPI's rule: a message goes to the earliest posted receive that accepts it, a
// receive gets the earliest message of a source that it accepts.
//
// Messages of other communities come from the inbox. Those from inside come through InsidePort, which the MPI layer
// implements with matched probes. No native wildcard receive is ever posted: the matcher holds it, asks the port, and
// gives what the port found to the earliest receive held that accepts it. A receive from a specific inside process goes
// to the native library ("post natively") unless it overlaps a receive held here, behind which it must stay.
//
// Every receive has a posting number (psn), given in program order. A match is written to the MatchLog at once, before
// it is reported: a receive that the program never waits for still moves later matches. On re-execution the recorded
// match of a psn turns a wildcard into exactly that message; a psn without a record was not matched, and is matched
// anew. That is safe: a receive that an earlier life left unmatched accepts nothing that a later psn has on record.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "log/determinants.h"
#include "log/inbox.h"

namespace rk::log {

inline constexpr std::uint32_t kAnySource = UINT32_MAX;
inline constexpr std::int32_t kAnyTag = -1;

// Where the senders of a context can be. A specific source decides by itself.
enum class Reach : std::uint8_t { kInside = 1, kOutside = 2, kBoth = 3 };

struct RecvSpec {
  std::uint64_t context = 0;
  std::uint32_t source = kAnySource;  // rank in the job
  std::int32_t tag = kAnyTag;
  Reach reach = Reach::kBoth;
};

// A message from inside that the native library has set aside (MPI_Message), or only seen (a probe: token 0).
struct InsideMessage {
  std::uint32_t source = 0;  // rank in the job
  std::int32_t tag = 0;
  std::uint64_t length = 0;  // bytes
  std::uint64_t token = 0;
};

class InsidePort {
 public:
  virtual ~InsidePort() = default;
  // Takes the first message that fits out of the native queue (MPI_Improbe).
  virtual std::optional<InsideMessage> try_match(std::uint64_t context, std::uint32_t source, std::int32_t tag) = 0;
  // Looks without taking (MPI_Iprobe).
  virtual std::optional<InsideMessage> try_probe(std::uint64_t context, std::uint32_t source, std::int32_t tag) = 0;
};

struct Match {
  std::uint64_t psn = 0;
  std::uint32_t source = 0;
  std::int32_t tag = 0;
  std::uint64_t length = 0;
  bool inside = false;
  std::uint64_t token = 0;             // inside: what the port gave
  std::uint64_t ssn = 0;               // outside
  std::uint64_t rsn = 0;               // outside
  ByteView payload;                    // outside: in the sender's memory, until a checkpoint behind it is retained
  std::shared_ptr<const Bytes> owned;  // keeps the payload of a carried message
};

enum class PostState : std::uint8_t {
  kMatched,    // `match` is filled; progress() will not report it again
  kPending,    // progress() reports the match
  kNative,     // post it in the native library, from `native_source` with `native_tag` (specific, but for the tag of a
               // receive that has only the tag open: the native library's own order decides that)
  kCancelled,  // an earlier life cancelled it before a match: it stays open until the program cancels it
};

struct Posted {
  std::uint64_t psn = 0;
  PostState state = PostState::kPending;
  std::uint32_t native_source = 0;
  std::int32_t native_tag = 0;
  Match match;
};

struct Probed {
  std::uint32_t source = 0;
  std::int32_t tag = 0;
  std::uint64_t length = 0;
  bool inside = false;
};

class Matcher {
 public:
  struct Config {
    std::vector<bool> inside;  // by rank: a member of the own community (the process itself included)
    PlantedBug planted = PlantedBug::kNone;
  };
  // `port` may be null: no inside messages (rk_recv of a program without MPI).
  Matcher(Inbox& inbox, MatchLog& log, InsidePort* port, Config config);

  Result<Posted> post(const RecvSpec& spec);
  // A matched probe: takes a message that no pending receive accepts, if there is one. Gives a psn only if so.
  Result<std::optional<Match>> take(const RecvSpec& spec);
  // A probe: a message that no pending receive accepts.
  Result<std::optional<Probed>> probe(const RecvSpec& spec);
  // Looks for new messages; appends the matches of pending receives, in the order in which they were made.
  Status progress(std::vector<Match>& out);
  // True, and on record: the receive is gone. False: it is matched, or will be (on record).
  Result<bool> cancel(std::uint64_t psn);

  // Receives whose match progress() has not reported yet: some may be matched by now.
  std::size_t pending() const { return pending_.size() + ready_.size(); }
  // True while the receive posted next has its match on record: a wait for it may not time out.
  bool next_on_record() const { return log_.find(postings_ + 1) != nullptr; }
  // True while matches of an earlier life are still to be repeated.
  bool replaying() const { return log_.recorded_above(postings_) || replaying_pending_ > 0; }

  void snapshot(LogState& state) const;
  // kInvalidArgument if a receive is pending.
  Status jump(const LogState& state);
  // Test hook of PlantedBug::kDeterminantAtCompletion: the program has completed this receive.
  Status planted_completion(std::uint64_t psn);

 private:
  struct Pending {
    std::uint64_t psn = 0;
    RecvSpec spec;  // narrowed to what is on record
    Reach reach = Reach::kBoth;
    bool wildcard = false;         // as posted by the program: an inside match goes on record
    bool recorded = false;         // an earlier life matched or cancelled it
    bool to_be_cancelled = false;  // of those
    std::uint64_t exact_ssn = 0;   // of those: this outside message and no other
    std::uint64_t rsn = 0;         // of those
  };
  struct Candidate {
    std::uint64_t context;
    std::uint32_t source;
    std::int32_t tag;
    std::uint64_t ssn;
    Reach side;
  };

  static Candidate candidate(const Arrival& a) { return {a.context, a.source, a.tag, a.ssn, Reach::kOutside}; }
  static Candidate candidate(std::uint64_t context, const InsideMessage& m) {
    return {context, m.source, m.tag, 0, Reach::kInside};
  }
  bool is_inside(std::uint32_t source) const { return source < config_.inside.size() && config_.inside[source]; }
  Reach reach_of(const RecvSpec& spec) const;
  static bool accepts(const Pending& receive, const Candidate& message);
  std::size_t first_acceptor(const Candidate& message) const;  // index into pending_; its size if none
  bool overlaps_pending(const RecvSpec& spec) const;
  Pending describe(const RecvSpec& spec, std::uint64_t psn) const;
  Result<Pending> describe_on_record(const RecvSpec& spec, const MatchRecord& record) const;

  Result<bool> match_now(const Pending& newest, Match& match);
  Result<bool> match_held(const Pending& receive, Match& match);
  Result<bool> drain(std::uint32_t source, const Pending* newest, Match& match);
  Result<bool> ask_port(const Pending& newest, Match& match);
  Status settle();
  Status bind_outside(const Pending& receive, const Arrival& arrival, Match& match);
  Status bind_inside(const Pending& receive, const InsideMessage& message, Match& match);
  Status write(const MatchRecord& record);
  void remove_pending(std::size_t at);

  Inbox& inbox_;
  MatchLog& log_;
  InsidePort* port_;
  Config config_;
  std::vector<Pending> pending_;       // in posting order
  std::vector<Match> ready_;           // matched while something else was done; progress() reports them
  std::vector<MatchRecord> deferred_;  // PlantedBug::kDeterminantAtCompletion
  std::uint64_t postings_ = 0;
  std::uint64_t rsn_ = 0;
  std::uint64_t replaying_pending_ = 0;
  std::size_t rotation_ = 0;  // fairness among sources
};

}  // namespace rk::log

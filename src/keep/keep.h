// SPDX-License-Identifier: Apache-2.0
// The keep's core: the checkpoints of this server's clients, and the second copies of other servers' checkpoints.
//
//  client        home (this server)                       predecessor in the ring
//    | begin ----->| claim: ask every member about the name, once per name and life
//    |<---- slot --| TakeSlot
//    | (writes)    |
//    | commit ---->| SumSlot, number the version
//    |             |---- CopyOffer, CopyChunk... ---------->| ReceiveCopy, compare checksums
//    |             |<------------------- CopyAnswer --------| complete, not yet visible there
//    |<------ OK --| visible                                |
//    |             |---- CopyRetain ----------------------->| drops what is no longer kept
//
//  Between complete and OK, if a server that held copies before this predecessor may still take what it knows for the
//  newest: KeepOutdate to it, and its answer (currency.cc).
//
// - A copy counts only if its answer arrives in the view in which it was offered. After a change of view an open commit
//   is offered again, to the predecessor of the new view. A server that is in no serving view commits nothing.
// - OK, and what is said to exist, are said under a lease of the ring; without one they wait (leases.cc). A name whose
//   home a view has removed is claimed by another server after that one's lease has ended.
// - FAILED: no byte left this server, or the only server that was offered the version says that it has nothing of it.
//   UNKNOWN: bytes left, no answer in time; the version may become visible later, unless a newer one does before.
// - A name's home is the server that claimed it: every member of the view answered that it is not the home itself. A
//   home that lost its memory learns from the answers what exists, and the highest complete version is rolled forward.
//   What a removed or restarted server knew of a name is fetched from the holders that answered.
// - Copies that a change of the ring moved are made again in the background (heal), the old holder keeps its copy until
//   the new one is complete.
// - Of a large version only the pages travel that differ from an older one which the receiver has (deltas.cc).
// - Copies are summed again at rest; what is damaged is not given to anybody, and replaced (scrubbing.cc).
// - A group record is a version without bytes whose parts are listed; the same protocol replicates it.
//
// One loop thread owns it. Messages may be lost, doubled, delayed and reordered.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "keep/catalogue.h"
#include "keep/events.h"
#include "keep/memory.h"

namespace rk::keep {

// Bugs that the simulation's own tests plant, one at a time, to prove that its checkers see them.
enum class PlantedBug : std::uint8_t {
  kNone,
  kAcknowledgeBeforeCopy,  // OK before the second copy is complete
  kReuseFailedNumber,      // a version number is used again after FAILED
  kNoLease,                // OK and reads whether or not there is a lease
  kNoLeaseNoEpoch,         // nor does it matter in which view a copy is offered and acknowledged
  kNoFence,                // a home is replaced while its lease may last
  kCountEmpty,             // a restarted server counts as the holder that its life before was
  kCountIncomplete,        // a new holder counts, and the old one is dropped, before the copy is complete
  kClaimIsLoss,            // a name that anybody has claimed, and of which there is no copy, is said to be lost
  kOlderAfterLoss,         // what is left counts as the newest, although nobody who must know that is left
  kNotOutdated,            // a version is confirmed before all that knew the one before were told
  kNotPassedOn,            // names whose home is gone are not told to members that come
  kNotAdopted,             // nobody becomes the home of a name whose home is gone before a writer comes
  kReturnedTrusted,        // what a killed server held counts for its next life, whatever happened in between
  kDamageNotTold,          // a holder does not tell the home that its copy is damaged
  kRepairNotVerified,      // a damaged copy is replaced by whatever bytes come
  kServeDamaged,           // a copy that is known to be damaged is given to readers
  kOverwriteShadow,        // a second copy is written over the version before it
  kNoWriterFence,          // writers of an older life of the community are not refused
  kTrustChecksum,          // whoever has a copy counts as current, if only its checksums are right
  kRetireBeforeCommit,     // a group record that is not confirmed yet lets go of the parts of those before it
  kDeltaOnWrongBase,       // changed pages are laid over whatever version is there, and the result is not summed
};

struct Config {
  Member self;
  std::size_t max_names_per_owner = 65536;
  std::size_t max_open_writes_per_session = 256;
  // Commits of one name that have a number and are not decided; later ones wait for their turn. With what is kept
  // beside them, fewer than a predecessor holds of one name.
  std::size_t max_open_commits_per_name = 8;
  std::size_t max_parked = 65536;                // requests that wait for a lease
  std::uint64_t owner_quota_bytes = UINT64_MAX;  // of memory in slots, copies for other servers' clients included
  std::uint64_t answer_timeout_ms = 10'000;      // for requests that have no timeout of their own
  std::uint64_t max_commit_timeout_ms = 600'000;
  std::uint64_t retry_ms = 200;                // a message without its answer is sent again
  std::uint64_t copy_bytes_per_ms = 50'000;    // the slowest copy that is not taken for lost
  bool remembers = false;                      // Remember effects, for a next life in the same place (memory.h)
  std::uint64_t returned_ms = 60'000;          // copies of the life before wait so long for somebody to ask for them
  std::uint64_t delta_from_bytes = 256 << 10;  // of a version; smaller ones travel whole
  std::uint64_t scrub_bytes_per_s = 0;         // of copies at rest; 0: none is summed unasked
  std::uint64_t scrub_pass_ms = 60'000;        // from the beginning of one pass over them to that of the next, at least
  PlantedBug planted_bug = PlantedBug::kNone;
};

// Copies of which only changed pages travel.
struct DeltaCounts {
  // Of the sender.
  std::uint64_t offered = 0;
  std::uint64_t refused = 0;  // of them, those whose receiver needed the whole
  std::uint64_t saved_bytes = 0;
  // Of the receiver.
  std::uint64_t baseless = 0;  // refused: the base is not here, or not the same
  std::uint64_t spoilt = 0;    // refused: the base was found damaged meanwhile, or the result had not its checksums
  // Of either: a base that was let go of meanwhile was kept until the delta had no more need of it.
  std::uint64_t outlived = 0;
};

class Keep {
 public:
  // `memory`: of the life before in the same place.
  explicit Keep(Config config, std::optional<Memory> memory = std::nullopt);

  void step(const Event& event, Effects& out);

  // Names with a committed version or a complete copy here.
  std::uint64_t checkpoints() const;
  wire::IntegrityStatus integrity() const;
  const DeltaCounts& deltas() const { return deltas_; }
  const Catalogue& catalogue() const { return catalogue_; }
  // Nothing is under way: until the next other event a Tick changes nothing, before it is time to scrub.
  bool quiet() const;
  // A Tick at that time begins to sum a copy at rest.
  bool scrub_due(std::uint64_t now_ms) const;
  // What is under way, for people.
  std::string under_way() const;
  // Copies of the life before that were of use again.
  std::uint64_t returned_used() const { return returned_used_; }

 private:
  using VersionKey = std::pair<wire::KeepKey, Version>;

  // A version that a client writes, or whose checksums are being computed.
  struct Writing {
    SessionId session;
    wire::KeepKey key;
    Incarnation incarnation;
    std::uint64_t begin_request = 0;
    std::uint64_t total = 0;
    std::vector<wire::SectionPlace> sections;
    bool ready = false;                   // the client has the slot
    std::optional<ClientRequest> commit;  // of a put: the request that began it
    wire::CommitLevel level = wire::CommitLevel::kReplicated;
    std::uint64_t deadline_ms = 0;
    std::optional<std::vector<std::uint64_t>> sums;  // its checksums are there: it waits for its turn only
    SlotId base;                                     // it is being compared with, pinned
    wire::CopyDelta delta;                           // against that one
  };
  // A version that has a number and no result yet, or whose result was UNKNOWN.
  struct Pending {
    SessionId session;
    std::uint64_t request = 0;
    std::uint64_t deadline_ms = 0;
    bool answered = false;
    std::set<Member> offered;
    ViewNumber complete_in;           // the predecessor of that view has it
    std::uint64_t outdate_at_ms = 0;  // who must be told that it comes is told again then
    bool had_elsewhere = false;       // a server had it complete once, and its copy was damaged since
    wire::CopyDelta delta;            // no base: it travels whole
  };
  // A copy under way to another server.
  struct Outgoing {
    VersionKey version;
    Member to;
    bool streaming = false;
    std::uint64_t retry_at_ms = 0;
    wire::CopyDelta delta{};  // as it was offered
  };
  // A copy under way to this server, for another home.
  struct Incoming {
    Member from;
    std::uint64_t copy = 0;
    bool eager = false;
    wire::KeepKey key;
    wire::VersionContent content;
    bool ready = false;
    std::uint64_t deadline_ms = 0;  // the sender has given it up then
    wire::CopyDelta delta;          // no base: all bytes come
    SlotId base;                    // its base's, pinned
  };
  // Bytes on their way back: for the home's own record (`install`) or for one reader.
  struct Fetch {
    wire::KeepKey key;
    wire::VersionContent content;
    std::vector<Member> candidates;  // holders not tried yet
    Member from;
    std::uint64_t copy = 0;
    bool install = false;
    bool damaged = false;     // bytes came that are not the version's
    bool confirming = false;  // of a reader who has asked once more who holds it
    std::vector<ClientRequest> waiting;
    std::uint64_t retry_at_ms = 0;
    std::uint64_t deadline_ms = 0;
  };
  // A copy at rest that is being summed again.
  struct Check {
    VersionKey version;
    bool urgent = false;             // somebody waits for it
    std::uint64_t refused_copy = 0;  // it is summed because this copy of it arrived damaged
  };
  // A version whose copy here was damaged, until it is replaced or let go of.
  struct Damage {
    std::uint64_t next_ms = 0;  // the home is told, or the other members are asked for it, again
    std::uint32_t unheard = 0;  // times that the home was told and has not answered
    std::uint32_t sought = 0;   // times that the other members were asked for the bytes
    bool unrepairable = false;  // no good copy is known
    std::uint64_t since_ms = 0;
  };
  // Somebody wants to know how the copies of a name are.
  struct Inquiry {
    struct Examined {
      bool summed = false;
      bool damaged = false;
      bool unreadable = false;
    };
    wire::KeepKey key;
    std::map<Version, Examined> versions;
    std::optional<ClientRequest> report;  // of a reader who found damage; or:
    Member from;                          // who verifies, which may be this server
    std::uint64_t round = 0;
  };
  // A question to every other member of the view, asked until all have answered in the same view.
  struct Round {
    enum class Kind : std::uint8_t { kLookup, kClaim, kRemove, kRemovePrefix, kList, kVerify };
    Kind kind = Kind::kLookup;
    wire::KeepKey key;
    Version up_to;  // of a removal; of a verification: the version, 0 for all
    std::set<NodeId> awaited;
    std::map<NodeId, wire::KeepLookupAnswer> answers;
    std::string after;                          // of a list, whose key.name is the prefix
    std::map<NodeId, wire::KeepListed> listed;  // likewise
    std::map<NodeId, wire::KeepVerified> verified;
    std::vector<ClientRequest> waiting;
    std::uint64_t retry_at_ms = 0;
    std::uint64_t deadline_ms = 0;  // 0: none
    bool tells = false;             // that this server is the home, or about to be
    bool keeps = false;             // a claim without a writer: for the safety of what is there
    bool confirming = false;        // asked again, because the first answers together said that all is lost
  };
  // What this server and the answers of a round say of a name, all together (currency.cc).
  struct Standing {
    bool known = false;                // somebody has heard of it
    bool sure = false;                 // one of them was in every view from the first on
    Version committed;                 // newest version known to have been confirmed
    Version floor;                     // versions up to here were removed
    Version highest;                   // numbers up to here may be used up
    std::optional<Version> reach;      // nothing above was confirmed, by those that are current; none: nobody is
    std::optional<Version> home_owes;  // a member is the home, and says this is owed
    bool may_be_lost = false;          // versions may have been confirmed
    bool shows(Version version, bool confirmed) const {
      return version > floor && (confirmed || !reach || version <= *reach);
    }
  };
  // Names under way to a member that may not know them.
  struct Telling {
    std::uint64_t batch = 0;
    std::vector<wire::KeepKey> keys;
    std::uint64_t retry_at_ms = 0;
  };
  // A copy of the life before in the same place.
  struct Returned {
    wire::VersionContent content;
    SlotId slot;
    bool local = false;  // a committed version at level local
    Version highest;     // number of the name that was used up when the life ended
  };
  // A slot that is compared with, or copied from.
  struct Pin {
    std::uint32_t count = 0;
    bool freed = false;  // when it is no longer pinned
    bool damaged = false;
  };
  // What waits for a lease.
  struct Parked {
    ClientRequest request;
    std::uint64_t deadline_ms = 0;
  };

  // keep.cc: dispatch, views, time
  void on(const ViewInstalled& event);
  void on(const ClientRequest& event);
  void on(const ClientGone& event);
  void on(const PeerFrame& event);
  void on(const PeerDown& event);
  void on(const SlotReady& event);
  void on(const SlotSummed& event);
  void on(const SlotChecked& event);
  void on(const CopyArrived& event);
  void on(const CopySent& event);
  void on(const PrefixRemoved& event);
  void on(const Tick& event);
  bool in_view(const Member& member) const;
  const Member* member_of(NodeId node) const;
  std::optional<Member> predecessor() const;
  void forget_homes(bool current);

  template <class T>
  void emit(T effect) {
    out_->emplace_back(std::in_place_type<T>, std::move(effect));
  }

  // leases.cc
  bool leased() const;
  void park(const ClientRequest& request);
  void confirm_commits();
  void confirm_removal(const ClientRequest& request);
  void settle_leases();
  bool held_back(Round::Kind kind) const;
  void note_lost(const std::vector<Member>& before);

  // answers.cc
  void refuse(const ClientRequest& to, ErrorCode code, std::string message);
  void refuse_all(const std::vector<ClientRequest>& waiting, ErrorCode code, const std::string& message);
  void answer_commit(SessionId session, std::uint64_t request, wire::CommitAnswer answer);
  void resume(const std::vector<ClientRequest>& waiting);

  // writing.cc: begin, put, commit, abandon
  void handle(const ClientRequest& request, const wire::CheckpointBegin& message);
  void handle(const ClientRequest& request, const Put& message);
  void begin(const ClientRequest& request, const std::string& name, const std::vector<wire::SectionSpec>& sections,
             const Put* put);
  void order_commit(Writing& writing, const ClientRequest& request, wire::CommitLevel level,
                    std::uint32_t timeout_ms) const;
  void sum(SlotId slot, Writing& writing);
  void handle(const ClientRequest& request, const wire::CheckpointCommit& message);
  void handle(const ClientRequest& request, const wire::CheckpointAbandon& message);
  void give_slot(SlotId slot, Writing& writing, const Status& status);
  void take_turn(SlotId slot, const Writing& writing);
  void leave_turn(SlotId slot, const wire::KeepKey& key);
  void summed(SlotId slot, std::vector<std::uint64_t> sums, std::optional<PageRanges> changed);
  bool may_open(const wire::KeepKey& key) const;
  void settle_turns();
  void expire_turns();
  void number_version(SlotId slot);
  void open_commit(Entry& entry, VersionRecord record, const ClientRequest& request, std::uint64_t deadline_ms,
                   wire::CopyDelta delta = {});
  bool fenced(Entry& entry, const ClientRequest& request);
  bool fits(OwnerId owner, std::uint64_t bytes);
  SlotId take_slot(OwnerId owner, std::uint64_t bytes, bool writable = false);
  void free_slot(SlotId slot, bool damaged = false);

  // replication.cc: copies to the predecessor, results
  void replicate(const VersionKey& version);
  void offer(std::uint64_t copy, Outgoing& outgoing, bool eager);
  void stream(std::uint64_t copy, Outgoing& outgoing);
  void stop_outgoing(std::uint64_t copy);
  void stop_copies_of(const VersionKey& version);
  void handle(const Member& from, const wire::CopyAnswer& message);
  void copy_complete(const VersionKey& version, const Member& holder);
  void copy_refused(const VersionKey& version, const Member& by, const std::string& reason);
  void complete(Entry& entry, VersionRecord& record, Pending& pending);
  void commit(Entry& entry, VersionRecord& record);
  void finish_pending(const VersionKey& version, wire::CommitResult result, const std::string& reason);
  void end_pending(const VersionKey& version);
  void drop_version(Entry& entry, Version version);
  void retire(Entry& entry);
  void retire_parts_before(const Entry& group);
  void tell_retained(Entry& entry);
  std::set<Version> open_versions(const wire::KeepKey& key) const;
  void expire_pending();
  void retry_outgoing();

  // currency.cc: who knows the newest version
  Standing standing_of(const Round& round) const;
  std::vector<Member> to_outdate(const Entry& entry, const VersionRecord& record) const;
  bool outdate_others(Entry& entry, const VersionRecord& record, Pending& pending);
  void retry_outdating();
  void handle(const Member& from, const wire::KeepOutdate& message);
  void handle(const Member& from, const wire::KeepOutdated& message);

  // deltas.cc: only changed pages travel
  void choose_base(Writing& writing);
  void compared(Writing& writing, std::optional<PageRanges> changed);
  wire::CopyDelta delta_for(const Outgoing& outgoing) const;
  std::uint64_t saved_by(const Outgoing& outgoing) const;
  void send_whole(std::uint64_t copy);
  const VersionRecord* base_here(const Entry& entry, const wire::CopyOffer& offer) const;
  void delta_spoilt(const Incoming& item);
  void base_damaged(const VersionKey& base);
  void pin(SlotId slot);
  void unpin(SlotId slot);

  // healing.cc
  void heal();
  bool heal_entry(Entry& entry);
  void heal_later(const wire::KeepKey& key);
  std::size_t background_copies() const;

  // telling.cc: every member knows every name
  void note_untold(Entry& entry);
  void tell();
  std::size_t tell_home(const Entry& entry);
  void pass_on();
  bool homeless(const Entry& entry) const;
  void handle(const Member& from, const wire::KeepNames& message);
  void handle(const Member& from, const wire::KeepNamesHeard& message);

  // adopting.cc: names whose home is gone
  bool may_adopt(const Entry& entry) const;
  void note_orphan(const Entry& entry);
  void adopt_orphans();
  bool is_home(Entry* entry);
  void leave_home(Entry& entry);
  void note_home(const wire::KeepKey& key, NodeId node);

  // remembering.cc: what outlives this life, and what is taken back of the life before
  void remember(std::size_t first);
  void await_first_view(Memory memory);
  void take_back();
  void restore(const RememberedEntry& from, const Member& self);
  void set_aside(const RememberedEntry& from);
  void know_of(const RememberedEntry& from);
  std::optional<SlotId> take_returned(const wire::KeepKey& key, const wire::VersionContent& content);
  void take_back_copies(Entry& entry);
  void reclaim();
  void drop_returned(std::optional<OwnerId> owner, const std::string& prefix);

  // receiving.cc: second copies of other homes
  void handle(const Member& from, const wire::CopyOffer& message);
  void handle(const Member& from, const wire::CopyRetain& message);
  void handle(const Member& from, const wire::CopyFetch& message);
  void hold(Entry& entry, const wire::VersionContent& content, SlotId slot);
  void incoming_ready(SlotId slot, const Status& status);
  void incoming_arrived(SlotId slot, bool whole, const std::vector<std::uint64_t>& sums);
  void drop_incoming(SlotId slot);
  SlotId overwritten_slot(const Entry& entry, const wire::VersionContent& content) const;
  void end_overwriting(const wire::KeepKey& key, SlotId slot);
  void expire_incoming();
  void answer_copy(const Member& to, std::uint64_t copy, wire::CopyResult result, std::string reason = {});
  void answer_without(const Member& to, std::uint64_t copy, const VersionKey& version, wire::CopyResult result,
                      std::string reason = {});

  // rounds.cc: lookup, claim, remove
  void start_round(Round round);
  void ask_anew(const wire::KeepKey& key);
  void address(Round& round) const;
  void put(std::uint64_t id, Round& round);
  void ask(std::uint64_t id, const Round& round, NodeId node);
  void finish_round(std::uint64_t id);
  void finish_claim(Round& round);
  void adopt(Entry& entry, const Round& round);
  void learn(Entry& entry, const Member& from, const wire::KeepLookupAnswer& answer);
  bool told_all(const Entry& entry) const;
  bool claims(const wire::KeepKey& key) const;
  void look_up(const wire::KeepKey& key, const ClientRequest& request, bool confirming = false);
  void handle(const Member& from, const wire::KeepLookup& message);
  void handle(const Member& from, const wire::KeepLookupAnswer& message);
  void handle(const Member& from, const wire::KeepRemove& message);
  void handle(const Member& from, const wire::KeepRemoved& message);
  void restart_rounds();
  void retry_rounds();
  void wait_for_claim(const wire::KeepKey& key, const ClientRequest& request);
  void remove_here(const wire::KeepKey& key, bool prefix, Version up_to, const Member& by);

  // reading.cc: open, inspect, delete; fetching.cc: bytes from their holders
  void handle(const ClientRequest& request, const wire::CheckpointOpen& message);
  void handle(const ClientRequest& request, const wire::CheckpointInspect& message);
  void handle(const ClientRequest& request, const wire::CheckpointDelete& message);
  struct Findings;
  Findings findings_of(const Round& round) const;
  void finish_lookup(Round& round);
  void answer_open(const Round& round, const Findings& all, const ClientRequest& request);
  void answer_inspect(const Round& round, const Findings& all, const ClientRequest& request);
  void answer_inspected(const ClientRequest& request, wire::CheckpointInspected answer);
  void answer_content(const ClientRequest& request, const wire::VersionContent& content, SlotId slot, NodeId holder);
  void fetch(const wire::KeepKey& key, const wire::VersionContent& content, std::vector<Member> holders, bool install,
             const ClientRequest* waiting, bool confirming = false);
  void fetch_from_next(SlotId slot);
  void look_again(SlotId slot);
  void fetch_arrived(SlotId slot, bool whole, const std::vector<std::uint64_t>& sums);
  void end_fetch(SlotId slot, ErrorCode code, const std::string& reason);
  void restart_fetches();
  void retry_fetches();

  // listing.cc
  void handle(const ClientRequest& request, const wire::CheckpointList& message);
  void handle(const Member& from, const wire::KeepList& message);
  void handle(const Member& from, const wire::KeepListed& message);
  wire::KeepListed page_of(OwnerId owner, const std::string& prefix, const std::string& after) const;
  void finish_list(Round& round);

  // scrubbing.cc: copies at rest
  bool checkable(const wire::KeepKey& key, const VersionRecord& record) const;
  void check(const wire::KeepKey& key, const VersionRecord& record, bool urgent, std::uint64_t refused_copy = 0);
  void scrub();
  bool proven(const wire::KeepKey& key, const wire::VersionContent& content,
              const std::vector<std::uint64_t>& sums) const;
  void found_damaged(Entry& entry, VersionRecord& record);
  void spoil_commit(Entry& entry, VersionRecord& record, std::uint64_t refused_copy);
  void copy_damaged(std::uint64_t copy, Outgoing& outgoing);
  void mended(Entry& entry, Version version, NodeId from);
  bool sought(const wire::KeepKey& key, const VersionRecord& record) const;
  bool sought_in_vain(const Fetch& item) const;
  void give_up(Entry& entry, const VersionRecord& record);
  void repair_copies();
  void tell_home_of(const VersionKey& version, const Entry& entry, Damage& damage);
  void seek(Entry& entry, const VersionRecord& record, Damage& damage);
  void tell_news(CopyNews::Kind kind, const wire::KeepKey& key, const VersionRecord& record, NodeId from = {});
  void handle(const Member& from, const wire::KeepDamaged& message);
  void handle(const Member& from, const wire::KeepDamagedHeard& message);
  void handle(const Member& from, const wire::KeepSuspect& message);

  // verifying.cc: copies summed because somebody asks
  void handle(const ClientRequest& request, const wire::CheckpointDamaged& message);
  void handle(const ClientRequest& request, const wire::CheckpointVerify& message);
  void handle(const Member& from, const wire::KeepVerify& message);
  void handle(const Member& from, const wire::KeepVerified& message);
  void inquire(const Member& from, std::uint64_t round, const wire::KeepKey& key, Version version);
  void settle_inquiries();
  bool settle(Inquiry& inquiry);
  std::optional<wire::CopyState> state_of(const VersionKey& version, const VersionRecord& record,
                                          const Inquiry::Examined& examined) const;
  wire::KeepVerified findings_of(const Inquiry& inquiry) const;
  void take_verified(NodeId from, const wire::KeepVerified& message);
  void finish_verify(Round& round);

  // groups.cc
  void handle(const ClientRequest& request, const wire::GroupCommit& message);
  void handle(const ClientRequest& request, const wire::GroupQuery& message);
  Status check_parts(OwnerId owner, const std::vector<wire::GroupPart>& parts) const;
  wire::GroupAnswer group_answer(const std::vector<const wire::VersionContent*>& newest_first) const;

  Config config_;
  std::uint64_t now_ms_ = 0;
  std::uint64_t lease_until_ms_ = 0;
  std::uint64_t fence_left_ms_ = 0;
  std::vector<Parked> parked_;   // questions
  std::vector<Parked> removed_;  // removals that are done and not answered
  ViewInstalled view_;
  std::size_t lost_behind_fence_ = 0;  // members lost since the last time without a fence
  bool since_first_ = false;           // this server was in every view from the first on
  Catalogue catalogue_;
  std::uint64_t last_slot_ = 0;
  std::uint64_t last_copy_ = 0;
  std::uint64_t last_round_ = 0;
  std::map<SlotId, std::pair<OwnerId, std::uint64_t>> slots_;  // who pays for it, and how much
  std::map<OwnerId, std::uint64_t> owner_bytes_;
  std::map<SlotId, Writing> writings_;
  std::map<wire::KeepKey, std::deque<SlotId>> turns_;  // of writings, commits without a number, in their order
  std::set<wire::KeepKey> turns_due_;                  // of them, the names where one may get its number now
  std::map<VersionKey, Pending> pending_;
  std::map<std::uint64_t, Outgoing> outgoing_;
  std::map<SlotId, Incoming> incoming_;
  std::map<SlotId, Fetch> fetches_;
  std::map<std::uint64_t, Round> rounds_;
  std::map<SlotId, Check> checks_;
  std::map<VersionKey, Damage> damaged_;
  std::vector<Inquiry> inquiries_;
  wire::IntegrityStatus integrity_;
  DeltaCounts deltas_;
  std::map<SlotId, Pin> pins_;
  VersionKey scrubbed_;         // the scrub goes on behind it; none: with a new pass
  SlotId scrubbing_;            // one at a time
  std::uint64_t scrub_us_ = 0;  // what was begun takes until then, at the rate that is allowed
  std::uint64_t pass_ms_ = 0;   // the next pass begins, not before
  std::set<wire::KeepKey> to_heal_;
  std::set<wire::KeepKey> to_tell_;     // names of this home that a member may not know
  wire::KeepKey told_up_to_;            // in this turn through them
  std::set<wire::KeepKey> to_pass_on_;  // names without a home, likewise
  std::set<wire::KeepKey> to_adopt_;    // of them, those that this server can become the home of
  std::map<NodeId, Telling> tellings_;
  std::uint64_t last_batch_ = 0;
  std::optional<Memory> memory_;             // until the first view
  std::map<VersionKey, Returned> returned_;  // that nobody has confirmed to be what is kept
  std::set<wire::KeepKey> to_reclaim_;       // of them, names with newer versions at level local
  std::uint64_t returned_until_ms_ = 0;
  std::uint64_t returned_used_ = 0;
  bool view_changed_ = false;  // in this step
  std::uint64_t adopt_at_ms_ = 0;
  std::uint64_t tell_at_ms_ = 0;
  Effects* out_ = nullptr;  // of the step that is running
};

}  // namespace rk::keep

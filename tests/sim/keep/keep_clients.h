// SPDX-License-Identifier: Apache-2.0
// Clients of the simulated servers: they write, read, group and remove checkpoints at random, and judge each answer.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/prng.h"
#include "keep/events.h"
#include "sim/hosts.h"

namespace rk::keep_sim {

class Cluster;
class KeepHost;

inline constexpr OwnerId kOwner{1000};
inline wire::KeepKey key_of(const std::string& name) { return {kOwner, wire::KeepKind::kCheckpoint, name}; }

struct Outcomes {
  std::uint64_t ok = 0, failed = 0, unknown = 0, reads = 0, fetched = 0, groups = 0, removed = 0, refused = 0, lost = 0,
                inspected = 0, listed = 0, bursts = 0, fenced = 0, verified = 0, found_damage = 0, lost_by_damage = 0;
};

class Clients {
 public:
  Clients(Cluster& cluster, Prng prng) : cluster_(cluster), prng_(prng) {}
  void begin() { next(); }
  void stop();
  // For a second both sides of a cut write and read the name that is written at `home` otherwise.
  void contend(sim::HostId home, const std::set<sim::HostId>& out);
  void answered(sim::HostId host, const keep::Answer& answer);
  // A server goes on where its life before was killed: what that one had to know as the home, it has to know.
  void reborn(const keep::Member& before, const keep::Member& now, const std::set<wire::KeepKey>& homes);
  void check_end();
  static Outcomes& totals();  // over all seeds of this process
  std::uint64_t requests() const { return last_request_; }
  std::uint64_t writes() const { return writes_; }  // begun, of a version or of a group

 private:
  struct Operation {
    sim::HostId host = 0;
    std::uint64_t life = 0;
    wire::KeepKey key;
    keep::ClientMessage request;
    wire::CommitLevel level = wire::CommitLevel::kReplicated;
    Version least;                            // newest version that had been answered OK
    std::map<keep::Member, Version> holders;  // servers of the view that had it, or a newer one, and which
    std::uint64_t least_request = 0;          // the commit that it came from
    std::vector<keep::Member> knew;           // members that knew the name before it was OK
    std::uint64_t sum = 0;                    // of what is being committed
    Incarnation sender;                       // the life of the writing community; 0: none
    Incarnation least_writer;                 // of `least`
    std::vector<Bytes> bytes;                 // of a put
    std::uint64_t removals = 0;
    Version removed;  // versions up to this one had been removed
  };
  void next();
  void write(sim::HostId host, const std::string& name);
  // Many versions of one name in flight.
  void burst(sim::HostId host, const std::string& name);
  void read(sim::HostId host, const std::string& name);
  void inspect(sim::HostId host, const std::string& name);
  void list(sim::HostId host);
  void verify(sim::HostId host, const std::string& name);
  void report(const Operation& operation, Version version);
  void group(sim::HostId host);
  void remove(sim::HostId host);
  // A name that nobody has claimed: two servers begin with it at about the same time, others read it meanwhile.
  void race();
  keep::Put put_of(const wire::CheckpointBegin& begin, Operation& operation);
  void write_slot(sim::HostId host, const wire::KeepKey& key, const std::vector<wire::SectionPlace>& table,
                  std::span<std::byte> bytes);
  void ask(Operation operation);
  Incarnation writer_of(const std::string& name);
  void fill_and_commit(const Operation& operation, const keep::Answer& answer, const wire::CheckpointSlot& slot);

  void judge(const Operation& operation, const keep::Answer& answer, const wire::CheckpointSlot& message);
  void judge(const Operation& operation, const keep::Answer& answer, const wire::CommitAnswer& message);
  void judge(const Operation& operation, const keep::Answer& answer, const wire::CheckpointContent& message);
  void judge(const Operation& operation, const keep::Answer& answer, const wire::GroupAnswer& message);
  void judge(const Operation& operation, const keep::Answer& answer, const wire::Done& message);
  void judge(const Operation& operation, const keep::Answer& answer, const wire::Refusal& message);
  void judge(const Operation& operation, const keep::Answer& answer, const wire::CheckpointInspected& message);
  void judge(const Operation& operation, const keep::Answer& answer, const wire::CheckpointListAnswer& message);
  void judge(const Operation& operation, const keep::Answer& answer, const wire::CheckpointVerified& message);
  void check_version_read(const Operation& operation, Version version, const std::string& what);
  void check_order(const Operation& operation, std::uint64_t request, Version version);
  void check_copies(const Operation& operation, Version version);
  bool being_removed(const wire::KeepKey& key) const;
  void note_asked(const KeepHost& life, const wire::KeepKey& key);
  void check_fence(const Operation& operation) const;
  void check_only_home(const Operation& operation, Version version);
  bool still_held(const Operation& operation) const;
  bool newer_is_lost(const Operation& operation) const;
  bool may_be_overtaken(const Operation& operation) const;
  bool one_must_know(const Operation& operation) const;
  void note_obliged();
  bool anybody_left(const Operation& operation) const;
  void check_denial(const Operation& operation, const wire::Refusal& message);
  void check_group_parts();
  void check_loss(const Operation& operation);

  Cluster& cluster_;
  Prng prng_;
  std::uint64_t last_request_ = 0;
  std::uint64_t writes_ = 0;
  bool stopped_ = false;
  std::map<std::uint64_t, Operation> open_;
  std::set<std::uint64_t> failed_sums_;
  std::map<wire::KeepKey, std::set<keep::Member>> claimants_;  // servers that were asked for something that claims it
  std::uint64_t last_race_ = 0;
  std::map<std::string, std::array<std::uint64_t, 2>> sizes_;  // of the sections that each name was written with last
  std::map<wire::KeepKey, std::pair<Version, keep::Member>> newest_ok_;  // and who said so
  // Members that had heard of the name before any OK of that server.
  std::map<wire::KeepKey, std::map<keep::Member, std::vector<keep::Member>>> asked_;
  std::map<wire::KeepKey, std::vector<keep::Member>> knew_;  // of them, those of the server that said OK last
  // Servers that had to know each version that was OK, when it was the newest: its home and the holders that the home
  // knew, then and since. Without any of them it may be called lost, wherever a copy is left.
  std::map<wire::KeepKey, std::map<Version, std::set<keep::Member>>> obliged_;
  // Commits at level replicated that were never answered, or UNKNOWN, and by which server; and the last that was OK.
  std::map<wire::KeepKey, std::map<std::uint64_t, keep::Member>> undecided_;
  std::map<wire::KeepKey, std::uint64_t> ok_request_;
  // What each life of a server said OK to, by request: later ones have higher numbers.
  std::map<std::pair<wire::KeepKey, keep::Member>, std::map<std::uint64_t, Version>> numbered_;
  std::map<wire::KeepKey, Incarnation> ok_writer_;   // of that one
  std::map<std::string, Incarnation> writers_;       // the newest life of each name's writer
  std::map<wire::KeepKey, Version> removed_;         // versions up to this one must not come back
  std::map<wire::KeepKey, std::uint64_t> removals_;  // asked for
  // Of the life of the group's home: parts committed, and the parts of its two newest group versions.
  std::uint64_t group_life_ = 0;
  std::map<std::string, wire::GroupPart> parts_;
  std::map<Version, std::vector<wire::GroupPart>> groups_;
};

}  // namespace rk::keep_sim

// SPDX-License-Identifier: Apache-2.0
// Clients of a ring that are killed while they commit (kill_writer.cc), and the judge of what is left of their work.
//
// - The newest version of a name is that of the last OK, or a newer one that was begun; its bytes are those that were
//   committed, whole; what was abandoned is never seen. What was read once stays.
// - Of a name with two committed versions at least two can be read, and the older of them is no older than it may be.
// - Versions rise in the order of the attempts, and none has ever two contents.
// - Whoever comes next commits at once.
// - When all names are removed, the servers have the memory and the descriptors that they had before.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "ringkeep/ringkeep.h"
#include "shm/mapping.h"
#include "shm/memory_file.h"
#include "tests/integration/kill_board.h"
#include "tests/integration/ring_fixture.h"

namespace rk::testing {

class ClientKills {
 public:
  // The ring is this object's alone, and has nothing in its memory.
  ClientKills(RingFixture& ring, std::uint64_t seed);
  ~ClientKills();
  ClientKills(const ClientKills&) = delete;
  ClientKills& operator=(const ClientKills&) = delete;

  // The clients of a job instead, of which there is one process. Its launcher's connection is this object's.
  void create_job();

  // Starts a client of that server which goes on until it is killed, and kills it after a random time; one with marks
  // or the plain one.
  void kill_at_random(std::optional<Way> way = std::nullopt, std::uint32_t node = 1);
  // From now on clients may give up because the ring does not serve.
  void allow_refusals(bool allowed) { refusals_allowed_ = allowed; }
  // Of every name one more version, by this process.
  void commit_all();
  // Runs `steps` of one way in the marked client, which dies where `die_at` says (RINGKEEP_DIE_AT). False if it came to
  // its end instead.
  bool run(Way way, std::uint64_t steps, const std::string& die_at);
  // Looks at what the newest client left; then sometimes commits itself.
  void judge();
  // Removes all and looks at what the servers have left.
  void settle();

  // In words: each broken promise.
  const std::vector<std::string>& wrong() const { return wrong_; }
  // Of the last run().
  const client::MarkCounts& marks() const { return board().marks; }

  struct Facts {
    std::uint64_t kills = 0;
    std::uint64_t oks = 0;
    std::uint64_t unknown_committed = 0;  // found in the keep, without an OK
    std::uint64_t restored = 0;           // lives of a job that began with a version
    std::map<std::string, std::uint64_t> phases;
    std::map<std::string, std::uint64_t> marks;  // the newest one passed
  };
  const Facts& facts() const { return facts_; }

 private:
  struct Life {
    std::uint32_t node = 1;
    bool marked = false;
    std::string way;
    std::uint64_t steps = 0;
    std::string die_at;
  };
  struct Name {
    std::map<std::uint64_t, std::uint64_t> committed;  // version of each attempt that is known to be; the newest ones
    std::uint64_t looked_at = 0;                       // attempts begun when it was judged
  };
  struct Found {
    std::uint64_t version = 0;
    KillSections sections;
  };
  struct Holding {
    std::uint64_t used_bytes = 0;
    std::size_t descriptors = 0;
    std::size_t beside = 0;  // descriptors of the server's holder and guard
    bool operator==(const Holding&) const = default;
  };

  KillBoard& board() const { return *reinterpret_cast<KillBoard*>(mapping_.data()); }
  void start(const Life& life);
  void next_job_life(std::vector<std::pair<std::string, std::string>>& variables);
  bool await_ready();
  int end();
  void absorb();
  void fail(const std::string& what);
  void note(std::uint32_t name, std::uint64_t attempt, std::uint64_t version, bool found);
  std::optional<std::uint64_t> attempt_of(std::uint32_t name, const Found& found) const;
  void judge_name(rk_client* client, std::uint32_t name, std::uint32_t node);
  void judge_kept(rk_client* client, std::uint32_t name);
  Result<Found> read(rk_client* client, const std::string& name, std::uint64_t version);
  void commit(rk_client* client, std::uint32_t name);
  void begin_all_memory(std::uint32_t node);
  Holding holding(std::uint32_t node);

  RingFixture& ring_;
  std::uint64_t seed_;
  Prng prng_;
  shm::MemoryFile memory_;
  shm::Mapping mapping_;
  std::optional<TestClient> launcher_;
  std::optional<TestClient> asker_;
  std::uint64_t job_life_ = 0;
  pid_t writer_ = -1;
  bool marked_ = false;
  bool refusals_allowed_ = false;
  shm::Descriptor ready_;
  std::array<Name, kKillNames + 1> names_;
  std::vector<Holding> at_first_;
  std::vector<std::string> wrong_;
  Facts facts_;
};

}  // namespace rk::testing

// SPDX-License-Identifier: Apache-2.0
// What is between VELOC_Init and VELOC_Finalize: protected memory, the phase that is open, and the agreements by which
// all ranks take the same step or none does.
//
// A rank that fails still takes part in the agreement of its call, with its failure, so that nobody waits for it.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "veloc/configuration.h"
#include "veloc/group.h"
#include "veloc/places.h"
#include "veloc/routed_files.h"

namespace rk::veloc {

// VELOC_CKPT_* and VELOC_RECOVER_*.
enum class Selection : int { kAll = 0, kSome = 1, kRest = 2 };

class Session {
 public:
  // id: of VELOC_Init_single.
  Session(std::unique_ptr<Group> group, std::optional<std::uint32_t> id);
  // Once, before anything else. All ranks have read a configuration, the same one, and reach their servers.
  Status connect(const Result<Configuration>& configuration);
  // "rank 3", "process 7".
  std::string label() const { return label_; }
  // The failure that was just returned is another rank's, or is none for people; once.
  bool take_quiet() { return std::exchange(quiet_, false); }
  // A call of the checkpoint that is open was refused: its end will tell.
  void spoil(const Error& error);
  bool in_phase() const { return phase_ != Phase::kNone; }

  Status protect(std::int32_t id, void* data, std::size_t count, std::size_t base_size);
  Status unprotect(std::int32_t id);
  void unprotect_all() { regions_.clear(); }
  Result<std::string> route(const std::string& original);

  // session_checkpoint.cc
  Status checkpoint_begin(const std::string& name, std::int32_t version);
  Status checkpoint_copy(Selection mode, std::span<const std::int32_t> ids);
  Status checkpoint_end(bool success);
  Status checkpoint(const std::string& name, std::int32_t version);
  const Status& last_checkpoint() const { return last_checkpoint_; }
  bool checkpoint_open() const { return phase_ == Phase::kCheckpoint; }
  Status cleanup(const std::string& name);

  // session_restart.cc
  Result<std::int32_t> restart_test(const std::string& name, std::int32_t limit);
  Status restart_begin(const std::string& name, std::int32_t version);
  Status recover(Selection mode, std::span<const std::int32_t> ids);
  Result<std::uint64_t> recover_size(std::int32_t id) const;
  Status restart_end(bool success);
  Status restart(const std::string& name, std::int32_t version);

 private:
  enum class Phase : std::uint8_t { kNone, kCheckpoint, kRestart };
  // Where a rank is, so that ranks in different calls do not take each other's answers for theirs.
  enum class Step : std::uint64_t {
    kOpen = 1,
    kBegin,
    kScan,
    kAttempt,
    kReady,
    kCommitted,
    kTest,
    kRestartBegin,
    kRestartOpen,
    kRestartEnd,
    kCleanup,
    kRemoved
  };
  using Values = std::array<std::uint64_t, 4>;
  struct Region {
    std::byte* data = nullptr;
    std::size_t size = 0;
  };
  struct Stage {
    Header header;
    Places::Draft draft;
  };
  // A name of the program's.
  struct Known {
    explicit Known(Places all) : places(std::move(all)) {}
    Places places;
    bool scanned = false;
    std::vector<Header> complete = {};   // on all ranks, as far as the scan and commits since tell
    std::optional<Attempt> newest = {};  // that is complete on all ranks: never written over
    std::uint64_t sequence = 0;          // the highest that this rank knows
    std::set<Attempt> failed = {};       // told the program so: never offered to it as a version
    std::uint64_t other_ranks = 0;       // the scan found versions of so many ranks; 0: of none but ours
  };

  Status agree(Step step, const Status& mine, Values& values);
  Status agree(Step step, const Status& mine);
  Status agree_on(Step step, const Status& mine, const std::string& name, std::int32_t number);
  tl::unexpected<Error> from_first(ErrorCode code, std::string words);
  tl::unexpected<Error> of_other_ranks(const std::string& name, const Known& known);
  Status may_begin(const std::string& name, std::int32_t version) const;
  std::string prefix(const std::string& name, std::uint32_t rank) const;
  Known& known(const std::string& name);
  bool usable(const Known& known, const Header& header) const;
  Status find(const std::string& name, Known& known);
  Result<std::vector<Header>> complete_on_all(const Known& known);

  Header header_with(std::vector<Piece> pieces) const;
  Status merge_stages();
  Status copy_into(Selection mode, std::span<const std::int32_t> ids);
  Result<std::vector<std::int32_t>> to_copy(Selection mode, std::span<const std::int32_t> ids) const;
  Status commit_stage(Known& known, const Attempt& attempt);
  Status empty_left_places(const std::string& name, std::uint64_t mine);
  Status remove_all(const std::string& name, Known& known);
  void end_phase();

  Status open_version(Known& known, const Attempt& attempt);
  Result<std::vector<std::int32_t>> to_recover(Selection mode, std::span<const std::int32_t> ids) const;

  std::unique_ptr<Group> group_;
  std::string label_;
  std::optional<std::uint32_t> id_;
  std::uint64_t directory_sum_ = 0;
  bool quiet_ = false;
  Server server_;
  std::map<std::string, Known> known_;
  std::map<std::int32_t, Region> regions_;
  RoutedFiles files_;

  Phase phase_ = Phase::kNone;
  std::string name_;          // of the phase
  std::int32_t version_ = 0;  // of the phase
  Attempt attempt_;           // of the phase
  Status spoiled_;            // by a call of the checkpoint that failed
  Status last_checkpoint_;
  std::vector<Stage> stages_;
  Header restoring_;
  Reader reader_;
};

// One line on standard error.
void say(const std::string& label, const std::string& function, const std::string& words);

}  // namespace rk::veloc

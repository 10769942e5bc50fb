// SPDX-License-Identifier: Apache-2.0
// Taking a checkpoint: begin agrees on the attempt, end agrees that all parts are ready, commits, and agrees on that.
#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "veloc/session.h"

namespace rk::veloc {
namespace {

Result<std::uint64_t> random_number() {
  std::uint64_t number = 0;
  if (::getrandom(&number, sizeof number, 0) != sizeof number) return fail_errno("get a random number", errno);
  return number;
}

}  // namespace

Status Session::checkpoint_begin(const std::string& name, std::int32_t version) {
  RK_TRY_VOID(agree_on(Step::kBegin, may_begin(name, version), name, version));
  Known& all = known(name);
  // Versions of another number of ranks are no reason not to begin anew: they are written over, the oldest first.
  if (!all.scanned) RK_TRY_VOID(find(name, all));
  const auto nonce = group_->rank() == 0 ? random_number() : Result<std::uint64_t>(0);
  Status ready = server_.renew();
  if (!nonce) ready = tl::unexpected(nonce.error());
  Values values{all.sequence, nonce ? *nonce : 0, 0, 0};
  RK_TRY_VOID(agree(Step::kAttempt, ready, values));
  phase_ = Phase::kCheckpoint;
  name_ = name;
  version_ = version;
  attempt_ = {values[0] + 1, values[1]};
  all.sequence = attempt_.sequence;
  return {};
}

Header Session::header_with(std::vector<Piece> pieces) const {
  Header header;
  header.version = version_;
  header.rank = group_->rank();
  header.ranks = group_->ranks();
  header.attempt = attempt_;
  header.name = name_;
  header.pieces = std::move(pieces);
  return header;
}

Result<std::vector<std::int32_t>> Session::to_copy(Selection mode, std::span<const std::int32_t> ids) const {
  const auto named = [&](std::int32_t id) { return std::find(ids.begin(), ids.end(), id) != ids.end(); };
  const auto copied = [&](std::int32_t id) {
    return std::any_of(stages_.begin(), stages_.end(), [&](const Stage& s) { return s.header.region(id) != nullptr; });
  };
  std::vector<std::int32_t> out;
  if (mode == Selection::kSome) {
    for (const std::int32_t id : ids) {
      if (!regions_.contains(id))
        return fail(ErrorCode::kInvalidArgument, "no memory is protected as " + std::to_string(id));
      if (copied(id) || std::find(out.begin(), out.end(), id) != out.end())
        return fail(ErrorCode::kInvalidArgument, "region " + std::to_string(id) + " is in this checkpoint already");
      out.push_back(id);
    }
    return out;
  }
  for (const auto& [id, region] : regions_)
    if (!copied(id) && (mode == Selection::kAll || !named(id))) out.push_back(id);
  return out;
}

Status Session::checkpoint_copy(Selection mode, std::span<const std::int32_t> ids) {
  if (phase_ != Phase::kCheckpoint)
    return fail(ErrorCode::kInvalidArgument, "no checkpoint has begun: call VELOC_Checkpoint_begin first");
  Status copied = copy_into(mode, ids);
  if (!copied) spoil(copied.error());  // the program may not look at it
  return copied;
}

Status Session::copy_into(Selection mode, std::span<const std::int32_t> ids) {
  RK_TRY(const std::vector<std::int32_t> chosen, to_copy(mode, ids));
  std::vector<Piece> pieces;
  pieces.reserve(chosen.size());
  for (const std::int32_t id : chosen) pieces.push_back({.id = id, .size = regions_.at(id).size});
  Header header = header_with(std::move(pieces));
  RK_TRY_VOID(place_pieces(header));
  Known& all = known(name_);
  RK_TRY(Places::Draft draft, all.places.draft(all.newest, encode(header).size(), header.data_bytes));
  RK_TRY(const std::span<std::byte> data, section_of(draft.writer, kDataSection));
  for (const Piece& piece : header.pieces) {
    const Region& region = regions_.at(piece.id);
    std::memcpy(data.data() + piece.offset, region.data, region.size);
  }
  stages_.push_back({std::move(header), std::move(draft)});
  return {};
}

// One stage with all that the checkpoint has. Usually it is there: memory copied by one call, and no files.
Status Session::merge_stages() {
  if (stages_.size() == 1 && files_.paths().empty()) return {};
  std::vector<Piece> pieces;
  std::vector<const Stage*> sources;
  for (const Stage& stage : stages_) {
    pieces.insert(pieces.end(), stage.header.pieces.begin(), stage.header.pieces.end());
    sources.insert(sources.end(), stage.header.pieces.size(), &stage);
  }
  for (const auto& [original, path] : files_.paths()) {
    RK_TRY(const std::uint64_t size, size_of_file(path));
    pieces.push_back({.is_file = true, .file = original, .size = size});
  }
  Header header = header_with(std::move(pieces));
  RK_TRY_VOID(place_pieces(header));
  Known& all = known(name_);
  RK_TRY(Places::Draft draft, all.places.draft(all.newest, encode(header).size(), header.data_bytes));
  RK_TRY(const std::span<std::byte> data, section_of(draft.writer, kDataSection));
  for (std::size_t i = 0; i < header.pieces.size(); ++i) {
    const Piece& piece = header.pieces[i];
    const std::span<std::byte> place = data.subspan(piece.offset, piece.size);
    if (piece.is_file) {
      RK_TRY_VOID(read_file(files_.paths().at(piece.file), place));
      continue;
    }
    RK_TRY(const std::span<std::byte> copied, section_of(sources[i]->draft.writer, kDataSection));
    std::memcpy(place.data(), copied.data() + sources[i]->header.region(piece.id)->offset, piece.size);
  }
  stages_.clear();
  stages_.push_back({std::move(header), std::move(draft)});
  return {};
}

Status Session::commit_stage(Known& known, const Attempt& attempt) {
  Stage stage = std::move(stages_.front());
  stages_.clear();
  RK_TRY_VOID(known.places.commit(std::move(stage.draft), stage.header));
  known.sequence = std::max(known.sequence, attempt.sequence);
  return {};
}

Status Session::checkpoint_end(bool success) {
  Status ready;
  if (phase_ != Phase::kCheckpoint) {
    ready = fail(ErrorCode::kInvalidArgument, "no checkpoint has begun: call VELOC_Checkpoint_begin first");
  } else if (!spoiled_) {
    ready = fail(spoiled_.error().code, "a call of this checkpoint failed: " + spoiled_.error().message);
  } else if (!success) {
    ready = fail(ErrorCode::kInvalidArgument, "the program says that its part is not whole: nothing was committed");
  } else {
    ready = merge_stages();
  }
  Status all_ready = agree(Step::kReady, ready);
  if (!all_ready) {
    // A call out of order ends no phase.
    if (phase_ == Phase::kCheckpoint) {
      end_phase();
      last_checkpoint_ = all_ready;
    }
    return all_ready;
  }
  Known& all = known(name_);
  const std::string name = name_;
  const std::int32_t version = version_;
  const Attempt attempt = attempt_;
  const Status committed = commit_stage(all, attempt);
  end_phase();
  const std::uint64_t left = committed && all.newest ? all.places.left_elsewhere(attempt, all.newest) : 0;
  Values values{left != 0 ? std::uint64_t{1} : 0, 0, 0, 0};
  last_checkpoint_ = agree(Step::kCommitted, committed, values);
  if (!last_checkpoint_) {
    all.failed.insert(attempt);
    return last_checkpoint_;
  }
  all.newest = attempt;
  Header header;
  header.version = version;
  header.rank = group_->rank();
  header.ranks = group_->ranks();
  header.attempt = attempt;
  all.complete.push_back(std::move(header));
  if (values[0] == 0) return {};
  all.places.forget(left);
  // Memory at other servers that is not given back is no failure of the checkpoint.
  if (const Status emptied = empty_left_places(name, left); !emptied)
    say(label_, "VELOC_Checkpoint_end", "older versions at other servers are not removed: " + emptied.error().message);
  return {};
}

Status Session::checkpoint(const std::string& name, std::int32_t version) {
  RK_TRY_VOID(checkpoint_begin(name, version));
  Status copied = checkpoint_copy(Selection::kAll, {});
  const Status ended = checkpoint_end(copied.has_value());
  return copied ? ended : copied;
}

// A rank cannot remove what it wrote at another server; a rank that is there now can.
Status Session::empty_left_places(const std::string& name, std::uint64_t mine) {
  RK_TRY(const auto all, group_->gather(mine));
  Status first;
  for (std::uint32_t rank = 0; rank < all.size(); ++rank) {
    if (rank == group_->rank()) continue;
    Header marker;
    marker.marker = true;
    marker.rank = rank;
    marker.ranks = group_->ranks();
    marker.name = name;
    for (unsigned place = 0; place < kMaxPlaces; ++place) {
      if ((all[rank] >> place & 1U) == 0) continue;
      const Status emptied = Places::empty(server_, prefix(name, rank), place, marker);
      if (first && !emptied) first = emptied;
    }
  }
  return first;
}

Status Session::remove_all(const std::string& name, Known& known) {
  Status done = server_.renew();
  if (done) done = known.places.scan();
  std::uint64_t left = 0;
  if (done) {
    const auto removed = known.places.remove();
    if (removed) left = *removed;
    if (!removed) done = tl::unexpected(removed.error());
  }
  Values values{left != 0 ? std::uint64_t{1} : 0, 0, 0, 0};
  RK_TRY_VOID(agree(Step::kCleanup, done, values));
  if (values[0] == 0) return {};
  const Status emptied = empty_left_places(name, left);
  RK_TRY_VOID(agree(Step::kRemoved, emptied));
  Status gone = left == 0 ? Status() : known.places.scan();
  if (gone && left != 0 && !known.places.versions().empty())
    gone =
        fail(ErrorCode::kUnavailable,
             "a version of this rank is at a server where no rank is: its memory stays in use until the server ends");
  return agree(Step::kRemoved, gone);
}

Status Session::cleanup(const std::string& name) {
  RK_TRY_VOID(agree_on(Step::kCleanup, may_begin(name, 0), name, 0));
  Status removed = remove_all(name, known(name));
  known_.erase(name);
  return removed;
}

}  // namespace rk::veloc

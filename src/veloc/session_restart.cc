// SPDX-License-Identifier: Apache-2.0
// Finding a version that all ranks have, and filling memory from it.
#include <algorithm>
#include <cstring>

#include "veloc/session.h"

namespace rk::veloc {
namespace {

// Of those with the highest number not above the limit, the one taken last.
const Header* best_of(const std::vector<Header>& versions, std::int32_t lowest, std::int32_t limit) {
  const Header* best = nullptr;
  for (const Header& header : versions) {
    if (header.version < lowest || header.version > limit) continue;
    if (best == nullptr || header.version > best->version ||
        (header.version == best->version && header.attempt > best->attempt))
      best = &header;
  }
  return best;
}

}  // namespace

Result<std::int32_t> Session::restart_test(const std::string& name, std::int32_t limit) {
  RK_TRY_VOID(agree_on(Step::kTest, may_begin(name, limit), name, limit));
  Known& all = known(name);
  RK_TRY_VOID(find(name, all));
  if (all.complete.empty() && all.other_ranks != 0) return of_other_ranks(name, all);
  if (const Header* best = best_of(all.complete, 0, limit == 0 ? INT32_MAX : limit); best != nullptr)
    return best->version;
  quiet_ = true;  // the usual answer of a first start
  return fail(ErrorCode::kNotFound, "no version of \"" + name + "\" is complete on all ranks");
}

Status Session::open_version(Known& known, const Attempt& attempt) {
  RK_TRY_VOID(server_.renew());
  RK_TRY(Reader reader, known.places.open(attempt));
  RK_TRY(const ByteView header, section_of(reader, kHeaderSection));
  RK_TRY(const ByteView data, section_of(reader, kDataSection));
  RK_TRY(restoring_, decode(header, data.size()));
  if (restoring_.attempt != attempt)
    return fail(ErrorCode::kCorrupt, "the version has another header than before: ask VELOC_Restart_test");
  reader_ = std::move(reader);
  return {};
}

Status Session::restart_begin(const std::string& name, std::int32_t version) {
  RK_TRY_VOID(agree_on(Step::kRestartBegin, may_begin(name, version), name, version));
  Known& all = known(name);
  if (!all.scanned) RK_TRY_VOID(find(name, all));
  if (all.complete.empty() && all.other_ranks != 0) return of_other_ranks(name, all);
  const Header* best = best_of(all.complete, version, version);
  if (best == nullptr)
    return from_first(ErrorCode::kNotFound, "version " + std::to_string(version) + " of \"" + name +
                                                "\" is not complete on all ranks: ask VELOC_Restart_test");
  const Attempt attempt = best->attempt;
  const Status opened = open_version(all, attempt);
  if (Status agreed = agree(Step::kRestartOpen, opened); !agreed) {
    all.scanned = false;
    end_phase();
    return agreed;
  }
  phase_ = Phase::kRestart;
  name_ = name;
  version_ = version;
  attempt_ = attempt;
  return {};
}

Result<std::vector<std::int32_t>> Session::to_recover(Selection mode, std::span<const std::int32_t> ids) const {
  std::vector<std::int32_t> out;
  if (mode == Selection::kSome) {
    out.assign(ids.begin(), ids.end());
  } else {
    for (const Piece& piece : restoring_.pieces)
      if (!piece.is_file && (mode == Selection::kAll || std::find(ids.begin(), ids.end(), piece.id) == ids.end()))
        out.push_back(piece.id);
  }
  if (mode == Selection::kAll)
    for (const auto& [id, region] : regions_)
      if (restoring_.region(id) == nullptr) out.push_back(id);
  for (const std::int32_t id : out) {
    const Piece* piece = restoring_.region(id);
    const auto region = regions_.find(id);
    if (piece == nullptr)
      return fail(ErrorCode::kNotFound, "version " + std::to_string(version_) + " has no region " + std::to_string(id) +
                                            ": nothing was changed");
    if (region == regions_.end())
      return fail(ErrorCode::kInvalidArgument,
                  "no memory is protected as " + std::to_string(id) + ": nothing was changed");
    if (region->second.size != piece->size)
      return fail(ErrorCode::kInvalidArgument, "region " + std::to_string(id) + " has " + std::to_string(piece->size) +
                                                   " bytes in the version and " + std::to_string(region->second.size) +
                                                   " here: nothing was changed, ask VELOC_Recover_size");
  }
  return out;
}

Status Session::recover(Selection mode, std::span<const std::int32_t> ids) {
  if (phase_ != Phase::kRestart)
    return fail(ErrorCode::kInvalidArgument, "no restart has begun: call VELOC_Restart_begin first");
  RK_TRY(const auto chosen, to_recover(mode, ids));
  RK_TRY(const ByteView data, section_of(reader_, kDataSection));
  for (const std::int32_t id : chosen) {
    const Piece* piece = restoring_.region(id);
    std::memcpy(regions_.at(id).data, data.data() + piece->offset, piece->size);
  }
  return {};
}

Result<std::uint64_t> Session::recover_size(std::int32_t id) const {
  if (phase_ != Phase::kRestart)
    return fail(ErrorCode::kInvalidArgument, "no restart has begun: call VELOC_Restart_begin first");
  if (const Piece* piece = restoring_.region(id); piece != nullptr) return piece->size;
  return fail(ErrorCode::kNotFound, "version " + std::to_string(version_) + " has no region " + std::to_string(id));
}

Status Session::restart_end(bool success) {
  Status mine;
  if (phase_ != Phase::kRestart)
    mine = fail(ErrorCode::kInvalidArgument, "no restart has begun: call VELOC_Restart_begin first");
  else if (!success)
    mine = fail(ErrorCode::kInvalidArgument, "the program says that its state is not restored");
  const bool open = phase_ == Phase::kRestart;
  Status agreed = agree(Step::kRestartEnd, mine);
  if (!open) return agreed;
  // The program goes on from here, so this is what the next checkpoints must not write over.
  if (agreed) known(name_).newest = attempt_;
  end_phase();
  return agreed;
}

Status Session::restart(const std::string& name, std::int32_t version) {
  RK_TRY_VOID(restart_begin(name, version));
  const Status recovered = recover(Selection::kAll, {});
  const Status ended = restart_end(recovered.has_value());
  return recovered ? ended : recovered;
}

}  // namespace rk::veloc

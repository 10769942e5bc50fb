// SPDX-License-Identifier: Apache-2.0
#include "veloc/session.h"

#include <algorithm>
#include <cstdio>

#include "base/checksum.h"

namespace rk::veloc {
namespace {

constexpr std::size_t kMaxName = 180;  // the keep's names have 255 bytes, and ours stand around it
constexpr std::size_t kOffered = 8;    // versions of rank 0 that the others are asked about

bool printable(const std::string& name) {
  return std::none_of(name.begin(), name.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  });
}

}  // namespace

void say(const std::string& label, const std::string& function, const std::string& words) {
  std::string line = "veloc: " + label + (label.empty() ? "" : ": ") + function + ": " + words;
  std::replace(line.begin(), line.end(), '\n', ' ');
  std::fprintf(stderr, "%s\n", line.c_str());
}

Session::Session(std::unique_ptr<Group> group, std::optional<std::uint32_t> id)
    : group_(std::move(group)),
      label_(id ? "process " + std::to_string(*id) : "rank " + std::to_string(group_->rank())),
      id_(id) {}

Status Session::connect(const Result<Configuration>& configuration) {
  RoutedFiles::sweep();
  if (configuration) directory_sum_ = configuration->directory_sum();
  const Status ready = configuration ? server_.renew() : tl::unexpected(configuration.error());
  Values values{directory_sum_, ~directory_sum_, 0, 0};
  RK_TRY_VOID(agree(Step::kOpen, ready, values));
  if (values[0] == ~values[1]) return {};
  return from_first(ErrorCode::kInvalidArgument,
                    "the ranks have configurations with different directories: give all of them the same");
}

void Session::spoil(const Error& error) {
  if (phase_ == Phase::kCheckpoint && spoiled_) spoiled_ = tl::unexpected(error);
}

tl::unexpected<Error> Session::from_first(ErrorCode code, std::string words) {
  quiet_ = group_->rank() != 0;
  return fail(code, std::move(words));
}

Status Session::agree(Step step, const Status& mine, Values& values) {
  const auto where = static_cast<std::uint64_t>(step);
  std::array<std::uint64_t, 7> all{where,     ~where,    mine ? 0 : std::uint64_t{group_->ranks()} - group_->rank(),
                                   values[0], values[1], values[2],
                                   values[3]};
  RK_TRY_VOID(group_->maximum(all));
  std::copy(all.begin() + 3, all.end(), values.begin());
  if (all[0] != ~all[1])
    return from_first(ErrorCode::kInvalidArgument,
                      "the ranks are in different calls: call these functions on all ranks in the same order");
  if (!mine) return mine;
  if (all[2] == 0) return {};
  quiet_ = true;
  return fail(ErrorCode::kUnavailable,
              "rank " + std::to_string(group_->ranks() - all[2]) + " failed: its words are on its standard error");
}

Status Session::agree(Step step, const Status& mine) {
  Values values{};
  return agree(step, mine, values);
}

Status Session::agree_on(Step step, const Status& mine, const std::string& name, std::int32_t number) {
  const std::uint64_t sum = checksum(as_bytes(name));
  const auto bits = static_cast<std::uint64_t>(static_cast<std::uint32_t>(number));
  Values values{sum, ~sum, bits, ~bits};
  RK_TRY_VOID(agree(step, mine, values));
  if (values[0] == ~values[1] && values[2] == ~values[3]) return {};
  return from_first(ErrorCode::kInvalidArgument,
                    "the ranks gave different names or versions: give the same on all of them");
}

Status Session::may_begin(const std::string& name, std::int32_t version) const {
  if (phase_ == Phase::kCheckpoint)
    return fail(ErrorCode::kInvalidArgument, "a checkpoint has begun: call VELOC_Checkpoint_end first");
  if (phase_ == Phase::kRestart)
    return fail(ErrorCode::kInvalidArgument, "a restart has begun: call VELOC_Restart_end first");
  if (name.empty() || name.size() > kMaxName || !printable(name))
    return fail(ErrorCode::kInvalidArgument, "the name of a checkpoint has " + std::to_string(name.size()) +
                                                 " bytes or control bytes in it: use 1 to " + std::to_string(kMaxName) +
                                                 " printable bytes");
  if (version < 0)
    return fail(ErrorCode::kInvalidArgument, "the version is " + std::to_string(version) + ": it must not be negative");
  return {};
}

std::string Session::prefix(const std::string& name, std::uint32_t rank) const {
  return "veloc/" + to_hex(directory_sum_) + "/" + name + "/" +
         (id_ ? "s" + std::to_string(*id_) : std::to_string(rank));
}

Session::Known& Session::known(const std::string& name) {
  return known_.try_emplace(name, Places(server_, prefix(name, group_->rank()))).first->second;
}

bool Session::usable(const Known& known, const Header& header) const {
  return header.ranks == group_->ranks() && header.rank == group_->rank() && !known.failed.contains(header.attempt);
}

// Reads what this rank has, and agrees on what all have.
Status Session::find(const std::string& name, Known& known) {
  known.scanned = false;
  known.other_ranks = 0;
  known.complete.clear();
  Status scanned = server_.renew();
  if (scanned) scanned = known.places.scan();
  Values values{};
  if (scanned) {
    for (const std::string& damage : known.places.damages())
      say(label_, "a version of \"" + name + "\" is passed over", damage);
    for (const Header& header : known.places.versions()) {
      known.sequence = std::max(known.sequence, header.attempt.sequence);
      if (header.ranks != group_->ranks()) values[0] = std::max<std::uint64_t>(values[0], header.ranks);
    }
  }
  RK_TRY_VOID(agree(Step::kScan, scanned, values));
  RK_TRY(known.complete, complete_on_all(known));
  known.other_ranks = values[0];
  known.newest.reset();
  for (const Header& header : known.complete)
    if (!known.newest || header.attempt > *known.newest) known.newest = header.attempt;
  known.scanned = true;
  return {};
}

tl::unexpected<Error> Session::of_other_ranks(const std::string& name, const Known& known) {
  return from_first(ErrorCode::kInvalidArgument, "\"" + name + "\" was taken by " + std::to_string(known.other_ranks) +
                                                     " ranks, and these are " + std::to_string(group_->ranks()) +
                                                     ": start as many, or remove it by VELOC_Cleanup");
}

// What is complete on all is among what rank 0 has.
Result<std::vector<Header>> Session::complete_on_all(const Known& known) {
  std::vector<Header> mine = known.places.versions();
  std::erase_if(mine, [&](const Header& header) { return !usable(known, header); });
  std::sort(mine.begin(), mine.end(), [](const Header& a, const Header& b) { return a.attempt > b.attempt; });
  std::array<std::uint64_t, kOffered * 2> offered{};
  for (std::size_t i = 0; i < std::min(mine.size(), kOffered); ++i) {
    offered[i * 2] = mine[i].attempt.sequence;
    offered[i * 2 + 1] = mine[i].attempt.nonce;
  }
  RK_TRY_VOID(group_->take_from_first(offered));
  std::array<std::uint64_t, kOffered> lacking{};
  std::vector<Header> out;
  const auto find = [&](std::size_t i) {
    const Attempt attempt{offered[i * 2], offered[i * 2 + 1]};
    return std::find_if(mine.begin(), mine.end(), [&](const Header& header) { return header.attempt == attempt; });
  };
  for (std::size_t i = 0; i < kOffered; ++i) lacking[i] = find(i) == mine.end() ? 1 : 0;
  RK_TRY_VOID(group_->maximum(lacking));
  for (std::size_t i = 0; i < kOffered; ++i)
    if (lacking[i] == 0) out.push_back(*find(i));
  return out;
}

Status Session::protect(std::int32_t id, void* data, std::size_t count, std::size_t base_size) {
  if (count != 0 && base_size > SIZE_MAX / count)
    return fail(ErrorCode::kInvalidArgument, "region " + std::to_string(id) + " has more bytes than can be counted");
  const std::size_t size = count * base_size;
  if (size == 0) {
    regions_.erase(id);
    return {};
  }
  if (data == nullptr)
    return fail(ErrorCode::kInvalidArgument,
                "region " + std::to_string(id) + " has " + std::to_string(size) + " bytes at NULL");
  regions_[id] = {static_cast<std::byte*>(data), size};
  return {};
}

Status Session::unprotect(std::int32_t id) {
  if (regions_.erase(id) != 0) return {};
  return fail(ErrorCode::kNotFound, "no memory is protected as " + std::to_string(id));
}

Result<std::string> Session::route(const std::string& original) {
  if (phase_ == Phase::kNone)
    return fail(ErrorCode::kInvalidArgument,
                "a file is routed within a checkpoint or a restart: call VELOC_Checkpoint_begin or "
                "VELOC_Restart_begin first");
  if (original.empty() || original.size() > 1023)
    return fail(ErrorCode::kInvalidArgument, "the name of a file has 1 to 1023 bytes");
  if (phase_ == Phase::kCheckpoint) {
    auto path = files_.path_of(original);
    if (!path) spoil(path.error());
    return path;
  }
  if (files_.paths().contains(original)) return files_.path_of(original);
  const Piece* piece = restoring_.file(original);
  if (piece == nullptr)
    return fail(ErrorCode::kNotFound, "version " + std::to_string(version_) + " has no file \"" + original + "\"");
  RK_TRY(const ByteView data, section_of(reader_, kDataSection));
  return files_.provide(original, data.subspan(piece->offset, piece->size));
}

void Session::end_phase() {
  phase_ = Phase::kNone;
  stages_.clear();
  reader_.reset();
  restoring_ = {};
  files_.clear();
  spoiled_ = {};
}

}  // namespace rk::veloc

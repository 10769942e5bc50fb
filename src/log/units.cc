// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/check.h"
#include "log/stream.h"

namespace rk::log {

namespace {

constexpr std::uint64_t kFirstStep = std::uint64_t{4} << 20U;
constexpr std::uint64_t kLargestStep = std::uint64_t{64} << 20U;
constexpr std::uint64_t kStepsToDouble = 4;  // a log grows by a quarter at a time: little is touched in vain

}  // namespace

Units::Units(Segment segment, ArenaSource& arena) : segment_(segment), arena_(arena) { widen(segment_.usable_bytes()); }

void Units::widen(std::uint64_t usable) {
  if (usable > segment_.usable_bytes()) segment_.set_usable(usable);
  const std::uint64_t total = segment_.units();
  if (total <= taken_.size()) return;
  free_ += total - taken_.size();
  taken_.resize(total, false);
}

std::uint64_t Units::find(std::uint64_t count) const {
  std::uint64_t run = 0;
  for (std::uint64_t unit = low_; unit < taken_.size(); ++unit) {
    run = taken_[unit] ? 0 : run + 1;
    if (run == count) return unit + 1 - count;
  }
  return taken_.size();
}

Status Units::grow(std::uint64_t count) {
  const std::uint64_t needed = count * kUnitBytes;
  const std::uint64_t free_before = free_;  // the source may also have freed trimmed chunks
  const std::uint64_t step = std::max(needed, next_step());
  auto usable = arena_.grow(step);
  if (!usable && usable.error().code == ErrorCode::kNoMemory && step > needed) usable = arena_.grow(needed);
  if (!usable) {
    if (usable.error().code != ErrorCode::kNoMemory) return tl::unexpected(std::move(usable).error());
    return fail(ErrorCode::kNoMemory, "the log of process " + std::to_string(segment_.rank()) + " is full at " +
                                          std::to_string(segment_.usable_bytes()) + " bytes (" +
                                          usable.error().message +
                                          "): take checkpoints more often, or allow the job a larger log");
  }
  widen(*usable);
  if (free_ == free_before)
    return fail(ErrorCode::kNoMemory, "the log of process " + std::to_string(segment_.rank()) + " is full at " +
                                          std::to_string(segment_.usable_bytes()) +
                                          " bytes: take checkpoints more often, or allow the job a larger log");
  return {};
}

std::uint64_t Units::next_step() const {
  return std::clamp(total_units() * kUnitBytes / kStepsToDouble, kFirstStep, kLargestStep);
}

Result<std::uint64_t> Units::take(std::uint64_t count) {
  if (const std::uint64_t usable = arena_.grown(); usable != 0) widen(usable);
  std::uint64_t first = find(count);
  while (first == taken_.size()) {
    RK_TRY_VOID(grow(count));
    first = find(count);
  }
  for (std::uint64_t unit = first; unit < first + count; ++unit) taken_[unit] = true;
  free_ -= count;
  while (low_ < taken_.size() && taken_[low_]) ++low_;
  const std::uint64_t step = next_step();
  if (free_ * kUnitBytes < step / 2 && !arena_.coming(step)) arena_.grow_ahead(step);
  return first;
}

void Units::give_back(std::uint64_t first, std::uint64_t count) {
  for (std::uint64_t unit = first; unit < first + count; ++unit) {
    RK_CHECK(taken_[unit]);
    taken_[unit] = false;
  }
  free_ += count;
  low_ = std::min(low_, first);
}

Status Units::mark_taken(std::uint64_t first, std::uint64_t count) {
  for (std::uint64_t unit = first; unit < first + count; ++unit) {
    if (unit >= taken_.size() || taken_[unit])
      return fail(ErrorCode::kCorrupt, "the log of process " + std::to_string(segment_.rank()) + " holds unit " +
                                           std::to_string(unit) + " twice: restart the job");
    taken_[unit] = true;
  }
  free_ -= count;
  while (low_ < taken_.size() && taken_[low_]) ++low_;
  return {};
}

}  // namespace rk::log

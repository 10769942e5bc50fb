// SPDX-License-Identifier: Apache-2.0
#include "recovery/output_filter.h"

#include <algorithm>

#include "base/checksum.h"

namespace rk::recovery {

void OutputFilter::feed(std::string_view bytes, std::string& out) {
  while (!bytes.empty()) {
    const std::size_t room = kMaxLineBytes - held_.size();
    const std::size_t end = bytes.substr(0, room).find('\n');
    const std::size_t take = end != std::string_view::npos ? end + 1 : std::min(bytes.size(), room);
    const bool whole = end != std::string_view::npos || take == room;
    const std::string_view piece = bytes.substr(0, take);
    bytes.remove_prefix(take);
    if (!whole) {
      held_.append(piece);
    } else if (held_.empty()) {
      line(piece, out);
    } else {
      held_.append(piece);
      line(held_, out);
      held_.clear();
    }
  }
}

void OutputFilter::restart() {
  held_.clear();
  aside_.clear();
  suspended_ = false;
  next_ = 0;
}

void OutputFilter::finish(std::string& out) {
  if (!held_.empty()) line(held_, out);
  held_.clear();
  out.append(aside_);
  aside_.clear();
}

void OutputFilter::resume(std::uint64_t position) {
  held_.clear();
  aside_.clear();
  suspended_ = false;
  next_ = std::min(position, counts_.shown);  // a position that was never reached cannot have been answered
}

void OutputFilter::set_aside(std::string_view text) {
  ++counts_.aside;
  aside_.append(text.substr(text.size() - std::min(text.size(), kMaxAsideBytes)));
  if (aside_.size() <= kMaxAsideBytes) return;
  // Whole lines go, the oldest first.
  const std::size_t end = aside_.find('\n', aside_.size() - kMaxAsideBytes - 1);
  aside_.erase(0, end == std::string::npos ? aside_.size() - kMaxAsideBytes : end + 1);
}

void OutputFilter::line(std::string_view text, std::string& out) {
  if (suspended_) return set_aside(text);
  const std::uint64_t number = next_++;
  const std::uint64_t sum = checksum(as_bytes(text));
  if (number >= counts_.shown) {
    counts_.shown = number + 1;
    out.append(text);
    sums_.push_back(sum);
    if (sums_.size() - sums_start_ > kMaxComparableLines) {
      ++sums_start_;
      // Moving the kept half down once per half keeps both memory and time per line bounded.
      if (sums_start_ >= kMaxComparableLines) {
        sums_.erase(sums_.begin(), sums_.begin() + static_cast<std::ptrdiff_t>(sums_start_));
        sums_start_ = 0;
      }
    }
    first_kept_ = counts_.shown - (sums_.size() - sums_start_);
    return;
  }
  ++counts_.swallowed;
  if (number < first_kept_) return;
  ++counts_.compared;
  if (sums_[sums_start_ + static_cast<std::size_t>(number - first_kept_)] == sum) return;
  ++counts_.differing;
  if (!difference_) difference_ = DifferingLine{number, std::string(text.substr(0, kMaxDifferingBytes))};
}

}  // namespace rk::recovery

// SPDX-License-Identifier: Apache-2.0
#include "log/sequence_set.h"

#include <algorithm>

namespace rk::log {

bool SequenceSet::contains(std::uint64_t number) const {
  return number <= watermark_ || std::binary_search(above_.begin(), above_.end(), number);
}

bool SequenceSet::insert_above(std::uint64_t number) {
  if (number <= watermark_) return false;
  const auto at = std::lower_bound(above_.begin(), above_.end(), number);
  if (at != above_.end() && *at == number) return false;
  above_.insert(at, number);
  std::size_t dense = 0;
  while (dense < above_.size() && above_[dense] == watermark_ + 1) {
    ++watermark_;
    ++dense;
  }
  above_.erase(above_.begin(), above_.begin() + static_cast<std::ptrdiff_t>(dense));
  return true;
}

std::uint64_t SequenceSet::next_missing(std::uint64_t number) const {
  std::uint64_t next = std::max(number, watermark_) + 1;
  auto at = std::lower_bound(above_.begin(), above_.end(), next);
  while (at != above_.end() && *at == next) {
    ++next;
    ++at;
  }
  return next;
}

void SequenceSet::encode(ByteWriter& out) const {
  out.integer(watermark_);
  out.integer(static_cast<std::uint64_t>(above_.size()));
  for (const std::uint64_t number : above_) out.integer(number);
}

SequenceSet SequenceSet::decode(ByteReader& in, std::size_t limit) {
  SequenceSet set;
  set.watermark_ = in.integer<std::uint64_t>();
  const auto count = in.integer<std::uint64_t>();
  if (count > limit || count > in.remaining() / sizeof(std::uint64_t)) {
    in.mark_failed();
    return {};
  }
  // Two above the watermark at least: the next number would have moved it.
  std::uint64_t least = set.watermark_ + 2;
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto number = in.integer<std::uint64_t>();
    if (number < least) {
      in.mark_failed();
      return {};
    }
    set.above_.push_back(number);
    least = number + 1;
  }
  return set;
}

}  // namespace rk::log

// SPDX-License-Identifier: Apache-2.0
// A set of sequence numbers from 1 that is dense from below: a watermark (all numbers up to it are in) and the sorted
// numbers above it. What a receiver has consumed is not a prefix of ssn, because tags overtake.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"

namespace rk::log {

class SequenceSet {
 public:
  bool contains(std::uint64_t number) const;
  // Adds a number; false if it was there.
  bool insert(std::uint64_t number) {
    if (number == watermark_ + 1 && above_.empty()) [[likely]] {
      ++watermark_;
      return true;
    }
    return insert_above(number);
  }
  std::uint64_t watermark() const { return watermark_; }
  const std::vector<std::uint64_t>& above() const { return above_; }
  std::uint64_t highest() const { return above_.empty() ? watermark_ : above_.back(); }
  // Smallest number that is not in and is above `number`.
  std::uint64_t next_missing(std::uint64_t number) const;
  bool operator==(const SequenceSet&) const = default;

  void encode(ByteWriter& out) const;
  // Fails the reader on numbers that are not sorted, not above the watermark, or more than `limit`.
  static SequenceSet decode(ByteReader& in, std::size_t limit);

 private:
  bool insert_above(std::uint64_t number);
  std::uint64_t watermark_ = 0;
  std::vector<std::uint64_t> above_;
};

}  // namespace rk::log

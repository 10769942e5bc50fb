// SPDX-License-Identifier: Apache-2.0
// The one checksum of the project: XXH3-64 (xxHash). It finds damage, it does not authenticate.
#pragma once

#include <cstdint>
#include <memory>

#include "base/bytes.h"

namespace rk {

std::uint64_t checksum(ByteView bytes);

// The same value as checksum() of all the pieces in a row.
class StreamingChecksum {
 public:
  StreamingChecksum();
  ~StreamingChecksum();
  StreamingChecksum(StreamingChecksum&&) noexcept;
  StreamingChecksum& operator=(StreamingChecksum&&) noexcept;
  void update(ByteView bytes);
  // update() of what it copies to `to`, which has room for all of it and does not overlap it.
  void copy(std::byte* to, ByteView from);
  std::uint64_t digest() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace rk

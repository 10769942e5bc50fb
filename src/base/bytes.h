// SPDX-License-Identifier: Apache-2.0
// Little-endian encoding into and bounds-checked decoding from byte buffers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/result.h"

namespace rk {

using Bytes = std::vector<std::byte>;
using ByteView = std::span<const std::byte>;

inline ByteView as_bytes(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }
std::string to_hex(ByteView bytes);
// 16 digits, the highest first.
std::string to_hex(std::uint64_t value);

// Appends to a buffer that the caller owns.
class ByteWriter {
 public:
  explicit ByteWriter(Bytes& out) : out_(out) {}

  template <class T>
  requires std::is_integral_v<T>
  void integer(T value) {
    auto bits = static_cast<std::make_unsigned_t<T>>(value);
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      out_.push_back(static_cast<std::byte>(bits & 0xffU));
      if constexpr (sizeof(T) > 1) bits = static_cast<std::make_unsigned_t<T>>(bits >> 8U);
    }
  }
  void raw(ByteView bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }
  // u32 length, then the bytes. The caller has checked the limit of the field.
  void blob(ByteView bytes);
  void text(std::string_view value) { blob(as_bytes(value)); }

 private:
  Bytes& out_;
};

// Reads from a buffer that outlives the reader. The first failure sticks: every later read gives zero or empty, and
// finish() reports it; so a decoder reads all its fields and checks once.
class ByteReader {
 public:
  explicit ByteReader(ByteView in) : in_(in) {}

  template <class T>
  requires std::is_integral_v<T> T integer() {
    const ByteView at = take(sizeof(T));
    if (at.size() != sizeof(T)) return T{};
    std::make_unsigned_t<T> bits = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i)
      bits = static_cast<std::make_unsigned_t<T>>(bits | (std::to_integer<std::uint64_t>(at[i]) << (8U * i)));
    return static_cast<T>(bits);
  }
  // A view into the input of exactly `size` bytes; empty and failed if there are fewer.
  ByteView take(std::size_t size);
  // u32 length, then the bytes; fails if the length is above `limit`.
  ByteView blob(std::size_t limit);
  std::string text(std::size_t limit);

  std::size_t remaining() const { return in_.size(); }
  bool failed() const { return failed_; }
  void mark_failed() { failed_ = true; }
  // kCorrupt if a read went past the end, broke a limit, or bytes are left over that may not be.
  enum class Rest { kRefused, kIgnored };
  Status finish(std::string_view what, Rest rest = Rest::kRefused) const;

 private:
  ByteView in_;
  bool failed_ = false;
};

}  // namespace rk

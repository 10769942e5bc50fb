// SPDX-License-Identifier: Apache-2.0
#include "base/bytes.h"

#include <limits>

#include "base/check.h"

namespace rk {

std::string to_hex(ByteView bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const std::byte b : bytes) {
    const auto value = std::to_integer<unsigned>(b);
    out.push_back(kDigits[value >> 4U]);
    out.push_back(kDigits[value & 0xfU]);
  }
  return out;
}

std::string to_hex(std::uint64_t value) {
  Bytes bytes;
  for (unsigned shift = 64; shift > 0; shift -= 8)
    bytes.push_back(static_cast<std::byte>((value >> (shift - 8)) & 0xffU));
  return to_hex(bytes);
}

void ByteWriter::blob(ByteView bytes) {
  RK_CHECK(bytes.size() <= std::numeric_limits<std::uint32_t>::max());
  integer(static_cast<std::uint32_t>(bytes.size()));
  raw(bytes);
}

ByteView ByteReader::take(std::size_t size) {
  if (failed_ || size > in_.size()) {
    failed_ = true;
    return {};
  }
  const ByteView out = in_.first(size);
  in_ = in_.subspan(size);
  return out;
}

ByteView ByteReader::blob(std::size_t limit) {
  const std::size_t size = integer<std::uint32_t>();
  if (size > limit) failed_ = true;
  return take(size);
}

std::string ByteReader::text(std::size_t limit) {
  const ByteView bytes = blob(limit);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Status ByteReader::finish(std::string_view what, Rest rest) const {
  if (failed_) return fail(ErrorCode::kCorrupt, std::string(what) + " is cut short or breaks a limit");
  if (!in_.empty() && rest == Rest::kRefused)
    return fail(ErrorCode::kCorrupt, std::string(what) + " has " + std::to_string(in_.size()) + " bytes too many");
  return {};
}

}  // namespace rk

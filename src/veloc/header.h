// SPDX-License-Identifier: Apache-2.0
// The section of a version in the keep that says what it is: VeloC's version numbers are the program's own, the keep's
// are not. Little-endian:
//
//   u32 magic "RKVC", u16 format, u8 kind, u8 0
//   i32 version, u32 rank, u32 ranks, u64 sequence, u64 nonce, u64 previous, u64 bytes of the data section, text name
//   u32 pieces; each: u8 kind, i32 id, text file, u64 offset, u64 size
//
// A marker has no data. It is written into a place before the next version is, so that the place keeps one version and
// not two: the keep retains the two newest. `previous` is the keep's number of the version that it follows.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace rk::veloc {

inline constexpr std::uint32_t kMagic = 0x43564b52;  // "RKVC"
inline constexpr std::uint16_t kFormat = 1;
inline constexpr std::uint32_t kMaxPieces = 1U << 20U;
inline constexpr std::uint64_t kPieceAlignment = 64;

// One try of all ranks together to take a checkpoint. The sequence rises; the nonce tells tries apart that gave the
// same sequence, because what one knew was lost.
struct Attempt {
  std::uint64_t sequence = 0;
  std::uint64_t nonce = 0;
  auto operator<=>(const Attempt&) const = default;  // NOLINT(modernize-use-nullptr): a false alarm
};

struct Piece {
  bool is_file = false;
  std::int32_t id = 0;    // of a region
  std::string file = {};  // as the program names it
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};

struct Header {
  bool marker = false;
  std::int32_t version = 0;
  std::uint32_t rank = 0;
  std::uint32_t ranks = 0;
  Attempt attempt = {};
  std::uint64_t previous = 0;
  std::uint64_t data_bytes = 0;
  std::string name = {};
  std::vector<Piece> pieces = {};

  const Piece* region(std::int32_t id) const;
  const Piece* file(const std::string& name) const;
};

// Gives the pieces their offsets, one after the other, and the header its bytes of data. kInvalidArgument: too many.
Status place_pieces(Header& header);
Bytes encode(const Header& header);
// kCorrupt: not one of ours, or pieces that do not lie within `data_bytes`.
Result<Header> decode(ByteView bytes, std::uint64_t data_bytes);

}  // namespace rk::veloc

// SPDX-License-Identifier: Apache-2.0
#include "veloc/header.h"

#include <algorithm>

namespace rk::veloc {
namespace {

constexpr std::uint8_t kVersionKind = 1;
constexpr std::uint8_t kMarkerKind = 2;
constexpr std::uint8_t kRegionPiece = 1;
constexpr std::uint8_t kFilePiece = 2;
constexpr std::size_t kMaxText = 4096;
constexpr std::uint64_t kMaxDataBytes = std::uint64_t{1} << 62U;

tl::unexpected<Error> damaged(const std::string& what) {
  return fail(ErrorCode::kCorrupt, "the header of the version " + what + ": it was not written by this interface");
}

}  // namespace

const Piece* Header::region(std::int32_t id) const {
  const auto at = std::find_if(pieces.begin(), pieces.end(), [&](const Piece& p) { return !p.is_file && p.id == id; });
  return at == pieces.end() ? nullptr : &*at;
}

const Piece* Header::file(const std::string& wanted) const {
  const auto at =
      std::find_if(pieces.begin(), pieces.end(), [&](const Piece& p) { return p.is_file && p.file == wanted; });
  return at == pieces.end() ? nullptr : &*at;
}

Status place_pieces(Header& header) {
  if (header.pieces.size() > kMaxPieces)
    return fail(ErrorCode::kInvalidArgument, "a checkpoint has at most " + std::to_string(kMaxPieces) +
                                                 " regions and files: protect larger regions");
  std::uint64_t at = 0;
  for (Piece& piece : header.pieces) {
    piece.offset = at;
    if (at > kMaxDataBytes || piece.size > kMaxDataBytes - at)
      return fail(ErrorCode::kInvalidArgument, "the regions have more bytes than can be counted: protect less");
    at += (piece.size + kPieceAlignment - 1) / kPieceAlignment * kPieceAlignment;
  }
  header.data_bytes = at;
  return {};
}

Bytes encode(const Header& header) {
  Bytes out;
  ByteWriter writer(out);
  writer.integer(kMagic);
  writer.integer(kFormat);
  writer.integer(header.marker ? kMarkerKind : kVersionKind);
  writer.integer(std::uint8_t{0});
  writer.integer(header.version);
  writer.integer(header.rank);
  writer.integer(header.ranks);
  writer.integer(header.attempt.sequence);
  writer.integer(header.attempt.nonce);
  writer.integer(header.previous);
  writer.integer(header.data_bytes);
  writer.text(header.name);
  writer.integer(static_cast<std::uint32_t>(header.pieces.size()));
  for (const Piece& piece : header.pieces) {
    writer.integer(piece.is_file ? kFilePiece : kRegionPiece);
    writer.integer(piece.id);
    writer.text(piece.file);
    writer.integer(piece.offset);
    writer.integer(piece.size);
  }
  return out;
}

Result<Header> decode(ByteView bytes, std::uint64_t data_bytes) {
  ByteReader reader(bytes);
  if (reader.integer<std::uint32_t>() != kMagic) return damaged("does not begin with its magic");
  if (const auto format = reader.integer<std::uint16_t>(); format != kFormat)
    return fail(ErrorCode::kVersionMismatch, "the version has format " + std::to_string(format) +
                                                 ", this library reads " + std::to_string(kFormat) +
                                                 ": use the release that wrote it");
  Header header;
  const auto kind = reader.integer<std::uint8_t>();
  reader.integer<std::uint8_t>();
  header.marker = kind == kMarkerKind;
  header.version = reader.integer<std::int32_t>();
  header.rank = reader.integer<std::uint32_t>();
  header.ranks = reader.integer<std::uint32_t>();
  header.attempt.sequence = reader.integer<std::uint64_t>();
  header.attempt.nonce = reader.integer<std::uint64_t>();
  header.previous = reader.integer<std::uint64_t>();
  header.data_bytes = reader.integer<std::uint64_t>();
  header.name = reader.text(kMaxText);
  const auto pieces = reader.integer<std::uint32_t>();
  if (pieces > kMaxPieces || pieces > reader.remaining()) return damaged("has more pieces than bytes");
  for (std::uint32_t i = 0; i < pieces; ++i) {
    Piece piece;
    const auto piece_kind = reader.integer<std::uint8_t>();
    piece.is_file = piece_kind == kFilePiece;
    piece.id = reader.integer<std::int32_t>();
    piece.file = reader.text(kMaxText);
    piece.offset = reader.integer<std::uint64_t>();
    piece.size = reader.integer<std::uint64_t>();
    if (piece_kind != kFilePiece && piece_kind != kRegionPiece) return damaged("has a piece of no known kind");
    if (piece.offset > data_bytes || piece.size > data_bytes - piece.offset)
      return damaged("places a piece outside of its data");
    header.pieces.push_back(std::move(piece));
  }
  RK_TRY_VOID(reader.finish("a header"));
  if (kind != kVersionKind && kind != kMarkerKind) return damaged("is of no known kind");
  if (header.version < 0 || header.ranks == 0) return damaged("has impossible numbers");
  if (header.data_bytes != data_bytes) return damaged("and its data differ in size");
  return header;
}

}  // namespace rk::veloc

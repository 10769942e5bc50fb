// SPDX-License-Identifier: Apache-2.0
#include "archive/archive.h"

#include <algorithm>
#include <array>
#include <functional>
#include <utility>

#include "base/check.h"
#include "keep/names.h"
#include "wire/client_messages.h"

namespace rk::archive {
namespace {

// No text, and changed by whoever takes it for one.
constexpr std::array<unsigned char, 8> kMagic{0x89, 'R', 'K', 'E', 'X', 'P', '\r', '\n'};
constexpr std::array<unsigned char, 8> kEnd{0x89, 'R', 'K', 'E', 'N', 'D', '\r', '\n'};
constexpr std::uint32_t kKnownFeatures = 0;
constexpr std::size_t kSumBytes = 8;
constexpr std::size_t kHeaderBytes = 32;
constexpr std::size_t kHeadPrefixBytes = 16;
constexpr std::size_t kEndBytes = 24;
constexpr std::size_t kPieceBytes = std::size_t{64} << 10U;
constexpr std::size_t kMaxHeadBytes = 16 + wire::kMaxSections * (4 + wire::kMaxNameBytes + 16) + kSumBytes;

void close_block(Bytes& block) { ByteWriter(block).integer(checksum(block)); }

Status check_order(const std::vector<std::string>& names) {
  for (const std::string& name : names) RK_TRY_VOID(keep::check_name("checkpoint", name));
  if (std::adjacent_find(names.begin(), names.end(), std::greater_equal<>()) == names.end()) return {};
  return fail(ErrorCode::kInvalidArgument, "the names of an export rise, and each is there once");
}

Status check_head(const Head& head) {
  if (head.sections.empty() || head.sections.size() > wire::kMaxSections)
    return fail(ErrorCode::kInvalidArgument,
                "a checkpoint has 1 to " + std::to_string(wire::kMaxSections) + " sections");
  for (const Section& section : head.sections) {
    RK_TRY_VOID(keep::check_name("section", section.name));
    if (section.size > kMaxSectionBytes) return fail(ErrorCode::kInvalidArgument, "a section is larger than can be");
  }
  return {};
}

// One reading of a stream.
class Reading {
 public:
  Reading(Source& source, Sink& sink) : source_(source), sink_(sink) {}

  Status run() {
    RK_TRY(const std::uint64_t names_bytes, header());
    RK_TRY(const std::vector<std::string> names, contents(names_bytes));
    RK_TRY_VOID(sink_.names(names));
    for (const std::string& name : names) RK_TRY_VOID(checkpoint(name));
    return end();
  }

 private:
  tl::unexpected<Error> damaged(const std::string& what) const {
    return fail(ErrorCode::kCorrupt, "damaged at byte " + std::to_string(at_) + ": " + what + "; export it again");
  }

  Status fill(std::span<std::byte> to) {
    while (!to.empty()) {
      RK_TRY(const std::size_t got, source_.read(to));
      if (got == 0)
        return fail(ErrorCode::kCorrupt,
                    "it ends early, after " + std::to_string(at_) + " bytes: it was cut off; copy or export it again");
      sum_.update(to.first(got));
      at_ += got;
      to = to.subspan(got);
    }
    return {};
  }

  // A block with its own checksum at its end, which is taken off. Memory is taken as the bytes come.
  Result<Bytes> block(std::uint64_t size, const char* what) {
    Bytes out;
    while (out.size() < size) {
      const std::size_t had = out.size();
      out.resize(had + static_cast<std::size_t>(std::min<std::uint64_t>(size - had, kPieceBytes)));
      RK_TRY_VOID(fill(std::span(out).subspan(had)));
    }
    const auto sum = ByteReader(ByteView(out).last(kSumBytes)).integer<std::uint64_t>();
    out.resize(out.size() - kSumBytes);
    if (sum != checksum(out)) return damaged(std::string(what) + " has another checksum");
    return out;
  }

  Result<std::uint64_t> header() {
    std::array<std::byte, kHeaderBytes> raw{};
    // The first bytes alone: what is no export may be shorter than a header.
    RK_TRY_VOID(fill(std::span(raw).first(kMagic.size())));
    if (!std::ranges::equal(std::span(raw).first(kMagic.size()), std::as_bytes(std::span(kMagic))))
      return fail(ErrorCode::kCorrupt, "it is no export: its first bytes are not those that `ringkeep export` writes");
    RK_TRY_VOID(fill(std::span(raw).subspan(kMagic.size())));
    ByteReader in(ByteView(raw).subspan(kMagic.size()));
    const auto version = in.integer<std::uint32_t>();
    const auto features = in.integer<std::uint32_t>();
    const auto names_bytes = in.integer<std::uint64_t>();
    if (in.integer<std::uint64_t>() != checksum(ByteView(raw).first(kHeaderBytes - kSumBytes)))
      return damaged("the header has another checksum");
    if (version != kFormatVersion || (features & ~kKnownFeatures) != 0)
      return fail(ErrorCode::kVersionMismatch, "it has format " + std::to_string(version) + " with feature bits " +
                                                   std::to_string(features) + ", this release reads format " +
                                                   std::to_string(kFormatVersion) +
                                                   " without any: import it with the release that wrote it");
    if (names_bytes < 4 + kSumBytes || names_bytes > kMaxNamesBytes) return damaged("the names have no possible size");
    return names_bytes;
  }

  Result<std::vector<std::string>> contents(std::uint64_t size) {
    RK_TRY(const Bytes bytes, block(size, "the list of names"));
    ByteReader in(bytes);
    const std::size_t count = in.integer<std::uint32_t>();
    if (count > kMaxNames || count > in.remaining()) return damaged("it has more names than can be");
    std::vector<std::string> names;
    for (std::size_t i = 0; i < count && !in.failed(); ++i) names.push_back(in.text(wire::kMaxNameBytes));
    if (const Status whole = in.finish("list of names"); !whole) return damaged(whole.error().message);
    if (const Status order = check_order(names); !order) return damaged(order.error().message);
    return names;
  }

  Result<Head> head() {
    RK_TRY(const Bytes prefix, block(kHeadPrefixBytes, "the size of a head"));
    const auto size = ByteReader(prefix).integer<std::uint64_t>();
    if (size < kSumBytes || size > kMaxHeadBytes) return damaged("a head has no possible size");
    RK_TRY(const Bytes bytes, block(size, "a head"));
    ByteReader in(bytes);
    Head out;
    out.version = Version(in.integer<std::uint64_t>());
    const std::size_t count = in.integer<std::uint32_t>();
    if (count > wire::kMaxSections) return damaged("a checkpoint has more sections than can be");
    for (std::size_t i = 0; i < count && !in.failed(); ++i) {
      Section section;
      section.name = in.text(wire::kMaxNameBytes);
      section.size = in.integer<std::uint64_t>();
      section.sum = in.integer<std::uint64_t>();
      out.sections.push_back(std::move(section));
    }
    if (const Status whole = in.finish("head"); !whole) return damaged(whole.error().message);
    if (const Status possible = check_head(out); !possible) return damaged(possible.error().message);
    return out;
  }

  Status checkpoint(const std::string& name) {
    RK_TRY(const Head found, head());
    RK_TRY_VOID(sink_.begin(name, found));
    for (std::size_t i = 0; i < found.sections.size(); ++i) RK_TRY_VOID(section(name, found.sections[i], i));
    return sink_.finish();
  }

  Status section(const std::string& name, const Section& section, std::size_t index) {
    StreamingChecksum sum;
    for (std::uint64_t offset = 0; offset < section.size;) {
      const std::uint64_t left = section.size - offset;
      RK_TRY(const std::span<std::byte> whole, sink_.place(index, offset, left));
      RK_CHECK(!whole.empty());
      const auto place = whole.first(std::min({whole.size(), static_cast<std::size_t>(left), kMaxPlace}));
      RK_TRY_VOID(fill(place));
      sum.update(place);
      offset += place.size();
    }
    if (sum.digest() == section.sum) return {};
    return damaged("section \"" + section.name + "\" of \"" + name + "\" has another checksum");
  }

  Status end() {
    const std::uint64_t before = at_;
    std::array<std::byte, kEndBytes> raw{};
    RK_TRY_VOID(fill(std::span(raw).first(kEndBytes - kSumBytes)));
    const std::uint64_t sum = sum_.digest();
    RK_TRY_VOID(fill(std::span(raw).last(kSumBytes)));
    ByteReader in(ByteView(raw).subspan(kEnd.size()));
    if (!std::ranges::equal(std::span(raw).first(kEnd.size()), std::as_bytes(std::span(kEnd))) ||
        in.integer<std::uint64_t>() != before || in.integer<std::uint64_t>() != sum)
      return damaged("the end does not fit to what is before it");
    std::array<std::byte, 1> more{};
    RK_TRY(const std::size_t got, source_.read(more));
    return got == 0 ? Status() : damaged("there are bytes behind the end");
  }

  static constexpr std::size_t kMaxPlace = std::size_t{1} << 20U;  // read and summed while it is in the cache
  Source& source_;
  Sink& sink_;
  StreamingChecksum sum_;
  std::uint64_t at_ = 0;
};

}  // namespace

Bytes Builder::counted(Bytes bytes) {
  data(bytes);
  return bytes;
}

void Builder::data(ByteView bytes) {
  sum_.update(bytes);
  written_ += bytes.size();
}

Result<Bytes> Builder::opening(const std::vector<std::string>& names) {
  if (names.size() > kMaxNames)
    return fail(ErrorCode::kInvalidArgument, "an export has at most " + std::to_string(kMaxNames) +
                                                 " checkpoints: name those that you want, or a --prefix");
  RK_TRY_VOID(check_order(names));
  Bytes block;
  ByteWriter list(block);
  list.integer(static_cast<std::uint32_t>(names.size()));
  for (const std::string& name : names) list.text(name);
  close_block(block);
  if (block.size() > kMaxNamesBytes)
    return fail(ErrorCode::kInvalidArgument, "the names of the checkpoints are too long together: export fewer");
  Bytes out;
  ByteWriter header(out);
  header.raw(std::as_bytes(std::span(kMagic)));
  header.integer(kFormatVersion);
  header.integer(std::uint32_t{0});  // features
  header.integer(std::uint64_t{block.size()});
  close_block(out);
  header.raw(block);
  return counted(std::move(out));
}

Result<Bytes> Builder::head(const Head& head) {
  RK_TRY_VOID(check_head(head));
  Bytes block;
  ByteWriter writer(block);
  writer.integer(head.version.value);
  writer.integer(static_cast<std::uint32_t>(head.sections.size()));
  for (const Section& section : head.sections) {
    writer.text(section.name);
    writer.integer(section.size);
    writer.integer(section.sum);
  }
  close_block(block);
  Bytes out;
  ByteWriter(out).integer(std::uint64_t{block.size()});
  close_block(out);
  ByteWriter(out).raw(block);
  return counted(std::move(out));
}

Bytes Builder::closing() {
  Bytes out;
  ByteWriter writer(out);
  writer.raw(std::as_bytes(std::span(kEnd)));
  writer.integer(written_);
  data(out);
  writer.integer(sum_.digest());
  return out;
}

Status read(Source& source, Sink& sink) { return Reading(source, sink).run(); }

}  // namespace rk::archive

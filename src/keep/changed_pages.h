// SPDX-License-Identifier: Apache-2.0
// Which pages of a version differ from those of an older one, its base, and how a version is put together from its base
// and those pages. Works on bytes that the caller has; who compares, sends and receives them is told in keep.h.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "wire/keep_messages.h"

namespace rk::keep {

using PageRanges = std::vector<wire::PageRange>;

// Of a version of `total` bytes: rising, none empty, none touches the next one, all inside.
bool possible(const PageRanges& ranges, std::uint64_t total);
std::uint64_t bytes_in(const PageRanges& ranges, std::uint64_t total);

// Compares a version with its base, from its beginning to its end. Gives up as soon as so much is changed that the
// whole had better travel.
class ChangedPages {
 public:
  explicit ChangedPages(std::uint64_t total);
  // A few pages, spread over both, are looked at: is any of them the same? If not, comparing them all is hardly worth
  // it.
  static bool worth_comparing(ByteView version, ByteView base);
  // The bytes at `offset` of both; alike in length, and behind all that were compared before.
  void compare(std::uint64_t offset, ByteView version, ByteView base);
  bool given_up() const { return given_up_; }
  // None: it gave up. At most wire::kMaxChangedRanges: where there would be more, pages between them count as changed.
  std::optional<PageRanges> ranges() const;

 private:
  void note(std::uint32_t page);
  void close_gaps();

  std::uint64_t total_;
  PageRanges ranges_;
  std::uint64_t changed_ = 0;        // pages that differ
  std::uint32_t bridged_pages_ = 0;  // so many equal pages between two ranges do not part them
  bool given_up_ = false;
};

// Pages in `ranges`, one behind the other, as one stream.
class PageStream {
 public:
  struct Piece {
    std::uint64_t offset = 0;  // in the version
    std::uint64_t size = 0;
  };
  PageStream(PageRanges ranges, std::uint64_t total)
      : ranges_(std::move(ranges)), total_(total), left_(bytes_in(ranges_, total)) {}
  std::uint64_t left() const { return left_; }
  // Where the next bytes of the stream lie: at most `most` of them, in one piece, at least one if any is left.
  Piece next(std::uint64_t most);

 private:
  PageRanges ranges_;
  std::uint64_t total_;
  std::uint64_t left_;
  std::size_t at_ = 0;        // range
  std::uint64_t within_ = 0;  // bytes of it that are done
};

// Fills `size` bytes at `offset` of the version from its base, but for what lies in `ranges`.
void copy_unchanged(const PageRanges& ranges, ByteView base, std::span<std::byte> version, std::uint64_t offset,
                    std::uint64_t size);

}  // namespace rk::keep

// SPDX-License-Identifier: Apache-2.0
#include "keep/changed_pages.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace rk::keep {
namespace {

constexpr std::uint64_t kPage = wire::kChangedPageBytes;
// Looked at before all are compared. If a half is unchanged, one in 65536 tries misses that.
constexpr std::uint64_t kSamples = 16;

std::uint64_t pages_of(std::uint64_t total) { return (total + kPage - 1) / kPage; }

// More than this is not worth the memory and the time at the receiver.
bool too_much(std::uint64_t changed, std::uint64_t total) { return changed > total / 8 * 7 + total % 8 * 7 / 8; }

std::uint64_t begin_of(const wire::PageRange& range) { return range.first * kPage; }
std::uint64_t end_of(const wire::PageRange& range, std::uint64_t total) {
  return std::min(total, (std::uint64_t{range.first} + range.count) * kPage);
}

bool same(ByteView one, ByteView other) { return std::memcmp(one.data(), other.data(), one.size()) == 0; }

}  // namespace

bool possible(const PageRanges& ranges, std::uint64_t total) {
  if (ranges.size() > wire::kMaxChangedRanges) return false;
  std::uint64_t least = 0;  // page that the next range may begin with
  for (const wire::PageRange& range : ranges) {
    if (range.count == 0 || range.first < least) return false;
    least = std::uint64_t{range.first} + range.count + 1;
  }
  return ranges.empty() || least - 1 <= pages_of(total);
}

std::uint64_t bytes_in(const PageRanges& ranges, std::uint64_t total) {
  std::uint64_t bytes = 0;
  for (const wire::PageRange& range : ranges) bytes += end_of(range, total) - begin_of(range);
  return bytes;
}

ChangedPages::ChangedPages(std::uint64_t total) : total_(total) {
  RK_CHECK(total > 0 && total <= wire::kMaxVersionBytes);
}

bool ChangedPages::worth_comparing(ByteView version, ByteView base) {
  RK_CHECK(version.size() == base.size());
  const std::uint64_t pages = pages_of(version.size());
  const std::uint64_t samples = std::min(pages, kSamples);
  for (std::uint64_t i = 0; i < samples; ++i) {
    const std::uint64_t offset = pages * i / samples * kPage;
    const std::uint64_t size = std::min(kPage, version.size() - offset);
    if (same(version.subspan(offset, size), base.subspan(offset, size))) return true;
  }
  return false;
}

void ChangedPages::compare(std::uint64_t offset, ByteView version, ByteView base) {
  RK_CHECK(version.size() == base.size() && offset + version.size() <= total_);
  for (std::uint64_t done = 0; done < version.size() && !given_up_;) {
    const std::uint64_t page = (offset + done) / kPage;
    const std::uint64_t size = std::min(kPage - (offset + done) % kPage, version.size() - done);
    if (!same(version.subspan(done, size), base.subspan(done, size))) note(static_cast<std::uint32_t>(page));
    done += size;
  }
}

void ChangedPages::note(std::uint32_t page) {
  if (!ranges_.empty()) {
    wire::PageRange& last = ranges_.back();
    if (page < last.first + last.count) return;  // by its part before
    if (page - (last.first + last.count) <= bridged_pages_) {
      last.count = page + 1 - last.first;
      given_up_ = too_much(++changed_, pages_of(total_));
      return;
    }
  }
  ranges_.push_back({page, 1});
  given_up_ = too_much(++changed_, pages_of(total_));
  while (ranges_.size() > wire::kMaxChangedRanges) close_gaps();
}

// Twice as many pages are bridged from now on.
void ChangedPages::close_gaps() {
  bridged_pages_ = 2 * bridged_pages_ + 1;
  PageRanges fewer;
  for (const wire::PageRange& range : ranges_) {
    if (!fewer.empty() && range.first - (fewer.back().first + fewer.back().count) <= bridged_pages_)
      fewer.back().count = range.first + range.count - fewer.back().first;
    else
      fewer.push_back(range);
  }
  ranges_ = std::move(fewer);
}

std::optional<PageRanges> ChangedPages::ranges() const {
  if (given_up_ || too_much(bytes_in(ranges_, total_), total_)) return std::nullopt;
  return ranges_;
}

PageStream::Piece PageStream::next(std::uint64_t most) {
  RK_CHECK(left_ > 0 && most > 0);
  const wire::PageRange& range = ranges_[at_];
  const std::uint64_t offset = begin_of(range) + within_;
  const std::uint64_t end = end_of(range, total_);
  const Piece piece{offset, std::min(most, end - offset)};
  within_ += piece.size;
  left_ -= piece.size;
  if (offset + piece.size == end) {
    ++at_;
    within_ = 0;
  }
  return piece;
}

void copy_unchanged(const PageRanges& ranges, ByteView base, std::span<std::byte> version, std::uint64_t offset,
                    std::uint64_t size) {
  RK_CHECK(base.size() == version.size() && offset + size <= version.size());
  const std::uint64_t end = offset + size;
  auto range = std::upper_bound(ranges.begin(), ranges.end(), offset,
                                [&](std::uint64_t at, const auto& item) { return at < end_of(item, version.size()); });
  while (offset < end) {
    const std::uint64_t until = range == ranges.end() ? end : std::clamp(begin_of(*range), offset, end);
    std::memcpy(version.data() + offset, base.data() + offset, until - offset);
    offset = range == ranges.end() ? end : end_of(*range, version.size());
    if (range != ranges.end()) ++range;
  }
}

}  // namespace rk::keep

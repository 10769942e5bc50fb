// SPDX-License-Identifier: Apache-2.0
// Any bytes as an export: what is read whole is written again as the same bytes, and nothing else gets past its
// checksums. A second reading gives every block the checksum that it needs, so that what lies behind them is reached.
#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "archive/archive.h"
#include "base/check.h"
#include "tests/fuzz/fuzz_target.h"

namespace rk::fuzz {
namespace {

constexpr std::size_t kSumBytes = 8;

struct Kept {
  std::string name;
  archive::Head head;
  Bytes bytes;
};

class Sink : public archive::Sink {
 public:
  Status names(const std::vector<std::string>& names) override {
    RK_CHECK(all.empty() && !told);
    told = true;
    all = names;
    return {};
  }
  Status begin(const std::string& name, const archive::Head& head) override {
    RK_CHECK(kept.size() < all.size() && all[kept.size()] == name);
    kept.push_back({name, head, {}});
    return {};
  }
  Result<std::span<std::byte>> place(std::size_t section, std::uint64_t offset, std::uint64_t left) override {
    RK_CHECK(section < kept.back().head.sections.size());
    RK_CHECK(left > 0 && offset + left == kept.back().head.sections[section].size);
    in_section = true;
    const std::size_t had = kept.back().bytes.size();
    // As much as can come is kept, whatever is claimed: what does not come ends the reading.
    kept.back().bytes.resize(had + static_cast<std::size_t>(std::min<std::uint64_t>(left, 3)));
    return std::span(kept.back().bytes).subspan(had);
  }
  Status finish() override { return {}; }

  std::vector<std::string> all;
  std::vector<Kept> kept;
  bool told = false;
  bool in_section = false;
};

class Source : public archive::Source {
 public:
  Source(ByteView in, Sink& sink, bool mend) : in_(in), sink_(sink), mend_(mend) {}
  Result<std::size_t> read(std::span<std::byte> to) override {
    const std::size_t size = std::min(to.size(), in_.size());
    std::copy_n(in_.begin(), size, to.begin());
    in_ = in_.subspan(size);
    const bool section = sink_.in_section;
    sink_.in_section = false;
    if (mend_ && !section && size == to.size()) mend(to);
    all_.insert(all_.end(), to.begin(), to.begin() + static_cast<std::ptrdiff_t>(size));
    return size;
  }

 private:
  // A read of a block ends with its checksum; the header and the end are read in two parts.
  void mend(std::span<std::byte> block) {
    if (block.size() < kSumBytes || all_.empty()) return;
    Bytes before(block.begin(), block.end() - kSumBytes);
    if (all_.size() == kSumBytes) before.insert(before.begin(), all_.begin(), all_.end());  // the header's magic
    if (block.size() == kSumBytes) before = all_;                                           // of the end
    const std::uint64_t sum = checksum(before);
    std::memcpy(&block[block.size() - kSumBytes], &sum, kSumBytes);
  }

  ByteView in_;
  Sink& sink_;
  bool mend_;
  Bytes all_;
};

void check_same(const Sink& sink, ByteView input) {
  archive::Builder builder;
  auto out = builder.opening(sink.all);
  RK_CHECK(out);
  const auto add = [&](ByteView bytes) { out->insert(out->end(), bytes.begin(), bytes.end()); };
  for (const Kept& item : sink.kept) {
    const auto head = builder.head(item.head);
    RK_CHECK(head);
    add(*head);
    add(item.bytes);
    builder.data(item.bytes);
  }
  add(builder.closing());
  RK_CHECK(std::ranges::equal(*out, input));
}

}  // namespace

void run(ByteView input) {
  Sink sink;
  Source source(input, sink, false);
  if (archive::read(source, sink)) {
    RK_CHECK(sink.kept.size() == sink.all.size());
    check_same(sink, input);
  }
  Sink mended;
  Source mending(input, mended, true);
  if (const Status read = archive::read(mending, mended); !read)
    RK_CHECK(read.error().code == ErrorCode::kCorrupt || read.error().code == ErrorCode::kVersionMismatch);
}

}  // namespace rk::fuzz

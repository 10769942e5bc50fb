// SPDX-License-Identifier: Apache-2.0
#include "archive/archive.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>

namespace rk::archive {
namespace {

using Content = std::map<std::string, std::vector<std::pair<std::string, std::string>>>;

Bytes join(Bytes to, ByteView more) {
  to.insert(to.end(), more.begin(), more.end());
  return to;
}

Bytes build(const Content& content) {
  std::vector<std::string> names;
  for (const auto& [name, sections] : content) names.push_back(name);
  Builder builder;
  Bytes out = builder.opening(names).value();
  for (const auto& [name, sections] : content) {
    Head head{Version(7), {}};
    for (const auto& [section, text] : sections)
      head.sections.push_back({section, text.size(), checksum(as_bytes(text))});
    out = join(std::move(out), builder.head(head).value());
    for (const auto& [section, text] : sections) {
      builder.data(as_bytes(text));
      out = join(std::move(out), as_bytes(text));
    }
  }
  return join(std::move(out), builder.closing());
}

// Gives pieces of a few bytes, as a pipe may.
class Pieces : public Source {
 public:
  Pieces(ByteView in, std::size_t most) : in_(in), most_(most) {}
  Result<std::size_t> read(std::span<std::byte> to) override {
    const std::size_t size = std::min({to.size(), in_.size(), most_});
    std::copy_n(in_.begin(), size, to.begin());
    in_ = in_.subspan(size);
    largest = std::max(largest, to.size());
    return size;
  }
  std::size_t largest = 0;  // asked for at once

 private:
  ByteView in_;
  std::size_t most_;
};

class Keeping : public Sink {
 public:
  Status names(const std::vector<std::string>& names) override {
    all = names;
    return {};
  }
  Status begin(const std::string& name, const Head& head) override {
    name_ = name;
    head_ = head;
    content[name];
    for (const Section& section : head.sections) content[name].emplace_back(section.name, "");
    return {};
  }
  Result<std::span<std::byte>> place(std::size_t section, std::uint64_t offset, std::uint64_t left) override {
    std::string& text = content[name_][section].second;
    EXPECT_EQ(text.size(), offset);
    const auto more = static_cast<std::size_t>(std::min<std::uint64_t>(left, 5));
    text.resize(text.size() + more);
    return std::as_writable_bytes(std::span(text)).subspan(text.size() - more);
  }
  Status finish() override {
    ++finished;
    return {};
  }
  std::vector<std::string> all;
  Content content;
  int finished = 0;

 private:
  std::string name_;
  Head head_;
};

Status read_whole(ByteView bytes, Keeping& sink) {
  Pieces source(bytes, bytes.size() + 1);
  return read(source, sink);
}

const Content kContent = {{"a", {{"data", "12345"}}},
                          {"b/grid", {{"meta", ""}, {"values", std::string(300'000, 'v')}, {"last", ""}}},
                          {"c", {{"nothing", ""}}}};

TEST(Archive, WhatGoesInComesOutInPiecesOfAnySize) {
  const Bytes bytes = build(kContent);
  for (const std::size_t most : {std::size_t{1}, std::size_t{7}, std::size_t{4096}, bytes.size()}) {
    Pieces source(bytes, most);
    Keeping sink;
    const Status done = read(source, sink);
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(sink.content, kContent);
    EXPECT_EQ(sink.all, (std::vector<std::string>{"a", "b/grid", "c"}));
    EXPECT_EQ(sink.finished, 3);
  }
  Keeping none;
  EXPECT_TRUE(read_whole(build({}), none));
}

TEST(Archive, EveryCutAndEveryFlippedByteIsNoticed) {
  const Bytes bytes = build({{"a", {{"data", "12345"}}}, {"b", {{"one", ""}, {"two", "xy"}}}});
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    Keeping sink;
    const Status cut = read_whole(ByteView(bytes).first(size), sink);
    ASSERT_FALSE(cut) << size;
    EXPECT_EQ(cut.error().code, ErrorCode::kCorrupt);
    EXPECT_NE(cut.error().message.find("ends early, after " + std::to_string(size) + " bytes"), std::string::npos)
        << cut.error().message;
  }
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    Bytes flipped = bytes;
    flipped[at] ^= std::byte{0x10};
    Keeping sink;
    const Status read = read_whole(flipped, sink);
    ASSERT_FALSE(read) << at;
    EXPECT_EQ(read.error().code, ErrorCode::kCorrupt) << at;
  }
  Keeping sink;
  const Status longer = read_whole(join(bytes, as_bytes("x")), sink);
  ASSERT_FALSE(longer);
  EXPECT_NE(longer.error().message.find("behind the end"), std::string::npos);
}

TEST(Archive, ADamagedSectionIsNeverFinished) {
  Bytes bytes = build({{"a", {{"data", "12345"}}}});
  const auto at = std::search(bytes.begin(), bytes.end(), as_bytes("12345").begin(), as_bytes("12345").end());
  *at = std::byte{'9'};
  Keeping sink;
  const Status read = read_whole(bytes, sink);
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().message.find("section \"data\" of \"a\" has another checksum"), std::string::npos);
  EXPECT_EQ(sink.finished, 0);
}

Bytes with_header(std::uint32_t version, std::uint32_t features, std::uint64_t names_bytes) {
  Bytes bytes = build({});
  Bytes header(bytes.begin(), bytes.begin() + 8);
  ByteWriter writer(header);
  writer.integer(version);
  writer.integer(features);
  writer.integer(names_bytes);
  writer.integer(checksum(header));
  return join(header, ByteView(bytes).subspan(32));
}

TEST(Archive, ANewerFormatAndAnUnknownFeatureAreRefusedByName) {
  Keeping same;
  ASSERT_TRUE(read_whole(with_header(kFormatVersion, 0, 12), same)) << "the header is the one that is written";
  for (const auto& [version, features] : {std::pair{2U, 0U}, std::pair{1U, 4U}}) {
    Keeping sink;
    const Status newer = read_whole(with_header(version, features, 12), sink);
    ASSERT_FALSE(newer);
    EXPECT_EQ(newer.error().code, ErrorCode::kVersionMismatch);
    EXPECT_NE(newer.error().message.find("format " + std::to_string(version) + " with feature bits " +
                                         std::to_string(features)),
              std::string::npos);
  }
}

TEST(Archive, LengthsThatLieTakeNoMemory) {
  const Bytes bytes = with_header(kFormatVersion, 0, kMaxNamesBytes);
  Pieces source(bytes, bytes.size());
  Keeping sink;
  const Status read = archive::read(source, sink);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ErrorCode::kCorrupt);
  EXPECT_LE(source.largest, std::size_t{1} << 20U);
  Keeping more;
  EXPECT_FALSE(read_whole(with_header(kFormatVersion, 0, kMaxNamesBytes + 1), more));
}

TEST(Archive, WhatCouldNotBeReadIsNotWritten) {
  const auto refused = [](const std::vector<std::string>& names) { return !Builder().opening(names); };
  EXPECT_TRUE(refused({"b", "a"}));
  EXPECT_TRUE(refused({"a", "a"}));
  EXPECT_TRUE(refused({"\033[2J"}));
  EXPECT_TRUE(refused({""}));
  EXPECT_TRUE(refused({std::string(256, 'n')}));
  EXPECT_FALSE(Builder().head({Version(1), {}}));
  EXPECT_FALSE(Builder().head({Version(1), {{"s\n", 0, 0}}}));
  EXPECT_FALSE(Builder().head({Version(1), {{"s", kMaxSectionBytes + 1, 0}}}));
}

}  // namespace
}  // namespace rk::archive

// SPDX-License-Identifier: Apache-2.0
// The file of `ringkeep export`: checkpoints in one stream that is written and read from its start to its end, with no
// step back, so that it may be a pipe. docs/export-format.md is its layout.
//
//   header | names | head, section bytes, head, section bytes, ... | end
//
// Every block ends with the checksum of its own bytes, a head has the checksums of its sections, and the end has the
// checksum of all before it. The names come first: a reader knows what it will meet before it changes anything. A
// section's bytes go from the caller's memory to the stream and back, and are never held here.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/ids.h"
#include "base/result.h"

namespace rk::archive {

inline constexpr std::uint32_t kFormatVersion = 1;
inline constexpr std::size_t kMaxNames = 1'000'000;
inline constexpr std::size_t kMaxNamesBytes = std::size_t{256} << 20U;  // of the block of names
inline constexpr std::uint64_t kMaxSectionBytes = std::uint64_t{1} << 48U;

struct Section {
  std::string name;
  std::uint64_t size = 0;
  std::uint64_t sum = 0;  // checksum() of its bytes
  bool operator==(const Section&) const = default;
};

// A version of a checkpoint, without its bytes.
struct Head {
  Version version;  // that it had where it was exported
  std::vector<Section> sections;
  bool operator==(const Head&) const = default;
};

// Makes a stream. The caller writes what opening(), head() and closing() return, and after each head the bytes of its
// sections, in their order, which it also shows to data().
class Builder {
 public:
  // Names in rising order. kInvalidArgument: they are not, or one of them is no name, or they are too many.
  Result<Bytes> opening(const std::vector<std::string>& names);
  // Of the next name.
  Result<Bytes> head(const Head& head);
  void data(ByteView bytes);
  Bytes closing();

 private:
  Bytes counted(Bytes bytes);
  StreamingChecksum sum_;
  std::uint64_t written_ = 0;
};

// Where a stream comes from.
class Source {
 public:
  virtual ~Source() = default;
  // 1 to to.size() bytes; 0 at the end of the stream.
  virtual Result<std::size_t> read(std::span<std::byte> to) = 0;
};

// What becomes of a stream. An error ends the reading and is its result.
class Sink {
 public:
  virtual ~Sink() = default;
  // Once, before anything else.
  virtual Status names(const std::vector<std::string>& names) = 0;
  virtual Status begin(const std::string& name, const Head& head) = 0;
  // Where the next bytes of a section go: 1 to `left` bytes, valid until the next call.
  virtual Result<std::span<std::byte>> place(std::size_t section, std::uint64_t offset, std::uint64_t left) = 0;
  // All sections of the checkpoint have their checksums.
  virtual Status finish() = 0;
};

// Reads a whole stream. kCorrupt: it is no export, ends early, or is damaged, with the place; kVersionMismatch: it
// needs a newer release. Takes no more memory than a part of what was read, whatever lengths the stream claims.
Status read(Source& source, Sink& sink);

}  // namespace rk::archive

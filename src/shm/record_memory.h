// SPDX-License-Identifier: Apache-2.0
// Records in shared memory that the death of the process does not damage: keys and values, of which the newest value of
// each key counts. A process that is killed in the middle of an append leaves the records before it. Layout,
// little-endian, written by one process at a time:
//
//  offset size
//   0     4   magic "RKrm"
//   4     2   format major, 6: 2 format minor
//   8     4   feature bits (0-15 must be known to the reader, others are ignored)
//  12     4   0: what is here does not count
//  16     8   end: offset behind the last record; stored last
//  24    40   of the writer's choice (the label)
//  64         records, each at a multiple of 8: u64 checksum (XXH3-64) of all that follows; u32 bytes of the key, u32
//             bytes of the value; key; value. An empty value ends the key.
#pragma once

#include <array>
#include <cstdint>
#include <map>

#include "base/bytes.h"
#include "base/result.h"
#include "shm/mapping.h"
#include "shm/memory_file.h"

namespace rk::shm {

class RecordMemory {
 public:
  using Label = std::array<std::byte, 40>;
  using Records = std::map<Bytes, Bytes>;

  RecordMemory() = default;
  // With room for `records` and at least `spare` bytes more; touched.
  static Result<RecordMemory> create(const Label& label, const Records& records, std::uint64_t spare);
  static std::uint64_t bytes_for(const Records& records, std::uint64_t spare);

  // False, and nothing happened, if there is no room for it.
  bool append(ByteView key, ByteView value);
  // What is here does not count any more.
  void revoke();
  const MemoryFile& file() const { return file_; }

  struct Contents {
    Label label;
    Records records;
  };
  // kCorrupt, kVersionMismatch or kNotFound (revoked) with the reason.
  static Result<Contents> read(ByteView memory);
  // As read(), of this one.
  Result<Contents> contents() const { return read(mapping_.bytes()); }

 private:
  MemoryFile file_;
  Mapping mapping_;
  std::uint64_t end_ = 0;
};

}  // namespace rk::shm

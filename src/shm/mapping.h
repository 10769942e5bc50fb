// SPDX-License-Identifier: Apache-2.0
// A mapped range of shared memory; unmapped by the destructor. Move-only.
#pragma once

#include <cstdint>
#include <span>
#include <utility>

#include "base/bytes.h"
#include "base/result.h"
#include "shm/memory_file.h"

namespace rk::shm {

enum class Access { kReadOnly, kReadWrite };

class Mapping {
 public:
  Mapping() = default;
  ~Mapping() { reset(); }
  Mapping(Mapping&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)), access_(other.access_) {}
  Mapping& operator=(Mapping&& other) noexcept;

  // The whole file. The mapping lives on when the file object goes.
  static Result<Mapping> map(const MemoryFile& file, Access access) {
    return map(file.descriptor(), file.size(), access);
  }
  // `fd` must be known to have that size for ever (MemoryFile::adopt checks a received one).
  static Result<Mapping> map(int fd, std::uint64_t bytes, Access access);

  // Enters the pages of the range into this process's page table, so that later accesses take no fault. The file's
  // memory must have been touched before; kNoMemory if the system has none left nevertheless.
  Status populate(std::uint64_t offset, std::uint64_t bytes);

  std::byte* data() const { return data_; }  // writable only if mapped kReadWrite
  std::uint64_t size() const { return bytes_; }
  ByteView bytes() const { return {data_, bytes_}; }
  std::span<std::byte> writable() const;
  explicit operator bool() const { return data_ != nullptr; }
  void reset();

 private:
  std::byte* data_ = nullptr;
  std::uint64_t bytes_ = 0;
  Access access_ = Access::kReadOnly;
};

}  // namespace rk::shm

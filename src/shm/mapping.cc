// SPDX-License-Identifier: Apache-2.0
#include "shm/mapping.h"

#include <sys/mman.h>

#include <atomic>
#include <cerrno>

#include "base/check.h"

// Linux 5.14; older headers lack the names, older kernels answer EINVAL.
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

namespace rk::shm {
namespace {

// One access a page. The pages exist already (MemoryFile::touch), so that none of the accesses can fail.
void touch_pages(std::byte* first, std::uint64_t bytes, Access access) {
  for (std::uint64_t at = 0; at < bytes; at += kPageBytes) {
    auto* word = reinterpret_cast<unsigned char*>(first + at);
    const std::atomic_ref<unsigned char> shared(*word);
    if (access == Access::kReadWrite) {
      shared.fetch_or(0, std::memory_order_relaxed);
    } else {
      static_cast<void>(shared.load(std::memory_order_relaxed));
    }
  }
}

}  // namespace

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  if (this != &other) {
    reset();
    data_ = std::exchange(other.data_, nullptr);
    bytes_ = std::exchange(other.bytes_, 0);
    access_ = other.access_;
  }
  return *this;
}

Result<Mapping> Mapping::map(int fd, std::uint64_t bytes, Access access) {
  const int protection = access == Access::kReadWrite ? PROT_READ | PROT_WRITE : PROT_READ;
  void* at = ::mmap(nullptr, bytes, protection, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) {
    if (errno == ENOMEM)
      return fail(ErrorCode::kNoMemory, "no address space for a mapping of " + std::to_string(bytes) +
                                            " bytes: raise the process's limits (ulimit -v) or use smaller sections");
    return fail_errno("map shared memory", errno);
  }
  Mapping mapping;
  mapping.data_ = static_cast<std::byte*>(at);
  mapping.bytes_ = bytes;
  mapping.access_ = access;
  return mapping;
}

Status Mapping::populate(std::uint64_t offset, std::uint64_t bytes) {
  if (offset % kPageBytes != 0 || offset > bytes_ || bytes > bytes_ - offset)
    return fail(ErrorCode::kInvalidArgument, "a range to populate lies outside of its mapping");
  if (bytes == 0) return {};
  int result = 0;
  do {
    // For writing too: shared memory asks for no notice of the first write, so what is entered for reading is writable.
    // MADV_POPULATE_WRITE takes each page by itself, and more than twice the time.
    result = ::madvise(data_ + offset, bytes, MADV_POPULATE_READ);
  } while (result != 0 && errno == EINTR);
  if (result == 0) return {};
  if (errno == EINVAL) {
    touch_pages(data_ + offset, bytes, access_);
    return {};
  }
  if (errno == ENOMEM || errno == EFAULT)
    return fail(ErrorCode::kNoMemory, "the system has no memory for " + std::to_string(bytes) +
                                          " bytes of a mapping: free memory or start with a smaller budget");
  return fail_errno("populate a mapping", errno);
}

std::span<std::byte> Mapping::writable() const {
  RK_CHECK(access_ == Access::kReadWrite);
  return {data_, bytes_};
}

void Mapping::reset() {
  if (data_ != nullptr) ::munmap(data_, bytes_);
  data_ = nullptr;
  bytes_ = 0;
}

}  // namespace rk::shm

// SPDX-License-Identifier: Apache-2.0
#include "shm/memory_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <limits>
#include <string>

namespace rk::shm {
namespace {

// Linux 6.3; older kernels refuse the flag with EINVAL.
constexpr unsigned kNoExecSeal = 0x0008U;
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

Status allocation_error(int saved_errno, std::uint64_t bytes) {
  if (saved_errno == ENOMEM || saved_errno == ENOSPC)
    return fail(ErrorCode::kNoMemory, "the system has no " + std::to_string(bytes) +
                                          " bytes of shared memory left: free memory or start with a smaller budget");
  return fail_errno("allocate shared memory", saved_errno);
}

Status in_range(std::uint64_t offset, std::uint64_t bytes, std::uint64_t size) {
  if (offset <= size && bytes <= size - offset) return {};
  return fail(ErrorCode::kInvalidArgument, "range of " + std::to_string(bytes) + " bytes at " + std::to_string(offset) +
                                               " is outside of a memory file of " + std::to_string(size) + " bytes");
}

}  // namespace

Result<MemoryFile> MemoryFile::create(const char* label, std::uint64_t bytes) {
  if (bytes == 0 || bytes > static_cast<std::uint64_t>(std::numeric_limits<off_t>::max()))
    return fail(ErrorCode::kInvalidArgument, "a memory file cannot have " + std::to_string(bytes) + " bytes");
  constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  int fd = ::memfd_create(label, kFlags | kNoExecSeal);
  if (fd < 0 && errno == EINVAL) fd = ::memfd_create(label, kFlags);
  if (fd < 0) return fail_errno("create a memory file", errno);
  MemoryFile file;
  file.descriptor_ = Descriptor(fd);
  file.bytes_ = bytes;
  if (::ftruncate(fd, static_cast<off_t>(bytes)) != 0) return fail_errno("size a memory file", errno);
  // Without a write bit, a holder of a read-only descriptor that is another user cannot open it again for writing.
  if (::fchmod(fd, S_IRUSR) != 0) return fail_errno("restrict a memory file", errno);
  if (::fcntl(fd, F_ADD_SEALS, kSeals) != 0) return fail_errno("seal a memory file", errno);
  return file;
}

Result<MemoryFile> MemoryFile::adopt(Descriptor descriptor, std::uint64_t bytes) {
  struct stat info {};
  if (::fstat(descriptor.get(), &info) != 0) return fail_errno("inspect a received descriptor", errno);
  const int seals = ::fcntl(descriptor.get(), F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0)
    return fail(ErrorCode::kCorrupt,
                "a received descriptor is no sealed memory file: the sender is not a ringkeep server");
  if (static_cast<std::uint64_t>(info.st_size) < bytes)
    return fail(ErrorCode::kCorrupt, "a received memory file has " + std::to_string(info.st_size) + " bytes where " +
                                         std::to_string(bytes) + " were announced");
  MemoryFile file;
  file.descriptor_ = std::move(descriptor);
  file.bytes_ = bytes;
  return file;
}

Status MemoryFile::touch(std::uint64_t offset, std::uint64_t bytes) {
  RK_TRY_VOID(in_range(offset, bytes, bytes_));
  if (bytes == 0) return {};
  int result = 0;
  do {
    result = ::fallocate(descriptor_.get(), 0, static_cast<off_t>(offset), static_cast<off_t>(bytes));
  } while (result != 0 && errno == EINTR);
  if (result != 0) return allocation_error(errno, bytes);
  return {};
}

Status MemoryFile::discard(std::uint64_t offset, std::uint64_t bytes) {
  RK_TRY_VOID(in_range(offset, bytes, bytes_));
  if (bytes == 0) return {};
  if (::fallocate(descriptor_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                  static_cast<off_t>(bytes)) != 0)
    return fail_errno("give shared memory back", errno);
  return {};
}

bool MemoryFile::whole() const {
  constexpr std::uint64_t kBlockBytes = 512;  // of st_blocks, whatever the file system
  struct stat info {};
  return ::fstat(descriptor_.get(), &info) == 0 && static_cast<std::uint64_t>(info.st_blocks) >= bytes_ / kBlockBytes;
}

Result<Descriptor> MemoryFile::open_read_only() const {
  const std::string path = "/proc/self/fd/" + std::to_string(descriptor_.get());
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail_errno("open a memory file for reading (is /proc mounted?)", errno);
  return Descriptor(fd);
}

}  // namespace rk::shm

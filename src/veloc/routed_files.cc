// SPDX-License-Identifier: Apache-2.0
#include "veloc/routed_files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

namespace rk::veloc {
namespace {

namespace fs = std::filesystem;

constexpr char kSharedMemory[] = "/dev/shm";
constexpr std::size_t kMaxFileName = 200;

std::string own_prefix() { return "ringkeep-veloc-" + std::to_string(::getuid()) + "-"; }

class File {
 public:
  File(const std::string& path, int flags, mode_t mode = 0) : fd_(::open(path.c_str(), flags | O_CLOEXEC, mode)) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  int fd() const { return fd_; }

 private:
  int fd_;
};

// Is `path` still the directory that is open? Another process may have removed it before it was locked.
bool still_there(const std::string& path, int directory) {
  struct stat now {};
  struct stat opened {};
  return ::fstat(directory, &opened) == 0 && ::lstat(path.c_str(), &now) == 0 && now.st_ino == opened.st_ino &&
         now.st_dev == opened.st_dev;
}

}  // namespace

void RoutedFiles::sweep() {
  const std::string prefix = own_prefix();
  std::error_code error;
  for (fs::directory_iterator at(kSharedMemory, error), end; !error && at != end; at.increment(error)) {
    const std::string path = at->path().string();
    if (!at->path().filename().string().starts_with(prefix)) continue;
    const File directory(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    struct stat about {};
    if (directory.fd() < 0 || ::fstat(directory.fd(), &about) != 0 || about.st_uid != ::getuid()) continue;
    if (::flock(directory.fd(), LOCK_EX | LOCK_NB) != 0) continue;  // its process lives
    std::error_code ignored;  // what cannot be removed now is found again by the next one
    fs::remove_all(path, ignored);
  }
}

Status RoutedFiles::make_directory() {
  if (lock_ >= 0) return {};
  for (int tries = 0; tries < 16; ++tries) {
    std::string path = std::string(kSharedMemory) + "/" + own_prefix() + "XXXXXX";
    if (::mkdtemp(path.data()) == nullptr)
      return fail_errno("make a directory in " + std::string(kSharedMemory), errno);
    lock_ = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lock_ >= 0 && ::flock(lock_, LOCK_EX) == 0 && still_there(path, lock_)) {
      directory_ = path;
      return {};
    }
    if (lock_ >= 0) ::close(lock_);
    lock_ = -1;
  }
  return fail(ErrorCode::kIo, "the directories made in " + std::string(kSharedMemory) + " are removed at once");
}

Result<std::string> RoutedFiles::path_of(const std::string& original) {
  if (const auto known = paths_.find(original); known != paths_.end()) return known->second;
  RK_TRY_VOID(make_directory());
  // Programs look at the ending of a name.
  std::string base = fs::path(original).filename().string();
  if (base.size() > kMaxFileName) base = base.substr(base.size() - kMaxFileName);
  const std::string path = directory_ + "/" + std::to_string(paths_.size()) + "-" + base;
  paths_[original] = path;
  return path;
}

Result<std::string> RoutedFiles::provide(const std::string& original, ByteView content) {
  RK_TRY(const std::string path, path_of(original));
  const File file(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
  if (file.fd() < 0) return fail_errno("write " + path, errno);
  while (!content.empty()) {
    const ssize_t written = ::write(file.fd(), content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail_errno("write " + path, errno);
    content = content.subspan(static_cast<std::size_t>(written));
  }
  return path;
}

void RoutedFiles::clear() {
  paths_.clear();
  if (lock_ < 0) return;
  std::error_code ignored;  // the next sweep finds it
  fs::remove_all(directory_, ignored);
  ::close(lock_);
  lock_ = -1;
  directory_.clear();
}

Result<std::uint64_t> size_of_file(const std::string& path) {
  struct stat about {};
  if (::lstat(path.c_str(), &about) != 0) return fail_errno("find the routed file " + path, errno);
  if (!S_ISREG(about.st_mode))
    return fail(ErrorCode::kInvalidArgument, "the routed file " + path + " is no plain file");
  return static_cast<std::uint64_t>(about.st_size);
}

Status read_file(const std::string& path, std::span<std::byte> into) {
  const File file(path, O_RDONLY | O_NOFOLLOW);
  if (file.fd() < 0) return fail_errno("read the routed file " + path, errno);
  while (!into.empty()) {
    const ssize_t got = ::read(file.fd(), into.data(), into.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno("read the routed file " + path, errno);
    if (got == 0)
      return fail(ErrorCode::kInvalidArgument,
                  "the routed file " + path + " became shorter: close it before VELOC_Checkpoint_end");
    into = into.subspan(static_cast<std::size_t>(got));
  }
  return {};
}

}  // namespace rk::veloc

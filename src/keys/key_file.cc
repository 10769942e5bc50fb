// SPDX-License-Identifier: Apache-2.0
#include "keys/key_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "shm/descriptor.h"

namespace rk::keys {
namespace {

constexpr mode_t kMode = 0400;

std::string named(const std::string& path) { return "the key file '" + path + "'"; }

Status check_file(int fd, const std::string& path) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return fail_errno("read " + named(path), errno);
  if (!S_ISREG(info.st_mode))
    return fail(ErrorCode::kInvalidArgument, named(path) + " is not a regular file: name the right one");
  if (info.st_uid != ::geteuid())
    return fail(ErrorCode::kPermission,
                named(path) + " belongs to another user: chown it to the one that runs the server");
  if ((info.st_mode & 07177U) != 0)
    return fail(ErrorCode::kPermission,
                named(path) + " is open to others: run chmod 400 '" + path + "', or make a new key");
  return {};
}

Result<std::string> read_text(int fd, const std::string& path) {
  std::string text(kMaxKeyFileBytes + 1, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = ::read(fd, text.data() + size, text.size() - size);
    if (got < 0) return fail_errno("read " + named(path), errno);
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  text.resize(size);
  return text;
}

Status sync_directory_of(const std::string& path) {
  const std::string directory = std::filesystem::path(path).parent_path().string();
  const shm::Descriptor fd(::open(directory.empty() ? "." : directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) return fail_errno("make " + named(path) + " durable", errno);
  return {};
}

// A file that did not exist; what could not be written whole is removed.
Status write_new(const std::string& path, const std::string& text) {
  const shm::Descriptor fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kMode));
  if (!fd) {
    if (errno == EEXIST) return fail(ErrorCode::kExists, path + " exists");
    return fail_errno("write " + named(path), errno);
  }
  std::size_t written = 0;
  while (written < text.size()) {
    const ssize_t put = ::write(fd.get(), text.data() + written, text.size() - written);
    if (put < 0) break;
    written += static_cast<std::size_t>(put);
  }
  if (written == text.size() && ::fchmod(fd.get(), kMode) == 0 && ::fsync(fd.get()) == 0) return {};
  const int why = errno;
  ::unlink(path.c_str());
  return fail_errno("write " + named(path), why);
}

}  // namespace

Result<KeySet> read_key_file(const std::string& path) {
  const shm::Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) {
    if (errno == ENOENT)
      return fail(ErrorCode::kNotFound, named(path) + " does not exist: make it with `ringkeep keygen '" + path + "'`");
    return fail_errno("read " + named(path), errno);
  }
  RK_TRY_VOID(check_file(fd.get(), path));
  RK_TRY(const std::string text, read_text(fd.get(), path));
  auto keys = KeySet::parse(text);
  if (!keys) return fail(keys.error().code, named(path) + ": " + keys.error().message);
  return keys;
}

Status create_key_file(const std::string& path, const KeySet& keys) {
  if (Status written = write_new(path, keys.text()); !written) {
    if (written.error().code != ErrorCode::kExists) return written;
    return fail(ErrorCode::kExists,
                named(path) + " exists and is not overwritten: name another one, or add a key to it with --add");
  }
  return sync_directory_of(path);
}

Status replace_key_file(const std::string& path, const KeySet& keys) {
  std::error_code why;
  const std::string target = std::filesystem::canonical(path, why).string();
  if (why) return fail_errno("replace " + named(path), why.value());
  const std::string fresh = target + ".new";
  if (Status written = write_new(fresh, keys.text()); !written) {
    if (written.error().code != ErrorCode::kExists) return written;
    return fail(ErrorCode::kExists, fresh +
                                        " exists: another `ringkeep keygen` is at work, or one was interrupted; remove "
                                        "that file if none is");
  }
  if (::rename(fresh.c_str(), target.c_str()) != 0) {
    const int error = errno;
    ::unlink(fresh.c_str());
    return fail_errno("replace " + named(path), error);
  }
  return sync_directory_of(target);
}

}  // namespace rk::keys

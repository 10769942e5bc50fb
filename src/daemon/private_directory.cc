// SPDX-License-Identifier: Apache-2.0
#include "daemon/private_directory.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace rk::daemon {

std::string directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Status check_private_directory(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return fail_errno("look at the directory '" + path + "'", errno);
  if (!S_ISDIR(info.st_mode))
    return fail(ErrorCode::kPermission, "'" + path + "' is not a directory of its own: remove it or choose another");
  if (info.st_uid != ::geteuid())
    return fail(ErrorCode::kPermission, "the directory '" + path + "' belongs to user " + std::to_string(info.st_uid) +
                                            ", not to us: choose another one");
  if ((info.st_mode & 0077U) != 0)
    return fail(ErrorCode::kPermission, "the directory '" + path + "' is open to others: run chmod 700 '" + path + "'");
  return {};
}

Status prepare_private_directory(const std::string& path) {
  for (std::size_t at = path.find('/', 1);; at = path.find('/', at + 1)) {
    const std::string part = path.substr(0, at);
    if (::mkdir(part.c_str(), 0700) != 0 && errno != EEXIST && errno != EROFS && errno != EACCES)
      return fail_errno("make the directory '" + part + "'", errno);
    if (at == std::string::npos) break;
  }
  return check_private_directory(path);
}

}  // namespace rk::daemon

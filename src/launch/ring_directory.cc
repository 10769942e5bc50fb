// SPDX-License-Identifier: Apache-2.0
#include "launch/ring_directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "launch/directories.h"
#include "shm/descriptor.h"

namespace rk::launch {
namespace {

constexpr char kMark[] = "made-by-ringkeep-up";
constexpr std::string_view kKey = "cluster-key";
constexpr std::string_view kServerFiles[] = {"socket",          "log",  "lock",     "incarnation",
                                             "incarnation.new", "ring", "ring.new", "holder"};

shm::Descriptor open_directory(int at, const char* name) {
  return shm::Descriptor(::openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

std::vector<std::string> names_in(const shm::Descriptor& directory) {
  std::vector<std::string> out;
  shm::Descriptor own = open_directory(directory.get(), ".");
  DIR* items = own ? ::fdopendir(own.get()) : nullptr;
  if (items == nullptr) return out;
  static_cast<void>(own.release());  // closedir() closes it
  while (const dirent* item = ::readdir(items)) {
    const std::string_view name(item->d_name);
    if (name != "." && name != "..") out.emplace_back(name);
  }
  ::closedir(items);
  return out;
}

bool is_number(std::string_view name) {
  return std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool is_marked(const shm::Descriptor& directory) {
  struct stat about {};
  return ::fstatat(directory.get(), kMark, &about, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(about.st_mode);
}

void remove_server(const shm::Descriptor& ring, const std::string& name) {
  const shm::Descriptor server = open_directory(ring.get(), name.c_str());
  if (!server) return;
  for (const std::string_view file : kServerFiles) ::unlinkat(server.get(), file.data(), 0);
  for (const std::string& file : names_in(server))
    if (file.starts_with("service-") && file.ends_with(".lock")) ::unlinkat(server.get(), file.c_str(), 0);
  ::unlinkat(ring.get(), name.c_str(), AT_REMOVEDIR);
}

}  // namespace

Status check_ring_directory(const std::string& path) {
  RK_TRY_VOID(check_private_directory(path));
  const shm::Descriptor directory = open_directory(AT_FDCWD, path.c_str());
  if (!directory) return fail_errno("open the directory " + path, errno);
  if (is_marked(directory) || names_in(directory).empty()) return {};
  return fail(ErrorCode::kPermission, path +
                                          " holds files and is no directory that `ringkeep up` made, so nothing in it "
                                          "is touched: name another one with --dir, or empty it yourself");
}

Status make_ring_directory(const std::string& path) {
  RK_TRY_VOID(make_private_directory(path));
  RK_TRY_VOID(check_ring_directory(path));
  const std::string mark = path + "/" + kMark;
  const shm::Descriptor file(::open(mark.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) return fail_errno("write " + mark, errno);
  return {};
}

std::vector<std::string> remove_ring_directory(const std::string& path) {
  std::vector<std::string> foreign;
  const shm::Descriptor directory = open_directory(AT_FDCWD, path.c_str());
  if (!directory || !is_marked(directory)) return foreign;
  for (const std::string& name : names_in(directory))
    if (is_number(name)) remove_server(directory, name);
  ::unlinkat(directory.get(), kKey.data(), 0);
  const std::string below = path + "/";
  for (const std::string& name : names_in(directory))
    if (name != kMark) foreign.push_back(below + name);
  if (!foreign.empty()) return foreign;  // the mark stays, for the next try
  ::unlinkat(directory.get(), kMark, 0);
  ::rmdir(path.c_str());
  return foreign;
}

}  // namespace rk::launch

// SPDX-License-Identifier: Apache-2.0
#include "launch/directories.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "launch/stale_jobs.h"

namespace rk::launch {
namespace {

constexpr char kMemoryFolder[] = "/dev/shm";
constexpr std::size_t kMaxTemporaryBytes = 40;  // a socket's path below it must fit into sockaddr_un

std::string temporary_folder() {
  const char* folder = std::getenv("TMPDIR");
  if (folder == nullptr || *folder != '/' || std::string(folder).size() > kMaxTemporaryBytes) return "/tmp";
  return folder;
}

Result<std::string> make_unique(const std::string& folder) {
  std::string path = folder + "/" + kJobDirectoryPrefix + "XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) return fail_errno("make a directory in " + folder, errno);
  return path;
}

// The directory in memory bears the same name, so that the two are recognised as one job's.
std::string make_in_memory(const std::string& root) {
  const std::string path = kMemoryFolder + root.substr(root.rfind('/'));
  return ::mkdir(path.c_str(), 0700) == 0 ? path : root;
}

}  // namespace

Result<JobDirectories> JobDirectories::make(const std::string& job) {
  RK_TRY(const std::string root, make_unique(temporary_folder()));
  JobDirectories out(root, make_in_memory(root));
  out.claims_.push_back(claim_directory(out.root_, job));
  if (out.memory_ != out.root_) out.claims_.push_back(claim_directory(out.memory_, job));
  return out;
}

std::vector<int> JobDirectories::claims() const {
  std::vector<int> out;
  for (const shm::Descriptor& claim : claims_)
    if (claim) out.push_back(claim.get());
  return out;
}

void sweep_job_directories() { sweep_stale_jobs({temporary_folder(), kMemoryFolder}); }

std::vector<std::string> stale_job_directories() { return find_stale_jobs({temporary_folder(), kMemoryFolder}); }

JobDirectories::JobDirectories(JobDirectories&& other) noexcept
    : root_(std::move(other.root_)), memory_(std::move(other.memory_)), claims_(std::move(other.claims_)) {
  other.root_.clear();
  other.memory_.clear();
}

JobDirectories::~JobDirectories() {
  if (!memory_.empty()) remove_tree(memory_);
  if (!root_.empty()) remove_tree(root_);
}

void remove_tree(const std::string& path) {
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
}

Status make_private_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return fail_errno("make the directory " + path, errno);
  return check_private_directory(path);
}

Status check_private_directory(const std::string& path) {
  struct stat about {};
  if (::lstat(path.c_str(), &about) != 0) return fail_errno("look at " + path, errno);
  if (!S_ISDIR(about.st_mode) || about.st_uid != ::geteuid() || (about.st_mode & 077U) != 0)
    return fail(ErrorCode::kPermission,
                path + " is not a directory that only this user may enter: remove it, or name another one with --dir");
  return {};
}

}  // namespace rk::launch

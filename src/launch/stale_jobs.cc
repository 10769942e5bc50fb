// SPDX-License-Identifier: Apache-2.0
#include "launch/stale_jobs.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "launch/directories.h"
#include "launch/processes.h"
#include "wire/control_messages.h"

namespace rk::launch {
namespace {

constexpr char kOwnerFile[] = "/owner";
constexpr char kUnlockedFile[] = "/owner-unlocked";
constexpr std::size_t kJobDigits = 16;
constexpr int kKillLimitMs = 8000;

bool lock(const shm::Descriptor& file) { return file && ::flock(file.get(), LOCK_EX | LOCK_NB) == 0; }

// The job whose directory this is, if nobody keeps it any more; `owner` holds the lock then.
std::optional<std::string> stale_job_of(const std::string& directory, shm::Descriptor& owner) {
  if (!check_private_directory(directory)) return std::nullopt;
  owner = shm::Descriptor(::open((directory + kOwnerFile).c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!lock(owner)) return std::nullopt;
  // Another sweeper, or the guard, may have removed it meanwhile, and a new job have taken the name.
  struct stat held {};
  struct stat named {};
  if (::fstat(owner.get(), &held) != 0 || ::lstat((directory + kOwnerFile).c_str(), &named) != 0) return std::nullopt;
  if (held.st_ino != named.st_ino || held.st_dev != named.st_dev || !S_ISREG(held.st_mode) ||
      held.st_uid != ::geteuid())
    return std::nullopt;
  char text[kJobDigits];
  if (::read(owner.get(), text, sizeof text) != static_cast<ssize_t>(sizeof text)) return std::nullopt;
  const std::string job(text, sizeof text);
  if (job.find_first_not_of("0123456789abcdef") != std::string::npos) return std::nullopt;
  return job;
}

std::vector<std::string> job_directories_in(const std::string& folder) {
  std::vector<std::string> out;
  DIR* items = ::opendir(folder.c_str());
  if (items == nullptr) return out;
  while (const dirent* item = ::readdir(items))
    if (std::string_view(item->d_name).starts_with(kJobDirectoryPrefix)) out.push_back(folder + "/" + item->d_name);
  ::closedir(items);
  return out;
}

}  // namespace

shm::Descriptor claim_directory(const std::string& directory, const std::string& job) {
  const std::string unlocked = directory + kUnlockedFile;
  const int flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
  shm::Descriptor file(::open(unlocked.c_str(), flags, 0600));
  if (!lock(file) || ::write(file.get(), job.data(), job.size()) != static_cast<ssize_t>(job.size()) ||
      ::rename(unlocked.c_str(), (directory + kOwnerFile).c_str()) != 0)
    file.reset();
  return file;
}

std::vector<std::string> find_stale_jobs(const std::vector<std::string>& folders) {
  std::vector<std::string> found;
  for (const std::string& folder : folders)
    for (const std::string& directory : job_directories_in(folder)) {
      shm::Descriptor owner;
      if (stale_job_of(directory, owner)) found.push_back(directory);
    }
  return found;
}

std::vector<std::string> sweep_stale_jobs(const std::vector<std::string>& folders) {
  std::vector<std::string> removed;
  for (const std::string& folder : folders) {
    for (const std::string& directory : job_directories_in(folder)) {
      shm::Descriptor owner;
      const auto job = stale_job_of(directory, owner);
      if (!job) continue;
      // A process of that job that starts another run itself must not end itself here.
      const char* own = std::getenv(wire::kEnvJob);
      if (own != nullptr && *job == own) continue;
      if (!kill_all_with({std::string(wire::kEnvJob) + "=" + *job}, kKillLimitMs)) continue;
      remove_tree(directory);
      removed.push_back(directory);
    }
  }
  return removed;
}

}  // namespace rk::launch

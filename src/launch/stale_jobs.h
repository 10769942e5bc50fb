// SPDX-License-Identifier: Apache-2.0
// What a job left behind whose launcher and guard were both killed: directories in the temporary folder and in
// /dev/shm, and processes that have not noticed. The next `ringkeep run` or `up` of the same user removes them.
//
// Whether a job lives is not guessed. Its directories each hold a file `owner` (the job's number) that launcher and
// guard keep locked by flock; the kernel drops that lock with the last of the two. The file gets its name only after it
// was locked. So a directory is swept if it is ours, closed to others, no symbolic link, and its owner file is there
// and can be locked. Processes are the job's if their environment has its number, which is random and never used again.
#pragma once

#include <string>
#include <vector>

#include "shm/descriptor.h"

namespace rk::launch {

inline constexpr char kJobDirectoryPrefix[] = "ringkeep-job-";

// Marks `directory`, one of the job's, as ours for as long as the descriptor or a copy of it is open. Empty where the
// file system cannot lock: such a directory is never swept.
shm::Descriptor claim_directory(const std::string& directory, const std::string& job);

// The directories directly in these folders that a sweep would remove. Touches nothing.
std::vector<std::string> find_stale_jobs(const std::vector<std::string>& folders);

// Sweeps what lies directly in these folders. A directory whose processes do not end stays for the next time.
// Returns what was removed.
std::vector<std::string> sweep_stale_jobs(const std::vector<std::string>& folders);

}  // namespace rk::launch

// SPDX-License-Identifier: Apache-2.0
// The memory of a server's slots, changed behind its back: what a faulty memory or a stray pointer would do.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <string>
#include <vector>

#include "shm/descriptor.h"

namespace rk::testing {

// Overwrites the beginning of every slot of that process that begins with `text`; how many there were.
inline int spoil_slots(pid_t server, const std::string& text) {
  const std::string folder = "/proc/" + std::to_string(server) + "/fd";
  DIR* const open_folder = ::opendir(folder.c_str());
  EXPECT_NE(open_folder, nullptr) << folder;
  if (open_folder == nullptr) return 0;
  int spoilt = 0;
  while (const dirent* entry = ::readdir(open_folder)) {
    const std::string path = folder + "/" + entry->d_name;
    std::array<char, 256> target{};
    if (::readlink(path.c_str(), target.data(), target.size() - 1) < 0) continue;
    if (!std::string(target.data()).starts_with("/memfd:ringkeep-slot")) continue;
    const shm::Descriptor memory(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    std::string found(text.size(), '\0');
    if (!memory || ::pread(memory.get(), found.data(), found.size(), 0) != static_cast<ssize_t>(found.size())) continue;
    if (found != text) continue;
    const std::string other(text.size(), '#');
    EXPECT_EQ(::pwrite(memory.get(), other.data(), other.size(), 0), static_cast<ssize_t>(other.size()));
    ++spoilt;
  }
  ::closedir(open_folder);
  return spoilt;
}

}  // namespace rk::testing

// SPDX-License-Identifier: Apache-2.0
// Files that a program writes or reads as part of a checkpoint. They lie in a directory of this process's own in shared
// memory, which ends with the phase. A process that is killed leaves it behind: the lock on it ends with the process,
// so that the next process of the user on this node that begins removes it.
#pragma once

#include <map>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace rk::veloc {

class RoutedFiles {
 public:
  RoutedFiles() = default;
  RoutedFiles(const RoutedFiles&) = delete;
  RoutedFiles& operator=(const RoutedFiles&) = delete;
  ~RoutedFiles() { clear(); }

  // Removes what killed processes left behind.
  static void sweep();
  // The same path for the same file.
  Result<std::string> path_of(const std::string& original);
  // The same, with that content.
  Result<std::string> provide(const std::string& original, ByteView content);
  // What the program names them, and their paths.
  const std::map<std::string, std::string>& paths() const { return paths_; }
  void clear();

 private:
  Status make_directory();
  std::string directory_;
  int lock_ = -1;
  std::map<std::string, std::string> paths_;
};

// A regular file, not through a link.
Result<std::uint64_t> size_of_file(const std::string& path);
// Exactly as many bytes as `into` has.
Status read_file(const std::string& path, std::span<std::byte> into);

}  // namespace rk::veloc

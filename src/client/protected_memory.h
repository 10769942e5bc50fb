// SPDX-License-Identifier: Apache-2.0
// The memory of a program that belongs to its checkpoints: named sections, the same in each life.
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "base/result.h"
#include "client/checkpoint.h"

namespace rk::client {

class ProtectedMemory {
 public:
  // Names that are ringkeep's own.
  explicit ProtectedMemory(std::initializer_list<const char*> reserved) : reserved_(reserved.begin(), reserved.end()) {}

  // The memory stays the caller's.
  Status add(const std::string& section, void* data, std::size_t size);
  void append_to(std::vector<NamedBytes>& sections) const;
  // kInvalidArgument if the checkpoint has not the same names and sizes.
  Status check(const Reader& reader) const;
  // After check(): copies from the checkpoint into the program.
  Status load(const Reader& reader) const;

 private:
  struct Section {
    std::string name;
    void* data = nullptr;
    std::size_t size = 0;
  };
  std::vector<std::string> reserved_;
  std::vector<Section> sections_;
};

}  // namespace rk::client

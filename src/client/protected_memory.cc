// SPDX-License-Identifier: Apache-2.0
#include "client/protected_memory.h"

#include <algorithm>
#include <cstring>

namespace rk::client {

Status ProtectedMemory::add(const std::string& section, void* data, std::size_t size) {
  if (data == nullptr && size > 0) return fail(ErrorCode::kInvalidArgument, "protected memory must not be NULL");
  if (std::find(reserved_.begin(), reserved_.end(), section) != reserved_.end())
    return fail(ErrorCode::kInvalidArgument, "the section name \"" + section + "\" is ringkeep's own: use another one");
  if (std::any_of(sections_.begin(), sections_.end(), [&](const Section& item) { return item.name == section; }))
    return fail(ErrorCode::kExists, "section \"" + section + "\" is protected already: give each its own name");
  sections_.push_back({section, data, size});
  return {};
}

void ProtectedMemory::append_to(std::vector<NamedBytes>& sections) const {
  for (const Section& item : sections_)
    sections.push_back({item.name, ByteView(static_cast<const std::byte*>(item.data), item.size)});
}

Status ProtectedMemory::check(const Reader& reader) const {
  for (const Section& item : sections_) {
    RK_TRY(const ByteView bytes, reader.section(item.name));
    if (bytes.size() != item.size)
      return fail(ErrorCode::kInvalidArgument, "section \"" + item.name + "\" has " + std::to_string(bytes.size()) +
                                                   " bytes in the checkpoint and " + std::to_string(item.size) +
                                                   " now: protect the same names and sizes in each life");
  }
  return {};
}

Status ProtectedMemory::load(const Reader& reader) const {
  for (const Section& item : sections_) {
    RK_TRY(const ByteView bytes, reader.section(item.name));
    if (!bytes.empty()) std::memcpy(item.data, bytes.data(), bytes.size());
  }
  return {};
}

}  // namespace rk::client

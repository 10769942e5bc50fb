// SPDX-License-Identifier: Apache-2.0
// What no correct server sends, so that nothing else needs to look: version numbers of which the next one does not
// exist, sections outside of their version's memory.
#pragma once

#include <algorithm>

#include "keep/changed_pages.h"
#include "wire/keep_messages.h"

namespace rk::keep {

inline bool possible(Version version) { return version.value < (std::uint64_t{1} << 63U); }

inline bool possible(const wire::VersionContent& content) {
  const auto inside = [&](const wire::SectionPlace& section) {
    return section.offset <= content.total && section.size <= content.total - section.offset;
  };
  return possible(content.version) && content.total <= wire::kMaxVersionBytes &&
         content.sections.size() <= wire::kMaxSections &&
         std::all_of(content.sections.begin(), content.sections.end(), inside);
}

// Of a version of `total` bytes.
inline bool possible(const wire::CopyDelta& delta, std::uint64_t total) {
  return delta.base ? possible(delta.base) && possible(delta.changed, total) : delta.changed.empty();
}

inline bool possible(const wire::KeepLookupAnswer& answer) {
  return possible(answer.floor) && possible(answer.highest) && possible(answer.committed) && possible(answer.owed) &&
         std::all_of(answer.versions.begin(), answer.versions.end(),
                     [](const wire::HeldVersion& held) { return possible(held.content); });
}

inline bool possible(const wire::KeepName& name) {
  return possible(name.floor) && possible(name.highest) && possible(name.committed) && possible(name.owed);
}

}  // namespace rk::keep

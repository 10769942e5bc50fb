// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/keep/keep_checker.h"

#include <algorithm>

namespace rk::keep_sim {

void Checker::content(const wire::KeepKey& key, Version version, std::uint64_t sum, const std::string& where) {
  const auto [at, first] = contents_.try_emplace({key, version}, sum);
  if (!first && at->second != sum)
    violated("version " + std::to_string(version.value) + " of " + key.name + " has two contents, the second " + where);
}

void Checker::committed(const wire::KeepKey& key, Version version) {
  newest_ok_[key] = std::max(newest_ok_[key], version);
}

Version Checker::newest_ok(const wire::KeepKey& key) const {
  const auto at = newest_ok_.find(key);
  return at == newest_ok_.end() ? Version() : at->second;
}

}  // namespace rk::keep_sim

// SPDX-License-Identifier: Apache-2.0
#include "client/idle_mappings.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

namespace rk::client {

std::optional<IdleMappings::Identity> IdleMappings::identify(const shm::MemoryFile& file) {
  struct statx info {};
  constexpr unsigned kAsked = STATX_INO | STATX_BTIME;
  if (::statx(file.descriptor(), "", AT_EMPTY_PATH, kAsked, &info) != 0 || (info.stx_mask & kAsked) != kAsked)
    return std::nullopt;
  const std::uint64_t device = std::uint64_t{info.stx_dev_major} << 32U | info.stx_dev_minor;
  return Identity{device, info.stx_ino, info.stx_btime.tv_sec, info.stx_btime.tv_nsec};
}

shm::Mapping IdleMappings::take(const Identity& of, std::uint64_t bytes) {
  const auto at = std::find_if(kept_.begin(), kept_.end(), [&](const Kept& kept) { return kept.of == of; });
  if (at == kept_.end()) return {};
  shm::Mapping mapping = std::move(at->mapping);
  kept_.erase(at);
  return mapping.size() == bytes ? std::move(mapping) : shm::Mapping();
}

void IdleMappings::keep(const Identity& of, shm::Mapping mapping) {
  if (!mapping) return;
  if (kept_.size() >= kMaxMappings) kept_.pop_front();
  kept_.push_back({of, std::move(mapping)});
}

}  // namespace rk::client

// SPDX-License-Identifier: Apache-2.0
// The keys of a cluster, in the order of their file: the first is used to dial, all are accepted. To change keys while
// servers run, a key is added, then promoted, then the others are dropped; every step is taken by all servers before
// the next (docs/configuration.md).
//
// The text of a file: one key a line (cluster_key.h); empty lines and lines that begin with '#' say nothing.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "keys/cluster_key.h"

namespace rk::keys {

inline constexpr std::size_t kMaxKeys = 8;
inline constexpr std::size_t kMaxKeyFileBytes = std::size_t{16} << 10U;

class KeySet {
 public:
  // One new key.
  static KeySet generate();
  // Errors name the line and never what it holds.
  static Result<KeySet> parse(std::string_view text);
  // As parse() reads it, with a comment for people.
  std::string text() const;

  const ClusterKey& first() const { return keys_.front(); }
  const std::vector<ClusterKey>& all() const { return keys_; }
  const ClusterKey* find(std::string_view id) const;

  // A new key behind the others; kNoMemory beyond kMaxKeys.
  Status add();
  // The newest key becomes the first. The same again changes nothing; an error if there is only one.
  Status promote();
  // Leaves the first key only.
  void drop_others() { keys_.erase(keys_.begin() + 1, keys_.end()); }

 private:
  KeySet() = default;
  std::vector<ClusterKey> keys_;  // never empty
};

}  // namespace rk::keys

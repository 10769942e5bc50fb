// SPDX-License-Identifier: Apache-2.0
// The secret that the servers of a cluster share, and what is made with it. OpenSSL stays in cluster_key.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace rk::io {

inline constexpr std::size_t kMinKeyBytes = 16;
inline constexpr std::size_t kMaxKeyBytes = 4096;

class ClusterKey {
 public:
  // The whole content of a file of kMinKeyBytes to kMaxKeyBytes that is ours and readable by us alone (0400 or 0600).
  static Result<ClusterKey> read(const std::string& path);
  // kMinKeyBytes to kMaxKeyBytes.
  static Result<ClusterKey> from_bytes(ByteView secret);

  // HMAC-SHA256, 32 bytes.
  Bytes authenticate(ByteView message) const;
  // Takes the same time wherever the two differ.
  bool verify(ByteView message, ByteView proof) const;

 private:
  explicit ClusterKey(Bytes secret) : secret_(std::move(secret)) {}
  Bytes secret_;
};

// From the system's cryptographic generator.
Bytes random_bytes(std::size_t size);
std::uint64_t random_u64();

}  // namespace rk::io

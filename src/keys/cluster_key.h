// SPDX-License-Identifier: Apache-2.0
// One secret that the servers of a cluster share, and what is made with it. OpenSSL stays in cluster_key.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace rk::keys {

inline constexpr std::size_t kSecretBytes = 32;
inline constexpr std::size_t kProofBytes = 32;

// A copy shares the secret, which is wiped with the last of them.
class ClusterKey {
 public:
  // Drawn from the system's cryptographic generator. `number` counts the keys of a file: a newer key has a higher one.
  static ClusterKey generate(std::uint32_t number);
  // A line of a key file: "ringkeep-key-1 NUMBER 64-HEX-DIGITS". No error repeats what the line holds.
  static Result<ClusterKey> parse(std::string_view line);

  // As parse() reads it. It is the secret: for key files only.
  std::string line() const;
  std::uint32_t number() const { return number_; }
  // 16 hex digits that name the key and tell nothing about it.
  const std::string& id() const { return id_; }
  // "key 2 (0123456789abcdef)".
  std::string name() const;

  // HMAC-SHA256, kProofBytes.
  Bytes authenticate(ByteView message) const;
  // Takes the same time wherever the two differ.
  bool verify(ByteView message, ByteView proof) const;
  // HKDF-SHA256: kSecretBytes for one purpose, from which no other purpose's can be found.
  Bytes derive(std::string_view purpose) const;

 private:
  struct Secret;
  ClusterKey(std::uint32_t number, ByteView secret);
  std::uint32_t number_;
  std::shared_ptr<const Secret> secret_;
  std::string id_;
};

// From the system's cryptographic generator.
Bytes random_bytes(std::size_t size);
std::uint64_t random_u64();

}  // namespace rk::keys

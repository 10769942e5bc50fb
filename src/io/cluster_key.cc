// SPDX-License-Identifier: Apache-2.0
#include "io/cluster_key.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/check.h"
#include "shm/descriptor.h"
#include "wire/peer_messages.h"

namespace rk::io {

Result<ClusterKey> ClusterKey::read(const std::string& path) {
  const shm::Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno("read the key file '" + path + "'", errno);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return fail_errno("read the key file '" + path + "'", errno);
  if (!S_ISREG(info.st_mode))
    return fail(ErrorCode::kInvalidArgument, "the key file '" + path + "' is not a regular file: name the right one");
  if (info.st_uid != ::geteuid())
    return fail(ErrorCode::kPermission, "the key file '" + path +
                                            "' belongs to another user: chown it to the one that "
                                            "runs the server");
  if ((info.st_mode & 0177U) != 0)
    return fail(ErrorCode::kPermission,
                "the key file '" + path + "' is open to others: run chmod 600 '" + path + "', or make a new key");
  Bytes secret(kMaxKeyBytes + 1);
  std::size_t size = 0;
  while (size < secret.size()) {
    const ssize_t got = ::read(fd.get(), secret.data() + size, secret.size() - size);
    if (got < 0) return fail_errno("read the key file '" + path + "'", errno);
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  secret.resize(size);
  auto key = from_bytes(secret);
  if (!key) return fail(key.error().code, "the key file '" + path + "': " + key.error().message);
  return key;
}

Result<ClusterKey> ClusterKey::from_bytes(ByteView secret) {
  if (secret.size() < kMinKeyBytes || secret.size() > kMaxKeyBytes)
    return fail(ErrorCode::kInvalidArgument,
                "a cluster key has " + std::to_string(kMinKeyBytes) + " to " + std::to_string(kMaxKeyBytes) +
                    " bytes, this one " + (secret.size() > kMaxKeyBytes ? "more" : std::to_string(secret.size())) +
                    ": make one with head -c 32 /dev/urandom");
  return ClusterKey(Bytes(secret.begin(), secret.end()));
}

Bytes ClusterKey::authenticate(ByteView message) const {
  Bytes proof(wire::kProofSize);
  unsigned int size = 0;
  const auto* done = HMAC(EVP_sha256(), secret_.data(), static_cast<int>(secret_.size()),
                          reinterpret_cast<const unsigned char*>(message.data()), message.size(),
                          reinterpret_cast<unsigned char*>(proof.data()), &size);
  RK_CHECK(done != nullptr && size == proof.size());
  return proof;
}

bool ClusterKey::verify(ByteView message, ByteView proof) const {
  const Bytes right = authenticate(message);
  return proof.size() == right.size() && CRYPTO_memcmp(proof.data(), right.data(), right.size()) == 0;
}

Bytes random_bytes(std::size_t size) {
  Bytes out(size);
  RK_CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(size)) == 1);
  return out;
}

std::uint64_t random_u64() {
  const Bytes bytes = random_bytes(sizeof(std::uint64_t));
  return ByteReader(bytes).integer<std::uint64_t>();
}

}  // namespace rk::io

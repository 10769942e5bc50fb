// SPDX-License-Identifier: Apache-2.0
#include "keys/cluster_key.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/check.h"

namespace rk::keys {
namespace {

constexpr std::string_view kForm = "ringkeep-key-1";
constexpr std::string_view kAnyForm = "ringkeep-key-";
constexpr std::size_t kIdBytes = 8;

const unsigned char* octets(ByteView bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }
unsigned char* octets(Bytes& bytes) { return reinterpret_cast<unsigned char*>(bytes.data()); }

// The next word of a line; blanks and tabs stand between words.
std::string_view next_word(std::string_view& rest) {
  constexpr std::string_view kBlanks = " \t\r";
  rest.remove_prefix(std::min(rest.find_first_not_of(kBlanks), rest.size()));
  const std::string_view word = rest.substr(0, rest.find_first_of(kBlanks));
  rest.remove_prefix(word.size());
  return word;
}

bool parse_secret(std::string_view digits, Bytes& out) {
  out.resize(kSecretBytes);
  if (digits.size() != 2 * kSecretBytes) return false;
  for (std::size_t i = 0; i < kSecretBytes; ++i) {
    const char* const at = digits.data() + 2 * i;
    unsigned value = 0;
    const auto parsed = std::from_chars(at, at + 2, value, 16);
    if (parsed.ec != std::errc() || parsed.ptr != at + 2) return false;
    out[i] = static_cast<std::byte>(value);
  }
  return true;
}

}  // namespace

struct ClusterKey::Secret {
  explicit Secret(ByteView from) { std::copy(from.begin(), from.end(), bytes.begin()); }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret() { OPENSSL_cleanse(bytes.data(), bytes.size()); }
  std::array<std::byte, kSecretBytes> bytes{};
};

ClusterKey::ClusterKey(std::uint32_t number, ByteView secret)
    : number_(number), secret_(std::make_shared<const Secret>(secret)) {
  id_ = to_hex(ByteView(authenticate(as_bytes("ringkeep key id"))).first(kIdBytes));
}

ClusterKey ClusterKey::generate(std::uint32_t number) {
  Bytes secret = random_bytes(kSecretBytes);
  ClusterKey key(number, secret);
  OPENSSL_cleanse(secret.data(), secret.size());
  return key;
}

Result<ClusterKey> ClusterKey::parse(std::string_view line) {
  std::string_view rest = line;
  const std::string_view form = next_word(rest);
  if (form != kForm) {
    if (form.substr(0, kAnyForm.size()) == kAnyForm)
      return fail(ErrorCode::kVersionMismatch,
                  "a key of another release: install the same release on all servers, or make a new key with `ringkeep "
                  "keygen`");
    return fail(ErrorCode::kInvalidArgument, "not a key: make the file with `ringkeep keygen`");
  }
  const std::string_view digits = next_word(rest);
  std::uint32_t number = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size() || number == 0)
    return fail(ErrorCode::kInvalidArgument,
                "a key needs its number, from 1, before its hex digits: copy the file anew");
  Bytes secret;
  const bool whole = parse_secret(next_word(rest), secret) && next_word(rest).empty();
  ClusterKey key(number, secret);
  OPENSSL_cleanse(secret.data(), secret.size());
  if (!whole)
    return fail(ErrorCode::kInvalidArgument, "a key ends with " + std::to_string(2 * kSecretBytes) +
                                                 " hex digits and nothing else: copy the file anew");
  return key;
}

std::string ClusterKey::line() const {
  return std::string(kForm) + " " + std::to_string(number_) + " " + to_hex(secret_->bytes);
}

std::string ClusterKey::name() const { return "key " + std::to_string(number_) + " (" + id_ + ")"; }

Bytes ClusterKey::authenticate(ByteView message) const {
  Bytes proof(kProofBytes);
  unsigned int size = 0;
  const auto* done =
      HMAC(EVP_sha256(), octets(secret_->bytes), kSecretBytes, octets(message), message.size(), octets(proof), &size);
  RK_CHECK(done != nullptr && size == proof.size());
  return proof;
}

bool ClusterKey::verify(ByteView message, ByteView proof) const {
  const Bytes right = authenticate(message);
  return proof.size() == right.size() && CRYPTO_memcmp(proof.data(), right.data(), right.size()) == 0;
}

Bytes ClusterKey::derive(std::string_view purpose) const {
  const std::unique_ptr<EVP_KDF, decltype(&EVP_KDF_free)> method(EVP_KDF_fetch(nullptr, "HKDF", nullptr),
                                                                 &EVP_KDF_free);
  RK_CHECK(method != nullptr);
  const std::unique_ptr<EVP_KDF_CTX, decltype(&EVP_KDF_CTX_free)> context(EVP_KDF_CTX_new(method.get()),
                                                                          &EVP_KDF_CTX_free);
  RK_CHECK(context != nullptr);
  char digest[] = "SHA256";
  // OpenSSL's parameters are not const, but they are only read.
  auto* const secret = const_cast<std::byte*>(secret_->bytes.data());
  auto* const info = const_cast<char*>(purpose.data());
  const std::array<OSSL_PARAM, 4> parameters{
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, secret, kSecretBytes),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, purpose.size()), OSSL_PARAM_construct_end()};
  Bytes out(kSecretBytes);
  RK_CHECK(EVP_KDF_derive(context.get(), octets(out), out.size(), parameters.data()) == 1);
  return out;
}

Bytes random_bytes(std::size_t size) {
  Bytes out(size);
  RK_CHECK(RAND_bytes(octets(out), static_cast<int>(size)) == 1);
  return out;
}

std::uint64_t random_u64() {
  const Bytes bytes = random_bytes(sizeof(std::uint64_t));
  return ByteReader(bytes).integer<std::uint64_t>();
}

}  // namespace rk::keys

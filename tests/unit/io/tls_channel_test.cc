// SPDX-License-Identifier: Apache-2.0
#include "io/tls_channel.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "base/prng.h"

namespace rk::io {
namespace {

using Side = TlsChannel::Side;

constexpr ClusterId kCluster(7);

keys::KeySet set_of(std::size_t keys) {
  auto set = keys::KeySet::generate();
  for (std::size_t i = 1; i < keys; ++i) EXPECT_TRUE(set.add());
  return set;
}

std::shared_ptr<const TlsContext> context(const keys::KeySet& keys, ClusterId cluster = kCluster) {
  return std::make_shared<const TlsContext>(keys, cluster);
}

Bytes take_outgoing(TlsChannel& from) {
  const ByteView view = from.outgoing();
  Bytes bytes(view.begin(), view.end());
  from.drop_outgoing(bytes.size());
  return bytes;
}

struct End {
  End(const std::shared_ptr<const TlsContext>& context, Side side, std::uint64_t rekey_records = 1U << 22U)
      : channel(context, side, rekey_records) {}
  Status receive(ByteView bytes) {
    auto status =
        channel.receive(bytes, [this](ByteView some) { plain.insert(plain.end(), some.begin(), some.end()); });
    if (!status) failure = status.error();
    return status;
  }
  TlsChannel channel;
  Bytes plain;
  std::optional<Error> failure;
};

// Carries bytes to and fro, `step` at a time, until neither has any or one has failed.
void converse(End& a, End& b, std::size_t step = SIZE_MAX) {
  for (bool moved = true; moved;) {
    moved = false;
    for (const auto& [from, to] : {std::pair(&a, &b), std::pair(&b, &a)}) {
      const Bytes bytes = take_outgoing(from->channel);
      for (std::size_t at = 0; at < bytes.size() && !to->failure; at += std::min(step, bytes.size() - at)) {
        moved = true;
        if (!to->receive(ByteView(bytes).subspan(at, std::min(step, bytes.size() - at)))) break;
      }
    }
  }
}

struct Pair {
  explicit Pair(const keys::KeySet& keys = set_of(1))
      : dialer(context(keys), Side::kDialer), listener(context(keys), Side::kListener) {}
  End dialer;
  End listener;
};

Bytes noise(std::uint64_t seed, std::size_t size) {
  Prng prng(seed);
  Bytes bytes(size);
  for (auto& byte : bytes) byte = static_cast<std::byte>(prng.below(256));
  return bytes;
}

TEST(TlsChannel, CarriesBytesBothWaysHoweverTheyAreCut) {
  for (const std::size_t step : {std::size_t{1}, std::size_t{7}, std::size_t{1000}, SIZE_MAX}) {
    Pair pair;
    converse(pair.dialer, pair.listener, step);
    ASSERT_TRUE(pair.dialer.channel.established() && pair.listener.channel.established()) << step;
    const Bytes question = noise(1, 100'000);
    const Bytes answer = noise(2, 3);
    ASSERT_TRUE(pair.dialer.channel.seal(question));
    ASSERT_TRUE(pair.listener.channel.seal(answer));
    converse(pair.dialer, pair.listener, step);
    EXPECT_EQ(pair.listener.plain, question);
    EXPECT_EQ(pair.dialer.plain, answer);
  }
}

TEST(TlsChannel, WhatTravelsDoesNotShowWhatItSays) {
  Pair pair;
  converse(pair.dialer, pair.listener);
  const std::string text(1000, 'x');
  ASSERT_TRUE(pair.dialer.channel.seal(as_bytes(text)));
  const Bytes sealed = take_outgoing(pair.dialer.channel);
  const Bytes part(16, std::byte{'x'});
  EXPECT_EQ(std::search(sealed.begin(), sealed.end(), part.begin(), part.end()), sealed.end());
}

TEST(TlsChannel, TheDialersFirstKeyIsUsedAndAllOfTheListenersAreAccepted) {
  auto listening = set_of(3);
  auto dialling = keys::KeySet::parse(listening.all()[1].line()).value();
  ASSERT_TRUE(dialling.add());
  End dialer(context(dialling), Side::kDialer);
  End listener(context(listening), Side::kListener);
  EXPECT_EQ(listener.channel.key_id(), "");
  converse(dialer, listener);
  ASSERT_TRUE(listener.channel.established());
  EXPECT_EQ(listener.channel.key_id(), listening.all()[1].id());
  EXPECT_EQ(dialer.channel.key_id(), listening.all()[1].id());
}

TEST(TlsChannel, AnUnknownKeyIsRefusedInWordsOnBothSides) {
  const auto ours = set_of(2);
  const auto theirs = set_of(1);
  End dialer(context(theirs), Side::kDialer);
  End listener(context(ours), Side::kListener);
  converse(dialer, listener);
  ASSERT_TRUE(dialer.failure && listener.failure);
  EXPECT_EQ(listener.failure->code, ErrorCode::kWrongCluster);
  EXPECT_NE(listener.failure->message.find("key " + theirs.first().id()), std::string::npos)
      << listener.failure->message;
  EXPECT_EQ(dialer.failure->code, ErrorCode::kWrongCluster);
  EXPECT_NE(dialer.failure->message.find(theirs.first().name()), std::string::npos) << dialer.failure->message;
  EXPECT_NE(dialer.failure->message.find("the same key file"), std::string::npos);
}

TEST(TlsChannel, AnotherClusterWithTheSameKeyIsNamed) {
  const auto keys = set_of(1);
  End dialer(context(keys, ClusterId(0xbad)), Side::kDialer);
  End listener(context(keys), Side::kListener);
  converse(dialer, listener);
  ASSERT_TRUE(listener.failure && dialer.failure);
  EXPECT_NE(listener.failure->message.find("0000000000000bad"), std::string::npos) << listener.failure->message;
  EXPECT_EQ(dialer.failure->code, ErrorCode::kWrongCluster);
}

TEST(TlsChannel, AFrameInPlainIsToldFromTls) {
  for (const auto side : {Side::kDialer, Side::kListener}) {
    End end(context(set_of(1)), side);
    EXPECT_FALSE(end.receive(as_bytes("RKf1 and so on")));
    EXPECT_TRUE(end.channel.foreign());
    EXPECT_NE(end.failure->message.find("'encrypt'"), std::string::npos) << end.failure->message;
  }
}

TEST(TlsChannel, EveryFlippedBitOfAHandshakeEndsIt) {
  const auto keys = set_of(1);
  End clean(context(keys), Side::kDialer);
  const std::size_t size = clean.channel.outgoing().size();
  ASSERT_LT(size, 1024U);
  for (std::size_t at = 0; at < size; ++at) {
    if (at == 2) continue;  // the record's version, which TLS 1.3 ignores
    End dialer(context(keys), Side::kDialer);
    End listener(context(keys), Side::kListener);
    Bytes hello = take_outgoing(dialer.channel);
    hello[at] ^= static_cast<std::byte>(1U << (at % 8));
    (void)listener.receive(hello);
    if (!listener.failure) converse(dialer, listener);
    EXPECT_FALSE(listener.channel.established() && dialer.channel.established()) << "byte " << at;
  }
}

TEST(TlsChannel, EveryFlippedBitOfARecordIsFound) {
  for (std::size_t at = 0; at < 60; ++at) {
    Pair pair;
    converse(pair.dialer, pair.listener);
    ASSERT_TRUE(pair.dialer.channel.seal(as_bytes("what must arrive whole or not at all")));
    Bytes sealed = take_outgoing(pair.dialer.channel);
    if (at >= sealed.size()) break;
    sealed[at] ^= std::byte{0x10};
    (void)pair.listener.receive(sealed);
    EXPECT_TRUE(pair.listener.plain.empty()) << "byte " << at;
    EXPECT_TRUE(pair.listener.failure || at == 3 || at == 4) << "only a longer length lets it wait for more: " << at;
    if (pair.listener.failure) {
      EXPECT_EQ(pair.listener.failure->code, ErrorCode::kCorrupt);
      EXPECT_FALSE(pair.listener.channel.established());
    }
  }
}

TEST(TlsChannel, ARepeatedOrReorderedRecordIsFound) {
  for (const bool repeat : {false, true}) {
    Pair pair;
    converse(pair.dialer, pair.listener);
    ASSERT_TRUE(pair.dialer.channel.seal(as_bytes("first")));
    const Bytes first = take_outgoing(pair.dialer.channel);
    ASSERT_TRUE(pair.dialer.channel.seal(as_bytes("second")));
    const Bytes second = take_outgoing(pair.dialer.channel);
    if (repeat) {
      ASSERT_TRUE(pair.listener.receive(first));
    }
    EXPECT_FALSE(pair.listener.receive(repeat ? first : second));
    EXPECT_EQ(pair.listener.failure->code, ErrorCode::kCorrupt);
  }
}

TEST(TlsChannel, AReplayedConversationIsRefused) {
  const auto keys = set_of(1);
  End dialer(context(keys), Side::kDialer);
  End listener(context(keys), Side::kListener);
  const Bytes hello = take_outgoing(dialer.channel);
  ASSERT_TRUE(listener.receive(hello));
  ASSERT_TRUE(dialer.receive(take_outgoing(listener.channel)));
  ASSERT_TRUE(dialer.channel.seal(as_bytes("transfer it all")));
  const Bytes rest = take_outgoing(dialer.channel);
  ASSERT_TRUE(listener.receive(rest));
  EXPECT_FALSE(listener.plain.empty());
  // The same bytes again, to a listener that draws another random.
  End again(context(keys), Side::kListener);
  ASSERT_TRUE(again.receive(hello));
  EXPECT_FALSE(again.receive(rest));
  EXPECT_TRUE(again.plain.empty());
  EXPECT_FALSE(again.channel.established());
}

TEST(TlsChannel, AnEndlessHandshakeIsCutOff) {
  End listener(context(set_of(1)), Side::kListener);
  // A record of a hello that announces more than comes for long.
  Bytes record{std::byte{0x16}, std::byte{3}, std::byte{1},    std::byte{0x10}, std::byte{0},
               std::byte{1},    std::byte{0}, std::byte{0xf0}, std::byte{0}};
  record.resize(5 + 0x1000);
  std::size_t sent = 0;
  while (!listener.failure && sent < (1U << 20U)) {
    (void)listener.receive(record);
    sent += record.size();
  }
  ASSERT_TRUE(listener.failure);
  EXPECT_LT(sent, 20'000U);
}

TEST(TlsChannel, GarbageIsRefused) {
  const auto shared = context(set_of(1));
  for (std::uint64_t seed = 1; seed <= 500; ++seed) {
    End end(shared, seed % 2 == 0 ? Side::kDialer : Side::kListener);
    Bytes bytes = noise(seed, 20'000);
    if (seed % 3 != 0) bytes[0] = std::byte{0x16};
    if (seed % 5 != 0) bytes[1] = std::byte{3};
    (void)end.receive(bytes);
    EXPECT_TRUE(end.failure) << seed;
    EXPECT_FALSE(end.channel.established());
  }
}

TEST(TlsChannel, ALongLinkChangesItsTrafficKey) {
  const auto keys = set_of(1);
  std::vector<std::size_t> travelled;
  for (const std::uint64_t rekey_records : {4U, 1'000'000U}) {
    End dialer(context(keys), Side::kDialer, rekey_records);
    End listener(context(keys), Side::kListener, rekey_records);
    converse(dialer, listener);
    Bytes all;
    std::size_t bytes = 0;
    for (std::uint64_t i = 0; i < 50; ++i) {
      const Bytes piece = noise(i, 20'000);
      all.insert(all.end(), piece.begin(), piece.end());
      ASSERT_TRUE(dialer.channel.seal(piece));
      ASSERT_TRUE(listener.channel.seal(piece));
      bytes += dialer.channel.outgoing().size();
      converse(dialer, listener);
    }
    EXPECT_EQ(listener.plain, all);
    EXPECT_EQ(dialer.plain, all);
    travelled.push_back(bytes);
  }
  EXPECT_GT(travelled[0], travelled[1]) << "each change is a message of its own";
}

// A server of OpenSSL with a certificate of its own, which passes the key by.
class Impostor {
 public:
  Impostor() : context_(SSL_CTX_new(TLS_server_method()), &SSL_CTX_free), ssl_(nullptr, &SSL_free) {
    const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"), &EVP_PKEY_free);
    const std::unique_ptr<X509, decltype(&X509_free)> certificate(X509_new(), &X509_free);
    X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
    X509_set_pubkey(certificate.get(), key.get());
    X509_sign(certificate.get(), key.get(), EVP_sha256());
    SSL_CTX_use_certificate(context_.get(), certificate.get());
    SSL_CTX_use_PrivateKey(context_.get(), key.get());
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_bio(ssl_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_accept_state(ssl_.get());
  }
  Bytes answer(ByteView bytes) {
    BIO_write(SSL_get_rbio(ssl_.get()), bytes.data(), static_cast<int>(bytes.size()));
    SSL_do_handshake(ssl_.get());
    Bytes out(65536);
    const int size = BIO_read(SSL_get_wbio(ssl_.get()), out.data(), static_cast<int>(out.size()));
    out.resize(static_cast<std::size_t>(std::max(size, 0)));
    return out;
  }

 private:
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl_;
};

TEST(TlsChannel, ACertificateIsNoProof) {
  End dialer(context(set_of(1)), Side::kDialer);
  Impostor impostor;
  const Bytes answer = impostor.answer(take_outgoing(dialer.channel));
  ASSERT_GT(answer.size(), 200U);
  EXPECT_FALSE(dialer.receive(answer));
  EXPECT_EQ(dialer.failure->code, ErrorCode::kWrongCluster) << dialer.failure->message;
  EXPECT_NE(dialer.failure->message.find("certificate"), std::string::npos) << dialer.failure->message;
  EXPECT_FALSE(dialer.channel.established());
}

}  // namespace
}  // namespace rk::io

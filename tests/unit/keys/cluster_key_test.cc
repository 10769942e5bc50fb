// SPDX-License-Identifier: Apache-2.0
#include "keys/cluster_key.h"

#include <gtest/gtest.h>

#include "keys/key_set.h"

namespace rk::keys {
namespace {

const std::string kDigits = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const std::string kLine = "ringkeep-key-1 7 " + kDigits;

TEST(ClusterKey, ALineIsReadAndWritten) {
  const auto key = ClusterKey::parse(kLine).value();
  EXPECT_EQ(key.line(), kLine);
  EXPECT_EQ(key.number(), 7U);
  EXPECT_EQ(ClusterKey::parse("\tringkeep-key-1  7\t" + kDigits + " \r").value().line(), kLine);
  const auto fresh = ClusterKey::generate(3);
  EXPECT_EQ(ClusterKey::parse(fresh.line()).value().id(), fresh.id());
  EXPECT_NE(fresh.id(), ClusterKey::generate(3).id());
}

TEST(ClusterKey, EveryDamagedLineIsRefusedAndNotRepeated) {
  for (const std::string& line :
       {std::string(), std::string("ringkeep-key-1"), "ringkeep-key-1 7 " + kDigits.substr(1),
        "ringkeep-key-1 7 " + kDigits + "00", "ringkeep-key-1 7 " + kDigits + " 00", "ringkeep-key-1 0 " + kDigits,
        "ringkeep-key-1 -1 " + kDigits, "ringkeep-key-1 4294967296 " + kDigits, "ringkeep-key-1 " + kDigits,
        "ringkeep-key-1 7 " + kDigits.substr(2) + "0x", "key 7 " + kDigits, kDigits}) {
    const auto refused = ClusterKey::parse(line);
    ASSERT_FALSE(refused) << line;
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(refused.error().message.find(kDigits.substr(8, 8)), std::string::npos) << refused.error().message;
  }
  EXPECT_EQ(ClusterKey::parse("ringkeep-key-2 7 " + kDigits).error().code, ErrorCode::kVersionMismatch);
}

// Computed with Python's hmac module.
TEST(ClusterKey, ProofsIdsAndDerivedSecretsAreThoseOfRfc2104AndRfc5869) {
  const auto key = ClusterKey::parse(kLine).value();
  EXPECT_EQ(to_hex(key.authenticate(as_bytes("Hi There"))),
            "278639ec02309d3afded1b273f1349ba63b9089c12476d716bee3ecc94673e9e");
  EXPECT_EQ(key.id(), "c2c9192e04f8ce8f");
  EXPECT_EQ(key.name(), "key 7 (c2c9192e04f8ce8f)");
  EXPECT_EQ(to_hex(key.derive("purpose")), "c938f7c9c926b1456b39fd3811e7b2d8beccd709fed368d133553b438fb89d0b");
  EXPECT_NE(key.derive("purpose"), key.derive("purpose 2"));
}

TEST(ClusterKey, AnyOtherProofFails) {
  const auto key = ClusterKey::generate(1);
  const Bytes good = key.authenticate(as_bytes("message"));
  EXPECT_TRUE(key.verify(as_bytes("message"), good));
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    Bytes bad = good;
    bad[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    EXPECT_FALSE(key.verify(as_bytes("message"), bad));
  }
  EXPECT_FALSE(key.verify(as_bytes("message"), ByteView(good).first(31)));
  EXPECT_FALSE(key.verify(as_bytes("message"), {}));
  EXPECT_FALSE(key.verify(as_bytes("messagE"), good));
  EXPECT_FALSE(ClusterKey::generate(1).verify(as_bytes("message"), good));
}

TEST(KeySet, AChangeOfKeysInThreeSteps) {
  KeySet keys = KeySet::generate();
  const std::string old = keys.first().id();
  EXPECT_FALSE(keys.promote()) << "there is none to promote";
  ASSERT_TRUE(keys.add());
  EXPECT_EQ(keys.first().id(), old);
  const std::string fresh = keys.all().back().id();
  EXPECT_EQ(keys.all().back().number(), 2U);
  for (int again = 0; again < 2; ++again) {
    ASSERT_TRUE(keys.promote());
    EXPECT_EQ(keys.first().id(), fresh) << "promoting twice does not turn back";
    EXPECT_NE(keys.find(old), nullptr);
  }
  keys.drop_others();
  EXPECT_EQ(keys.all().size(), 1U);
  EXPECT_EQ(keys.first().id(), fresh);
  EXPECT_EQ(keys.find(old), nullptr);
  ASSERT_TRUE(keys.add());
  EXPECT_EQ(keys.all().back().number(), 3U) << "numbers rise, whatever was dropped before the newest";
}

TEST(KeySet, HasALimit) {
  KeySet keys = KeySet::generate();
  for (std::size_t i = 1; i < kMaxKeys; ++i) ASSERT_TRUE(keys.add());
  EXPECT_EQ(keys.add().error().code, ErrorCode::kNoMemory);
  EXPECT_TRUE(KeySet::parse(keys.text()));
  EXPECT_FALSE(KeySet::parse(keys.text() + ClusterKey::generate(99).line()));
}

TEST(KeySet, TextGoesToAndFro) {
  KeySet keys = KeySet::generate();
  ASSERT_TRUE(keys.add());
  const auto again = KeySet::parse("\n# mine\n\t # mine too\r\n" + keys.text() + "\n \n");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->text(), keys.text());
}

TEST(KeySet, ErrorsNameTheLine) {
  const std::string key = ClusterKey::generate(1).line();
  const auto message = [](const std::string& text) { return KeySet::parse(text).error().message; };
  EXPECT_NE(message("").find("keygen"), std::string::npos);
  EXPECT_NE(message("# nothing\n").find("no key"), std::string::npos);
  EXPECT_EQ(message(key + "\n" + key).rfind("line 2: ", 0), 0U) << message(key + "\n" + key);
  EXPECT_EQ(message("#\n\n" + std::string(32, 'k')).rfind("line 3: ", 0), 0U);
  EXPECT_NE(message(std::string(kMaxKeyFileBytes + 1, '#')).find("more than"), std::string::npos);
}

TEST(Random, TwoDrawsDiffer) {
  EXPECT_NE(random_bytes(32), random_bytes(32));
  EXPECT_NE(random_u64(), random_u64());
}

}  // namespace
}  // namespace rk::keys

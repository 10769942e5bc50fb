// SPDX-License-Identifier: Apache-2.0
#include "io/cluster_key.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>

namespace rk::io {
namespace {

TEST(ClusterKey, IsHmacSha256) {
  // RFC 4231, test case 1.
  const auto key = ClusterKey::from_bytes(Bytes(20, std::byte{0x0b}));
  ASSERT_TRUE(key);
  const Bytes proof = key->authenticate(as_bytes("Hi There"));
  EXPECT_EQ(to_hex(proof), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_TRUE(key->verify(as_bytes("Hi There"), proof));
}

TEST(ClusterKey, AnyOtherProofFails) {
  const auto key = ClusterKey::from_bytes(Bytes(32, std::byte{1})).value();
  const Bytes good = key.authenticate(as_bytes("message"));
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    Bytes bad = good;
    bad[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    EXPECT_FALSE(key.verify(as_bytes("message"), bad));
  }
  EXPECT_FALSE(key.verify(as_bytes("message"), ByteView(good).first(31)));
  EXPECT_FALSE(key.verify(as_bytes("message"), {}));
  EXPECT_FALSE(key.verify(as_bytes("messagE"), good));
}

TEST(ClusterKey, FilesOpenToOthersOrOfTheWrongSizeAreRefused) {
  std::string path = (std::filesystem::temp_directory_path() / "ringkeep-key-XXXXXX").string();
  const int fd = ::mkstemp(path.data());
  ASSERT_GE(fd, 0);
  ::close(fd);
  const auto put = [&](std::size_t size, mode_t mode) {
    std::ofstream(path, std::ios::trunc) << std::string(size, 'k');
    ::chmod(path.c_str(), mode);
    return ClusterKey::read(path);
  };
  EXPECT_TRUE(put(32, 0600));
  EXPECT_TRUE(ClusterKey::read(path)->verify({}, ClusterKey::from_bytes(Bytes(32, std::byte{'k'}))->authenticate({})));
  EXPECT_TRUE(put(kMinKeyBytes, 0600));
  EXPECT_TRUE(put(kMaxKeyBytes, 0600));
  EXPECT_EQ(put(32, 0640).error().code, ErrorCode::kPermission);
  EXPECT_EQ(put(32, 0604).error().code, ErrorCode::kPermission);
  EXPECT_EQ(put(kMinKeyBytes - 1, 0600).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(put(kMaxKeyBytes + 1, 0600).error().code, ErrorCode::kInvalidArgument);
  std::filesystem::remove(path);
  EXPECT_EQ(ClusterKey::read(path).error().code, ErrorCode::kIo);
  EXPECT_EQ(ClusterKey::read("/tmp").error().code, ErrorCode::kInvalidArgument);
}

TEST(Random, TwoDrawsDiffer) {
  EXPECT_NE(random_bytes(32), random_bytes(32));
  EXPECT_NE(random_u64(), random_u64());
}

}  // namespace
}  // namespace rk::io

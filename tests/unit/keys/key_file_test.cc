// SPDX-License-Identifier: Apache-2.0
#include "keys/key_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace rk::keys {
namespace {

class KeyFile : public ::testing::Test {
 protected:
  KeyFile() {
    std::string pattern = (std::filesystem::temp_directory_path() / "ringkeep-keys-XXXXXX").string();
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    path_ = directory_ + "/key";
  }
  ~KeyFile() override { std::filesystem::remove_all(directory_); }
  void put(const std::string& text, mode_t mode) const {
    std::filesystem::remove(path_);
    std::ofstream(path_) << text;
    ::chmod(path_.c_str(), mode);
  }
  static mode_t mode_of(const std::string& path) {
    struct stat info {};
    return ::stat(path.c_str(), &info) == 0 ? info.st_mode & 07777U : 0;
  }

  std::string directory_;
  std::string path_;
};

TEST_F(KeyFile, IsMadeForItsOwnerOnlyAndNeverOverwritten) {
  const KeySet keys = KeySet::generate();
  ASSERT_TRUE(create_key_file(path_, keys));
  EXPECT_EQ(mode_of(path_), 0400U);
  EXPECT_EQ(read_key_file(path_).value().first().id(), keys.first().id());
  const auto again = create_key_file(path_, KeySet::generate());
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::kExists);
  EXPECT_NE(again.error().message.find("--add"), std::string::npos);
  EXPECT_EQ(read_key_file(path_).value().first().id(), keys.first().id());
  // Not through a link that leads elsewhere either.
  const std::string link = directory_ + "/link";
  ASSERT_EQ(::symlink((directory_ + "/elsewhere").c_str(), link.c_str()), 0);
  EXPECT_FALSE(create_key_file(link, keys));
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/elsewhere"));
}

TEST_F(KeyFile, IsReplacedWhole) {
  KeySet keys = KeySet::generate();
  ASSERT_TRUE(create_key_file(path_, keys));
  const std::string link = directory_ + "/link";
  ASSERT_EQ(::symlink("key", link.c_str()), 0);
  ASSERT_TRUE(keys.add());
  ASSERT_TRUE(replace_key_file(link, keys));
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  EXPECT_EQ(mode_of(path_), 0400U);
  EXPECT_EQ(read_key_file(path_).value().text(), keys.text());
  EXPECT_FALSE(std::filesystem::exists(path_ + ".new"));
}

TEST_F(KeyFile, TwoReplacementsDoNotMeet) {
  KeySet keys = KeySet::generate();
  ASSERT_TRUE(create_key_file(path_, keys));
  std::ofstream(path_ + ".new") << "of another";
  KeySet more = keys;
  ASSERT_TRUE(more.add());
  const auto refused = replace_key_file(path_, more);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find(".new exists"), std::string::npos) << refused.error().message;
  EXPECT_TRUE(std::filesystem::exists(path_ + ".new")) << "it is the other's";
  EXPECT_EQ(read_key_file(path_).value().text(), keys.text());
}

TEST_F(KeyFile, AMissingDirectoryIsNamed) {
  const auto refused = create_key_file(directory_ + "/none/key", KeySet::generate());
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find(directory_ + "/none/key"), std::string::npos);
  EXPECT_FALSE(replace_key_file(path_, KeySet::generate())) << "there is none to replace";
}

TEST_F(KeyFile, FilesOpenToOthersOrOfAnotherKindAreRefused) {
  const std::string text = KeySet::generate().text();
  for (const mode_t mode : {0400U, 0600U}) {
    put(text, mode);
    EXPECT_TRUE(read_key_file(path_));
  }
  for (const mode_t mode : {0440U, 0640U, 0604U, 0601U, 0700U, 04600U}) {
    put(text, mode);
    EXPECT_EQ(read_key_file(path_).error().code, ErrorCode::kPermission) << std::oct << mode;
  }
  for (const std::string& bad : {std::string(), std::string(32, 'k'), text + text}) {
    put(bad, 0600);
    const auto refused = read_key_file(path_);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find(path_), std::string::npos);
    EXPECT_EQ(refused.error().message.find("kkkk"), std::string::npos) << "what it holds may be a secret";
  }
  std::filesystem::remove(path_);
  EXPECT_EQ(read_key_file(path_).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(read_key_file(directory_).error().code, ErrorCode::kInvalidArgument);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_EQ(read_key_file(path_).error().code, ErrorCode::kInvalidArgument) << "and it does not wait for a writer";
}

}  // namespace
}  // namespace rk::keys

// SPDX-License-Identifier: Apache-2.0
#include "launch/programs.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "launch/directories.h"

namespace rk::launch {
namespace {

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

TEST(FindProgram, OnThePathByNameAndByPath) {
  ASSERT_TRUE(find_program("sh"));
  EXPECT_TRUE(find_program(*find_program("sh")));
  for (const char* name : {"no-such-program-here", "./no-such-program", "", "/tmp"}) {
    const auto found = find_program(name);
    ASSERT_FALSE(found) << name;
    EXPECT_EQ(found.error().code, ErrorCode::kNotFound);
    EXPECT_NE(found.error().message.find(std::string("'") + name + "'"), std::string::npos);
  }
}

TEST(FindProgram, AFileThatMayNotBeExecutedIsAnotherError) {
  std::string path = "/tmp/rk-program-XXXXXX";
  const int fd = ::mkstemp(path.data());
  ASSERT_GE(fd, 0);
  ::close(fd);
  const auto found = find_program(path);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, ErrorCode::kPermission);
  ::unlink(path.c_str());
}

TEST(ElfNeeds, OfARealExecutable) {
  const std::string self = *own_executable();
  const ElfNeeds needs = read_elf_needs(read(self));
  EXPECT_TRUE(needs.is_elf);
  EXPECT_FALSE(needs.is_static);
  EXPECT_NE(std::find(needs.needed.begin(), needs.needed.end(), "libc.so.6"), needs.needed.end());
}

TEST(ElfNeeds, OfGarbageAndCutFilesIsNothingAndNoCrash) {
  EXPECT_FALSE(read_elf_needs("#!/bin/sh\n").is_elf);
  EXPECT_FALSE(read_elf_needs("").is_elf);
  const std::string image = read(*own_executable());
  for (std::size_t size = 0; size < 4096; size += 7) read_elf_needs(std::string_view(image).substr(0, size));
  std::string damaged = image.substr(0, 65536);
  for (std::size_t at = 16; at < 1024; ++at) {
    const char before = damaged[at];
    damaged[at] = static_cast<char>(0xff);
    read_elf_needs(damaged);
    damaged[at] = before;
  }
}

TEST(CheckSupported, NamesTheLibraryAndTheCure) {
  Program mpich{"/opt/a.out", MpiLibrary::kMpich, "libmpich.so.12"};
  const Status refused = check_supported(mpich, 1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(refused.error().message.find("libmpich.so.12"), std::string::npos);
  EXPECT_NE(refused.error().message.find("Open MPI"), std::string::npos);
  EXPECT_TRUE(check_supported({"/opt/a.out", MpiLibrary::kOpenMpi, "libmpi.so.40"}, 2));
  EXPECT_TRUE(check_supported({"/opt/script", MpiLibrary::kNone, ""}, 2));
  EXPECT_TRUE(check_supported({"/opt/static", MpiLibrary::kStatic, ""}, 1));
  EXPECT_FALSE(check_supported({"/opt/static", MpiLibrary::kStatic, ""}, 2));
}

}  // namespace
}  // namespace rk::launch

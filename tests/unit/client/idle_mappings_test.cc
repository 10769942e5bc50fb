// SPDX-License-Identifier: Apache-2.0
#include "client/idle_mappings.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace rk::client {
namespace {

constexpr std::uint64_t kBytes = 2 * shm::kPageBytes;

shm::MemoryFile new_file() {
  auto file = shm::MemoryFile::create("test", kBytes);
  EXPECT_TRUE(file && file->touch(0, kBytes));
  return std::move(file).value();
}

shm::Mapping map(const shm::MemoryFile& file) {
  return std::move(shm::Mapping::map(file, shm::Access::kReadWrite)).value();
}

TEST(IdleMappings, TheSameMemoryGetsItsMappingByAnyDescriptorOfIt) {
  IdleMappings mappings;
  const shm::MemoryFile file = new_file();
  const shm::MemoryFile other = new_file();
  const auto identity = IdleMappings::identify(file).value();
  shm::Mapping mapping = map(file);
  const std::byte* const place = mapping.data();
  mappings.keep(identity, std::move(mapping));
  EXPECT_FALSE(mappings.take(IdleMappings::identify(other).value(), kBytes));
  const auto again = shm::MemoryFile::adopt(shm::duplicate(file.descriptor()).value(), kBytes);
  ASSERT_TRUE(again);
  const shm::Mapping taken = mappings.take(IdleMappings::identify(*again).value(), kBytes);
  EXPECT_EQ(taken.data(), place);
  EXPECT_FALSE(mappings.take(identity, kBytes)) << "it is given once";
}

TEST(IdleMappings, MemoryThatIsWrittenKeepsItsIdentity) {
  const shm::MemoryFile file = new_file();
  const auto before = IdleMappings::identify(file).value();
  map(file).writable()[0] = std::byte{1};
  EXPECT_EQ(IdleMappings::identify(file).value(), before);
}

TEST(IdleMappings, AMappingOfAnotherSizeIsNotGiven) {
  IdleMappings mappings;
  const shm::MemoryFile file = new_file();
  const auto identity = IdleMappings::identify(file).value();
  mappings.keep(identity, map(file));
  EXPECT_FALSE(mappings.take(identity, kBytes - shm::kPageBytes));
}

TEST(IdleMappings, TheOldestGoesWhenThereAreTooMany) {
  IdleMappings mappings;
  std::vector<IdleMappings::Identity> all;
  for (std::size_t i = 0; i <= IdleMappings::kMaxMappings; ++i) {
    const shm::MemoryFile file = new_file();
    all.push_back(IdleMappings::identify(file).value());
    mappings.keep(all.back(), map(file));
  }
  EXPECT_FALSE(mappings.take(all.front(), kBytes));
  EXPECT_TRUE(mappings.take(all.at(1), kBytes));
  mappings.clear();
  EXPECT_FALSE(mappings.take(all.back(), kBytes));
}

}  // namespace
}  // namespace rk::client

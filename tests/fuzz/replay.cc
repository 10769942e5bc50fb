// SPDX-License-Identifier: Apache-2.0
// replay DIRECTORY: runs a target on every file of its corpus and on seeded mutations of each.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "base/prng.h"
#include "tests/fuzz/fuzz_target.h"

namespace rk::fuzz {
namespace {

constexpr int kMutations = 2000;

Bytes read(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  const std::vector<char> text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

Bytes mutate(Bytes bytes, Prng& prng) {
  for (std::uint64_t change = 0; change <= prng.below(4); ++change) {
    const auto at = static_cast<std::ptrdiff_t>(prng.below(bytes.size() + 1));
    switch (prng.below(4)) {
      case 0:
        bytes.insert(bytes.begin() + at, static_cast<std::byte>(prng.below(256)));
        break;
      case 1:
        bytes.resize(static_cast<std::size_t>(at));
        break;
      case 2:
        if (at < std::ssize(bytes)) bytes.erase(bytes.begin() + at);
        break;
      default:
        if (at < std::ssize(bytes)) bytes[static_cast<std::size_t>(at)] ^= static_cast<std::byte>(1 + prng.below(255));
    }
  }
  return bytes;
}

}  // namespace
}  // namespace rk::fuzz

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1])) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  if (files.empty()) {
    std::fprintf(stderr, "the corpus %s is empty\n", argv[1]);
    return 1;
  }
  rk::Prng prng(1);
  for (const auto& file : files) {
    const rk::Bytes seed = rk::fuzz::read(file);
    rk::fuzz::run(seed);
    for (int i = 0; i < rk::fuzz::kMutations; ++i) rk::fuzz::run(rk::fuzz::mutate(seed, prng));
  }
  std::printf("%zu files, %d mutations of each\n", files.size(), rk::fuzz::kMutations);
  return 0;
}
